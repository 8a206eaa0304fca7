"""What the query's terms do in the hits: frequencies, positions, lengths, significance."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np

from siftline.match.bm25 import document_frequency
from siftline.match.occurrences import term_frequencies
from siftline.rank.features.source import HitFeatures, Run
from siftline.schema.definition import Field
from siftline.tensor.batch import gather_ranges

if TYPE_CHECKING:
    from siftline.index.postings.text import TextPostings
    from siftline.match.prepare import SearchTerm

#: Connectedness of neighbouring query terms.
CONNECTEDNESS = 0.1

#: The least share of documents that significance tells apart.
LEAST_RATIO = 1e-6


@dataclass(frozen=True, eq=False)
class Occurrences:
    """Where a term stands in a field of n hits: hit i has `positions[offsets[i]:offsets[i+1]]`.

    offsets: int64 `(n + 1,)`. positions: int64, ascending within a hit.
    """

    offsets: np.ndarray
    positions: np.ndarray

    @cached_property
    def counts(self) -> np.ndarray:
        """Occurrences in each hit, int64 `(n,)`."""
        return np.diff(self.offsets)

    @cached_property
    def rows(self) -> np.ndarray:
        """The hit of each position, int64."""
        return np.repeat(np.arange(len(self.offsets) - 1), self.counts)

    @cached_property
    def first(self) -> np.ndarray:
        """The first position in each hit, int64 `(n,)`; -1 where there is none."""
        found = np.full(len(self.offsets) - 1, -1, np.int64)
        held = self.counts > 0
        found[held] = self.positions[self.offsets[:-1][held]]
        return found


def is_text(field: Field) -> bool:
    """Whether terms on the field are looked up in text postings."""
    type_ = field.type.element if field.type.kind in ("array", "weightedset") else field.type
    return field.indexed and type_ is not None and type_.kind == "string"


def terms_on(run: Run, field: str) -> list[SearchTerm]:
    """The query's ranked terms that search the field, each occurrence in the query once."""
    return [t for t in run.prepared.terms if t.ranked and field in t.fields]


def frequencies(
    hits: HitFeatures, field: str, tokens: Sequence[str], near: tuple[int, bool] | None = None
) -> np.ndarray:
    """Occurrences of a word, phrase or near in the field, float64 `(n,)`."""
    value = hits.keep(
        f"frequency of {field} {near} {' '.join(tokens)}",
        lambda some: term_frequencies(some.run.snapshot, field, tokens, some.documents, near),
    )
    return np.asarray(value)


def matches(hits: HitFeatures, field: Field, term: SearchTerm) -> np.ndarray:
    """How often the term matches the field, float64 `(n,)`; text and attributes alike."""
    if is_text(field):
        return frequencies(hits, field.name, term.fields[field.name], term.near)
    from siftline.rank.features.attributes import attribute_matches

    return attribute_matches(hits, field, term)


def lengths(hits: HitFeatures, field: str) -> np.ndarray:
    """Tokens of the field, float64 `(n,)`; 0 where it is absent."""

    def compute(some: HitFeatures) -> np.ndarray:
        found = np.zeros(some.count)
        for postings, rows, documents in _segments(some, field):
            found[rows] = postings.lengths[documents]
        return found

    return np.asarray(hits.keep(f"length of {field}", compute))


def occurrences(hits: HitFeatures, field: str, tokens: Sequence[str]) -> Occurrences:
    """Where a word stands, or a phrase begins, in the field."""
    name = f"occurrences in {field} of {' '.join(tokens)}"
    return hits.once(name, lambda: _occurrences(hits, field, tokens))


def _occurrences(hits: HitFeatures, field: str, tokens: Sequence[str]) -> Occurrences:
    keys: np.ndarray | None = None
    for place, token in enumerate(tokens):
        own = _keys(hits, field, token) - place
        keys = own if keys is None else np.intersect1d(keys, own, assume_unique=True)
    keys = np.empty(0, np.int64) if keys is None else keys
    offsets = np.searchsorted(keys, np.arange(hits.count + 1, dtype=np.int64) << 32)
    return Occurrences(offsets.astype(np.int64), keys & 0xFFFFFFFF)


def _keys(hits: HitFeatures, field: str, token: str) -> np.ndarray:
    """`hit << 32 | position` of every occurrence of a token, ascending."""
    found = []
    for postings, rows, documents in _segments(hits, field):
        term = postings.lookup(token)
        if term < 0 or not len(documents):
            continue
        listed, _ = postings.postings(term)
        places = np.minimum(np.searchsorted(listed, documents), len(listed) - 1)
        held = listed[places] == documents
        offsets, positions = postings.positions(term)
        taken, flat = gather_ranges(np.asarray(offsets), places[held])
        owners = np.repeat(rows[held], np.diff(taken))
        found.append((owners << 32) | positions[flat].astype(np.int64))
    return np.sort(np.concatenate(found)) if found else np.empty(0, np.int64)


def _segments(
    hits: HitFeatures, field: str
) -> Iterator[tuple[TextPostings, np.ndarray, np.ndarray]]:
    """Each segment's postings, the hits that lie in it, and their numbers within it."""
    for segment in hits.run.snapshot.segments:
        local = hits.documents - segment.base
        rows = np.flatnonzero((local >= 0) & (local < segment.count))
        if len(rows):
            yield segment.text(field), rows, local[rows]


def significance(run: Run, term: SearchTerm) -> float:
    """The term's own, else `0.5 + 0.5 ln(share) / ln(1e-6)` of the share of documents with it."""
    if term.significance is not None:
        return float(term.significance)
    key = id(term)
    if key not in run.significances:
        run.significances[key] = _significance(run, term)
    return run.significances[key]


def _significance(run: Run, term: SearchTerm) -> float:
    share = document_frequency(run.snapshot, run.prepared, term) / max(
        run.snapshot.document_count, 1
    )
    share = min(max(share, LEAST_RATIO), 1.0)
    return float(0.5 + 0.5 * np.log(share) / np.log(LEAST_RATIO))
