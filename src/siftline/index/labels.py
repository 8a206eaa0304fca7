"""Labels of mapped tensor dimensions as numbers, one int32 for each label of a field.

A number is given once and never changes, so vectors on disk hold numbers and not strings.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from typing import Protocol, overload

import numpy as np

from siftline.errors import StoreError

#: numbers remembered for each field; the rest is looked up in the store
_REMEMBERED = 1_000_000


class LabelStore(Protocol):
    """What FieldLabels needs of the document store."""

    def find_labels(self, field: str, digests: Sequence[bytes]) -> list[int | None]:
        """Number of each label, by its digest."""

    def add_labels(self, field: str, labels: Sequence[tuple[bytes, bytes]]) -> list[int]:
        """New numbers for `(digest, label)` pairs, on disk with the next transaction."""

    def label(self, field: str, number: int) -> bytes | None:
        """The label of a number."""


def digest(text: bytes) -> bytes:
    """20 bytes that stand for a text of any length."""
    return hashlib.blake2b(text, digest_size=20).digest()


def encode(text: str) -> bytes:
    """UTF-8; lone surrogates, which JSON can hold, survive."""
    return text.encode("utf-8", "surrogatepass")


def decode(data: bytes) -> str:
    """The reverse of encode."""
    return data.decode("utf-8", "surrogatepass")


class FieldLabels(Sequence[str]):
    """The labels of one field; `labels[number]` is the label, `numbers` adds what is new."""

    def __init__(self, field: str, store: LabelStore, count: Callable[[], int]) -> None:
        self.field = field
        self._store = store
        self._count = count
        self._numbers: dict[str, int] = {}
        self._labels: dict[int, str] = {}

    def __len__(self) -> int:
        return self._count()

    @overload
    def __getitem__(self, number: int) -> str: ...
    @overload
    def __getitem__(self, number: slice) -> Sequence[str]: ...
    def __getitem__(self, number: int | slice) -> str | Sequence[str]:
        if isinstance(number, slice):
            return [self[i] for i in range(*number.indices(len(self)))]
        number = int(number)
        found = self._labels.get(number)
        if found is None:
            data = self._store.label(self.field, number)
            if data is None:
                raise IndexError(f"field '{self.field}' has no label {number}")
            found = decode(data)
            self._remember(found, number)
        return found

    def find(self, label: str) -> int:
        """The label's number, -1 if no document ever had it."""
        found = self._numbers.get(label)
        if found is None:
            number = self._store.find_labels(self.field, [digest(encode(label))])[0]
            if number is None:
                return -1
            self._remember(label, number)
            return number
        return found

    def numbers(self, labels: Sequence[str]) -> np.ndarray:
        """int32 numbers of the labels; those not seen before are added."""
        found = [self._numbers.get(label) for label in labels]
        missing = list(
            dict.fromkeys(
                label for label, number in zip(labels, found, strict=True) if number is None
            )
        )
        if missing:
            fresh = dict(zip(missing, self._look_up(missing), strict=True))
            found = [
                fresh[label] if number is None else number
                for label, number in zip(labels, found, strict=True)
            ]
            for label, number in fresh.items():
                self._remember(label, number)
        return np.array(found, np.int32)

    def _look_up(self, labels: Sequence[str]) -> list[int]:
        texts = [encode(label) for label in labels]
        digests = [digest(text) for text in texts]
        found = self._store.find_labels(self.field, digests)
        fresh = [(d, t) for d, t, n in zip(digests, texts, found, strict=True) if n is None]
        added = iter(self._store.add_labels(self.field, fresh) if fresh else ())
        numbers = [next(added, None) if n is None else n for n in found]
        if any(n is None for n in numbers):
            raise StoreError(f"field '{self.field}' got fewer numbers than labels")
        return [n for n in numbers if n is not None]

    def _remember(self, label: str, number: int) -> None:
        if len(self._numbers) >= _REMEMBERED:
            self._numbers.clear()
            self._labels.clear()
        self._numbers[label] = number
        self._labels[number] = label
