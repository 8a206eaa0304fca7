"""From documents' weights to lists of documents: the loops over every posting.

`count_lists` and `fill_lists` are kernels; the functions named `plain_…` are their numpy twins.
"""

from __future__ import annotations

import math

import numpy as np
from numba import njit

from siftline.index.postings.format import LEVELS, order_by_list, quantize


@njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def count_lists(
    labels: np.ndarray, weights: np.ndarray, counts: np.ndarray, largest: np.ndarray
) -> bool:
    """Add to `counts` int64, raise `largest` float32, both by label; whether no weight is < 0."""
    nonnegative = True
    for i in range(len(labels)):
        label = labels[i]
        counts[label] += 1
        largest[label] = max(largest[label], weights[i])
        if weights[i] < 0:
            nonnegative = False
    return nonnegative


@njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def fill_lists(
    forward: tuple[np.ndarray, np.ndarray, np.ndarray],
    numbers: np.ndarray,
    scales: np.ndarray,
    cursor: np.ndarray,
    lists: tuple[np.ndarray, np.ndarray],
) -> None:
    """Write each document into the lists of its labels.

    forward: `(indptr, labels, weights)`, CSR. numbers: list of each label, int32. scales: float32
    of each list. cursor: int64, where each list begins; moved behind it. lists: `(documents int32,
    impacts uint8)`, filled with the smallest impact that bounds the weight.
    """
    indptr, labels, weights = forward
    documents, impacts = lists
    for document in range(len(indptr) - 1):
        for i in range(indptr[document], indptr[document + 1]):
            number = numbers[labels[i]]
            weight, scale = np.float64(weights[i]), np.float64(scales[number])
            impact = 0
            if scale > 0 and weight > 0:
                impact = min(int(math.ceil(weight / scale)), LEVELS)
                if impact * scale < weight:
                    impact += 1
                elif (impact - 1) * scale >= weight:
                    impact -= 1
            place = cursor[number]
            cursor[number] = place + 1
            documents[place] = document
            impacts[place] = min(impact, LEVELS)


def plain_count_lists(
    labels: np.ndarray, weights: np.ndarray, counts: np.ndarray, largest: np.ndarray
) -> bool:
    """As count_lists."""
    counts += np.bincount(labels, minlength=len(counts))
    np.maximum.at(largest, labels, weights)
    return not bool((weights < 0).any())


def plain_fill_lists(
    forward: tuple[np.ndarray, np.ndarray, np.ndarray],
    numbers: np.ndarray,
    scales: np.ndarray,
    cursor: np.ndarray,
    lists: tuple[np.ndarray, np.ndarray],
) -> None:
    """As fill_lists."""
    indptr, labels, weights = forward
    order = order_by_list(numbers[labels])
    listed = numbers[labels][order]
    owners = np.repeat(np.arange(len(indptr) - 1, dtype=np.int32), np.diff(indptr))
    counts = np.bincount(listed, minlength=len(cursor))
    starts = np.cumsum(counts) - counts
    place = np.arange(len(listed)) + np.repeat(cursor - starts, counts)
    cursor += counts
    lists[0][place] = owners[order]
    lists[1][place] = quantize(weights[order], scales[listed])
