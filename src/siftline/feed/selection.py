"""The document selection language: which documents a condition, a visit or a cluster means.

`doctype.field == 5 and not id.specific = "draft*"`: see spec 4.4 and the grammar in
`selection.lark`. Logic has three values; what is invalid selects nothing.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache, lru_cache
from typing import Any

from lark import Lark, Token, v_args
from lark.exceptions import UnexpectedCharacters, UnexpectedInput, UnexpectedToken, VisitError
from lark.visitors import Transformer_NonRecursive

from siftline.errors import Place, UsageError
from siftline.feed import selection_nodes as nodes
from siftline.feed.operation import DocumentId
from siftline.feed.patterns import compiled
from siftline.feed.selection_nodes import Condition, FieldPath, Lookup, Member, Value
from siftline.feed.selection_values import FUNCTIONS
from siftline.schema.definition import Schema

ID_PARTS = ("namespace", "type", "specific", "scheme", "user", "group")
LONGEST = 100_000
MOST_BRACKETS = 200
_ESCAPE = re.compile(r"\\(x[0-9a-fA-F]{2}|.)", re.DOTALL)
_ESCAPED = {"n": "\n", "t": "\t", "r": "\r", "f": "\f"}
_NESTING = re.compile(r"\(|\bnot\b", re.IGNORECASE)
_INTEGERS = range(-(2**63), 2**64)


@dataclass(frozen=True, slots=True)
class Selection:
    """A parsed selection; `parse_selection(str(selection)) == selection`."""

    condition: Condition

    def matches(self, id_: DocumentId, fields: Mapping[str, Any] | None) -> bool:
        """Whether the document is selected; fields None: whether its id alone selects it."""
        return self.truth(id_, fields) is True

    def truth(self, id_: DocumentId, fields: Mapping[str, Any] | None) -> bool | None:
        """True, false, or None where the selection cannot say."""
        return nodes.holds(self.condition, nodes.Document(id_, fields))

    def __str__(self) -> str:
        return str(self.condition)


def parse_selection(text: str, types: Mapping[str, frozenset[str]] | None = None) -> Selection:
    """The selection written in `text`; an empty one selects everything.

    types: document types that there are, with their fields; None lets any pass. UsageError with
    line and column where it is wrong.
    """
    selection, names = _parsed(text)
    for place, type_, field in names if types is not None else ():
        _check_name(place, type_, field, types or {})
    return selection


def document_types(schemas: Mapping[str, Schema]) -> dict[str, frozenset[str]]:
    """The document types of schemas, each with the fields that documents give."""
    return {
        name: frozenset(field.name for field in schema.fields.values() if field.inside)
        for name, schema in schemas.items()
    }


def _check_name(
    place: Place, type_: str, field: str | None, types: Mapping[str, frozenset[str]]
) -> None:
    if type_ not in types:
        known = ", ".join(sorted(types)) or "none"
        raise UsageError(f"Document type '{type_}' not found (there is {known})", place)
    if field is not None and field not in types[type_]:
        known = ", ".join(sorted(types[type_])) or "none"
        raise UsageError(f"No field '{field}' in document type '{type_}' (it has {known})", place)


#: where a document type is named, the type, and the field named with it
_Name = tuple[Place, str, str | None]


@lru_cache(maxsize=1024)
def _parsed(text: str) -> tuple[Selection, tuple[_Name, ...]]:
    if len(text) > LONGEST:
        raise UsageError(f"a document selection has over {LONGEST:,} characters")
    if len(_NESTING.findall(text)) > MOST_BRACKETS:
        raise UsageError(f"a document selection has over {MOST_BRACKETS} brackets and nots")
    if not text.strip():
        return Selection(nodes.Constant(True)), ()
    builder = _Builder()
    try:
        condition = builder.transform(_grammar().parse(text))
    except UnexpectedInput as error:
        raise _syntax_error(text, error) from None
    except VisitError as error:
        if isinstance(error.orig_exc, UsageError):
            raise error.orig_exc from None
        raise
    return Selection(condition), tuple(builder.names)


@cache
def _grammar() -> Lark:
    return Lark.open(
        "selection.lark", rel_to=__file__, parser="lalr", lexer="basic", propagate_positions=True
    )


def _syntax_error(text: str, error: UnexpectedInput) -> UsageError:
    if isinstance(error, UnexpectedToken) and error.token.type == "$END":
        line, column = text.count("\n") + 1, len(text.rpartition("\n")[2]) + 1
        found = "the end"
    else:
        line, column = error.line, error.column
        rest = text[error.pos_in_stream or 0 :].split("\n")[0][:20]
        found = f"'{rest}'" if isinstance(error, UnexpectedCharacters) else f"'{error.token}'"  # type: ignore[attr-defined]
    return UsageError(
        f"document selection, column {column}: unexpected {found} "
        '(expected comparisons like doctype.field == "value", joined by and, or, not)',
        _place(line, column),
    )


def _place(line: int | None, column: int | None) -> Place:
    return Place(line=line, column=column, field="selection")


def _at(token: Token) -> Place:
    return _place(token.line, token.column)


def _wrong(token: Token, message: str) -> UsageError:
    return UsageError(f"document selection, column {token.column}: {message}", _at(token))


@dataclass(frozen=True, slots=True)
class _Path:
    """A path as written, before it is known what it names."""

    start: Token
    segments: tuple[tuple[Token, tuple[Token, ...]], ...]


@v_args(inline=True)
class _Builder(Transformer_NonRecursive[Token, Any]):
    """Turns the tree of the grammar into nodes, and collects the types and fields named."""

    def __init__(self) -> None:
        super().__init__()
        self.names: list[_Name] = []

    def start(self, condition: Any) -> Condition:
        return self._condition(condition)

    def or_(self, *operands: Any) -> Any:
        return self._junction("or", operands)

    def and_(self, *operands: Any) -> Any:
        return self._junction("and", operands)

    def _junction(self, word: str, operands: tuple[Any, ...]) -> Any:
        if len(operands) == 1:
            return operands[0]
        return nodes.Junction(word, tuple(self._condition(operand) for operand in operands))

    def not_(self, operand: Any) -> Condition:
        return nodes.Not(self._condition(operand))

    def alone(self, node: Any) -> Any:
        return node

    def _condition(self, node: Any) -> Condition:
        """A node that stands where something true or false is expected."""
        if isinstance(node, (nodes.Constant, nodes.OfType, nodes.Comparison)):
            return node
        if isinstance(node, (nodes.Not, nodes.Junction)):
            return node
        if isinstance(node, nodes.Literal) and isinstance(node.literal, bool):
            return nodes.Constant(node.literal)
        if isinstance(node, Token) and node.lower() != "id":
            self.names.append((_at(node), str(node), None))
            return nodes.OfType(str(node))
        value = self._value(node)
        if isinstance(value, FieldPath):
            return nodes.Comparison(value, "!=", nodes.Literal(None))
        raise UsageError(
            f"document selection: '{value}' alone is neither true nor false "
            "(expected a comparison, a document type or a field)",
            Place(field="selection"),
        )

    def compare(self, left: Any, comparator: Token, right: Any) -> Condition:
        left, right = self._value(left), self._value(right)
        if comparator == "=~" and isinstance(right, nodes.Literal):
            if isinstance(right.literal, str):
                try:
                    compiled(right.literal)
                except UsageError as error:
                    raise _wrong(comparator, error.message) from None
        return nodes.Comparison(left, str(comparator), right)

    def chain(self, first: Any, *rest: Any) -> Any:
        if not rest:
            return first
        pairs = zip(rest[::2], rest[1::2], strict=True)
        operands = tuple((str(sign), self._value(operand)) for sign, operand in pairs)
        return nodes.Chain(self._value(first), operands)

    def call(self, operand: Any, function: Token) -> Value:
        if function not in FUNCTIONS:
            raise _wrong(function, f"No function '{function}' exists (of {', '.join(FUNCTIONS)})")
        return nodes.Call(self._value(operand), str(function))

    call_on_name = call

    def name(self, token: Token) -> Token:
        return token

    def segment(self, name: Token, *lookups: Token) -> tuple[Token, tuple[Token, ...]]:
        return name, lookups

    def path(self, start: Any, segment: Any) -> _Path:
        if isinstance(start, _Path):
            return _Path(start.start, (*start.segments, segment))
        return _Path(start, (segment,))

    def _value(self, node: Any) -> Value:
        if isinstance(node, _Path):
            return self._named(node)
        if isinstance(node, Token):
            if node.lower() == "id":
                return nodes.IdPart()
            raise _wrong(node, f"'{node}' is no value (a field is written as doctype.field)")
        value: Value = node
        return value

    def _named(self, path: _Path) -> Value:
        (name, lookups), *others = path.segments
        if path.start.lower() == "id":
            if others or lookups or name.lower() not in ID_PARTS:
                raise _wrong(name, f"id has no '{name}' (it has {', '.join(ID_PARTS)})")
            return nodes.IdPart(name.lower())
        self.names.append((_at(path.start), str(path.start), str(name)))
        steps: list[Lookup | Member] = [_lookup(token) for token in lookups]
        for member, behind in others:
            steps += [Member(str(member)), *(_lookup(token) for token in behind)]
        return FieldPath(str(path.start), str(name), tuple(steps))

    def number(self, token: Token) -> Value:
        return nodes.Literal(_number(token, 1))

    def negative(self, _: Token, token: Token) -> Value:
        return nodes.Literal(_number(token, -1))

    def positive(self, _: Token, token: Token) -> Value:
        return nodes.Literal(_number(token, 1))

    def string(self, token: Token) -> Value:
        return nodes.Literal(_unescaped(token[1:-1]))

    def null(self, _: Token) -> Value:
        return nodes.Literal(None)

    def true(self, _: Token) -> Value:
        return nodes.Literal(True)

    def false(self, _: Token) -> Value:
        return nodes.Literal(False)

    def now(self, _: Token) -> Value:
        return nodes.Now()


def _number(token: Token, sign: int) -> int | float:
    text = token.rstrip("fFdD") if not token.lower().startswith("0x") else str(token)
    if text.lower().startswith("0x") or text.isdigit():
        number = sign * int(text, 16 if text.lower().startswith("0x") else 10)
        if number not in _INTEGERS:
            raise _wrong(token, f"Not a valid signed 64-bit integer: {token}")
        return number
    real = sign * float(text)
    if real in (float("inf"), float("-inf")):
        raise _wrong(token, f"Not a valid floating point number: {token}")
    return real


def _lookup(token: Token) -> Lookup:
    inside = token[1:-1].strip()
    if inside.startswith("$"):
        return Lookup(f"{token[0]}{inside}{token[-1]}", variable=True)
    if token.startswith("["):
        return Lookup(int(inside))
    return Lookup(_unescaped(inside[1:-1]) if inside.startswith('"') else inside)


def _unescaped(text: str) -> str:
    def plain(found: re.Match[str]) -> str:
        code = found[1]
        return chr(int(code[1:], 16)) if len(code) == 3 else _ESCAPED.get(code, code)

    return _ESCAPE.sub(plain, text)
