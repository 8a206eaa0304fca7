"""YQL text to a statement: what to show, where to look, what must match, order and limits.

The grammar is `yql.lark`; `operators.py` makes the tree of the where clause. A syntax error is a
QueryError with Vespa's text, `query:L1:23 no viable alternative at input '…'`, columns from 1.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from functools import lru_cache
from importlib.resources import files
from typing import Any

from lark import Lark, Token, Tree
from lark.exceptions import UnexpectedCharacters, UnexpectedInput, UnexpectedToken

from siftline.errors import Place, QueryError
from siftline.match.literals import Literals, failure
from siftline.match.operators import WhereBuilder
from siftline.match.query import All, Node

#: What a reader sees instead of the grammar's own names.
_SHOWN = {
    "$END": "the end",
    "IDENT": "a name",
    "STRING": "a string",
    "NUMBER": "a number",
    "PARAMETER": "@parameter",
    "COMPARISON": "= < > <= >=",
    "LPAR": "(",
    "RPAR": ")",
    "LBRACE": "{",
    "RBRACE": "}",
    "LSQB": "[",
    "RSQB": "]",
    "COMMA": ",",
    "COLON": ":",
    "SEMICOLON": ";",
    "VBAR": "|",
    "BANG": "!",
    "STAR": "*",
}


@dataclass(frozen=True, slots=True)
class Statement:
    """A parsed YQL statement.

    select: fields to show, None for `*`. sources: names after `from`, None for `*`. limit and
    offset as written, None where absent (`limit` counts from the first hit, so `limit 31 offset
    29` shows two). order_by: (field, descending). timeout: seconds.
    """

    select: tuple[str, ...] | None
    sources: tuple[str, ...] | None
    where: Node
    limit: int | None = None
    offset: int | None = None
    order_by: tuple[tuple[str, bool], ...] = ()
    timeout: float | None = None


def parse_yql(
    text: str, parameters: Mapping[str, Any], fields: Collection[str] | None = None
) -> Statement:
    """The statement written in YQL.

    parameters: request parameters by full name, for `@name`, userQuery() and userInput(). fields:
    names that may stand before a colon in user text, None for any.
    """
    tree = _parse(text)
    shown, sources, where, order, limit, offset, timeout, grouping = tree.children[:8]
    literals = Literals(parameters, _parse_value)
    if isinstance(grouping, Tree):
        raise failure("grouping ('| all(…)') is not supported", grouping)
    milliseconds = _amount(literals, timeout)
    builder = WhereBuilder(literals, fields)
    return Statement(
        select=_names(shown),
        sources=_names(sources),
        where=builder.build(where) if isinstance(where, Tree) else All(),
        limit=_amount(literals, limit),
        offset=_amount(literals, offset),
        order_by=_ordering(literals, order),
        timeout=None if milliseconds is None else milliseconds / 1000,
    )


#: Levels of the syntax tree; a pair of parentheses with an operator takes two or three.
NESTED = 150


@lru_cache(maxsize=1)
def _grammar() -> Lark:
    text = files("siftline.match").joinpath("yql.lark").read_text(encoding="utf-8")
    return Lark(
        text,
        parser="lalr",
        lexer="contextual",
        start=["start", "map", "list"],
        propagate_positions=True,
    )


@lru_cache(maxsize=256)
def _parse(text: str, start: str = "start") -> Tree[Token]:
    # An application asks with few texts and many parameters; nobody changes a tree.
    try:
        tree = _grammar().parse(text, start=start)
    except UnexpectedInput as error:
        raise _syntax_error(text, error) from None
    _check_nesting(tree)
    return tree


def _check_nesting(tree: Tree[Token]) -> None:
    """QueryError where everything that walks the tree would run out of stack."""
    waiting: list[tuple[Tree[Token], int]] = [(tree, 1)]
    while waiting:
        node, level = waiting.pop()
        if level > NESTED:
            raise failure(f"the query is nested too deeply: at most {NESTED} levels", node)
        waiting += [(child, level + 1) for child in node.children if isinstance(child, Tree)]


def _parse_value(text: str) -> Tree[Token]:
    """A map or list that a request parameter holds as text, like `{a:1,b:2}`."""
    return _parse(text, "list" if text.lstrip().startswith("[") else "map")


def _syntax_error(text: str, error: UnexpectedInput) -> QueryError:
    line, column, found, expected = 1, 1, "<EOF>", set[str]()
    if isinstance(error, UnexpectedToken):
        expected = set(error.accepts or error.expected)
        if error.token.type != "$END":
            line, column = error.token.line or 1, error.token.column or 1
            found = str(error.token)
        else:
            line, column = text.count("\n") + 1, len(text.rsplit("\n", 1)[-1]) + 1
    elif isinstance(error, UnexpectedCharacters):
        line, column, expected = error.line, error.column, set(error.allowed or ())
        found = text[error.pos_in_stream] if error.pos_in_stream is not None else found
    shown = sorted(_SHOWN.get(name, name.lower()) for name in expected if name != "ANYTHING")
    hint = f" (expected {', '.join(shown)})" if shown else ""
    return QueryError(
        "Could not create query from YQL: "
        f"query:L{line}:{column} no viable alternative at input '{found}'{hint}",
        Place(line=line, column=column, field="yql"),
    )


def _names(tree: Any) -> tuple[str, ...] | None:
    names = tuple(str(token) for token in tree.children)
    return names or None


def _amount(literals: Literals, tree: Any) -> int | None:
    if tree is None:
        return None
    return literals.integer(tree.children[0].children[0], str(tree.data))


def _ordering(literals: Literals, tree: Any) -> tuple[tuple[str, bool], ...]:
    orders = []
    for ordering in tree.children if tree is not None else ():
        tokens = [part for part in ordering.children if isinstance(part, Token)]
        name = literals.text(tokens[0]) if tokens[0].type == "STRING" else str(tokens[0])
        orders.append((name, tokens[-1].type == "DESC"))
    return tuple(orders)
