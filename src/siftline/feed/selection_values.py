"""Values of document selections and how they compare (spec 4.4).

A value is a text, a number (true is 1, false is 0), None for null, INVALID, or Many. What is true
is True, False or None for invalid, and comes with the elements that `$variables` stand for.
"""

from __future__ import annotations

import hashlib
import operator
import re
import struct
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from siftline.errors import UsageError
from siftline.feed.patterns import compiled

#: True, False, or None for invalid
Truth = bool | None
#: variable → the key or index it stands for
Bindings = Mapping[str, str | int]
Results = list[tuple[Bindings, Truth]]

ORDER: dict[str, Callable[[Any, Any], bool]] = {
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
}
FUNCTIONS = ("lowercase", "hash", "abs")
_BITS = 1 << 64


class Invalid:
    """What has no value: another type's field, an operation between kinds that have none."""


class Opaque:
    """A value of which only the presence can be asked: a tensor or a struct."""


class Key(str):
    """A key of a map or weighted set, which JSON writes as text whatever its type."""

    __slots__ = ()


INVALID = Invalid()
OPAQUE = Opaque()


@dataclass(frozen=True, slots=True)
class Many:
    """The elements of a field with several values, each with the variables that led to it."""

    elements: tuple[tuple[Bindings, Any], ...]


def combined(results: Results) -> Truth:
    """True if any is true, else false if any is false (or there is none), else invalid."""
    truths = [truth for _, truth in results]
    if True in truths:
        return True
    return False if False in truths or not truths else None


def negated(results: Results) -> Results:
    """Not; invalid stays invalid."""
    return [(bindings, None if truth is None else not truth) for bindings, truth in results]


def both(left: Results, right: Results, truth: Callable[[Truth, Truth], Truth]) -> Results:
    """Every pair whose variables agree, joined by `truth`."""
    found: Results = []
    for one, first in left:
        for other, second in right:
            if all(other.get(name, value) == value for name, value in one.items()):
                pair = ({**one, **other}, truth(first, second))
                if pair[0] or pair not in found:
                    found.append(pair)
    return found


def and_(left: Truth, right: Truth) -> Truth:
    """And of three values: false wins over invalid."""
    if left is False or right is False:
        return False
    return None if left is None or right is None else True


def or_(left: Truth, right: Truth) -> Truth:
    """Or of three values: true wins over invalid."""
    if left is True or right is True:
        return True
    return None if left is None or right is None else False


def compared(left: Any, comparator: str, right: Any) -> Results:
    """The comparison; on Many on the left, one result for each element."""
    if isinstance(left, Many) and not isinstance(right, Many):
        found: Results = []
        for bindings, element in left.elements:
            result = (bindings, _single(element, comparator, right))
            if bindings or result not in found:
                found.append(result)
        return found
    return [({}, _single(left, comparator, right))]


def _single(left: Any, comparator: str, right: Any) -> Truth:
    if isinstance(left, Key) and _is_number(right):
        left = _number_of(left)
    if comparator == "!=":
        equal = _equal(left, right)
        return None if equal is None else not equal
    if comparator in ORDER:
        same = (_is_number(left) and _is_number(right)) or (
            isinstance(left, str) and isinstance(right, str)
        )
        return ORDER[comparator](left, right) if same else None
    if comparator == "=~" or (comparator == "=" and isinstance(right, str)):
        if not isinstance(left, str) or not isinstance(right, str):
            return None
        return _found(left, right, glob=comparator == "=")
    return _equal(left, right)


def _found(text: str, pattern: str, *, glob: bool) -> Truth:
    try:
        return (_glob(pattern) if glob else compiled(pattern)).search(text) is not None
    except UsageError:
        return None  # a pattern that another field holds; one that is written was checked


def _equal(left: Any, right: Any) -> Truth:
    if left is INVALID or right is INVALID:
        return None
    if left is None or right is None:
        return left is right
    if isinstance(left, str) and isinstance(right, str):
        return str(left) == str(right)
    if _is_number(left) and _is_number(right):
        return bool(left == right)
    return None


@lru_cache(maxsize=256)
def _glob(pattern: str) -> re.Pattern[str]:
    # `*` as few as possible up to what follows, each taken at its first place: linear by atoms
    parts = [re.escape(part).replace(r"\?", ".") for part in re.split(r"\*+", pattern)]
    if len(parts) == 1:
        return re.compile(rf"\A{parts[0]}\Z", re.DOTALL)
    first, *middle, last = parts
    between = "".join(f"(?>.*?{part})" for part in middle)
    return re.compile(rf"\A{first}{between}.*{last}\Z", re.DOTALL)


def calculated(left: Any, sign: str, right: Any) -> Any:
    """Arithmetic; whole numbers are of 64 bits, and division cuts towards zero.

    INVALID between kinds that have none, and for a division by zero.
    """
    if sign == "+" and isinstance(left, str) and isinstance(right, str):
        return left + right
    if not _is_number(left) or not _is_number(right):
        return INVALID
    whole = isinstance(left, int) and isinstance(right, int)
    if sign in "/%" and right == 0 or (sign == "%" and not whole):
        return INVALID
    if sign == "%":
        return wrapped(left - right * _quotient(left, right))
    if sign == "/":
        return wrapped(_quotient(left, right)) if whole else left / right
    result = {"+": operator.add, "-": operator.sub, "*": operator.mul}[sign](left, right)
    return wrapped(result) if whole else result


def _quotient(left: int, right: int) -> int:
    result = abs(left) // abs(right)
    return result if (left < 0) == (right < 0) else -result


def wrapped(number: int) -> int:
    """A whole number as 64 bits with a sign hold it."""
    return (number + _BITS // 2) % _BITS - _BITS // 2


def called(function: str, value: Any) -> Any:
    """A function of a text or number; INVALID of anything else."""
    if function == "lowercase":
        return value.lower() if isinstance(value, str) else INVALID
    if function == "hash":
        return _hash(value)
    return wrapped(abs(value)) if isinstance(value, int) else _absolute(value)


def _absolute(value: Any) -> Any:
    return abs(value) if isinstance(value, float) else INVALID


def _hash(value: Any) -> Any:
    """The first eight bytes of the value's MD5 digest, as Vespa's backend hashes."""
    if isinstance(value, str):
        data = value.encode("utf-8", "surrogatepass")
    elif isinstance(value, int):
        data = struct.pack("<q", wrapped(value))
    elif isinstance(value, float):
        data = struct.pack("<d", value)
    else:
        return INVALID
    digest = hashlib.md5(data, usedforsecurity=False).digest()
    return int.from_bytes(digest[:8], "little", signed=True)


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float))


def _number_of(key: str) -> Any:
    try:
        return float(key) if not re.fullmatch(r"-?\d+", key) else int(key)
    except ValueError:
        return {"true": 1, "false": 0}.get(key, INVALID)
