"""Literals of YQL as Python values, and the errors that name their place."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping
from typing import Any

from lark import Token, Tree

from siftline.errors import Place, QueryError
from siftline.match.annotations import Annotations
from siftline.schema.nearest import nearest

_ESCAPES = {"n": "\n", "t": "\t", "r": "\r", "b": "\b", "f": "\f", "0": "\0"}
_ESCAPE = re.compile(r"\\(u[0-9a-fA-F]{4}|x[0-9a-fA-F]{2}|.)", re.DOTALL)
_LISTED = re.compile(r"\"(?:[^\"\\]|\\.)*\"|'(?:[^'\\]|\\.)*'|[^,\s][^,]*")
_WHOLE = re.compile(r"-?\d+")


def failure(message: str, at: Token | Tree[Token]) -> QueryError:
    """The error for a statement that is well-formed but means nothing here, placed at `at`."""
    meta = at if isinstance(at, Token) else at.meta
    line, column = getattr(meta, "line", 1) or 1, getattr(meta, "column", 1) or 1
    return QueryError(
        f"Could not create query from YQL: query:L{line}:{column} {message}",
        Place(line=line, column=column, field="yql"),
    )


def unescape(quoted: str) -> str:
    """The text of a quoted string, backslash escapes resolved."""

    def one(found: re.Match[str]) -> str:
        code = found.group(1)
        return chr(int(code[1:], 16)) if len(code) > 1 else _ESCAPES.get(code, code)

    return _ESCAPE.sub(one, quoted[1:-1])


class Literals:
    """Reads literals; `parameters` answer `@name`, `parse` reads a map that one holds as text."""

    def __init__(self, parameters: Mapping[str, Any], parse: Callable[[str], Tree[Token]]) -> None:
        self.parameters = parameters
        self._parse = parse

    def value(self, token: Token) -> Any:
        """A literal token's value; QueryError names a parameter that is not set."""
        if token.type == "STRING":
            return unescape(token)
        if token.type in ("TRUE", "FALSE"):
            return token.type == "TRUE"
        if token.type == "PARAMETER":
            name = str(token)[1:]
            if name not in self.parameters:
                hint = nearest(name, self.parameters)
                raise failure(f"parameter '@{name}' is not set{hint}", token)
            return self.parameters[name]
        return _number(str(token))

    def text(self, token: Token) -> str:
        """A string, or a parameter's value as text."""
        return str(self.value(token))

    def number(self, token: Token, what: str) -> float:
        """A number, written or in a parameter; true is 1."""
        value = self.value(token)
        try:
            return float(value)
        except (TypeError, ValueError):
            raise failure(f"{what} needs a number, not '{value}'", token) from None

    def integer(self, token: Token, what: str) -> int:
        """A whole number from 0, written or in a parameter."""
        number = self.number(token, what)
        if number < 0 or not number.is_integer():
            raise failure(f"{what} needs a whole number from 0, not '{self.value(token)}'", token)
        return int(number)

    def read(self, tree: Tree[Token] | Token) -> Any:
        """A literal, map or list as Python values, nested."""
        if isinstance(tree, Token):
            return self.value(tree)
        if tree.data == "map":
            pairs = [pair.children for pair in tree.children if isinstance(pair, Tree)]
            return {self._key(key): self.read(value) for key, value in pairs}
        if tree.data == "list":
            return [self.read(item) for item in tree.children if item is not None]
        return self.read(tree.children[0])

    def annotations(self, tree: Tree[Token]) -> Annotations:
        """The map of an `annotation` tree."""
        return Annotations(self.read(tree.children[0]), tree)

    def weights(self, tree: Tree[Token]) -> dict[str, float]:
        """Token → weight from a map, a list of pairs, or a parameter that holds either."""
        value = self.read(tree)
        if isinstance(value, str) and tree.data == "parameter":
            value = self.read(self._parse(value))
        pairs = list(value.items()) if isinstance(value, Mapping) else value
        try:
            return {str(token): float(weight) for token, weight in pairs}
        except (TypeError, ValueError):
            raise failure(f"weights are expected, like {{\"a\":1}}, not '{value}'", tree) from None

    def members(self, token: Token) -> list[int | str]:
        """What one entry of `in (…)` stands for: itself, or the list that a parameter holds."""
        value = self.value(token)
        listed = list(value) if isinstance(value, (list, tuple)) else [value]
        if token.type == "PARAMETER" and isinstance(value, str):
            listed = [_member(part.strip()) for part in _LISTED.findall(value)]
        for item in listed:
            if isinstance(item, bool) or not isinstance(item, (int, str)):
                raise failure(
                    "The in operator is only supported for integer and string fields, "
                    f"so '{item}' cannot be in the list",
                    token,
                )
        return listed

    def _key(self, key: Any) -> str:
        return unescape(key) if key.type == "STRING" else str(key)


def _number(text: str) -> float | int:
    text = text.rstrip("L")
    if "Infinity" in text:
        return -math.inf if text.startswith("-") else math.inf
    return int(text) if _WHOLE.fullmatch(text) else float(text)


def _member(text: str) -> int | str:
    if text[0] in "\"'":
        return unescape(text)
    return int(text) if _WHOLE.fullmatch(text) else text
