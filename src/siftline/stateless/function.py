"""Functions of models, and their evaluation with bound arguments (spec 5.6)."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Self

import numpy as np

from siftline.errors import UnboundError, UnknownNameError, UsageError
from siftline.stateless.arguments import to_argument
from siftline.tensor.tensor import Tensor
from siftline.tensor.types import TensorType

#: The value of a function for its arguments, all of them bound.
Compute = Callable[[Mapping[str, Tensor]], Tensor]


@dataclass(frozen=True)
class Function:
    """A function of a model.

    arguments: name → type, unbound dimensions are `d0[]`. output: the type of the value, None where
    only its arguments decide. described: what a listing shows beside the arguments; for ONNX, as
    Vespa has it, the output's type under `onnxModel(MODEL).OUTPUT`. texts: scalar arguments whose
    values are texts. missing: the value of scalars that are not bound, None where they must be.
    aliases: other names of arguments.
    """

    name: str
    arguments: Mapping[str, TensorType]
    compute: Compute
    output: TensorType | None = None
    described: Mapping[str, TensorType] = field(default_factory=dict)
    texts: frozenset[str] = frozenset()
    missing: float | None = None
    aliases: Mapping[str, str] = field(default_factory=dict)

    @property
    def listed(self) -> dict[str, TensorType]:
        """Names and types as a listing shows them."""
        return {**self.arguments, **self.described}


class FunctionEvaluator:
    """One evaluation of a function: bind its arguments, then evaluate, once.

    Not for several threads; the model behind it is shared by all.
    """

    def __init__(self, function: Function) -> None:
        self.function = function
        self._bound: dict[str, Tensor] = {}
        self._missing = function.missing
        self._used = False

    def bind(self, name: str, value: Any) -> Self:
        """Give an argument its value: a tensor, array, nested lists, number or literal.

        UnknownNameError for a name the function does not take, UsageError for a value that does
        not fit its type.
        """
        self._refuse_used("bind a value in")
        function = self.function
        name = function.aliases.get(name, name)
        if name not in function.arguments:
            expected = ", ".join(f"{n}: {t}" for n, t in function.arguments.items()) or "none"
            raise UnknownNameError(
                f"'{name}' is not a valid argument in function '{function.name}'. "
                f"Expected arguments: {expected}"
            )
        self._bound[name] = to_argument(
            name, function.arguments[name], value, text=name in function.texts
        )
        return self

    def set_missing_value(self, number: float | str) -> Self:
        """The value of every scalar argument that is not bound."""
        self._refuse_used("set the missing value of")
        try:
            self._missing = float(number)
        except (TypeError, ValueError):
            raise UsageError(f"the missing value must be a number, not {number!r}") from None
        return self

    def evaluate(self) -> Tensor:
        """The value of the function.

        UnboundError names the first argument that has no value; ModelError where the model fails.
        """
        self._refuse_used("evaluate")
        self._used = True
        values: dict[str, Tensor] = {}
        for name, type_ in self.function.arguments.items():
            if name in self._bound:
                values[name] = self._bound[name]
            elif self._missing is not None and not type_.dimensions:
                values[name] = Tensor.scalar(self._missing)
            else:
                raise UnboundError(
                    f"Missing argument '{name}': Must be bound to a value of type {type_}"
                )
        with np.errstate(all="ignore"):
            return self.function.compute(values)

    def _refuse_used(self, what: str) -> None:
        if self._used:
            raise UsageError(
                f"cannot {what} a used evaluator of function '{self.function.name}': "
                "take a new one for each evaluation"
            )
