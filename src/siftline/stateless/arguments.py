"""Values of arguments: literals, numbers, arrays and tensors as tensors of the declared type."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any, TypeVar

import numpy as np

from siftline.errors import UsageError
from siftline.tensor.json import from_json
from siftline.tensor.literal import parse_literal, unquoted
from siftline.tensor.reshape import cast_cells
from siftline.tensor.tensor import Tensor
from siftline.tensor.text import text_number
from siftline.tensor.types import SCALAR, Dimension, TensorType

T = TypeVar("T")

_TYPED = re.compile(r"\s*(tensor\s*(?:<\s*\w+\s*>)?\s*\([^)]*\))\s*:")
_QUOTED = re.compile(r"\"(?:\\.|[^\"\\])*\"|'(?:\\.|[^'\\])*'", re.DOTALL)


def to_argument(name: str, type_: TensorType, value: Any, *, text: bool = False) -> Tensor:
    """The value of argument `name` as a tensor of its type, unbound dimensions sized by the value.

    value: a Tensor; a number; an array or nested lists in the order of the type's dimensions; a
    mapping in the JSON forms; or a literal in any form, for a scalar also a text in quotes. text:
    the argument is a text, which needs no quotes. UsageError where it does not fit.
    """
    if isinstance(value, str):
        return _from_text(name, type_, value, text=text)
    if isinstance(value, Tensor):
        return _fitted(name, type_, value)
    if isinstance(value, Mapping):
        return _parsed(name, type_, lambda: from_json(type_, value))
    try:
        array = np.asarray(value)
    except ValueError:
        array = np.array(value, dtype=object)
    if array.dtype.kind not in "biuf":
        raise UsageError(
            f"'{name}' must be of type {type_}, not {type(value).__name__} {str(value)[:40]!r}"
        )
    dense = not type_.mapped and array.ndim == len(type_.indexed)
    names = type_.indexed if dense else tuple(f"d{i}" for i in range(array.ndim))
    actual = TensorType("double", tuple(map(_sized, names, array.shape)))
    if not dense:
        raise _wrong(name, type_, actual)
    return _fitted(name, type_, Tensor(actual, ((),), array[None]))


def _sized(name: str, size: int) -> Dimension:
    return Dimension(name, mapped=False, size=size)


def _from_text(name: str, type_: TensorType, literal: str, *, text: bool) -> Tensor:
    typed = _TYPED.match(literal)
    if typed:
        written = _parsed(name, type_, lambda: TensorType.parse(typed[1]))
        if not _assignable(written, type_):
            raise _wrong(name, type_, written)
        # its sizes, the declared cells
        type_ = TensorType(type_.cell, tuple(map(_bound, type_.dimensions, written.dimensions)))
    elif not type_.dimensions and _QUOTED.fullmatch(literal):
        return Tensor.scalar(text_number(unquoted(literal)))
    elif text:
        return Tensor.scalar(text_number(literal))
    elif type_.dimensions and _is_number(literal):
        raise _wrong(name, type_, SCALAR)
    if not literal.strip():
        raise UsageError(f"'{name}' must be of type {type_}, but it is empty")
    return _parsed(name, type_, lambda: parse_literal(type_, literal))


def _bound(declared: Dimension, written: Dimension) -> Dimension:
    return written if declared.size is None else declared


def _parsed(name: str, type_: TensorType, parse: Callable[[], T]) -> T:
    try:
        return parse()
    except UsageError as error:
        raise UsageError(
            f"'{name}' must be of type {type_}: {error.message}", error.place
        ) from None


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


def _fitted(name: str, type_: TensorType, value: Tensor) -> Tensor:
    """The tensor with its cells in the type's cell type; bfloat16 rounds, int8 is clipped."""
    if not _assignable(value.type, type_):
        raise _wrong(name, type_, value.type)
    bound = TensorType(type_.cell, value.type.dimensions) if value.type.dimensions else SCALAR
    if bound == value.type and value.cells.dtype == bound.dtype:
        return value
    return Tensor(bound, value.labels, cast_cells(value.cells, bound.cell))


def _assignable(value: TensorType, declared: TensorType) -> bool:
    """Whether the dimensions are the same; an unbound one takes any size, cells are converted."""
    return len(value.dimensions) == len(declared.dimensions) and all(
        mine.name == theirs.name
        and mine.mapped == theirs.mapped
        and (theirs.size is None or mine.size is None or mine.size == theirs.size)
        for mine, theirs in zip(value.dimensions, declared.dimensions, strict=True)
    )


def _wrong(name: str, type_: TensorType, actual: TensorType) -> UsageError:
    return UsageError(f"'{name}' must be of type {type_}, not {actual}")
