"""Calls of functions with parameters replaced by their bodies, and references changed in place."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from siftline.errors import PackageError
from siftline.rank.expression import parse_expression
from siftline.rank.features.names import canonical
from siftline.rank.nodes import Call, Node, Reference, bound_names, rebuilt, substitute
from siftline.schema.definition import Function

#: Tensor functions → how many of their arguments are tensors; the others name dimensions.
_TENSORS = {
    "argmax": 1, "argmin": 1, "cosine_similarity": 2, "euclidean_distance": 2, "expand": 1,
    "l1_normalize": 1, "l2_normalize": 1, "matmul": 2, "softmax": 1, "xw_plus_b": 3,
}  # fmt: skip

#: `max(a, name)`: a dimension of `a`, or a value.
_EITHER = ("max", "min")

#: Changes a reference; the flag says that the name may be a dimension.
Change = Callable[[Reference, bool], Node]


def rewrite(node: Node, change: Change, bound: frozenset[str] = frozenset()) -> Node:
    """The expression with every free reference replaced by what `change` gives.

    Arguments of references are left to `change`; names of dimensions stay as they are.
    """
    if isinstance(node, Reference):
        return node if node.bare and node.name in bound else change(node, False)
    bound = bound.union(bound_names(node))
    if isinstance(node, Call):
        return Call(node.name, _arguments(node, change, bound), place=node.place)
    return rebuilt(node, lambda child: rewrite(child, change, bound))


def _arguments(call: Call, change: Change, bound: frozenset[str]) -> tuple[Node, ...]:
    tensors = _TENSORS.get(call.name, len(call.arguments))
    changed = []
    for place, argument in enumerate(call.arguments):
        if place >= tensors:
            changed.append(argument)
        elif call.name in _EITHER and place == 1 and isinstance(argument, Reference):
            kept = argument.bare and argument.name in bound
            changed.append(argument if kept else change(argument, argument.bare))
        else:
            changed.append(rewrite(argument, change, bound))
    return tuple(changed)


def inline_calls(node: Node, functions: Mapping[str, Function]) -> Node:
    """The expression with calls of functions that have parameters replaced by their bodies.

    PackageError for a wrong number of arguments or a function that calls itself.
    """
    return _Inliner(functions).expand(node, ())


class _Inliner:
    def __init__(self, functions: Mapping[str, Function]) -> None:
        self._functions = functions

    def expand(self, node: Node, calling: tuple[str, ...]) -> Node:
        return rewrite(node, lambda reference, _: self._reference(reference, calling))

    def _reference(self, reference: Reference, calling: tuple[str, ...]) -> Node:
        function = self._functions.get(reference.name)
        if function is None or not function.parameters:
            return reference
        if reference.name in calling:
            chain = " -> ".join([*calling, reference.name])
            raise PackageError(f"function '{reference.name}' calls itself: {chain}")
        if len(reference.arguments) != len(function.parameters):
            raise PackageError(
                f"function '{reference.name}' takes the arguments"
                f" ({', '.join(function.parameters)}): '{canonical(reference)}'"
            )
        given = [self.expand(argument, calling) for argument in reference.arguments]
        body = parse_expression(function.expression.text, function.expression.place)
        bound = substitute(body, dict(zip(function.parameters, given, strict=True)))
        return self.expand(bound, (*calling, reference.name))
