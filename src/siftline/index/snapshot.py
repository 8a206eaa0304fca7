"""What one query sees: a fixed set of segments, their documents numbered in feed order."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, TypeVar

import numpy as np

from siftline.encode.idf import TokenFrequencies
from siftline.errors import StoreError, UsageError
from siftline.index.columns.column import Column
from siftline.index.frequencies import count_tokens
from siftline.index.layout import COUNTED, Layout, VectorSpec
from siftline.index.packed import (
    Rows,
    TokenRows,
    concatenate_rows,
    from_blobs,
    offsets_of,
    unpack,
)
from siftline.index.record import decode_fields, decode_id
from siftline.index.segment import Segment
from siftline.index.store import Store
from siftline.tensor.batch import Batch, DenseBatch, RaggedBatch, SparseBatch

_B = TypeVar("_B", DenseBatch, SparseBatch, RaggedBatch)


@dataclass(frozen=True, slots=True)
class TextStatistics:
    """Documents that have a field, and their average number of tokens (0 without documents).

    Counts of the segments: a deleted document counts until its segment is merged.
    """

    documents: int
    average_length: float


class Snapshot:
    """An immutable view; documents are int64 numbers below `limit`, ascending in feed order.

    document_count: live documents. limit: one more than the largest number, deleted ones counted.
    last: the last operation it shows.
    """

    def __init__(
        self, segments: tuple[Segment, ...], layout: Layout, store: Store, last: int
    ) -> None:
        self.segments = segments
        self.layout = layout
        self.last = last
        self._store = store
        self._bases = np.array([segment.base for segment in segments], np.int64)
        self.limit = segments[-1].base + segments[-1].count if segments else 0
        self.document_count = sum(segment.live_count for segment in segments)

    # -- documents ----------------------------------------------------------------------------

    def live(self, documents: np.ndarray) -> np.ndarray:
        """Which documents are neither deleted nor replaced, bool `(n,)`."""
        found = np.empty(len(documents), bool)
        for segment, at, locals_ in self._split(documents):
            found[at] = segment.live[locals_]
        return found

    def documents(self) -> np.ndarray:
        """Every live document, int64 ascending."""
        found = [segment.base + np.flatnonzero(segment.live) for segment in self.segments]
        return np.concatenate(found) if found else np.zeros(0, np.int64)

    def ids(self, documents: Sequence[int] | np.ndarray) -> list[str]:
        """The id of each document."""
        return [decode_id(record) for record in self._records(np.asarray(documents, np.int64))]

    def fields(self, document: int) -> Mapping[str, Any]:
        """The document as it was fed."""
        return decode_fields(self._records(np.array([document], np.int64))[0])

    def find(self, id_: str) -> int | None:
        """The live document of that id, None if the snapshot has none."""
        sequence = self._store.find([id_])[0]
        if sequence is None or sequence > self.last:
            sequence = self._replaced(id_)
        return None if sequence is None else self._number(sequence)

    def _replaced(self, id_: str) -> int | None:
        """The sequence number an id had when the snapshot was taken, if that changed since."""
        after = self.last
        while pairs := self._store.tombstones(after, 1000):
            records = self._store.get([dead for _, dead in pairs])
            for (_, dead), record in zip(pairs, records, strict=True):
                if dead <= self.last and record is not None and decode_id(record) == id_:
                    return dead
            after = pairs[-1][0]
        return None

    def _number(self, sequence: int) -> int | None:
        for segment in self.segments:
            sequences = segment.core.sequences
            if sequences[0] <= sequence <= sequences[-1]:
                place = int(np.searchsorted(sequences, sequence))
                if sequences[place] == sequence and segment.live[place]:
                    return segment.base + place
        return None

    def _records(self, documents: np.ndarray) -> list[bytes]:
        sequences = np.empty(len(documents), np.int64)
        for segment, at, locals_ in self._split(documents):
            sequences[at] = segment.core.sequences[locals_]
        found = []
        for document, record in zip(documents, self._store.get(sequences.tolist()), strict=True):
            if record is None:
                raise StoreError(f"document {document} is no longer in {self._store.folder}")
            found.append(record)
        return found

    # -- vectors ------------------------------------------------------------------------------

    def dense(self, field: str, documents: np.ndarray) -> DenseBatch:
        """Vectors of a field with indexed dimensions only."""
        return self._batch(field, documents, DenseBatch)

    def sparse(self, field: str, documents: np.ndarray) -> SparseBatch:
        """Exact weights of a field with one mapped dimension, from the forward index."""
        return self._batch(field, documents, SparseBatch)

    def tokens(self, field: str, documents: np.ndarray) -> RaggedBatch:
        """Token vectors of a field with one mapped and one indexed dimension."""
        return self._batch(field, documents, RaggedBatch)

    def tensors(self, field: str, documents: np.ndarray) -> Batch:
        """Tensors of a field of any type, in the batch of that type."""
        spec = self._vector(field)
        labels = self._store.labels(field.removesuffix(COUNTED))
        parts, order = self._gather(
            documents, lambda segment, locals_: segment.core.vectors(field).take(locals_)
        )
        if not parts:
            return unpack(spec, from_blobs(spec, [], labels), labels)
        if _mixed_labels(parts):
            return _with_labels(spec, parts, labels, order)
        rows = concatenate_rows(parts, labels)
        return unpack(spec, rows if order is None else rows.take(order), labels)

    def _batch(self, field: str, documents: np.ndarray, form: type[_B]) -> _B:
        batch = self.tensors(field, documents)
        if not isinstance(batch, form):
            raise UsageError(f"field '{field}' is {batch.type}, not the form asked for")
        return batch

    def _vector(self, field: str) -> VectorSpec:
        spec = self.layout.vectors.get(field)
        if spec is None:
            raise UsageError(f"schema '{self.layout.schema}' has no tensor field '{field}'")
        return spec

    # -- columns ------------------------------------------------------------------------------

    def column(self, field: str, documents: np.ndarray) -> Column:
        """Attribute values of the documents."""
        spec = self.layout.columns.get(field)
        if spec is None:
            raise UsageError(f"schema '{self.layout.schema}' has no attribute '{field}'")
        parts, order = self._gather(
            documents, lambda segment, locals_: segment.column(field).take(locals_)
        )
        if not parts:
            return Column.empty(spec)
        column = Column.concatenate(parts)
        return column if order is None else column.take(order)

    # -- statistics ---------------------------------------------------------------------------

    def text_statistics(self, field: str) -> TextStatistics:
        """How many documents have the field, and how long it is on average."""
        readers = [segment.text(field) for segment in self.segments]
        documents = sum(reader.documents_with for reader in readers)
        length = sum(reader.total_length for reader in readers)
        return TextStatistics(documents, length / documents if documents else 0.0)

    def document_frequency(self, field: str, token: str) -> int:
        """Documents that hold the token; a deleted one counts until its segment is merged."""
        total = 0
        for segment in self.segments:
            reader = segment.text(field)
            term = reader.lookup(token)
            total += reader.document_frequency(term) if term >= 0 else 0
        return total

    def token_frequencies(self, field: str) -> TokenFrequencies:
        """Live documents, and how many hold each tokenizer token of a counted sparse field."""
        if field not in self.layout.counted:
            raise UsageError(f"the tokens of field '{field}' are not counted")
        found = self._frequencies.get(field)
        if found is None:
            counts = count_tokens(self.segments, field + COUNTED, self._store.labels(field))
            found = self._frequencies[field] = TokenFrequencies(self.document_count, counts)
        return found

    @cached_property
    def _frequencies(self) -> dict[str, TokenFrequencies]:
        return {}

    # -- segments -----------------------------------------------------------------------------

    def _split(self, documents: np.ndarray) -> Iterator[tuple[Segment, np.ndarray, np.ndarray]]:
        """Each segment with the places of its documents in the list, and their local numbers."""
        documents = np.asarray(documents, np.int64)
        if len(documents) and not (0 <= documents.min() and documents.max() < self.limit):
            raise UsageError(f"document numbers of this snapshot lie in 0..{self.limit - 1}")
        owners = np.searchsorted(self._bases, documents, side="right") - 1
        for number in np.unique(owners).tolist():
            at = np.flatnonzero(owners == number)
            yield self.segments[number], at, documents[at] - self.segments[number].base

    def _gather(
        self, documents: np.ndarray, take: Callable[[Segment, np.ndarray], Any]
    ) -> tuple[list[Any], np.ndarray | None]:
        """What `take` gives for each segment, and the order that restores the list, if any."""
        parts, places = [], []
        for segment, at, locals_ in self._split(documents):
            parts.append(take(segment, locals_))
            places.append(at)
        if len(places) < 2:
            return parts, None
        joined = np.concatenate(places)
        if (np.diff(joined) > 0).all():
            return parts, None
        return parts, np.argsort(joined)


def _mixed_labels(parts: Sequence[Rows]) -> bool:
    kinds = {part.labels is None for part in parts if isinstance(part, TokenRows)}
    return len(kinds) > 1


def _with_labels(
    spec: VectorSpec, parts: Sequence[TokenRows], labels: Any, order: np.ndarray | None
) -> RaggedBatch:
    """Token rows of which some have labels of their own and others "0", "1", …."""
    batches = [unpack(spec, part, labels) for part in parts]
    names: list[str] = []
    for batch in batches:
        if isinstance(batch, RaggedBatch):
            within = np.arange(len(batch.rows)) - np.repeat(
                batch.offsets[:-1], np.diff(batch.offsets)
            )
            names.extend(batch.labels or map(str, within.tolist()))
    offsets = offsets_of(np.concatenate([np.diff(part.offsets) for part in parts]))
    rows = np.concatenate([batch.rows for batch in batches if isinstance(batch, RaggedBatch)])
    whole = RaggedBatch(spec.type, offsets, rows, names)
    return whole if order is None else whole.take(order)
