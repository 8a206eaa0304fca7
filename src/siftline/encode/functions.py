"""The functions of the indexing language that take one value and give another (spec 1.6)."""

from __future__ import annotations

import base64
import random
import re
import socket
import time
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from functools import lru_cache
from typing import Any

from siftline.encode.linguistics import remove_accents
from siftline.errors import UsageError

Function = Callable[[Any, tuple[Any, ...]], Any]

_SENTENCE = re.compile(r"[^.!?。!?…]*[.!?。!?…]*\s*")
_MASK64 = (1 << 64) - 1
#: The key that Guava's sipHash24() uses, which Vespa's `hash` is.
_SIP_KEY = (0x0706050403020100, 0x0F0E0D0C0B0A0908)


def as_text(value: Any) -> str:
    """A value as the indexing language writes it into text."""
    if isinstance(value, bool):
        return "true" if value else "false"
    return str(value)


def _text(value: Any, name: str) -> str:
    if not isinstance(value, str):
        raise UsageError(f"{name} needs a text, not {value!r:.60}")
    return value


def _items(value: Any, name: str) -> list[Any]:
    if not isinstance(value, list):
        raise UsageError(f"{name} needs an array, not {value!r:.60}")
    return value


@lru_cache(maxsize=256)
def _pattern(expression: str) -> re.Pattern[str]:
    try:
        return re.compile(expression)
    except re.error as error:
        raise UsageError(f"not a regular expression: '{expression}' ({error})") from None


def split(value: Any, arguments: tuple[Any, ...]) -> list[str]:
    """The parts between matches, trailing empty ones left out."""
    text, start, parts = _text(value, "split"), 0, []
    for match in _pattern(str(arguments[0])).finditer(text):
        if match.end() > match.start():
            parts.append(text[start : match.start()])
            start = match.end()
    parts.append(text[start:])
    while parts and not parts[-1]:
        parts.pop()
    return parts


def chunk(value: Any, arguments: tuple[Any, ...]) -> list[str]:
    """`sentence`, or `fixed-length N`: about N characters, up to a word's end if that is near."""
    text = _text(value, "chunk")
    kind = str(arguments[0]) if arguments else ""
    if kind == "sentence":
        return [part.strip() for part in _SENTENCE.findall(text) if part.strip()]
    if kind != "fixed-length":
        raise UsageError(f"unknown chunker '{kind}' (known: sentence, fixed-length)")
    length = int(arguments[1]) if len(arguments) > 1 else 1000
    if length < 1:
        raise UsageError(f"chunk fixed-length needs a length of at least 1, not {length}")
    chunks, start = [], 0
    while start < len(text):
        end = min(start + length, len(text))
        limit = min(end + max(1, length // 20), len(text))
        while end < limit and text[end].isalnum():
            end += 1
        chunks.append(text[start:end])
        start = end
    return chunks


def _substring(value: Any, arguments: tuple[Any, ...]) -> str:
    text = _text(value, "substring")
    start, end = (min(max(int(a), 0), len(text)) for a in (*arguments, len(text))[:2])
    return text[start:end]


def _whole(name: str, bits: int) -> Function:
    def convert(value: Any, arguments: tuple[Any, ...]) -> int:
        try:
            number = int(value.strip()) if isinstance(value, str) else int(value)
        except (TypeError, ValueError, OverflowError):
            raise UsageError(f"{name} cannot read {value!r:.60} as a whole number") from None
        if not -(1 << (bits - 1)) <= number < 1 << (bits - 1):
            raise UsageError(f"{name}: {number} needs more than {bits} bits")
        return number

    return convert


def _real(value: Any, arguments: tuple[Any, ...]) -> float:
    try:
        return float(value)
    except (TypeError, ValueError):
        raise UsageError(f"cannot read {value!r:.60} as a number") from None


def _truth(value: Any, arguments: tuple[Any, ...]) -> bool:
    return value.strip().lower() == "true" if isinstance(value, str) else bool(value)


def _weighted_set(value: Any, arguments: tuple[Any, ...]) -> dict[str, int]:
    items = value if isinstance(value, list) else [value]
    return {as_text(item): 1 for item in items}


def _epoch_second(value: Any, arguments: tuple[Any, ...]) -> int:
    try:
        moment = datetime.fromisoformat(_text(value, "to_epoch_second"))
    except ValueError:
        raise UsageError(f"to_epoch_second cannot read '{value}' as an ISO 8601 time") from None
    return int((moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp())


def _signed(number: int, bits: int) -> int:
    number &= (1 << bits) - 1
    return number - (1 << bits) if number >> (bits - 1) else number


def _hex_decode(value: Any, arguments: tuple[Any, ...]) -> int:
    try:
        number = int(_text(value, "hex_decode"), 16)
    except ValueError:
        raise UsageError(f"hex_decode cannot read '{value}'") from None
    if number > _MASK64:
        raise UsageError(f"hex_decode: '{value}' needs more than 64 bits")
    return _signed(number, 64)


def _base64_decode(value: Any, arguments: tuple[Any, ...]) -> int:
    try:
        data = base64.b64decode(_text(value, "base64decode"), validate=True)
    except ValueError:
        raise UsageError(f"base64decode cannot read '{value}'") from None
    if len(data) > 8:
        raise UsageError(f"base64decode: '{value}' needs more than 64 bits")
    return _signed(int.from_bytes(data, "big"), 64)


def sip_hash(data: bytes, key: tuple[int, int] = _SIP_KEY) -> int:
    """SipHash-2-4 of the data, an unsigned 64-bit number."""
    v = [
        key[0] ^ 0x736F6D6570736575, key[1] ^ 0x646F72616E646F6D,
        key[0] ^ 0x6C7967656E657261, key[1] ^ 0x7465646279746573,
    ]  # fmt: skip
    whole = len(data) - len(data) % 8
    words = [int.from_bytes(data[i : i + 8], "little") for i in range(0, whole, 8)]
    words.append(int.from_bytes(data[whole:], "little") | (len(data) & 0xFF) << 56)
    for word in words:
        v[3] ^= word
        _sip_rounds(v, 2)
        v[0] ^= word
    v[2] ^= 0xFF
    _sip_rounds(v, 4)
    return v[0] ^ v[1] ^ v[2] ^ v[3]


def _sip_rounds(v: list[int], count: int) -> None:
    def rotated(x: int, by: int) -> int:
        return ((x << by) | (x >> (64 - by))) & _MASK64

    for _ in range(count):
        v[0] = (v[0] + v[1]) & _MASK64
        v[2] = (v[2] + v[3]) & _MASK64
        v[1] = rotated(v[1], 13) ^ v[0]
        v[3] = rotated(v[3], 16) ^ v[2]
        v[0] = rotated(v[0], 32)
        v[2] = (v[2] + v[1]) & _MASK64
        v[0] = (v[0] + v[3]) & _MASK64
        v[1] = rotated(v[1], 17) ^ v[2]
        v[3] = rotated(v[3], 21) ^ v[0]
        v[2] = rotated(v[2], 32)


def hashed(value: Any, kind: str) -> int:
    """`hash`: 32 bits for an int field, 64 for a long one."""
    number = sip_hash(_text(value, "hash").encode("utf-8", "surrogatepass"))
    return _signed(number, 32 if kind == "int" else 64)


def arithmetic(name: str, left: Any, right: Any) -> Any:
    """`+ - * / %`; whole numbers stay whole, their division cuts towards zero; null gives null."""
    if left is None or right is None:
        return None
    for operand in (left, right):
        if isinstance(operand, bool) or not isinstance(operand, (int, float)):
            raise UsageError(f"'{name}' needs numbers, not {operand!r:.60}")
    if name in ("+", "-", "*"):
        return left + right if name == "+" else left - right if name == "-" else left * right
    if right == 0:
        raise UsageError(f"{left} {name} 0 has no value")
    if isinstance(left, int) and isinstance(right, int):
        quotient = abs(left) // abs(right) * (1 if (left < 0) == (right < 0) else -1)
        return quotient if name == "/" else left - quotient * right
    return left / right if name == "/" else left - right * float(int(left / right))


def compare(left: Any, operator: str, right: Any) -> bool:
    """The condition of `if`: numbers by size, anything else as text; false with a null."""
    if left is None or right is None:
        return False
    numeric = all(isinstance(v, (int, float)) for v in (left, right))
    a, b = (left, right) if numeric else (as_text(left), as_text(right))
    order = (a > b) - (a < b)
    tests = {
        "==": order == 0, "!=": order != 0, "<": order < 0,
        "<=": order <= 0, ">": order > 0, ">=": order >= 0,
    }  # fmt: skip
    if operator not in tests:
        raise UsageError(f"unknown comparison '{operator}'")
    return tests[operator]


def concatenated(values: Sequence[Any]) -> Any:
    """`a . b`: texts joined, null if one is; arrays joined, null being empty."""
    if any(isinstance(value, list) for value in values):
        return [item for value in values if value is not None for item in _items(value, "'.'")]
    return None if any(v is None for v in values) else "".join(as_text(v) for v in values)


#: Functions of a value that is not null.
FUNCTIONS: dict[str, Function] = {
    "lowercase": lambda value, _: _text(value, "lowercase").lower(),
    "trim": lambda value, _: _text(value, "trim").strip(),
    "substring": _substring,
    "split": split,
    "chunk": chunk,
    "join": lambda value, args: str(args[0]).join(as_text(v) for v in _items(value, "join")),
    "normalize": lambda value, _: remove_accents(_text(value, "normalize")),
    "tokenize": lambda value, _: value,
    "to_int": _whole("to_int", 32),
    "to_long": _whole("to_long", 64),
    "to_byte": _whole("to_byte", 8),
    "to_float": _real,
    "to_double": _real,
    "to_bool": _truth,
    "to_string": lambda value, _: as_text(value),
    "to_array": lambda value, _: value if isinstance(value, list) else [value],
    "to_wset": _weighted_set,
    "to_epoch_second": _epoch_second,
    "hex_encode": lambda value, _: format(int(value) & _MASK64, "x"),
    "hex_decode": _hex_decode,
    "base64encode": lambda value, _: base64.b64encode(
        (int(value) & _MASK64).to_bytes(8, "big")
    ).decode(),
    "base64decode": _base64_decode,
    "get_field": lambda value, args: value.get(args[0]) if isinstance(value, dict) else None,
    "get_value": lambda value, args: value.get(args[0]) if isinstance(value, dict) else None,
}

#: Functions that make a value out of nothing.
SOURCES: dict[str, Callable[[tuple[Any, ...]], Any]] = {
    "now": lambda _: int(time.time()),
    "random": lambda args: random.randrange(int(args[0]) if args else 2**31 - 1),
    "hostname": lambda _: socket.gethostname(),
}
