"""Attribute values: what a snapshot gives for documents, and the reader of one segment."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from siftline.index.arrays import Arrays
from siftline.index.layout import NUMBER_DTYPES, ColumnSpec
from siftline.index.packed import offsets_of
from siftline.index.postings.dictionary import TermDictionary
from siftline.tensor.batch import gather_ranges


@dataclass(frozen=True, eq=False)
class Column:
    """Values of n documents.

    kind: number or string for a single value, array or weightedset for several.
    single: `values` `(n,)`, int64 or float64 (bool and integers int64), or str objects; zero or ""
    where `present` `(n,)` bool is False.
    several: document i has `values[indptr[i]:indptr[i+1]]`; `weights` int64 of a weighted set.
    """

    kind: str
    values: np.ndarray
    present: np.ndarray
    indptr: np.ndarray | None = None
    weights: np.ndarray | None = None

    def __len__(self) -> int:
        return len(self.present)

    @staticmethod
    def empty(spec: ColumnSpec) -> Column:
        """No documents."""
        kind = spec.kind
        dtype = object if kind == "string" else _plain_dtype(NUMBER_DTYPES[kind])
        values: np.ndarray = np.zeros(0, dtype)
        present = np.zeros(0, bool)
        if spec.shape == "single":
            return Column("string" if kind == "string" else "number", values, present)
        weights = np.zeros(0, np.int64) if spec.shape == "weightedset" else None
        return Column(spec.shape, values, present, np.zeros(1, np.int64), weights)

    @staticmethod
    def concatenate(columns: Sequence[Column]) -> Column:
        """Columns of one field, one after the other; at least one."""
        values = np.concatenate([column.values for column in columns])
        present = np.concatenate([column.present for column in columns])
        pointers = [column.indptr for column in columns if column.indptr is not None]
        if not pointers:
            return Column(columns[0].kind, values, present)
        indptr = offsets_of(np.concatenate([np.diff(pointer) for pointer in pointers]))
        weights = [column.weights for column in columns if column.weights is not None]
        joined = np.concatenate(weights) if weights else None
        return Column(columns[0].kind, values, present, indptr, joined)

    def take(self, rows: np.ndarray) -> Column:
        """The given rows, in that order."""
        if self.indptr is None:
            return Column(self.kind, self.values[rows], self.present[rows])
        indptr, flat = gather_ranges(self.indptr, rows)
        weights = None if self.weights is None else self.weights[flat]
        return Column(self.kind, self.values[flat], self.present[rows], indptr, weights)


class AttributeColumn:
    """The values of one field in one segment, as they lie there.

    values: of the number's own type `(count,)`, or `(items,)` for several values; for strings
    int32 places in `dictionary` (sorted by UTF-8), -1 where a single one is absent.
    present: bool `(count,)`. indptr: int64 `(count + 1,)` for several values, else None.
    weights: int32 of a weighted set, else None.
    """

    def __init__(self, arrays: Arrays, spec: ColumnSpec, count: int) -> None:
        self.spec = spec
        self.count = count
        self.values = arrays["values"]
        self.indptr = arrays["indptr"] if "indptr" in arrays else None
        self.weights = arrays["weights"] if "weights" in arrays else None
        self._present = arrays["present"] if "present" in arrays else None
        self.dictionary = (
            TermDictionary(arrays["terms"], arrays["term_offsets"]) if "terms" in arrays else None
        )

    @cached_property
    def present(self) -> np.ndarray:
        """Which documents have a value, bool `(count,)`."""
        if self.indptr is not None:
            return np.diff(self.indptr) > 0
        if self._present is None:
            return np.ones(self.count, bool)
        return self._present.view(bool)

    @property
    def kind(self) -> str:
        """As Column.kind."""
        if self.indptr is not None:
            return self.spec.shape
        return "string" if self.dictionary is not None else "number"

    def take(self, documents: np.ndarray) -> Column:
        """Values of the documents (numbers within the segment)."""
        present = self.present[documents]
        if self.indptr is None:
            return Column(self.kind, self.plain(self.values[documents]), present)
        indptr, flat = gather_ranges(self.indptr, documents)
        weights = None if self.weights is None else self.weights[flat].astype(np.int64)
        return Column(self.kind, self.plain(self.values[flat]), present, indptr, weights)

    def plain(self, values: np.ndarray) -> np.ndarray:
        """Values of this column as int64, float64 or str objects."""
        if self.dictionary is None:
            return values.astype(_plain_dtype(values.dtype))
        used, inverse = np.unique(values, return_inverse=True)
        names = np.empty(len(used), object)
        names[:] = [self.dictionary[n] if n >= 0 else "" for n in used.tolist()]
        return names[inverse]


def _plain_dtype(stored: np.dtype) -> type:
    return np.float64 if stored.kind == "f" else np.int64
