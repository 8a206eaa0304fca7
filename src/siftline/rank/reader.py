"""Reading the expressions of a rank profile: parsed, calls inlined, every name checked."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace

from siftline.errors import PackageError, Place, UsageError
from siftline.rank.expression import parse_expression
from siftline.rank.features.names import argument_text, canonical
from siftline.rank.features.ranks import NORMALIZERS, PHASES
from siftline.rank.features.registry import FEATURES, find_feature
from siftline.rank.features.scope import Scope
from siftline.rank.features.tokens import TOKEN_FEATURES
from siftline.rank.nodes import Node, Reference, free_references
from siftline.rank.references import inline_calls, rewrite
from siftline.rank.result_type import result_type
from siftline.schema.definition import Expression, OnnxModel
from siftline.tensor.types import TensorType

#: Features that run a model.
MODEL_FEATURES = ("onnx", "onnxModel")

#: Features whose arguments are references themselves.
_NESTING = NORMALIZERS | frozenset(TOKEN_FEATURES)


class Reader:
    """The names of one profile; `nodes` has its functions without parameters.

    Made only where every function parses, names what exists and does not depend on itself.
    """

    def __init__(self, scope: Scope) -> None:
        self.scope = scope
        self.nodes = {
            name: self.read(function.expression)
            for name, function in scope.functions.items()
            if not function.parameters
        }
        for function in scope.functions.values():
            if function.parameters:
                self.parse(function.expression)
        self._refuse_cycles()

    def read(self, expression: Expression) -> Node:
        """The expression parsed, calls inlined, every reference checked."""
        return self._placed(
            expression.place,
            lambda: rewrite(
                inline_calls(self.parse(expression), self.scope.functions), self._checked
            ),
        )

    def parse(self, expression: Expression) -> Node:
        """The expression as written; PackageError with the place of what is no expression."""
        return parse_expression(expression.text, expression.place)

    def _placed(self, place: Place | None, read: Callable[[], Node]) -> Node:
        try:
            return read()
        except PackageError as error:
            if error.place is not None:
                raise
            raise PackageError(error.message, place) from None

    def _checked(self, reference: Reference, dimension: bool) -> Node:
        return self._placed(reference.place, lambda: self._check(reference, dimension))

    def _check(self, reference: Reference, dimension: bool = False) -> Reference:
        """The reference in the form that plans use; PackageError if it means nothing.

        dimension: it may be the name of a dimension instead.
        """
        name, functions = reference.name, self.scope.functions
        if name == "rankingExpression" and len(reference.arguments) == 1:
            return self._check(Reference(argument_text(reference.arguments[0])))
        if name in functions and (reference.bare or name not in FEATURES):
            if not reference.bare:
                raise PackageError(f"function '{name}' takes no arguments: '{reference}'")
            return reference
        if not reference.arguments and name in self.scope.constants:
            return Reference("constant", (Reference(name),))
        if dimension and name not in FEATURES:
            return reference
        if name in _NESTING:
            arguments = tuple(
                self._check(a) if isinstance(a, Reference) else a for a in reference.arguments
            )
            reference = replace(reference, arguments=arguments)
        find_feature(name, tuple(functions)).check(self.scope, reference)
        return reference

    def result_type(self, node: Node, place: Place | None) -> TensorType | None:
        """The type of an expression; None where only a query or a model shows it."""
        try:
            return result_type(node, self.scope, self.nodes)
        except (PackageError, UsageError) as error:
            raise PackageError(error.message, error.place or place) from None

    def check_phase(self, node: Node, phase: str, place: Place | None) -> None:
        """PackageError where the expression needs what a phase does not have yet, or not any more.

        phase: first, second, global, match or summary.
        """
        for name in self.reachable(node):
            allowed = PHASES.get(name)
            if allowed is not None and phase not in allowed and name not in self.nodes:
                where = " or ".join(sorted(allowed))
                raise PackageError(f"'{name}' can be used in {where} only, not in {phase}", place)

    def reachable(self, node: Node) -> set[str]:
        """The names that an expression depends on, through functions and models."""
        return {reference.name for reference in self.reachable_references(node)}

    def reachable_references(self, node: Node) -> Iterator[Reference]:
        """The references that an expression depends on, through functions and models."""
        seen: set[str] = set()
        waiting: list[Reference] = list(free_references(node))
        while waiting:
            reference = waiting.pop()
            name = canonical(reference)
            if name in seen:
                continue
            seen.add(name)
            yield reference
            waiting += self._needs(reference)

    def _needs(self, reference: Reference) -> list[Reference]:
        """The references that one reference depends on directly."""
        if reference.bare and reference.name in self.nodes:
            return list(free_references(self.nodes[reference.name]))
        if reference.name in _NESTING:
            return [a for a in reference.arguments if isinstance(a, Reference)]
        if reference.name in MODEL_FEATURES:
            model = self.scope.models[argument_text(reference.arguments[0])]
            return [self.source(model, text) for text in model.inputs.values()]
        return []

    def _refuse_cycles(self) -> None:
        for name, node in self.nodes.items():
            for reference in free_references(node):
                reached = self.reachable(reference)
                if name in reached:
                    raise PackageError(
                        f"function '{name}' depends on itself through '{canonical(reference)}'",
                        self.scope.functions[name].expression.place,
                    )

    def source(self, model: OnnxModel, text: str) -> Reference:
        """What fills an input of a model."""
        node = self.read(Expression(text, model.place))
        if not isinstance(node, Reference):
            raise PackageError(
                f"the input of onnx-model '{model.name}' must be an attribute, a query input,"
                f" a constant or a function, not '{text}'",
                model.place,
            )
        return node
