"""What is defined by composition: `in`, `switch` and tensor functions made of the primitives."""

from __future__ import annotations

from collections.abc import Callable

from siftline.errors import QueryError
from siftline.rank.nodes import (
    Binary,
    Call,
    Generate,
    If,
    In,
    Node,
    Number,
    Reduce,
    Reference,
    Switch,
)
from siftline.tensor.types import Dimension, TensorType


def expand(node: In | Switch | Call) -> Node:
    """The node as an expression of primitives only at its own level."""
    if isinstance(node, In):
        return _expand_in(node)
    if isinstance(node, Switch):
        return _expand_switch(node)
    _, build = COMPOSITES[node.name]
    return build(*node.arguments)


def _expand_in(node: In) -> Node:
    tests: Node = Binary("==", node.value, node.options[0], place=node.place)
    for option in node.options[1:]:
        tests = Binary("||", tests, Binary("==", node.value, option, place=node.place))
    return tests


def _expand_switch(node: Switch) -> Node:
    result = node.default
    for case, value in reversed(node.cases):
        test = Binary("==", node.value, case, place=node.place)
        result = If(test, value, result, place=node.place)
    return result


def dimension_name(node: Node) -> str:
    """The dimension a name alone stands for; QueryError if it is anything else."""
    if isinstance(node, Reference) and node.bare:
        return node.name
    raise QueryError(f"expected the name of a dimension, not '{node}'", node.place)


def _times(left: Node, right: Node) -> Node:
    return Binary("*", left, right)


def _sum(tensor: Node, dimension: Node) -> Node:
    return Reduce(tensor, "sum", (dimension_name(dimension),))


def _best(tensor: Node, aggregator: str, dimensions: tuple[Node, ...]) -> Node:
    names = tuple(map(dimension_name, dimensions))
    return Binary("==", tensor, Reduce(tensor, aggregator, names))


def _l2_normalize(tensor: Node, dimension: Node) -> Node:
    return Binary("/", tensor, Call("sqrt", (_sum(_times(tensor, tensor), dimension),)))


def _cosine(left: Node, right: Node, dimension: Node) -> Node:
    lengths = _times(_sum(_times(left, left), dimension), _sum(_times(right, right), dimension))
    return Binary("/", _sum(_times(left, right), dimension), Call("sqrt", (lengths,)))


def _euclidean(left: Node, right: Node, dimension: Node) -> Node:
    apart = Call("square", (Binary("-", left, right),))
    return Call("sqrt", (_sum(apart, dimension),))


def _softmax(tensor: Node, dimension: Node) -> Node:
    powers = Call("exp", (tensor,))
    return Binary("/", powers, _sum(powers, dimension))


def _expand_dimension(tensor: Node, dimension: Node) -> Node:
    unit = TensorType("float", (Dimension(dimension_name(dimension), mapped=False, size=1),))
    return _times(tensor, Generate(unit, Number(1)))


#: Name → numbers of arguments it takes, and what it means (Vespa reference, tensor functions).
COMPOSITES: dict[str, tuple[range, Callable[..., Node]]] = {
    "argmax": (range(1, 9), lambda t, *d: _best(t, "max", d)),
    "argmin": (range(1, 9), lambda t, *d: _best(t, "min", d)),
    "cosine_similarity": (range(3, 4), _cosine),
    "euclidean_distance": (range(3, 4), _euclidean),
    "expand": (range(2, 3), _expand_dimension),
    "l1_normalize": (range(2, 3), lambda t, d: Binary("/", t, _sum(t, d))),
    "l2_normalize": (range(2, 3), _l2_normalize),
    "matmul": (range(3, 4), lambda a, b, d: _sum(_times(a, b), d)),
    "softmax": (range(2, 3), _softmax),
    "xw_plus_b": (range(4, 5), lambda x, w, b, d: Binary("+", _sum(_times(x, w), d), b)),
}
