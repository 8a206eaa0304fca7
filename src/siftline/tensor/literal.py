"""Tensor literals as text: the forms that requests and constants use (spec 3.10)."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from contextlib import suppress
from functools import lru_cache
from typing import Any

import numpy as np
from lark import Lark, Token, Transformer
from lark.exceptions import UnexpectedInput, VisitError

from siftline.errors import Place, UsageError
from siftline.tensor.algebra import dense_addresses
from siftline.tensor.json import check_type, from_nested, sorted_blocks
from siftline.tensor.tensor import Tensor
from siftline.tensor.types import TensorType

_TYPED = re.compile(r"\s*(tensor\s*(?:<\s*\w+\s*>)?\s*\([^)]*\))\s*:(.*)$", re.DOTALL)
_BARE = re.compile(r"[A-Za-z_][A-Za-z0-9_]*|0|[1-9][0-9]*")
_ESCAPE = re.compile(r"\\(.)", re.DOTALL)


def parse_literal(type_: TensorType, text: str) -> Tensor:
    """A literal as a tensor of the type; cells are converted to its cell type.

    Dense `[1,2]` (nested or flat), mapped `{a:1,"b c":2}`, general `{{x:a,y:0}:1}`, mixed
    `{k:[1,2]}`, hex `0B22` or `{k:0B22}`, a scalar `2.5`, and each with its type in front:
    `tensor<float>(x[2]):[1,2]`. UsageError says what does not fit, with line and column.
    """
    typed = _TYPED.match(text)
    if typed:
        check_type(type_, TensorType.parse(typed.group(1)))
        text = typed.group(2)
    value = _read(text, type_)
    if isinstance(value, str) and not type_.dimensions:
        value = _number(value, type_)
    return from_nested(type_, value)


def format_literal(tensor: Tensor, *, typed: bool = False, long: bool = False) -> str:
    """The tensor as a literal that `parse_literal` reads back equal.

    long: the general form, every cell with its full address. typed: its type in front.
    """
    prefix = f"{tensor.type}:" if typed else ""
    if tensor.is_scalar:
        return prefix + repr(float(tensor))
    return prefix + (_long(tensor) if long else _short(tensor))


def format_label(label: str) -> str:
    """A label as written in a literal: bare where it is a name or number, else quoted."""
    return label if _BARE.fullmatch(label) else json.dumps(label, ensure_ascii=False)


def unquoted(text: str) -> str:
    """The text of a quoted string: double quotes with JSON escapes, or single quotes."""
    if text.startswith('"'):
        try:
            return str(json.loads(text, strict=False))
        except ValueError:
            pass
    return _ESCAPE.sub(r"\1", text[1:-1])


def _read(text: str, type_: TensorType) -> Any:
    """Nested Python values; JSON's own reader where the text happens to be a list in JSON."""
    try:
        if text.lstrip().startswith("["):
            with suppress(ValueError):
                return json.loads(text)
        return _Values(type_).transform(_parser().parse(text))
    except UnexpectedInput as error:
        raise UsageError(
            f"not a literal of {type_}: unexpected {_context(error, text)}",
            Place(line=max(error.line, 1), column=max(error.column, 1)),
        ) from None
    except VisitError as error:
        if isinstance(error.orig_exc, UsageError):
            raise error.orig_exc from None
        raise
    except RecursionError:
        raise UsageError(f"the literal of {type_} is nested too deeply") from None


def _context(error: UnexpectedInput, text: str) -> str:
    token = getattr(error, "token", None)
    at = error.pos_in_stream
    if at is None or (isinstance(token, Token) and token.type == "$END"):
        return "end of text"
    return f"'{text[at : at + 20].strip()}'"


@lru_cache(maxsize=1)
def _parser() -> Lark:
    return Lark.open("literal.lark", rel_to=__file__, parser="lalr")


class _Values(Transformer[Token, Any]):
    """The parse tree as lists, dicts by label, and lists of address and value."""

    def __init__(self, type_: TensorType) -> None:
        super().__init__()
        self.type = type_

    def word(self, items: Sequence[Token]) -> object:
        """A number, or hex digits where a block of dense cells stands."""
        return str(items[0])

    def string(self, items: Sequence[Token]) -> object:
        """Hex digits in quotes."""
        return unquoted(items[0])

    def label(self, items: Sequence[Token]) -> str:
        """A label without its quotes."""
        return unquoted(items[0]) if items[0].type == "STRING" else str(items[0])

    def list(self, items: Sequence[Any]) -> object:
        """A list; the words in it are numbers."""
        return [_number(v, self.type) if isinstance(v, str) else v for v in items if v is not None]

    def block(self, items: Sequence[Any]) -> tuple[str, Any]:
        """A label and its cell or block."""
        label, value = items
        if isinstance(value, str) and not self.type.indexed:
            value = _number(value, self.type)
        return label, value

    def blocks(self, items: Sequence[Any]) -> object:
        """Cells or blocks by label."""
        entries = [item for item in items if item is not None]
        return self._unique(entries)

    def part(self, items: Sequence[str]) -> tuple[str, str]:
        """One dimension of an address."""
        return items[0], items[1]

    def cell(self, items: Sequence[Any]) -> object:
        """An address with its cell or block."""
        address, value = self._unique(items[:-1]), items[-1]
        if sorted(address) == sorted(self.type.mapped) and self.type.indexed:
            return {"address": address, "values": value}
        return {"address": address, "value": _number(value, self.type)}

    def cells(self, items: Sequence[Any]) -> object:
        """Cells by address."""
        return [*items]

    def _unique(self, entries: Sequence[tuple[str, Any]]) -> dict[str, Any]:
        found = dict(entries)
        if len(found) != len(entries):
            raise UsageError(f"a label is given twice in a literal of {self.type}")
        return found


def _number(value: object, type_: TensorType) -> float:
    try:
        return float(value)  # type: ignore[arg-type]
    except (TypeError, ValueError):
        raise UsageError(f"a cell of {type_} must be a number, not '{value}'") from None


def _short(tensor: Tensor) -> str:
    type_ = tensor.type
    if not type_.mapped:
        return _nested(tensor.cells[0])
    single = len(type_.mapped) == 1
    entries = []
    for labels, block in sorted_blocks(tensor):
        if single:
            key = format_label(labels[0])
        else:
            parts = zip(type_.mapped, labels, strict=True)
            key = "{" + ",".join(f"{name}:{format_label(label)}" for name, label in parts) + "}"
        entries.append(f"{key}:{_nested(block)}")
    return "{" + ",".join(entries) + "}"


def _nested(block: np.ndarray) -> str:
    return str(block.astype(np.float64).tolist()).replace(" ", "")


def _long(tensor: Tensor) -> str:
    type_ = tensor.type
    names = [d.name for d in type_.dimensions]
    entries = []
    for labels, block in sorted_blocks(tensor):
        mapped = dict(zip(type_.mapped, labels, strict=True))
        for index in dense_addresses(type_):
            place = mapped | dict(zip(type_.indexed, map(str, index), strict=True))
            address = ",".join(f"{name}:{format_label(place[name])}" for name in names)
            entries.append(f"{{{address}}}:{float(block[index])!r}")
    return "{" + ",".join(entries) + "}"
