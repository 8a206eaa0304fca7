"""Universal Binary JSON (ubjson.org, draft 12), as XGBoost's `save_model("x.ubj")` writes it."""

from __future__ import annotations

from typing import Any

import numpy as np

from siftline.errors import ModelError

#: Marker → numpy type of a number; all are big-endian.
_NUMBERS: dict[str, np.dtype] = {
    "i": np.dtype(">i1"),
    "U": np.dtype(">u1"),
    "I": np.dtype(">i2"),
    "l": np.dtype(">i4"),
    "L": np.dtype(">i8"),
    "d": np.dtype(">f4"),
    "D": np.dtype(">f8"),
}
_CONSTANTS = {"Z": None, "T": True, "F": False}

#: levels of objects and arrays that a file may have
DEEPEST = 64


def parse_ubjson(data: bytes) -> Any:
    """The value: objects as dicts, arrays as lists, arrays of one number type as numpy arrays.

    ModelError, with the offset, for bytes that are cut short or are not UBJSON.
    """
    reader = _Reader(data)
    return reader.value(reader.marker(), 0)


class _Reader:
    """A position in the bytes."""

    def __init__(self, data: bytes) -> None:
        self._data = data
        self._at = 0

    def value(self, marker: str, depth: int) -> Any:
        """The value that a marker begins."""
        if depth > DEEPEST:
            raise self._wrong(f"values nest deeper than {DEEPEST} levels")
        if marker in _NUMBERS:
            return self._numbers(marker, 1)[0].item()
        if marker in _CONSTANTS:
            return _CONSTANTS[marker]
        if marker == "S":
            return self._text()
        if marker == "C":
            return self._take(1).decode("latin-1")
        if marker == "H":
            return self._text()
        if marker == "[":
            return self._array(depth)
        if marker == "{":
            return self._object(depth)
        raise self._wrong(f"unknown marker {marker!r}")

    def marker(self) -> str:
        """The next marker; `N` says nothing."""
        marker = "N"
        while marker == "N":
            marker = self._take(1).decode("latin-1")
        return marker

    def _array(self, depth: int) -> Any:
        kind, count = self._header()
        if kind in _NUMBERS and count is not None:
            return self._numbers(kind, count)
        found: list[Any] = []
        while True:
            if count is not None:
                if len(found) == count:
                    return found
                marker = kind or self.marker()
            elif (marker := self.marker()) == "]":
                return found
            found.append(self.value(marker, depth + 1))

    def _object(self, depth: int) -> dict[str, Any]:
        kind, count = self._header()
        found: dict[str, Any] = {}
        read = 0
        while read != count:
            if count is None and self._peek() == "}":
                self._at += 1
                break
            key = self._text()
            found[key] = self.value(kind or self.marker(), depth + 1)
            read += 1
        return found

    def _header(self) -> tuple[str, int | None]:
        """The type and the count that an array or object may state for all its values."""
        kind = ""
        if self._peek() == "$":
            self._at += 1
            kind = self._take(1).decode("latin-1")
            if self._peek() != "#":
                raise self._wrong("a type without a count")
        if self._peek() != "#":
            return kind, None
        self._at += 1
        count = self._length()
        # every value takes a byte at least, save a constant that the type has said already
        if kind in _CONSTANTS or count > len(self._data):
            raise self._wrong(f"{count} values in a file of {len(self._data)} bytes")
        return kind, count

    def _length(self) -> int:
        marker = self.marker()
        if marker not in "iUIlL":
            raise self._wrong(f"a length has the marker {marker!r}")
        length = int(self._numbers(marker, 1)[0])
        if length < 0:
            raise self._wrong(f"a length of {length}")
        return length

    def _text(self) -> str:
        raw = self._take(self._length())
        try:
            return raw.decode()
        except UnicodeDecodeError:
            raise self._wrong("a text that is not UTF-8") from None

    def _numbers(self, kind: str, count: int) -> np.ndarray:
        dtype = _NUMBERS[kind]
        raw = self._take(dtype.itemsize * count)
        return np.asarray(np.frombuffer(raw, dtype).astype(dtype.newbyteorder("=")))

    def _peek(self) -> str:
        return self._data[self._at : self._at + 1].decode("latin-1")

    def _take(self, count: int) -> bytes:
        raw = self._data[self._at : self._at + count]
        if len(raw) != count:
            raise self._wrong("the file ends inside a value")
        self._at += count
        return raw

    def _wrong(self, what: str) -> ModelError:
        return ModelError(f"not UBJSON at byte {self._at}: {what}")
