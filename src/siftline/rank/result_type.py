"""The type of an expression, found by running it on one made-up hit."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from siftline.errors import PackageError
from siftline.rank.compile import compile_expression
from siftline.rank.features.registry import find_feature
from siftline.rank.features.scope import Scope
from siftline.rank.nodes import Node, Reference
from siftline.rank.values import Value
from siftline.tensor.batch import stack
from siftline.tensor.tensor import Tensor
from siftline.tensor.types import SCALAR, TensorType


class UnknownTypeError(Exception):
    """A feature's type shows only when a query runs."""


def result_type(node: Node, scope: Scope, functions: Mapping[str, Node]) -> TensorType | None:
    """The type of an expression; None where it depends on an undeclared input or a model.

    functions: those without parameters, by name. Errors are those of the expression itself.
    """
    try:
        with np.errstate(all="ignore"):
            value = compile_expression(node)(_OneHit(scope, functions))
    except UnknownTypeError:
        return None
    return SCALAR if isinstance(value, np.ndarray) else value.type


class _OneHit:
    """A source with one hit that has zeros for every feature."""

    def __init__(self, scope: Scope, functions: Mapping[str, Node]) -> None:
        self.count = 1
        self._scope = scope
        self._functions = functions
        self._known: dict[str, Value] = {}

    def feature(self, reference: Reference) -> Value:
        """A value of the reference's type."""
        if reference.bare and reference.name in self._functions:
            if reference.name not in self._known:
                program = compile_expression(self._functions[reference.name])
                self._known[reference.name] = program(self)
            return self._known[reference.name]
        type_ = find_feature(reference.name).check(self._scope, reference)
        if type_ is None:
            raise UnknownTypeError(reference.name)
        if not type_.dimensions:
            return np.zeros(1)
        if any(d.size is None and not d.mapped for d in type_.dimensions):
            raise PackageError(f"{type_} has an unbound dimension")
        zero = Tensor.empty(type_)
        return zero if reference.name in ("query", "constant") else stack(type_, [zero])
