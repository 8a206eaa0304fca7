"""BM25 of query terms: the constants of each term and field, from the snapshot's statistics.

    score = Σ idf · tf (k1 + 1) / (tf + k1 (1 - b + b · len / avg))
    idf = ln(1 + (N - n + ½) / (n + ½))

N is the number of live documents, n the documents that hold the term: of a phrase its rarest word,
of a field set the largest of its members. A field set's term scores the sum over its members. A
term used as a filter counts as tf = 1, len = avg, which is its idf (spec: Vespa bm25 reference).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from siftline.errors import Place, QueryError
from siftline.index.snapshot import Snapshot
from siftline.match.prepare import Prepared
from siftline.match.query import SearchTerm

K1 = 1.2
B = 0.75


@dataclass(frozen=True, slots=True)
class ScoredTerm:
    """A term in one text field: its score in a document is `factor·tf / (tf + (base + slope·len))`.

    tokens: one word, or several of a phrase; near: as SearchTerm.near.
    """

    field: str
    tokens: tuple[str, ...]
    near: tuple[int, bool] | None
    factor: float
    base: float
    slope: float

    def scores(self, frequencies: np.ndarray, lengths: np.ndarray) -> np.ndarray:
        """float64 `(n,)` of frequencies (at least 1) and field lengths, both `(n,)`."""
        tf = frequencies.astype(np.float64)
        return np.asarray(self.factor * tf / (tf + (self.base + self.slope * lengths)))


def scored_terms(
    snapshot: Snapshot, prepared: Prepared, terms: Sequence[SearchTerm]
) -> list[ScoredTerm]:
    """Each term with each of its text fields, in the order of the query; unranked ones score 0."""
    return [
        _scored(snapshot, prepared, (term, idf), field)
        for term in terms
        for idf in (inverse_frequency(snapshot, prepared, term) if term.ranked else 0.0,)
        for field in term.fields
        if field in prepared.layout.texts
    ]


def _scored(
    snapshot: Snapshot, prepared: Prepared, weighted: tuple[SearchTerm, float], field: str
) -> ScoredTerm:
    term, idf = weighted
    degraded = term.filter or prepared.schema.fields[field].rank == "filter"
    k1 = 0.0 if degraded else _property(prepared, field, "k1", K1)
    b = _property(prepared, field, "b", B)
    average = _property(prepared, field, "averageFieldLength", 0.0)
    if average <= 0:
        average = max(snapshot.text_statistics(field).average_length, 1e-9)
    return ScoredTerm(
        field,
        term.fields[field],
        term.near,
        idf * (k1 + 1),
        k1 * (1 - b),
        k1 * b / average,
    )


def document_frequency(snapshot: Snapshot, prepared: Prepared, term: SearchTerm) -> int:
    """Documents that hold the term: the most of its text fields, a phrase as its rarest word."""
    counts = [
        min((snapshot.document_frequency(field, token) for token in tokens), default=0)
        for field, tokens in term.fields.items()
        if field in prepared.layout.texts
    ]
    return min(max(counts, default=0), snapshot.document_count)


def inverse_frequency(snapshot: Snapshot, prepared: Prepared, term: SearchTerm) -> float:
    """The term's idf, or its own significance where the query gives one."""
    if term.significance is not None:
        return term.significance
    n = document_frequency(snapshot, prepared, term)
    return math.log(1 + (snapshot.document_count - n + 0.5) / (n + 0.5))


def _property(prepared: Prepared, field: str, name: str, default: float) -> float:
    text = prepared.rank_property(f"bm25({field}).{name}")
    if text is None:
        return default
    try:
        return float(text)
    except ValueError:
        raise QueryError(
            f"the rank property bm25({field}).{name} must be a number, not '{text}'",
            Place(field=f"bm25({field}).{name}"),
        ) from None
