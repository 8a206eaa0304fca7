"""Kernels of MaxScore: posting lists of one segment against a heap of the best documents so far.

MaxScore (Turtle, Flood 1995) in windows of documents. In each window every list has an upper bound
from its block maxima. The lists with the smallest bounds, as long as they cannot lift a document
over the threshold together, are non-essential: they add to documents that the essential lists found
and find none themselves. A document whose bound exceeds the threshold is scored exactly, its
contributions added in the order of the query, and then enters the heap or not, so the result is
that of `exhaustive`. Every test against the threshold leaves room for rounding (SLACK).

The heap holds the worst of the best at 0: `scores` float64 and `documents` int64 `(k,)`, `size`
int64 `(1,)`. A document is better by a higher score, then by a lower number.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import njit

#: documents of a window
WINDOW = 4096
#: postings of a window from which all its sums are looked at, not those that were touched
MANY = WINDOW // 8
#: postings of a block (as in the index's postings)
BLOCK_BITS = 7
#: relative room for sums of bounds; sums of n terms err by at most n · 1.2e-16
SLACK = 1.0 + 1e-9


@njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def worse(score: float, document: int, other_score: float, other_document: int) -> bool:
    """Whether the first ranks behind the other."""
    return score < other_score or (score == other_score and document > other_document)


@njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def push(
    scores: np.ndarray, documents: np.ndarray, size: np.ndarray, entry: tuple[Any, ...]
) -> None:
    """Offer `(score, document)` to the heap; it keeps the best `len(scores)`."""
    score, document = entry
    count = size[0]
    if count < len(scores):
        at = count
        size[0] = count + 1
        while at > 0:
            parent = (at - 1) // 2
            if not worse(score, document, scores[parent], documents[parent]):
                break
            scores[at], documents[at] = scores[parent], documents[parent]
            at = parent
        scores[at], documents[at] = score, document
        return
    if count == 0 or worse(score, document, scores[0], documents[0]):
        return
    at = 0
    while True:
        child = 2 * at + 1
        if child >= count:
            break
        right = child + 1
        if right < count and worse(
            scores[right], documents[right], scores[child], documents[child]
        ):
            child = right
        if not worse(scores[child], documents[child], score, document):
            break
        scores[at], documents[at] = scores[child], documents[child]
        at = child
    scores[at], documents[at] = score, document


@njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def seek(documents: np.ndarray, at: int, end: int, wanted: int) -> int:
    """The first place from `at` whose document is not below `wanted`; galloping."""
    if at >= end or documents[at] >= wanted:
        return at
    low, step = at, 1
    high = at + 1
    while high < end and documents[high] < wanted:
        low = high
        step *= 2
        high = low + step
    high = min(high, end)
    while high - low > 1:
        middle = (low + high) >> 1
        if documents[middle] < wanted:
            low = middle
        else:
            high = middle
    return high


@njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def window_bound(
    documents: np.ndarray, span: tuple[Any, ...], at: int, high: int, bounds: np.ndarray
) -> tuple[float, int]:
    """The largest block bound from place `at` up to documents below `high`, and how many postings.

    span: the list's first place, its end and its first block in `bounds`. The number is of whole
    blocks, so it is an estimate.
    """
    start, end, first_block = span
    if at >= end or documents[at] >= high:
        return 0.0, 0
    block = (at - start) >> BLOCK_BITS
    largest = bounds[first_block + block]
    following = start + ((block + 1) << BLOCK_BITS)
    blocks = 1
    while following < end and documents[following] < high:
        block += 1
        blocks += 1
        largest = max(largest, bounds[first_block + block])
        following += 1 << BLOCK_BITS
    return largest, blocks << BLOCK_BITS


@njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def reaching(sums: np.ndarray, least: float, slots: np.ndarray) -> int:
    """Fill `slots` with the places of `sums` that are not below `least`; gives their number."""
    count = 0
    for start in range(0, len(sums), 8):
        s = sums[start : start + 8]
        largest = max(max(max(s[0], s[1]), max(s[2], s[3])), max(max(s[4], s[5]), max(s[6], s[7])))
        if largest >= least:
            for slot in range(start, start + 8):
                if sums[slot] >= least:
                    slots[count] = slot
                    count += 1
    return count


@njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def rank_lists(bound: np.ndarray, order: np.ndarray, prefix: np.ndarray) -> None:
    """Lists by ascending bound into `order`; `prefix[i]` is the sum of the first i bounds."""
    for i in range(len(bound)):
        j = i
        while j > 0 and bound[order[j - 1]] > bound[i]:
            order[j] = order[j - 1]
            j -= 1
        order[j] = i
    prefix[0] = 0.0
    for i in range(len(bound)):
        prefix[i + 1] = prefix[i] + bound[order[i]]


@njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def essential_from(prefix: np.ndarray, threshold: float) -> int:
    """How many of the ranked lists are non-essential: together below the threshold."""
    first = 0
    while first + 1 < len(prefix) and prefix[first + 1] * SLACK < threshold:
        first += 1
    return first


@njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def sparse_weight(
    forward: tuple[Any, ...], document: int, labels: np.ndarray, terms: tuple[Any, ...]
) -> float:
    """The exact dot product of a document's forward row with the query.

    labels: the query's label numbers, sorted; terms: `(place in the query of each, weights in the
    query's order, a buffer of as many float64)`. Contributions add up in the query's order.
    """
    indptr, row_labels, row_weights = forward
    places, weights, buffer = terms
    buffer[:] = 0.0
    count = len(labels)
    for i in range(indptr[document], indptr[document + 1]):
        label = row_labels[i]
        if label < labels[0] or label > labels[count - 1]:
            continue
        low, high = 0, count
        while low < high:
            middle = (low + high) >> 1
            if labels[middle] < label:
                low = middle + 1
            else:
                high = middle
        if labels[low] == label:
            place = places[low]
            buffer[place] = weights[place] * np.float64(row_weights[i])
    total = 0.0
    for place in range(len(buffer)):
        total += buffer[place]
    return total
