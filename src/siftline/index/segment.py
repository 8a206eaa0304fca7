"""One segment as a snapshot sees it: its content, where its documents begin, which are live."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from siftline.errors import UsageError
from siftline.index.columns.column import AttributeColumn
from siftline.index.core import SegmentCore
from siftline.index.graph.dense import DenseVectors
from siftline.index.postings.sparse import SparsePostings, SparseVectors
from siftline.index.postings.text import TextPostings
from siftline.index.tensors.whole import WholeTensors
from siftline.index.tokens.token_vectors import TokenVectors


@dataclass(frozen=True, eq=False)
class Segment:
    """Documents `base … base + count - 1` of the snapshot.

    live: bool `(count,)`, False where deleted or replaced. Structures number documents from 0.
    """

    core: SegmentCore
    base: int
    live: np.ndarray
    live_count: int

    @property
    def count(self) -> int:
        """Documents, deleted ones among them."""
        return self.core.count

    def text(self, field: str) -> TextPostings:
        """Text postings; UsageError if the field has none."""
        if field not in self.core.layout.texts:
            raise self._wrong(field, "text index", self.core.layout.texts)
        return self.core.text(field)

    def sparse(self, field: str) -> SparsePostings:
        """Learned-sparse postings with their forward index."""
        found = self._vectors(field)
        if not isinstance(found, SparsePostings):
            raise self._wrong(field, "sparse index", ())
        return found

    def forward(self, field: str) -> SparseVectors:
        """The forward index of a tensor field with one mapped dimension, inverted or not."""
        found = self._vectors(field)
        if not isinstance(found, SparseVectors):
            raise self._wrong(field, "forward index", ())
        return found

    def dense(self, field: str) -> DenseVectors:
        """Matrix and graph of a dense tensor field."""
        found = self._vectors(field)
        if not isinstance(found, DenseVectors):
            raise self._wrong(field, "dense vector", ())
        return found

    def tokens(self, field: str) -> TokenVectors:
        """Token vectors."""
        found = self._vectors(field)
        if not isinstance(found, TokenVectors):
            raise self._wrong(field, "token vectors", ())
        return found

    def tensors(self, field: str) -> WholeTensors:
        """Tensors of any other type."""
        found = self._vectors(field)
        if not isinstance(found, WholeTensors):
            raise self._wrong(field, "whole tensors", ())
        return found

    def column(self, field: str) -> AttributeColumn:
        """Attribute values; UsageError if the field is no attribute."""
        if field not in self.core.layout.columns:
            raise self._wrong(field, "attribute", self.core.layout.columns)
        return self.core.column(field)

    def _vectors(self, field: str) -> object:
        if field not in self.core.layout.vectors:
            raise self._wrong(field, "tensor", self.core.layout.vectors)
        return self.core.vectors(field)

    def _wrong(self, field: str, what: str, known: object) -> UsageError:
        names = ", ".join(known) if isinstance(known, dict) and known else ""
        there = f" (fields with one: {names})" if names else ""
        return UsageError(
            f"schema '{self.core.layout.schema}': field '{field}' has no {what}{there}"
        )
