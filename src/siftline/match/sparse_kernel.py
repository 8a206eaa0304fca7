"""MaxScore over learned-sparse impacts (see kernels.py for the algorithm).

Impacts are upper bounds of the exact weights; a document that they do not rule out is scored from
the forward index.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import njit

from siftline.match.kernels import (
    MANY,
    SLACK,
    WINDOW,
    essential_from,
    push,
    rank_lists,
    reaching,
    seek,
    sparse_weight,
    window_bound,
)


@njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def maxscore_sparse(  # noqa: C901 - one loop over windows; parts of it would pass twenty arrays around
    postings: tuple[Any, ...],
    rows: np.ndarray,
    query: tuple[Any, ...],
    forward: tuple[Any, ...],
    allowed: np.ndarray,
    heap: tuple[Any, ...],
    base: int,
) -> None:
    """Offer every document of a segment that can be among the best to the heap.

    postings: `(documents, impacts, block bounds)`. rows: int64 `(n, 3)`, first place, end and first
    block of each list. query: `(steps, labels, terms)`: weight times scale of each list, float64
    `(n,)`, and what sparse_weight takes. forward: `(indptr, labels, weights)` of the segment.
    allowed: bool `(count,)`, or empty for every document. base: number of the segment's document 0.
    """
    documents, impacts, bounds = postings
    steps, labels, terms = query
    best_scores, best_documents, size = heap
    n = len(rows)
    cursor = rows[:, 0].copy()
    following, probe = cursor.copy(), cursor.copy()
    bound, prefix, expected = np.zeros(n), np.zeros(n + 1), np.zeros(n, np.int64)
    order = np.zeros(n, np.int64)
    sums, seen = np.zeros(WINDOW), np.zeros(WINDOW, np.bool_)
    touched = np.zeros(WINDOW, np.int64)
    while True:
        low = np.int64(1) << 40
        for j in range(n):
            if cursor[j] < rows[j, 1]:
                low = min(low, np.int64(documents[cursor[j]]))
        if low == np.int64(1) << 40:
            return
        high = low + WINDOW
        threshold = best_scores[0] if size[0] == len(best_scores) else -np.inf
        for j in range(n):
            span = (rows[j, 0], rows[j, 1], rows[j, 2])
            bound[j], expected[j] = window_bound(documents, span, cursor[j], high, bounds)
        rank_lists(bound, order, prefix)
        first = essential_from(prefix, threshold)
        # A bound of 0 reaches only a threshold that is not positive, and then touch tells.
        dense = threshold > 0.0 and expected[order[first:]].sum() > MANY
        count = 0
        for e in range(first, n):
            j = order[e]
            step = steps[j]
            end = seek(documents, cursor[j], rows[j, 1], high)
            if dense:
                for at in range(cursor[j], end):
                    sums[documents[at] - low] += step * impacts[at]
            else:
                for at in range(cursor[j], end):
                    slot = documents[at] - low
                    if not seen[slot]:
                        seen[slot] = True
                        touched[count] = slot
                        count += 1
                    sums[slot] += step * impacts[at]
            following[j] = end
        if dense:
            count = reaching(sums, threshold / SLACK - prefix[first], touched)
        probe[:] = cursor
        for c in range(count):
            slot = touched[c]
            partial = sums[slot]
            if not dense:
                sums[slot] = 0.0
                seen[slot] = False
            document = low + slot
            if len(allowed) > 0 and not allowed[document]:
                continue
            e = first
            while e > 0 and (partial + prefix[e]) * SLACK >= threshold:
                e -= 1
                j = order[e]
                at = probe[j]
                if at > cursor[j] and documents[at - 1] >= document:
                    at = cursor[j]  # touched documents are not quite in order
                at = probe[j] = seek(documents, at, rows[j, 1], document)
                if at < rows[j, 1] and documents[at] == document:
                    partial += steps[j] * impacts[at]
            if (partial + prefix[e]) * SLACK < threshold:
                continue
            score = sparse_weight(forward, document, labels, terms)
            push(best_scores, best_documents, size, (score, base + document))
            threshold = best_scores[0] if size[0] == len(best_scores) else -np.inf
        if dense:
            sums[:] = 0.0
        for e in range(n):
            j = order[e]
            cursor[j] = following[j] if e >= first else seek(documents, cursor[j], rows[j, 1], high)
