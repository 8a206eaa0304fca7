"""What a merge works on: the segments one after the other, without their deleted documents."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Generic, TypeVar

import numpy as np

from siftline.index.packed import offsets_of
from siftline.tensor.batch import gather_ranges

#: elements that are copied at a time, so that a merge needs little memory
CHUNK = 1 << 20

T = TypeVar("T")


@dataclass(frozen=True, eq=False)
class Part(Generic[T]):
    """A segment's `reader` of a structure; `live` bool `(count,)`; `base` its first new number."""

    reader: T
    live: np.ndarray
    base: int = 0

    @cached_property
    def whole(self) -> bool:
        """Whether no document is deleted."""
        return bool(self.live.all())

    @cached_property
    def kept(self) -> np.ndarray:
        """Old numbers of the live documents, int64."""
        return np.flatnonzero(self.live)

    @cached_property
    def numbers(self) -> np.ndarray:
        """New number of each old one, int32; meaningless where deleted."""
        return (self.base + np.cumsum(self.live) - 1).astype(np.int32)


def document_count(parts: Sequence[Part[Any]]) -> int:
    """Documents of the merged segment."""
    return sum(len(part.kept) for part in parts)


def merged_offsets(parts: Sequence[Part[Any]], offsets: Sequence[np.ndarray]) -> np.ndarray:
    """Offsets of the kept ranges, one part after the other, int64."""
    counts = [np.diff(o)[p.kept] for p, o in zip(parts, offsets, strict=True)]
    return offsets_of(np.concatenate(counts) if counts else np.zeros(0, np.int64))


def copy_ranges(
    part: Part[Any], offsets: np.ndarray, source: np.ndarray, target: np.ndarray, at: int
) -> int:
    """Copy the kept ranges of `source` to `target[at:]`; gives the place behind them."""
    if part.whole:
        return copy_slice(source[offsets[0] : offsets[-1]], target, at)
    for rows in _chunks_of_rows(part.kept, offsets):
        _, flat = gather_ranges(offsets, rows)
        target[at : at + len(flat)] = source[flat]
        at += len(flat)
    return at


def copy_rows(part: Part[Any], source: np.ndarray, target: np.ndarray, at: int) -> int:
    """Copy the kept rows of `source` to `target[at:]`; gives the place behind them."""
    if part.whole:
        return copy_slice(source, target, at)
    return copy_slice_of(source, part.kept, target, at)


def copy_slice(source: np.ndarray, target: np.ndarray, at: int) -> int:
    """Copy everything, a chunk at a time."""
    step = max(1, CHUNK // max(1, int(np.prod(source.shape[1:]))))
    for start in range(0, len(source), step):
        piece = source[start : start + step]
        target[at + start : at + start + len(piece)] = piece
    return at + len(source)


def copy_slice_of(source: np.ndarray, rows: np.ndarray, target: np.ndarray, at: int) -> int:
    """Copy the given rows, a chunk at a time."""
    step = max(1, CHUNK // max(1, int(np.prod(source.shape[1:]))))
    for start in range(0, len(rows), step):
        piece = rows[start : start + step]
        target[at + start : at + start + len(piece)] = source[piece]
    return at + len(rows)


def chunks(offsets: np.ndarray) -> Iterator[tuple[int, int]]:
    """Consecutive ranges `(first, last + 1)` of rows: about CHUNK elements, one row at least."""
    first, rows = 0, len(offsets) - 1
    while first < rows:
        last = int(np.searchsorted(offsets, offsets[first] + CHUNK, side="right")) - 1
        last = min(max(last, first + 1), rows)
        yield first, last
        first = last


def _chunks_of_rows(rows: np.ndarray, offsets: np.ndarray) -> Iterator[np.ndarray]:
    sizes = offsets_of(offsets[rows + 1] - offsets[rows])
    for first, last in chunks(sizes):
        yield rows[first:last]
