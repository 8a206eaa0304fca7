"""The terms of a field: sorted UTF-8, one after the other, found by binary search."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import numpy as np

from siftline.index.labels import decode, encode

#: lookups that a dictionary remembers; when there are more it starts anew
_REMEMBERED = 65_536


class TermDictionary:
    """Term number ↔ term; numbers follow the order of the UTF-8 bytes.

    blob: uint8. offsets: int64 `(terms + 1,)`.
    """

    def __init__(self, blob: np.ndarray, offsets: np.ndarray) -> None:
        self._blob = blob.data
        self._offsets = offsets
        self._found: dict[str, int] = {}

    def __len__(self) -> int:
        return len(self._offsets) - 1

    def __getitem__(self, number: int) -> str:
        return decode(self.utf8(number))

    def utf8(self, number: int) -> bytes:
        """The term's UTF-8."""
        return bytes(self._blob[self._offsets[number] : self._offsets[number + 1]])

    def all(self) -> Iterator[bytes]:
        """Every term's UTF-8, in order."""
        blob, ends = bytes(self._blob), self._offsets.tolist()
        return (blob[a:b] for a, b in zip(ends[:-1], ends[1:], strict=True))

    def lookup(self, term: str) -> int:
        """The term's number, -1 if it is not there."""
        found = self._found.get(term)
        if found is None:
            wanted = encode(term)
            place = self._first_from(wanted)
            found = place if place < len(self) and self.utf8(place) == wanted else -1
            if len(self._found) >= _REMEMBERED:
                self._found.clear()
            self._found[term] = found
        return found

    def prefix(self, start: str) -> range:
        """Numbers of the terms that begin so."""
        wanted = encode(start)
        first = self._first_from(wanted)
        # 0xff is in no UTF-8 text, so it sorts behind every continuation
        return range(first, self._first_from(wanted + b"\xff"))

    def _first_from(self, wanted: bytes) -> int:
        low, high = 0, len(self)
        while low < high:
            middle = (low + high) // 2
            if self.utf8(middle) < wanted:
                low = middle + 1
            else:
                high = middle
        return low


def pack_terms(terms: Iterable[bytes]) -> tuple[np.ndarray, np.ndarray]:
    """Blob and offsets of terms already sorted."""
    listed = list(terms)
    offsets = np.zeros(len(listed) + 1, np.int64)
    np.cumsum(np.fromiter(map(len, listed), np.int64, len(listed)), out=offsets[1:])
    return np.frombuffer(b"".join(listed), np.uint8), offsets


def unite(dictionaries: Iterable[TermDictionary]) -> tuple[list[bytes], list[np.ndarray]]:
    """All terms of several dictionaries, sorted, and for each dictionary its numbers among them."""
    listed = [list(d.all()) for d in dictionaries]
    terms = sorted(set().union(*listed))
    number = {term: i for i, term in enumerate(terms)}
    maps = [np.fromiter((number[t] for t in own), np.int64, len(own)) for own in listed]
    return terms, maps
