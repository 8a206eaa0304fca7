"""From nodes to instructions: what each kind of node does with the values of its operands."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from siftline.errors import UsageError
from siftline.rank import patterns
from siftline.rank.cells import (
    BINARY_OPERATORS,
    SCALAR_FUNCTIONS,
    UNARY_OPERATORS,
    constant_number,
    lambda_function,
)
from siftline.rank.expand import COMPOSITES, expand
from siftline.rank.flat import Flat, join_flat, map_flat, reduce_flat
from siftline.rank.instructions import Action, Instructions, Run
from siftline.rank.interpret import (
    condition_holds,
    evaluate,
    is_scalar_code,
    reduced_dimension,
    scalar_number,
    slice_address,
)
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
)
from siftline.rank.values import (
    ONCE,
    PER_DOCUMENT,
    VECTORISED,
    Dense,
    Value,
    dense_view,
    from_dense,
    from_rows,
    lift,
    per_document,
    row,
    value_type,
)
from siftline.tensor import algebra, reshape
from siftline.tensor.algebra import CellFunction
from siftline.tensor.tensor import Tensor
from siftline.tensor.types import SCALAR


def lower(node: Node, into: Instructions) -> int:
    """Add the instructions of an expression; the position of its value."""
    maxsim = patterns.find_maxsim(node)
    if maxsim is not None:
        return _maxsim(node, maxsim, into)
    factors = patterns.find_dot(node)
    if factors is not None and isinstance(node, Reduce):
        return _dot(node, factors, into)
    return _LOWER[type(node)](node, into)


def _lowered(into: Instructions, *nodes: Node) -> tuple[int, ...]:
    return tuple(lower(node, into) for node in nodes)


def _maxsim(node: Node, pattern: patterns.MaxSim, into: Instructions) -> int:
    operands = _lowered(into, pattern.left, pattern.right)
    written = Instructions()
    root = _LOWER[type(node)](node, written)

    def action(run: Run, values: Sequence[Value]) -> tuple[Value, str]:
        found = patterns.run_maxsim(pattern, *values)
        return found or (written.run(run, root), "as written")

    return into.add(node, operands, action, ("maxsim", pattern.detail))


def _dot(node: Reduce, factors: tuple[Node, Node], into: Instructions) -> int:
    def action(run: Run, values: Sequence[Value]) -> tuple[Value, str]:
        found = patterns.run_dot(node.dimensions, *values)
        if found is not None:
            return found
        product, _ = _lift_join(values, run.count, np.multiply)
        return _lift_reduce(product, run.count, node.aggregator, node.dimensions)

    return into.add(node, _lowered(into, *factors), action, ("dot", node.dimensions))


def _lift_map(value: Value, count: int, function: CellFunction) -> tuple[Value, str]:
    def dense(operand: Dense) -> Dense:
        return algebra.map_type(operand[0]), algebra.map_cells(*operand, function)

    if isinstance(value, Flat):
        return map_flat(value, function), VECTORISED
    return lift([value], count, lambda t: algebra.map_(t, function), dense)


def _lift_join(values: Sequence[Value], count: int, function: CellFunction) -> tuple[Value, str]:
    def dense(left: Dense, right: Dense) -> Dense:
        result = algebra.join_type(left[0], right[0])
        return result, algebra.join_cells(left, right, result, function)

    if any(isinstance(value, Flat) for value in values):
        sides = [_side(value) for value in values]
        if sides[0] is not None and sides[1] is not None:
            joined = join_flat(sides[0], sides[1], function)
            if joined is not None:
                return joined, VECTORISED
    return lift(values, count, lambda a, b: algebra.join(a, b, function), dense)


def _side(value: Value) -> Flat | Tensor | Dense | None:
    """An operand of `join_flat`, if it is one."""
    view = dense_view(value)
    return view if view or not isinstance(value, (Flat, Tensor)) else value


def _lift_reduce(
    value: Value, count: int, aggregator: str, dimensions: Sequence[str]
) -> tuple[Value, str]:
    def dense(operand: Dense) -> Dense:
        cells = algebra.reduce_cells(*operand, aggregator, dimensions)
        return algebra.reduce_type(operand[0], dimensions), cells

    if isinstance(value, Flat):
        return reduce_flat(value, aggregator, dimensions), VECTORISED
    return lift([value], count, lambda t: algebra.reduce(t, aggregator, dimensions), dense)


def _constant(node: Number | String | Boolean, into: Instructions) -> int:
    number = constant_number(node)
    value = Tensor.scalar(number)
    return into.add(node, (), lambda run, _: (value, ONCE), number)


def _reference(node: Reference, into: Instructions) -> int:
    return into.add(node, (), lambda run, _: (run.feature(node), "feature"), node)


def _map_action(function: CellFunction) -> Action:
    return lambda run, values: _lift_map(values[0], run.count, function)


def _join_action(function: CellFunction) -> Action:
    return lambda run, values: _lift_join(values, run.count, function)


def _unary(node: Unary, into: Instructions) -> int:
    action = _map_action(UNARY_OPERATORS[node.operator])
    return into.add(node, _lowered(into, node.operand), action, node.operator)


def _binary(node: Binary, into: Instructions) -> int:
    """A chain of left operands is followed in a loop, so that a long sum is not a deep one."""
    pending = []
    first: Node = node
    while isinstance(first, Binary):
        pending.append(first)
        first = first.left
    position = lower(first, into)
    for part in reversed(pending):
        operands = (position, lower(part.right, into))
        action = _join_action(BINARY_OPERATORS[part.operator])
        position = into.add(part, operands, action, part.operator)
    return position


def _expanded(node: In | Switch, into: Instructions) -> int:
    return lower(expand(node), into)


def _if(node: If, into: Instructions) -> int:
    def action(run: Run, values: Sequence[Value]) -> tuple[Value, str]:
        condition, yes, no = values
        if value_type(condition).dimensions:
            raise UsageError(f"a condition must be a number, not {value_type(condition)}")
        if isinstance(condition, Tensor):
            return (yes if condition_holds(condition) else no), ONCE
        first, second = dense_view(yes), dense_view(no)
        if isinstance(condition, np.ndarray) and first and second and first[0] == second[0]:
            return _choose(condition, first, second, run.count), VECTORISED
        return per_document(values, run.count, lambda c, y, n: y if condition_holds(c) else n)

    operands = _lowered(into, node.condition, node.yes, node.no)
    return into.add(node, operands, action)


def _choose(condition: np.ndarray, yes: Dense, no: Dense, count: int) -> Value:
    type_ = yes[0]
    holds = (condition != 0).reshape(-1, *(1 for _ in type_.shape))
    return from_dense((type_, np.where(holds, yes[1], no[1])), count)


def _call(node: Call, into: Instructions) -> int:
    if node.name in COMPOSITES:
        return lower(expand(node), into)
    function = SCALAR_FUNCTIONS[node.name]
    second = node.arguments[1] if len(node.arguments) == 2 else None
    if second is None:
        return into.add(node, _lowered(into, *node.arguments), _map_action(function), node.name)
    if node.name in ("max", "min") and isinstance(second, Reference) and second.bare:
        return _reduce_or_join(node, second, into)
    return into.add(node, _lowered(into, *node.arguments), _join_action(function), node.name)


def _reduce_or_join(node: Call, second: Reference, into: Instructions) -> int:
    """`max(a, name)`: whether name is a dimension shows when the type of `a` is known."""

    def action(run: Run, values: Sequence[Value]) -> tuple[Value, str]:
        dimension = reduced_dimension(node, value_type(values[0]))
        if dimension is not None:
            return _lift_reduce(values[0], run.count, node.name, (dimension,))
        operands = (values[0], run.feature(second))
        return _lift_join(operands, run.count, SCALAR_FUNCTIONS[node.name])

    operands = _lowered(into, node.arguments[0])
    return into.add(node, operands, action, (node.name, second.name))


def _map(node: Map, into: Instructions) -> int:
    action = _map_action(lambda_function(node.function))
    return into.add(node, _lowered(into, node.tensor), action, node.function)


def _join(node: Join, into: Instructions) -> int:
    action = _join_action(lambda_function(node.function))
    return into.add(node, _lowered(into, node.left, node.right), action, node.function)


def _merge(node: Merge, into: Instructions) -> int:
    function = lambda_function(node.function)

    def dense(left: Dense, right: Dense) -> Dense:
        result = algebra.merge_type(left[0], right[0])
        return result, algebra.join_cells(left, right, result, function)

    def action(run: Run, values: Sequence[Value]) -> tuple[Value, str]:
        return lift(values, run.count, lambda a, b: algebra.merge(a, b, function), dense)

    return into.add(node, _lowered(into, node.left, node.right), action, node.function)


def _reduce(node: Reduce, into: Instructions) -> int:
    def action(run: Run, values: Sequence[Value]) -> tuple[Value, str]:
        return _lift_reduce(values[0], run.count, node.aggregator, node.dimensions)

    detail = (node.aggregator, node.dimensions)
    return into.add(node, _lowered(into, node.tensor), action, detail)


def _rename(node: Rename, into: Instructions) -> int:
    def dense(operand: Dense) -> Dense:
        type_ = reshape.rename_type(operand[0], node.old, node.new)
        return type_, reshape.rename_cells(*operand, node.old, node.new)

    def action(run: Run, values: Sequence[Value]) -> tuple[Value, str]:
        return lift(values, run.count, lambda t: reshape.rename(t, node.old, node.new), dense)

    return into.add(node, _lowered(into, node.tensor), action, (node.old, node.new))


def _concat(node: Concat, into: Instructions) -> int:
    def dense(left: Dense, right: Dense) -> Dense:
        type_ = reshape.concat_type(left[0], right[0], node.dimension)
        return type_, reshape.concat_cells(left, right, type_, node.dimension)

    def action(run: Run, values: Sequence[Value]) -> tuple[Value, str]:
        return lift(values, run.count, lambda a, b: reshape.concat(a, b, node.dimension), dense)

    return into.add(node, _lowered(into, node.left, node.right), action, node.dimension)


def _cell_cast(node: CellCast, into: Instructions) -> int:
    def dense(operand: Dense) -> Dense:
        type_ = reshape.cast_type(operand[0], node.cell)
        return type_, reshape.cast_cells(operand[1], type_.cell)

    def action(run: Run, values: Sequence[Value]) -> tuple[Value, str]:
        return lift(values, run.count, lambda t: reshape.cell_cast(t, node.cell), dense)

    return into.add(node, _lowered(into, node.tensor), action, node.cell)


def _unpack_bits(node: UnpackBits, into: Instructions) -> int:
    def dense(operand: Dense) -> Dense:
        type_ = reshape.unpack_type(operand[0], node.cell)
        return type_, reshape.unpack_cells(operand[1], type_.cell, big=node.big)

    def whole(tensor: Tensor) -> Tensor:
        return reshape.unpack_bits(tensor, node.cell, big=node.big)

    def action(run: Run, values: Sequence[Value]) -> tuple[Value, str]:
        return lift(values, run.count, whole, dense)

    return into.add(node, _lowered(into, node.tensor), action, (node.cell, node.big))


class _RowScope:
    """The features of one document of a run, for the interpreter."""

    def __init__(self, run: Run, document: int) -> None:
        self._run = run
        self._document = document
        self.shared = True

    def feature(self, reference: Reference) -> Tensor:
        """The feature's value for the document; notes whether all documents share it."""
        value = self._run.feature(reference)
        self.shared = self.shared and isinstance(value, Tensor)
        return row(value, self._document)


def _generate(node: Generate, into: Instructions) -> int:
    """Cells from indexes alone are computed once; others by the interpreter."""

    def action(run: Run, _: Sequence[Value]) -> tuple[Value, str]:
        tensors: list[Tensor] = []
        for document in range(run.count):
            scope = _RowScope(run, document)
            tensors.append(evaluate(node, scope))
            if scope.shared:
                return tensors[0], ONCE
        return from_rows(tensors, node.type if node.type.dimensions else SCALAR), PER_DOCUMENT

    if is_scalar_code(node.body, node.type.indexed):
        constant = evaluate(node, _NoFeatures())
        return into.add(node, (), lambda run, _: (constant, ONCE), node)
    return into.add(node, (), action, node)


class _NoFeatures:
    """A scope for what reads no feature."""

    def feature(self, reference: Reference) -> Tensor:
        """UsageError for every reference."""
        raise UsageError(f"'{reference}' has no value here")


def _literal(node: TensorLiteral, into: Instructions) -> int:
    labels = tuple(labels for labels, _ in node.blocks)
    shape = (len(labels), *node.type.shape)

    def whole(*cells: Tensor) -> Tensor:
        values = np.array([scalar_number(cell) for cell in cells], np.float64).reshape(shape)
        return Tensor(node.type, labels, reshape.cast_cells(values, node.type.cell))

    def dense(*cells: Dense) -> Dense:
        for type_, _ in cells:
            if type_.dimensions:
                raise UsageError(f"a cell must be a number, not {type_}")
        columns = np.stack(np.broadcast_arrays(*(values for _, values in cells)), axis=-1)
        values = columns.reshape(-1, *node.type.shape)
        return node.type, reshape.cast_cells(values, node.type.cell)

    def action(run: Run, values: Sequence[Value]) -> tuple[Value, str]:
        return lift(values, run.count, whole, None if node.type.mapped else dense)

    cells = [cell for _, block in node.blocks for cell in block]
    return into.add(node, _lowered(into, *cells), action, (node.type, labels))


def _slice(node: Slice, into: Instructions) -> int:
    def whole(tensor: Tensor, *indexes: Tensor) -> Tensor:
        address = slice_address(node, tensor.type, list(map(scalar_number, indexes)))
        return reshape.slice_(tensor, address)

    def action(run: Run, values: Sequence[Value]) -> tuple[Value, str]:
        tensor, *indexes = values
        known = [index for index in indexes if isinstance(index, Tensor)]
        if len(known) < len(indexes):
            return lift(values, run.count, whole)

        def dense(operand: Dense) -> Dense:
            address = slice_address(node, operand[0], list(map(scalar_number, known)))
            type_ = reshape.slice_type(operand[0], address)
            return type_, reshape.slice_cells(*operand, address)

        return lift([tensor], run.count, lambda t: whole(t, *known), dense)

    labels = [label for _, label in node.addresses if isinstance(label, Node)]
    detail = tuple((name, isinstance(label, Node) or label) for name, label in node.addresses)
    return into.add(node, _lowered(into, node.tensor, *labels), action, detail)


_LOWER: dict[type, Callable[..., int]] = {
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
