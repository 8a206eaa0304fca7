"""The best k of many scored documents: score descending, then document ascending."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True, eq=False)
class Top:
    """Best documents: int64 `(n,)` and scores float64 `(n,)`, score descending, then document."""

    documents: np.ndarray
    scores: np.ndarray

    def __len__(self) -> int:
        return len(self.documents)

    def ascending(self) -> Top:
        """The same in the order of the documents."""
        order = np.argsort(self.documents)
        return Top(self.documents[order], self.scores[order])


def best(documents: np.ndarray, scores: np.ndarray, count: int) -> Top:
    """The best `count` of documents (distinct, any order) with their scores."""
    if 0 < count < len(documents):
        # Everything better than the count-th score, and all that tie with it, then the exact order.
        limit = np.partition(scores, len(scores) - count)[len(scores) - count]
        keep = scores >= limit
        documents, scores = documents[keep], scores[keep]
    order = np.lexsort((documents, -scores))[: max(count, 0)]
    return Top(documents[order].astype(np.int64), scores[order].astype(np.float64))
