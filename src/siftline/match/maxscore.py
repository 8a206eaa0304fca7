"""The best k by MaxScore: unlike exhaustive, it leaves out what cannot be among them.

Segments are searched one after the other against one heap, so that what is found in one prunes the
next.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from siftline.index.postings.format import BLOCK
from siftline.index.postings.sparse import SparsePostings
from siftline.index.segment import Segment
from siftline.index.snapshot import Snapshot
from siftline.match import exhaustive
from siftline.match.bm25 import ScoredTerm
from siftline.match.deadline import MATCHING, NEVER, Deadline
from siftline.match.occurrences import occurrences
from siftline.match.sparse_kernel import maxscore_sparse
from siftline.match.text_kernel import maxscore_text
from siftline.match.top import Top
from siftline.tensor.tensor import Tensor

_EVERY = np.zeros(0, bool)


class _Heap:
    """The arrays that the kernels keep the best documents in."""

    def __init__(self, count: int) -> None:
        self.arrays = (np.zeros(count), np.zeros(count, np.int64), np.zeros(1, np.int64))

    def top(self) -> Top:
        scores, documents, size = self.arrays
        scores, documents = scores[: size[0]], documents[: size[0]]
        order = np.lexsort((documents, -scores))
        return Top(documents[order], scores[order])


def search_text(
    snapshot: Snapshot,
    terms: Sequence[ScoredTerm],
    count: int,
    allowed: np.ndarray | None = None,
    others: Sequence[np.ndarray] = (),
    *,
    deadline: Deadline = NEVER,
) -> Top:
    """The best `count` documents by the BM25 sum of the terms.

    allowed: bool `(limit,)`, only those. others: sorted documents int64 that match with score 0.
    """
    heap = _Heap(min(count, snapshot.limit))
    for segment in deadline.over(snapshot.segments, MATCHING):
        lists = _TextLists(segment)
        for term in terms:
            lists.add(term)
        for documents in others:
            lists.add_unscored(documents)
        if len(heap.arrays[0]) and lists.rows:
            lists.search(_allowed(segment, allowed), heap)
    return heap.top()


class _TextLists:
    """The posting lists of one segment, as the kernel takes them."""

    def __init__(self, segment: Segment) -> None:
        self.segment = segment
        self.rows: list[tuple[int, int, int, int]] = []
        self._weights: list[tuple[float, float, float]] = []
        self._bounds: list[np.ndarray] = []
        self._sources: dict[str, int] = {}
        self._documents: list[np.ndarray] = []
        self._frequencies: list[np.ndarray] = []
        self._lengths: list[np.ndarray] = []

    def add(self, term: ScoredTerm) -> None:
        """The list of a term; of a phrase, made from its words' positions."""
        postings = self.segment.text(term.field)
        if len(term.tokens) > 1:
            documents, frequencies = occurrences(postings, term.tokens, term.near)
            if len(documents):
                self._made(documents, frequencies, self._source(term.field), term)
            return
        number = postings.lookup(term.tokens[0])
        if number < 0:
            return
        source = self._source(term.field)
        start, end = int(postings.indptr[number]), int(postings.indptr[number + 1])
        blocks = slice(int(postings.block_indptr[number]), int(postings.block_indptr[number + 1]))
        largest, shortest = postings.block_frequencies[blocks], postings.block_lengths[blocks]
        self.rows.append((source, start, end, source))
        self._weights.append((term.factor, term.base, term.slope))
        self._bounds.append(term.scores(largest, shortest))

    def add_unscored(self, documents: np.ndarray) -> None:
        """A list of documents of the snapshot that contribute nothing."""
        base = self.segment.base
        first, last = np.searchsorted(documents, [base, base + self.segment.count])
        own = (documents[first:last] - base).astype(np.int32)
        if len(own):
            nothing = ScoredTerm("", (), None, 0.0, 0.0, 0.0)
            if not self._lengths:
                self._lengths.append(np.zeros(self.segment.count, np.int32))
                self._documents.append(np.zeros(0, np.int32))
                self._frequencies.append(np.zeros(0, np.int32))
            self._made(own, np.ones(len(own), np.int32), 0, nothing)

    def _made(
        self, documents: np.ndarray, frequencies: np.ndarray, lengths: int, term: ScoredTerm
    ) -> None:
        starts = np.arange(0, len(documents), BLOCK)
        sizes = self._lengths[lengths][documents]
        largest = np.maximum.reduceat(frequencies, starts)
        shortest = np.minimum.reduceat(sizes, starts)
        self.rows.append((len(self._documents), 0, len(documents), lengths))
        self._documents.append(documents)
        self._frequencies.append(frequencies)
        self._lengths.append(self._lengths[lengths])
        self._weights.append((term.factor, term.base, term.slope))
        self._bounds.append(term.scores(largest, shortest))

    def _source(self, field: str) -> int:
        """The place of a field's arrays among the sources."""
        if field not in self._sources:
            postings = self.segment.text(field)
            self._sources[field] = len(self._documents)
            self._documents.append(postings.documents)
            self._frequencies.append(postings.frequencies)
            self._lengths.append(postings.lengths)
        return self._sources[field]

    def search(self, allowed: np.ndarray, heap: _Heap) -> None:
        """Run the kernel over the lists."""
        counts = [len(bounds) for bounds in self._bounds]
        first_block = np.concatenate([[0], np.cumsum(counts)[:-1]]).astype(np.int64)
        postings = (
            _alike(self._documents),
            _alike(self._frequencies),
            _alike(self._lengths),
        )
        maxscore_text(
            postings,
            np.array(self.rows, np.int64),
            np.array(self._weights, np.float64),
            (first_block, np.concatenate(self._bounds)),
            allowed,
            heap.arrays,
            self.segment.base,
        )


def search_sparse(
    snapshot: Snapshot,
    field: str,
    query: Tensor,
    count: int,
    allowed: np.ndarray | None = None,
    *,
    deadline: Deadline = NEVER,
) -> Top:
    """The best `count` documents by dot product with the query, of those that share a label.

    Impacts bound nothing where a weight is negative; then every document is scored.
    """
    weights = query.cells.astype(np.float64)
    readers = [segment.sparse(field) for segment in snapshot.segments]
    if (weights < 0).any() or not all(reader.nonnegative for reader in readers):
        scores = exhaustive.sparse_scores(snapshot, field, query, deadline=deadline)
        return scores.best(count, allowed)
    heap = _Heap(min(count, snapshot.limit))
    if not len(heap.arrays[0]) or not len(weights):
        return heap.top()
    # A label has the same number in every segment.
    vocabulary = readers[0].vocabulary
    numbers = np.array([vocabulary.find(address[0]) for address in query.labels], np.int64)
    pairs = zip(snapshot.segments, readers, strict=True)
    for segment, reader in deadline.over(pairs, MATCHING):
        _search_sparse(reader, numbers, weights, _allowed(segment, allowed), heap, segment.base)
    return heap.top()


def search_impacts(
    reader: SparsePostings, labels: np.ndarray, weights: np.ndarray, count: int
) -> Top:
    """The best `count` documents of postings that belong to no snapshot, by dot product.

    labels: distinct label numbers `(n,)`. weights: float64 `(n,)`, at least 0, as those of the
    postings are. Of the documents that share a label.
    """
    heap = _Heap(min(count, len(reader.rows)))
    if len(heap.arrays[0]) and len(weights):
        _search_sparse(reader, labels, weights, _EVERY, heap, 0)
    return heap.top()


def _search_sparse(
    reader: SparsePostings,
    numbers: np.ndarray,
    weights: np.ndarray,
    allowed: np.ndarray,
    heap: _Heap,
    base: int,
) -> None:
    terms = [(place, reader.lookup_number(n)) for place, n in enumerate(numbers) if n >= 0]
    held = [(place, term) for place, term in terms if term >= 0]
    if not held:
        return
    places, found = (np.array(column, np.int64) for column in zip(*held, strict=True))
    steps = weights[places] * reader.scales[found].astype(np.float64)
    spans = np.column_stack([reader.indptr[found], reader.indptr[found + 1]])
    block_start, block_end = reader.block_indptr[found], reader.block_indptr[found + 1]
    counts = block_end - block_start
    first_block = np.concatenate([[0], np.cumsum(counts)[:-1]])
    bounds = np.concatenate(
        [
            reader.block_impacts[start:end] * step
            for start, end, step in zip(block_start, block_end, steps, strict=True)
        ]
    )
    by_label = np.argsort(numbers[places])
    forward = reader.rows
    if forward.weights is None:
        return
    maxscore_sparse(
        (_read_only(reader.documents), _read_only(reader.impacts), bounds),
        np.column_stack([spans, first_block]).astype(np.int64),
        (
            steps,
            numbers[places][by_label],
            (places[by_label], weights, np.zeros(len(weights))),
        ),
        tuple(_read_only(a) for a in (forward.indptr, forward.labels, forward.weights)),
        allowed,
        heap.arrays,
        base,
    )


def _allowed(segment: Segment, allowed: np.ndarray | None) -> np.ndarray:
    """The segment's part of `allowed` without deleted documents; empty where all are allowed."""
    if allowed is not None:
        return np.asarray(allowed[segment.base : segment.base + segment.count] & segment.live)
    return _EVERY if segment.live_count == segment.count else _writable(segment.live)


def _alike(arrays: Sequence[np.ndarray]) -> tuple[np.ndarray, ...]:
    """Arrays as a tuple of one numba type: one dtype, read-only."""
    dtype = np.result_type(*arrays)
    dtype = np.dtype(np.int32) if len({a.dtype for a in arrays}) > 1 else dtype
    return tuple(_read_only(np.ascontiguousarray(a, dtype)) for a in arrays)


def _read_only(array: np.ndarray) -> np.ndarray:
    # Mapped files are read-only and memory is not; one kind means one compiled kernel.
    view = array.view()
    view.flags.writeable = False
    return view


def _writable(mask: np.ndarray) -> np.ndarray:
    return mask if mask.flags.writeable else mask.copy()
