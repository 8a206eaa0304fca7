"""Ranking expressions from text (spec 2.5, 2.8).

`parse_expression` makes the nodes of `siftline.rank.nodes`, which print as canonical text:
`parse_expression(str(node)) == node`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import lru_cache
from typing import Any

from lark import Lark, Token, v_args
from lark.exceptions import UnexpectedCharacters, UnexpectedInput, VisitError
from lark.tree import Meta
from lark.visitors import Transformer_NonRecursive

from siftline.errors import PackageError, Place, SiftlineError, UsageError
from siftline.rank.blocks import literal_blocks, literal_type
from siftline.rank.functions import FUNCTION_NAMES, Argument, call_node
from siftline.rank.nodes import (
    Binary,
    Boolean,
    Generate,
    In,
    Lambda,
    Node,
    Number,
    Reference,
    Slice,
    String,
    Switch,
    TensorLiteral,
    Unary,
)
from siftline.tensor.literal import unquoted

__all__ = ["Node", "Reference", "parse_expression"]


def parse_expression(
    text: str, place: Place | None = None, error: type[SiftlineError] = PackageError
) -> Node:
    """The expression as nodes.

    place: where the text begins; line and column of an error, and of every node, count from
    there. error: the class raised for text that is not an expression, QueryError for one that
    came with a query.
    """
    origin = place or Place()
    try:
        tree = _parser().parse(text)
        node = _Nodes(origin).transform(tree)
    except UnexpectedInput as problem:
        raise error(_unexpected(problem, text), _at(origin, problem.line, problem.column)) from None
    except VisitError as problem:
        cause = problem.orig_exc
        if not isinstance(cause, UsageError):
            raise
        raise error(cause.message, cause.place or origin) from None
    except RecursionError:
        raise error("the expression is nested too deeply", origin) from None
    if not isinstance(node, Node):
        raise error(f"not an expression: '{text.strip()}'", origin)
    return node


@lru_cache(maxsize=1)
def _parser() -> Lark:
    return Lark.open("expression.lark", rel_to=__file__, parser="lalr", propagate_positions=True)


def _at(origin: Place, line: int, column: int) -> Place:
    """A position in the text as a place in the file the text begins in."""
    if line <= 0:
        return origin
    first = line == 1
    return Place(
        origin.file,
        (origin.line or 1) + line - 1,
        column + ((origin.column or 1) - 1 if first else 0),
        origin.field,
    )


def _unexpected(problem: UnexpectedInput, text: str) -> str:
    token = getattr(problem, "token", None)
    if isinstance(token, Token) and token.type == "$END":
        return "the expression ends too early"
    if isinstance(problem, UnexpectedCharacters):
        return f"unexpected character '{text[problem.pos_in_stream or 0]}' in an expression"
    return f"unexpected '{token}' in an expression"


def _node(builder: Callable[..., Any]) -> Callable[..., Any]:
    """Call a method with its place and items, and give its errors that place."""

    def method(self: _Nodes, meta: Meta, items: Sequence[Any]) -> Any:
        place = _at(self.origin, meta.line, meta.column) if not meta.empty else self.origin
        try:
            return builder(self, place, [item for item in items if item is not None])
        except UsageError as error:
            if error.place is None:
                error.place = place
            raise

    return v_args(meta=True)(method)


def _chain(operator: str) -> Callable[..., Any]:
    """A rule whose items are operands of one left-associative operator."""

    def build(_: _Nodes, place: Place, items: Sequence[Node]) -> Node:
        node = items[0]
        for item in items[1:]:
            node = Binary(operator, node, item, place=place)
        return node

    return _node(build)


class _Nodes(Transformer_NonRecursive[Token, Any]):
    """The parse tree as nodes, one method for each rule of the grammar."""

    def __init__(self, origin: Place) -> None:
        super().__init__()
        self.origin = origin

    disjunction = _chain("||")
    conjunction = _chain("&&")
    sum = _chain("+")
    difference = _chain("-")
    product = _chain("*")
    quotient = _chain("/")
    remainder = _chain("%")
    power = _chain("^")

    @_node
    def compare(self, place: Place, items: Sequence[Any]) -> Node:
        """Two operands around a comparison."""
        left, operator, right = items
        return Binary(str(operator), left, right, place=place)

    @_node
    def among(self, place: Place, items: Sequence[Node]) -> Node:
        """A value and the options after `in`."""
        return In(items[0], tuple(items[1:]), place=place)

    @_node
    def unary(self, place: Place, items: Sequence[Any]) -> Node:
        """An operator and its operand."""
        return Unary(str(items[0]), items[1], place=place)

    @_node
    def number(self, place: Place, items: Sequence[Token]) -> Node:
        """A number."""
        return Number(float(items[0]), place=place)

    @_node
    def string(self, place: Place, items: Sequence[Token]) -> Node:
        """A quoted text."""
        return String(unquoted(items[0]), place=place)

    @_node
    def true(self, place: Place, items: Sequence[Token]) -> Node:
        """The constant 1."""
        return Boolean(True, place=place)

    @_node
    def false(self, place: Place, items: Sequence[Token]) -> Node:
        """The constant 0."""
        return Boolean(False, place=place)

    def arguments(self, items: Sequence[Any]) -> tuple[Argument, ...]:
        """What stands between the parentheses of a call."""
        return tuple(item for item in items if item is not None)

    def output(self, items: Sequence[Token]) -> str:
        """What stands after the dot."""
        return ".".join(items)

    @_node
    def call(self, place: Place, items: Sequence[Any]) -> Node:
        """A name, its arguments and its output."""
        name = str(items[0])
        arguments = next((item for item in items[1:] if isinstance(item, tuple)), None)
        output = next((item for item in items[1:] if isinstance(item, str)), None)
        if output is not None:
            return Reference(name, _expressions(arguments or ()), output, place=place)
        if not arguments:
            if arguments is not None and name in FUNCTION_NAMES:
                raise UsageError(f"{name} needs arguments")
            return Reference(name, place=place)
        return call_node(name, arguments, place)

    @_node
    def function(self, place: Place, items: Sequence[Any]) -> Node:
        """`f(x)(body)`."""
        head, body = items
        if not isinstance(head, Reference) or head.name != "f" or head.output is not None:
            raise UsageError(f"expected a function like f(x)(x + 1), not '{head}(…)'")
        names = [a.name for a in head.arguments if isinstance(a, Reference) and a.bare]
        if len(names) != len(head.arguments) or len(set(names)) != len(names):
            raise UsageError(f"the parameters of '{head}' must be different names")
        return Lambda(tuple(names), body, place=place)

    def names(self, items: Sequence[Node]) -> tuple[str, ...]:
        """`(a,b)`: a list of names."""
        for item in items:
            if not isinstance(item, Reference) or not item.bare:
                raise UsageError(f"expected a list of names, not one with '{item}'", item.place)
        return tuple(map(str, items))

    def case(self, items: Sequence[Node]) -> tuple[Node, Node]:
        """A case of a switch and its result."""
        return items[0], items[1]

    @_node
    def switch(self, place: Place, items: Sequence[Any]) -> Node:
        """A value, its cases and the default."""
        return Switch(items[0], tuple(items[1:-1]), items[-1], place=place)

    def label(self, items: Sequence[Token]) -> str:
        """A label as written, without quotes."""
        return unquoted(items[0]) if items[0].type == "STRING" else "".join(items)

    def computed(self, items: Sequence[Node]) -> Node:
        """An expression in place of a label."""
        return items[0]

    def named(self, items: Sequence[Any]) -> tuple[str | None, str | Node]:
        """A dimension and its label."""
        return str(items[0]), items[1]

    def unnamed(self, items: Sequence[Any]) -> tuple[str | None, str | Node]:
        """The label of the only dimension."""
        return None, items[0]

    @_node
    def slice(self, place: Place, items: Sequence[Any]) -> Node:
        """A tensor and the address in braces."""
        tensor, *addresses = items
        named = [name for name, _ in addresses]
        if len(addresses) > 1 and (None in named or len(set(named)) != len(named)):
            raise UsageError("an address of several labels names each dimension once")
        return Slice(tensor, tuple(addresses), place=place)

    @_node
    def element(self, place: Place, items: Sequence[Node]) -> Node:
        """A tensor and the index in brackets."""
        return Slice(items[0], ((None, items[1]),), place=place)

    @_node
    def generate(self, place: Place, items: Sequence[Any]) -> Node:
        """A type and the expression of each cell."""
        type_ = literal_type(items[0])
        if type_.mapped:
            raise UsageError(f"a generated tensor has indexed dimensions only, not {type_}")
        return Generate(type_, items[1], place=place)

    def values(self, items: Sequence[Any]) -> list[Any]:
        """Cells in brackets."""
        return list(items)

    def part(self, items: Sequence[Any]) -> tuple[str, str]:
        """One dimension of a full address."""
        return str(items[0]), items[1]

    def short(self, items: Sequence[Any]) -> tuple[Any, Any]:
        """A label and its cells."""
        return items[0], items[1]

    def long(self, items: Sequence[Any]) -> tuple[Any, Any]:
        """A full address and its cells."""
        return tuple(items[:-1]), items[-1]

    def entries(self, items: Sequence[Any]) -> dict[Any, Any]:
        """Cells by label or address."""
        entries = [item for item in items if item is not None]
        if len(dict(entries)) != len(entries):
            raise UsageError("a tensor literal gives a label twice")
        return dict(entries)

    @_node
    def literal(self, place: Place, items: Sequence[Any]) -> Node:
        """A type and its cells."""
        type_ = literal_type(items[0])
        blocks = literal_blocks(type_, items[1])
        return TensorLiteral(type_, tuple(blocks.items()), place=place)


def _expressions(arguments: Sequence[Argument]) -> tuple[Node, ...]:
    for argument in arguments:
        if not isinstance(argument, Node):
            raise UsageError(f"expected an expression, not the list ({','.join(argument)})")
    return tuple(argument for argument in arguments if isinstance(argument, Node))
