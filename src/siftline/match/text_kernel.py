"""MaxScore over text postings with BM25 (see kernels.py for the algorithm)."""

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
    window_bound,
)


@njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def text_score(
    postings: tuple[Any, ...],
    rows: np.ndarray,
    weights: np.ndarray,
    cursor: np.ndarray,
    document: int,
) -> float:
    """The document's exact score: contributions of the lists that hold it, in their order."""
    documents, frequencies, lengths = postings
    total = 0.0
    for j in range(len(rows)):
        source = rows[j, 0]
        listed = documents[source]
        at = seek(listed, cursor[j], rows[j, 2], document)
        if at < rows[j, 2] and listed[at] == document:
            tf = np.float64(frequencies[source][at])
            norm = weights[j, 1] + weights[j, 2] * lengths[rows[j, 3]][document]
            total += weights[j, 0] * tf / (tf + norm)
    return total


@njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def maxscore_text(  # noqa: C901 - one loop over windows; parts of it would pass twenty arrays around
    postings: tuple[Any, ...],
    rows: np.ndarray,
    weights: np.ndarray,
    blocks: tuple[Any, ...],
    allowed: np.ndarray,
    heap: tuple[Any, ...],
    base: int,
) -> None:
    """Offer every document of a segment that can be among the best to the heap.

    postings: `(documents, frequencies, lengths)`, each a tuple of arrays. rows: int64 `(n, 4)`, for
    each list its source, first place, end, and the source of its field's lengths. weights: float64
    `(n, 3)`, factor, base and slope of ScoredTerm. blocks: `(first block of each list, bounds)`.
    allowed: bool `(count,)`, or empty for every document. base: number of the segment's document 0.
    """
    documents, frequencies, lengths = postings
    first_block, bounds = blocks
    best_scores, best_documents, size = heap
    n = len(rows)
    cursor = rows[:, 1].copy()
    following, probe = cursor.copy(), cursor.copy()
    bound, prefix, expected = np.zeros(n), np.zeros(n + 1), np.zeros(n, np.int64)
    order = np.zeros(n, np.int64)
    sums, seen = np.zeros(WINDOW), np.zeros(WINDOW, np.bool_)
    touched = np.zeros(WINDOW, np.int64)
    while True:
        low = np.int64(1) << 40
        for j in range(n):
            if cursor[j] < rows[j, 2]:
                low = min(low, np.int64(documents[rows[j, 0]][cursor[j]]))
        if low == np.int64(1) << 40:
            return
        high = low + WINDOW
        threshold = best_scores[0] if size[0] == len(best_scores) else -np.inf
        for j in range(n):
            span = (rows[j, 1], rows[j, 2], first_block[j])
            listed = documents[rows[j, 0]]
            bound[j], expected[j] = window_bound(listed, span, cursor[j], high, bounds)
        rank_lists(bound, order, prefix)
        first = essential_from(prefix, threshold)
        # A bound of 0 reaches only a threshold that is not positive, and then touch tells.
        dense = threshold > 0.0 and expected[order[first:]].sum() > MANY
        count = 0
        for e in range(first, n):
            j = order[e]
            source = rows[j, 0]
            listed, tfs, sizes = documents[source], frequencies[source], lengths[rows[j, 3]]
            factor, flat, slope = weights[j, 0], weights[j, 1], weights[j, 2]
            end = seek(listed, cursor[j], rows[j, 2], high)
            for at in range(cursor[j], end):
                slot = listed[at] - low
                if not dense and not seen[slot]:
                    seen[slot] = True
                    touched[count] = slot
                    count += 1
                tf = np.float64(tfs[at])
                sums[slot] += factor * tf / (tf + (flat + slope * sizes[listed[at]]))
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
                source = rows[j, 0]
                listed = documents[source]
                at = probe[j]
                if at > cursor[j] and listed[at - 1] >= document:
                    at = cursor[j]  # touched documents are not quite in order
                at = probe[j] = seek(listed, at, rows[j, 2], document)
                if at < rows[j, 2] and listed[at] == document:
                    tf = np.float64(frequencies[source][at])
                    norm = weights[j, 1] + weights[j, 2] * lengths[rows[j, 3]][document]
                    partial += weights[j, 0] * tf / (tf + norm)
            if (partial + prefix[e]) * SLACK < threshold:
                continue
            score = text_score(postings, rows, weights, cursor, document)
            push(best_scores, best_documents, size, (score, base + document))
            threshold = best_scores[0] if size[0] == len(best_scores) else -np.inf
        if dense:
            sums[:] = 0.0
        for e in range(n):
            j = order[e]
            if e >= first:
                cursor[j] = following[j]
            else:
                cursor[j] = seek(documents[rows[j, 0]], cursor[j], rows[j, 2], high)
