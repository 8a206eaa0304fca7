"""Ranking expressions as values: frozen nodes that print as canonical text.

`parse_expression(str(node)) == node` for every node; `place` says where it was written and does
not count in comparisons.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, fields, replace
from typing import Any, TypeVar

from siftline.errors import Place, UsageError
from siftline.tensor.literal import format_label
from siftline.tensor.types import TensorType

#: Binary operators from loose to tight; comparisons share a level (spec 2.5).
LEVELS: tuple[tuple[str, ...], ...] = (
    ("||",),
    ("&&",),
    ("==", "~=", "!=", "<", "<=", ">", ">="),
    ("+",),
    ("-",),
    ("*",),
    ("/",),
    ("%",),
    ("^",),
)
PRECEDENCE: dict[str, int] = {op: level for level, ops in enumerate(LEVELS, 1) for op in ops}
KEYWORDS = frozenset({"in", "true", "false", "switch", "case", "default"})
_COMPARISON, _UNARY, _ATOM = PRECEDENCE["=="], len(LEVELS) + 1, len(LEVELS) + 2


@dataclass(frozen=True, slots=True, kw_only=True)
class Node:
    """Any part of an expression."""

    place: Place | None = field(default=None, compare=False, repr=False)


@dataclass(frozen=True, slots=True)
class Number(Node):
    """A number of 0 or more; a negative one is a Unary minus of it."""

    value: float

    def __post_init__(self) -> None:
        if not (math.isfinite(self.value) and math.copysign(1.0, self.value) > 0):
            raise UsageError(f"a number in an expression is finite and not negative: {self.value}")
        object.__setattr__(self, "value", float(self.value))

    def __str__(self) -> str:
        whole = self.value.is_integer() and self.value < 1e15
        return str(int(self.value)) if whole else repr(self.value)


@dataclass(frozen=True, slots=True)
class String(Node):
    """Text in quotes; its value is a hash, so only equality means something."""

    text: str

    def __str__(self) -> str:
        return json.dumps(self.text, ensure_ascii=False)


@dataclass(frozen=True, slots=True)
class Boolean(Node):
    """`true` (1) or `false` (0)."""

    value: bool

    def __str__(self) -> str:
        return "true" if self.value else "false"


@dataclass(frozen=True, slots=True)
class Reference(Node):
    """`name(argument,…).output`: a feature, a function, or a name a lambda or generator binds."""

    name: str
    arguments: tuple[Node, ...] = ()
    output: str | None = None

    @property
    def bare(self) -> bool:
        """Whether it is a name alone."""
        return not self.arguments and self.output is None

    @property
    def texts(self) -> tuple[str, ...]:
        """Each argument as text: a string without its quotes, anything else as it prints."""
        return tuple(a.text if isinstance(a, String) else str(a) for a in self.arguments)

    def __str__(self) -> str:
        arguments = f"({','.join(map(str, self.arguments))})" if self.arguments else ""
        return self.name + arguments + (f".{self.output}" if self.output is not None else "")


@dataclass(frozen=True, slots=True)
class Unary(Node):
    """`-x` or `!x`."""

    operator: str
    operand: Node

    def __str__(self) -> str:
        return self.operator + _within(self.operand, _UNARY)


@dataclass(frozen=True, slots=True)
class Binary(Node):
    """`left operator right`."""

    operator: str
    left: Node
    right: Node

    def __str__(self) -> str:
        parts: list[str] = []
        node: Node = self
        minimum = 0
        while isinstance(node, Binary) and PRECEDENCE[node.operator] >= minimum:
            level = PRECEDENCE[node.operator]
            rightwards = node.operator == "^"
            parts.append(f" {node.operator} {_within(node.right, level + (not rightwards))}")
            minimum, node = level + rightwards, node.left
        return _within(node, minimum) + "".join(reversed(parts))


@dataclass(frozen=True, slots=True)
class In(Node):
    """`value in [option, …]`."""

    value: Node
    options: tuple[Node, ...]

    def __str__(self) -> str:
        return f"{_within(self.value, _COMPARISON)} in [{_commas(self.options)}]"


@dataclass(frozen=True, slots=True)
class If(Node):
    """`if(condition, yes, no)`; the probability that some expressions state has no effect."""

    condition: Node
    yes: Node
    no: Node
    probability: Node | None = None

    def __str__(self) -> str:
        parts = [self.condition, self.yes, self.no]
        return f"if({_commas((*parts, self.probability) if self.probability else tuple(parts))})"


@dataclass(frozen=True, slots=True)
class Switch(Node):
    """`switch(value){case a: x, …, default: y}`."""

    value: Node
    cases: tuple[tuple[Node, Node], ...]
    default: Node

    def __str__(self) -> str:
        cases = "".join(f"case {case}: {result}, " for case, result in self.cases)
        return f"switch({self.value}){{{cases}default: {self.default}}}"


@dataclass(frozen=True, slots=True)
class Call(Node):
    """A scalar function, lifted to tensors, or a tensor function made of the primitives.

    `max(a, name)` and `min(a, name)` reduce `a` over dimension `name` where it has that dimension.
    """

    name: str
    arguments: tuple[Node, ...]

    def __str__(self) -> str:
        return f"{self.name}({_commas(self.arguments)})"


@dataclass(frozen=True, slots=True)
class Lambda(Node):
    """`f(x,y)(body)`: a function of cells; the body sees only the parameters."""

    parameters: tuple[str, ...]
    body: Node

    def __str__(self) -> str:
        return f"f({','.join(self.parameters)})({self.body})"


@dataclass(frozen=True, slots=True)
class Map(Node):
    """`map(tensor, f(x)(…))`."""

    tensor: Node
    function: Lambda

    def __str__(self) -> str:
        return f"map({self.tensor},{self.function})"


@dataclass(frozen=True, slots=True)
class Join(Node):
    """`join(left, right, f(x,y)(…))`."""

    left: Node
    right: Node
    function: Lambda

    def __str__(self) -> str:
        return f"join({self.left},{self.right},{self.function})"


@dataclass(frozen=True, slots=True)
class Merge(Node):
    """`merge(left, right, f(x,y)(…))`."""

    left: Node
    right: Node
    function: Lambda

    def __str__(self) -> str:
        return f"merge({self.left},{self.right},{self.function})"


@dataclass(frozen=True, slots=True)
class Reduce(Node):
    """`reduce(tensor, aggregator, dimension…)`; also what `sum(tensor, dimension…)` means."""

    tensor: Node
    aggregator: str
    dimensions: tuple[str, ...] = ()

    def __str__(self) -> str:
        return f"reduce({','.join((str(self.tensor), self.aggregator, *self.dimensions))})"


@dataclass(frozen=True, slots=True)
class Rename(Node):
    """`rename(tensor, (old,…), (new,…))`."""

    tensor: Node
    old: tuple[str, ...]
    new: tuple[str, ...]

    def __str__(self) -> str:
        if len(self.old) == 1:
            return f"rename({self.tensor},{self.old[0]},{self.new[0]})"
        return f"rename({self.tensor},({','.join(self.old)}),({','.join(self.new)}))"


@dataclass(frozen=True, slots=True)
class Concat(Node):
    """`concat(left, right, dimension)`."""

    left: Node
    right: Node
    dimension: str

    def __str__(self) -> str:
        return f"concat({self.left},{self.right},{self.dimension})"


@dataclass(frozen=True, slots=True)
class CellCast(Node):
    """`cell_cast(tensor, cell type)`."""

    tensor: Node
    cell: str

    def __str__(self) -> str:
        return f"cell_cast({self.tensor},{self.cell})"


@dataclass(frozen=True, slots=True)
class UnpackBits(Node):
    """`unpack_bits(tensor, cell type, big|little)`."""

    tensor: Node
    cell: str = "float"
    big: bool = True

    def __str__(self) -> str:
        order = "" if self.big else ",little"
        cell = "" if self.big and self.cell == "float" else f",{self.cell}"
        return f"unpack_bits({self.tensor}{cell}{order})"


@dataclass(frozen=True, slots=True)
class Generate(Node):
    """`tensor(x[3])(body)`: a cell for each index; dimension names are numbers in the body."""

    type: TensorType
    body: Node

    def __str__(self) -> str:
        return f"{self.type}({self.body})"


@dataclass(frozen=True, slots=True)
class TensorLiteral(Node):
    """`tensor(k{},x[2]):{a:[1,2]}`: blocks of mapped labels and cells, in type order."""

    type: TensorType
    blocks: tuple[tuple[tuple[str, ...], tuple[Node, ...]], ...]

    def __str__(self) -> str:
        if not self.type.mapped:
            return f"{self.type}:{_nested(self.blocks[0][1], self.type.shape)}"
        entries = (f"{self._key(a)}:{_nested(c, self.type.shape)}" for a, c in self.blocks)
        return f"{self.type}:{{{','.join(entries)}}}"

    def _key(self, labels: tuple[str, ...]) -> str:
        if len(labels) == 1:
            return _label(labels[0])
        parts = zip(self.type.mapped, labels, strict=True)
        return "{" + ",".join(f"{name}:{_label(label)}" for name, label in parts) + "}"


@dataclass(frozen=True, slots=True)
class Slice(Node):
    """`tensor{dimension:label,…}`, `tensor{label}` or `tensor[index]`.

    addresses: pairs of a dimension, None for the only one there is, and a label as written (str)
    or an expression that gives it.
    """

    tensor: Node
    addresses: tuple[tuple[str | None, str | Node], ...]

    def __str__(self) -> str:
        tensor = _within(self.tensor, _ATOM)
        first, label = self.addresses[0]
        if first is None and isinstance(label, Node):
            return f"{tensor}[{label}]"
        return f"{tensor}{{{','.join(_address(name, label) for name, label in self.addresses)}}}"


def _address(name: str | None, label: str | Node) -> str:
    prefix = f"{name}:" if name is not None else ""
    return prefix + (f"({label})" if isinstance(label, Node) else _label(label))


def _label(label: str) -> str:
    return f'"{label}"' if label in KEYWORDS else format_label(label)


def _commas(nodes: tuple[Node, ...]) -> str:
    return ", ".join(map(str, nodes))


def _nested(cells: tuple[Node, ...], shape: tuple[int, ...]) -> str:
    if not shape:
        return str(cells[0])
    width = len(cells) // shape[0]
    parts = (_nested(cells[i : i + width], shape[1:]) for i in range(0, len(cells), width))
    return f"[{','.join(parts)}]"


def _precedence(node: Node) -> int:
    if isinstance(node, Binary):
        return PRECEDENCE[node.operator]
    if isinstance(node, In):
        return _COMPARISON
    return _UNARY if isinstance(node, Unary) else _ATOM


def _within(node: Node, minimum: int) -> str:
    return str(node) if _precedence(node) >= minimum else f"({node})"


def children(node: Node) -> Iterator[Node]:
    """The nodes directly below, in the order written."""
    for part in fields(node):
        yield from _nodes(getattr(node, part.name))


def _nodes(value: Any) -> Iterator[Node]:
    if isinstance(value, Node):
        yield value
    elif isinstance(value, tuple):
        for item in value:
            yield from _nodes(item)


def walk(node: Node) -> Iterator[Node]:
    """The node and everything below it, in the order written."""
    waiting = [node]
    while waiting:
        found = waiting.pop()
        yield found
        waiting.extend(reversed(list(children(found))))


def bound_names(node: Node) -> tuple[str, ...]:
    """Names that the node gives a meaning to in its body: parameters or generated dimensions."""
    if isinstance(node, Lambda):
        return node.parameters
    return node.type.indexed if isinstance(node, Generate) else ()


def free_references(node: Node, bound: frozenset[str] = frozenset()) -> Iterator[Reference]:
    """References to features and functions, in the order written; not those in their arguments.

    The name in `max(a, name)` is among them though it may turn out to be a dimension.
    """
    if isinstance(node, Reference):
        if not (node.bare and node.name in bound):
            yield node
        return
    bound = bound.union(bound_names(node))
    for child in children(node):
        yield from free_references(child, bound)


N = TypeVar("N", bound=Node)


def rebuilt(node: N, change: Callable[[Node], Node]) -> N:
    """The node with `change` of each node directly below it."""
    changes = {
        part.name: _changed(getattr(node, part.name), change)
        for part in fields(node)
        if part.name != "place"
    }
    return replace(node, **changes)


def _changed(value: Any, change: Callable[[Node], Node]) -> Any:
    if isinstance(value, Node):
        return change(value)
    return tuple(_changed(item, change) for item in value) if isinstance(value, tuple) else value


def substitute(node: Node, bindings: Mapping[str, Node]) -> Node:
    """The expression with every name alone that is in `bindings` replaced: a function's parameters.

    Names that a lambda or a generator binds keep their own meaning.
    """
    if isinstance(node, Reference) and node.bare:
        return bindings.get(node.name, node)
    hidden = bound_names(node)
    visible = {name: value for name, value in bindings.items() if name not in hidden}
    return rebuilt(node, lambda child: substitute(child, visible))
