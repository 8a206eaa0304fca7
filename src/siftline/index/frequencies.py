"""Token document frequencies of the live documents, for IDF tables counted from the corpus."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

import numpy as np

from siftline.index.labels import FieldLabels
from siftline.index.segment import Segment


class TokenCounts(Mapping[str, int]):
    """Token → documents, looked up when asked: a query needs ten of a hundred thousand."""

    def __init__(self, terms: np.ndarray, counts: np.ndarray, labels: FieldLabels) -> None:
        self._terms = terms
        self._counts = counts
        self._labels = labels

    def __getitem__(self, token: str) -> int:
        number = self._labels.find(token)
        place = int(np.searchsorted(self._terms, number))
        if number < 0 or place == len(self._terms) or self._terms[place] != number:
            raise KeyError(token)
        return int(self._counts[place])

    def __iter__(self) -> Iterator[str]:
        return (self._labels[number] for number in self._terms.tolist())

    def __len__(self) -> int:
        return len(self._terms)


def count_tokens(segments: Sequence[Segment], field: str, labels: FieldLabels) -> TokenCounts:
    """How many live documents have each label of the field."""
    counts = np.zeros(0, np.int64)
    for segment in segments:
        arrays = segment.core.part(f"sparse/{field}")
        counts = _add(counts, arrays["terms"], arrays["counts"])
        if segment.live_count < segment.count:
            dead = segment.forward(field).take(np.flatnonzero(~segment.live))
            terms, gone = np.unique(dead.labels, return_counts=True)
            counts = _add(counts, terms, -gone)
    terms = np.flatnonzero(counts)
    return TokenCounts(terms, counts[terms], labels)


def _add(counts: np.ndarray, terms: np.ndarray, values: np.ndarray) -> np.ndarray:
    """`counts` with the values added at the terms (distinct), longer where need be."""
    needed = int(terms.max()) + 1 if len(terms) else 0
    if needed > len(counts):
        counts = np.concatenate([counts, np.zeros(needed - len(counts), np.int64)])
    counts[terms] += values
    return counts
