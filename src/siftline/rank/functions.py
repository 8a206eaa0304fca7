"""From a call as written to its node: the functions of the expression language by name."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from siftline.errors import Place, UsageError
from siftline.rank.cells import BINARY_FUNCTIONS, UNARY_FUNCTIONS
from siftline.rank.expand import COMPOSITES, dimension_name
from siftline.rank.nodes import (
    Binary,
    Call,
    CellCast,
    Concat,
    Generate,
    If,
    Join,
    Lambda,
    Map,
    Merge,
    Node,
    Number,
    Reduce,
    Reference,
    Rename,
    Slice,
    UnpackBits,
)
from siftline.tensor.algebra import AGGREGATORS
from siftline.tensor.types import CELL_TYPES, Dimension, TensorType

#: What may stand between a call's commas: an expression, a lambda, a list of names.
Argument = Node | tuple[str, ...]


def call_node(name: str, arguments: Sequence[Argument], place: Place | None) -> Node:
    """The node of `name(arguments)`: a function of the language, else a Reference.

    UsageError without a place for a wrong number or kind of arguments.
    """
    if name in AGGREGATORS and not (name in ("max", "min") and _is_binary(arguments)):
        tensor, *rest = _at_least(name, arguments, 1)
        return Reduce(_expression(tensor), name, _names(rest), place=place)
    if name in _BUILDERS:
        counts, build = _BUILDERS[name]
        _check_count(name, arguments, counts)
        return build(list(arguments), place)
    if (wanted := _call_counts(name)) is not None:
        _check_count(name, arguments, wanted)
        call = Call(name, tuple(map(_expression, arguments)), place=place)
        if name in COMPOSITES:
            COMPOSITES[name][1](*call.arguments)
        return call
    return Reference(name, tuple(map(_expression, arguments)), place=place)


def _is_binary(arguments: Sequence[Argument]) -> bool:
    return len(arguments) == 2


def _call_counts(name: str) -> range | None:
    if name in UNARY_FUNCTIONS:
        return range(1, 2)
    if name in BINARY_FUNCTIONS:
        return range(2, 3)
    return COMPOSITES[name][0] if name in COMPOSITES else None


def _check_count(name: str, arguments: Sequence[Argument], counts: range) -> None:
    if len(arguments) not in counts:
        low, high = counts.start, counts.stop - 1
        wanted = str(low) if low == high else f"{low} to {high}"
        plural = "" if wanted == "1" else "s"
        raise UsageError(f"{name} takes {wanted} argument{plural}, not {len(arguments)}")


def _at_least(name: str, arguments: Sequence[Argument], count: int) -> Sequence[Argument]:
    if len(arguments) < count:
        raise UsageError(f"{name} takes at least {count} arguments, not {len(arguments)}")
    return arguments


def _expression(argument: Argument) -> Node:
    if isinstance(argument, tuple):
        raise UsageError(f"expected an expression, not the list ({','.join(argument)})")
    if isinstance(argument, Lambda):
        raise UsageError(f"expected an expression, not the function {argument}")
    return argument


def _lambda(argument: Argument, parameters: int) -> Lambda:
    if not isinstance(argument, Lambda):
        shown = f"({','.join(argument)})" if isinstance(argument, tuple) else str(argument)
        raise UsageError(f"expected a function like f(x)(x + 1), not '{shown}'")
    if len(argument.parameters) != parameters:
        raise UsageError(f"expected a function of {parameters} parameters, not '{argument}'")
    return argument


def _name(argument: Argument) -> str:
    return dimension_name(_expression(argument))


def _names(arguments: Sequence[Argument]) -> tuple[str, ...]:
    return tuple(map(_name, arguments))


def _name_list(argument: Argument) -> tuple[str, ...]:
    return argument if isinstance(argument, tuple) else (_name(argument),)


def _if(a: list[Argument], place: Place | None) -> Node:
    return If(*map(_expression, a), place=place)


def _map(a: list[Argument], place: Place | None) -> Node:
    return Map(_expression(a[0]), _lambda(a[1], 1), place=place)


def _join(a: list[Argument], place: Place | None) -> Node:
    return Join(_expression(a[0]), _expression(a[1]), _lambda(a[2], 2), place=place)


def _merge(a: list[Argument], place: Place | None) -> Node:
    return Merge(_expression(a[0]), _expression(a[1]), _lambda(a[2], 2), place=place)


def _reduce(a: list[Argument], place: Place | None) -> Node:
    aggregator = _name(a[1])
    if aggregator not in AGGREGATORS:
        raise UsageError(f"unknown aggregator '{aggregator}' (known: {', '.join(AGGREGATORS)})")
    return Reduce(_expression(a[0]), aggregator, _names(a[2:]), place=place)


def _rename(a: list[Argument], place: Place | None) -> Node:
    return Rename(_expression(a[0]), _name_list(a[1]), _name_list(a[2]), place=place)


def _concat(a: list[Argument], place: Place | None) -> Node:
    return Concat(_expression(a[0]), _expression(a[1]), _name(a[2]), place=place)


def _cell_type(argument: Argument) -> str:
    name = _name(argument)
    if name not in CELL_TYPES:
        raise UsageError(f"unknown cell type '{name}' (known: {', '.join(CELL_TYPES)})")
    return name


def _cell_cast(a: list[Argument], place: Place | None) -> Node:
    return CellCast(_expression(a[0]), _cell_type(a[1]), place=place)


def _unpack_bits(a: list[Argument], place: Place | None) -> Node:
    cell = _cell_type(a[1]) if len(a) > 1 else "float"
    order = _name(a[2]) if len(a) > 2 else "big"
    if order not in ("big", "little"):
        raise UsageError(f"the bit order is big or little, not '{order}'")
    return UnpackBits(_expression(a[0]), cell, order == "big", place=place)


def _dimensions(arguments: list[Argument]) -> TensorType:
    """`x[3], y[2]` as the type of a generated tensor."""
    found = []
    for argument in arguments:
        size = argument.addresses[0][1] if isinstance(argument, Slice) else None
        if not isinstance(argument, Slice) or not isinstance(size, Number):
            raise UsageError(f"expected a dimension and its size like x[3], not '{argument}'")
        if not size.value.is_integer() or size.value < 1:
            raise UsageError(f"the size of a dimension is a whole number above 0: '{argument}'")
        name = dimension_name(argument.tensor)
        found.append(Dimension(name, mapped=False, size=int(size.value)))
    return TensorType("double", tuple(found))


def _range(a: list[Argument], place: Place | None) -> Node:
    type_ = _dimensions(a)
    body: Node = Reference(type_.indexed[0])
    for name in type_.indexed[1:]:
        body = Binary("+", body, Reference(name))
    return Generate(type_, body, place=place)


def _diag(a: list[Argument], place: Place | None) -> Node:
    type_ = _dimensions(a)
    body: Node = Number(1)
    for left, right in zip(type_.indexed[-2::-1], type_.indexed[:0:-1], strict=True):
        body = If(Binary("==", Reference(left), Reference(right)), body, Number(0))
    return Generate(type_, body, place=place)


_Builder = Callable[[list[Argument], Place | None], Node]

_BUILDERS: dict[str, tuple[range, _Builder]] = {
    "cell_cast": (range(2, 3), _cell_cast),
    "concat": (range(3, 4), _concat),
    "diag": (range(1, 9), _diag),
    "if": (range(3, 5), _if),
    "join": (range(3, 4), _join),
    "map": (range(2, 3), _map),
    "merge": (range(3, 4), _merge),
    "range": (range(1, 9), _range),
    "reduce": (range(2, 99), _reduce),
    "rename": (range(3, 4), _rename),
    "unpack_bits": (range(1, 4), _unpack_bits),
}

#: Names that no profile function can have, for checks and suggestions.
FUNCTION_NAMES = frozenset(
    {*AGGREGATORS, *_BUILDERS, *COMPOSITES, *UNARY_FUNCTIONS, *BINARY_FUNCTIONS}
)
