"""The reference interpreter: the value of an expression for one document.

It is the definition of what an expression means; the compiler is held to it by tests.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Protocol

import numpy as np

from siftline.errors import QueryError, UsageError
from siftline.rank.cells import (
    BINARY_OPERATORS,
    SCALAR_FUNCTIONS,
    UNARY_OPERATORS,
    cell_function,
    constant_number,
    lambda_function,
)
from siftline.rank.expand import COMPOSITES, expand
from siftline.rank.nodes import (
    Binary,
    Boolean,
    Call,
    CellCast,
    Concat,
    Generate,
    If,
    In,
    Join,
    Map,
    Merge,
    Node,
    Number,
    Reduce,
    Reference,
    Rename,
    Slice,
    String,
    Switch,
    TensorLiteral,
    Unary,
    UnpackBits,
    walk,
)
from siftline.tensor import algebra, reshape
from siftline.tensor.tensor import Tensor
from siftline.tensor.types import TensorType


class Scope(Protocol):
    """Where references of one document get their values."""

    def feature(self, reference: Reference) -> Tensor:
        """The value of a feature or function; a number is a scalar tensor."""
        ...


def evaluate(node: Node, scope: Scope) -> Tensor:
    """The value of an expression for the document that `scope` knows; a number is a scalar tensor.

    Both operands of && and || are evaluated, but only the branch of an if that is taken.
    QueryError, with the place of the part at fault, for operands whose types do not fit.
    """
    try:
        return _EVALUATORS[type(node)](node, scope)
    except QueryError:
        raise
    except UsageError as error:
        raise QueryError(f"{error.message} in '{node}'", error.place or node.place) from None
    except RecursionError:
        raise QueryError("the expression is nested too deeply", node.place) from None


class _Bound:
    """A scope in which some names are numbers."""

    def __init__(self, names: Mapping[str, float], outer: Scope) -> None:
        self._names = names
        self._outer = outer

    def feature(self, reference: Reference) -> Tensor:
        """The number bound to the name, else what the outer scope says."""
        if reference.bare and reference.name in self._names:
            return Tensor.scalar(self._names[reference.name])
        return self._outer.feature(reference)


def _constant(node: Number | String | Boolean, _: Scope) -> Tensor:
    return Tensor.scalar(constant_number(node))


def _reference(node: Reference, scope: Scope) -> Tensor:
    return scope.feature(node)


def _unary(node: Unary, scope: Scope) -> Tensor:
    return algebra.map_(evaluate(node.operand, scope), UNARY_OPERATORS[node.operator])


def _binary(node: Binary, scope: Scope) -> Tensor:
    """A chain of left operands is followed in a loop, so that a long sum is not a deep one."""
    pending = []
    first: Node = node
    while isinstance(first, Binary):
        pending.append(first)
        first = first.left
    value = evaluate(first, scope)
    for part in reversed(pending):
        right = evaluate(part.right, scope)
        try:
            value = algebra.join(value, right, BINARY_OPERATORS[part.operator])
        except UsageError as error:
            raise QueryError(f"{error.message} in '{part}'", part.place) from None
    return value


def _expanded(node: In | Switch, scope: Scope) -> Tensor:
    return evaluate(expand(node), scope)


def _if(node: If, scope: Scope) -> Tensor:
    condition = evaluate(node.condition, scope)
    return evaluate(node.yes if condition_holds(condition) else node.no, scope)


def condition_holds(condition: Tensor) -> bool:
    """Whether a condition is not 0; UsageError unless it is a number."""
    if not condition.is_scalar:
        raise UsageError(f"a condition must be a number, not {condition.type}")
    return float(condition) != 0


def _call(node: Call, scope: Scope) -> Tensor:
    if node.name in COMPOSITES:
        return evaluate(expand(node), scope)
    first = evaluate(node.arguments[0], scope)
    dimension = reduced_dimension(node, first.type)
    if dimension is not None:
        return algebra.reduce(first, node.name, (dimension,))
    function = SCALAR_FUNCTIONS[node.name]
    if len(node.arguments) == 1:
        return algebra.map_(first, function)
    return algebra.join(first, evaluate(node.arguments[1], scope), function)


def reduced_dimension(node: Call, type_: TensorType) -> str | None:
    """The dimension `max(a, name)` or `min(a, name)` reduces: where `a` has one of that name."""
    if node.name not in ("max", "min") or len(node.arguments) != 2:
        return None
    second = node.arguments[1]
    named = isinstance(second, Reference) and second.bare
    return next((d.name for d in type_.dimensions if named and d.name == str(second)), None)


def _map(node: Map, scope: Scope) -> Tensor:
    return algebra.map_(evaluate(node.tensor, scope), lambda_function(node.function))


def _join(node: Join, scope: Scope) -> Tensor:
    left, right = evaluate(node.left, scope), evaluate(node.right, scope)
    return algebra.join(left, right, lambda_function(node.function))


def _merge(node: Merge, scope: Scope) -> Tensor:
    left, right = evaluate(node.left, scope), evaluate(node.right, scope)
    return algebra.merge(left, right, lambda_function(node.function))


def _reduce(node: Reduce, scope: Scope) -> Tensor:
    return algebra.reduce(evaluate(node.tensor, scope), node.aggregator, node.dimensions)


def _rename(node: Rename, scope: Scope) -> Tensor:
    return reshape.rename(evaluate(node.tensor, scope), node.old, node.new)


def _concat(node: Concat, scope: Scope) -> Tensor:
    left, right = evaluate(node.left, scope), evaluate(node.right, scope)
    return reshape.concat(left, right, node.dimension)


def _cell_cast(node: CellCast, scope: Scope) -> Tensor:
    return reshape.cell_cast(evaluate(node.tensor, scope), node.cell)


def _unpack_bits(node: UnpackBits, scope: Scope) -> Tensor:
    return reshape.unpack_bits(evaluate(node.tensor, scope), node.cell, big=node.big)


def _generate(node: Generate, scope: Scope) -> Tensor:
    if is_scalar_code(node.body, node.type.indexed):
        return reshape.generate(node.type, cell_function(node.body, node.type.indexed))
    cells = np.empty(node.type.shape)
    for index in algebra.dense_addresses(node.type):
        names = dict(zip(node.type.indexed, map(float, index), strict=True))
        cells[index] = scalar_number(evaluate(node.body, _Bound(names, scope)))
    return Tensor(node.type, ((),), reshape.cast_cells(cells[None], node.type.cell))


def is_scalar_code(body: Node, names: tuple[str, ...]) -> bool:
    """Whether an expression is scalar functions of the given names and constants alone."""
    for node in walk(body):
        if isinstance(node, Reference):
            if not (node.bare and node.name in names):
                return False
        elif isinstance(node, Call):
            if node.name not in SCALAR_FUNCTIONS:
                return False
        elif not isinstance(node, (Number, String, Boolean, Unary, Binary, In, If, Switch)):
            return False
    return True


def scalar_number(value: Tensor) -> float:
    """The number of a cell expression; UsageError for a tensor."""
    if not value.is_scalar:
        raise UsageError(f"a cell must be a number, not {value.type}")
    return float(value)


def _literal(node: TensorLiteral, scope: Scope) -> Tensor:
    blocks = [[scalar_number(evaluate(cell, scope)) for cell in cells] for _, cells in node.blocks]
    labels = tuple(labels for labels, _ in node.blocks)
    values = np.array(blocks, np.float64).reshape(len(blocks), *node.type.shape)
    return Tensor(node.type, labels, reshape.cast_cells(values, node.type.cell))


def _slice(node: Slice, scope: Scope) -> Tensor:
    tensor = evaluate(node.tensor, scope)
    computed = [
        scalar_number(evaluate(label, scope))
        for _, label in node.addresses
        if isinstance(label, Node)
    ]
    return reshape.slice_(tensor, slice_address(node, tensor.type, computed))


def slice_address(node: Slice, type_: TensorType, computed: list[float]) -> dict[str, str | int]:
    """Dimension → label as written (str) or computed (int, truncated; -1 if not finite)."""
    indexes = iter(computed)
    address: dict[str, str | int] = {}
    for name, label in node.addresses:
        dimension = name if name is not None else _only_dimension(type_, label)
        if isinstance(label, str):
            address[dimension] = label
        else:
            number = next(indexes)
            address[dimension] = int(number) if np.isfinite(number) else -1
    return address


def _only_dimension(type_: TensorType, label: str | Node) -> str:
    """The dimension an address without a name means.

    The only mapped one for `t{label}`, the only indexed one for `t[i]`, else the only one of all.
    """
    wanted = type_.mapped if isinstance(label, str) else type_.indexed
    names = wanted if len(wanted) == 1 else tuple(d.name for d in type_.dimensions)
    if len(names) != 1:
        raise UsageError(f"{type_} has {len(names)} dimensions, so an address must name them")
    return names[0]


_EVALUATORS: dict[type, Callable[..., Tensor]] = {
    Number: _constant,
    String: _constant,
    Boolean: _constant,
    Reference: _reference,
    Unary: _unary,
    Binary: _binary,
    In: _expanded,
    Switch: _expanded,
    If: _if,
    Call: _call,
    Map: _map,
    Join: _join,
    Merge: _merge,
    Reduce: _reduce,
    Rename: _rename,
    Concat: _concat,
    CellCast: _cell_cast,
    UnpackBits: _unpack_bits,
    Generate: _generate,
    TensorLiteral: _literal,
    Slice: _slice,
}
