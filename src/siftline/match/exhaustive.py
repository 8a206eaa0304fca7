"""Every document scored, slowly and plainly: the definition of what matching finds.

All faster ways must give the same scores, bit for bit, and the same order.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from siftline.index.packed import restore_cells
from siftline.index.snapshot import Snapshot
from siftline.match.bm25 import ScoredTerm
from siftline.match.deadline import MATCHING, NEVER, Deadline
from siftline.match.distance import distance
from siftline.match.occurrences import occurrences
from siftline.match.top import Top, best
from siftline.tensor.tensor import Tensor


@dataclass(frozen=True, eq=False)
class Scores:
    """scores float64 and matched bool, both `(limit,)`: one for each number of the snapshot."""

    scores: np.ndarray
    matched: np.ndarray

    def best(self, count: int, allowed: np.ndarray | None = None) -> Top:
        """The best of the documents that matched and are allowed, bool `(limit,)`."""
        matched = self.matched if allowed is None else self.matched & allowed
        documents = np.flatnonzero(matched)
        return best(documents, self.scores[documents], count)


def live_documents(snapshot: Snapshot) -> np.ndarray:
    """Which numbers are live documents, bool `(limit,)`."""
    live = np.zeros(snapshot.limit, bool)
    for segment in snapshot.segments:
        live[segment.base : segment.base + segment.count] = segment.live
    return live


def text_scores(
    snapshot: Snapshot,
    terms: Sequence[ScoredTerm],
    others: Sequence[np.ndarray] = (),
    *,
    deadline: Deadline = NEVER,
) -> Scores:
    """BM25 sums over the terms in their order; `others` are documents that match with score 0."""
    scores, matched = np.zeros(snapshot.limit), np.zeros(snapshot.limit, bool)
    for term in terms:
        for segment in deadline.over(snapshot.segments, MATCHING):
            postings = segment.text(term.field)
            documents, frequencies = occurrences(postings, term.tokens, term.near)
            at = segment.base + documents.astype(np.int64)
            scores[at] += term.scores(frequencies, postings.lengths[documents])
            matched[at] = True
    for documents in others:
        matched[documents] = True
    return Scores(scores, matched & live_documents(snapshot))


def sparse_scores(
    snapshot: Snapshot, field: str, query: Tensor, *, deadline: Deadline = NEVER
) -> Scores:
    """Dot products with the query's cells in their order; matched where a label is shared."""
    scores, matched = np.zeros(snapshot.limit), np.zeros(snapshot.limit, bool)
    weights = query.cells.astype(np.float64)
    for (label,), weight in zip(query.labels, weights.tolist(), strict=True):
        for segment in deadline.over(snapshot.segments, MATCHING):
            reader = segment.forward(field)
            rows = reader.rows
            number = reader.vocabulary.find(label)
            if number < 0:
                continue
            places = np.flatnonzero(rows.labels == number)
            at = segment.base + np.searchsorted(rows.indptr, places, side="right") - 1
            exact = np.ones(len(places)) if rows.weights is None else rows.weights[places]
            scores[at] += weight * exact.astype(np.float64)
            matched[at] = True
    return Scores(scores, matched & live_documents(snapshot))


def distances(snapshot: Snapshot, field: str, query: np.ndarray) -> Scores:
    """Distance of each document to the query; matched where the document has the vector."""
    found, matched = np.full(snapshot.limit, np.inf), np.zeros(snapshot.limit, bool)
    for segment in snapshot.segments:
        reader = segment.dense(field)
        vectors = restore_cells(reader.spec, reader.matrix)
        at = segment.base + reader.documents_of(np.arange(len(vectors)))
        found[at] = distance(reader.spec.metric, query, vectors)
        matched[at] = True
    return Scores(found, matched & live_documents(snapshot))
