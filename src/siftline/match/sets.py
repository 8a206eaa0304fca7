"""Sorted document numbers as sets."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

NONE = np.zeros(0, np.int64)


def mask_of(documents: np.ndarray, limit: int) -> np.ndarray:
    """bool `(limit,)`, set at the documents."""
    mask = np.zeros(limit, bool)
    mask[documents] = True
    return mask


def intersection(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """What is in both, ascending; the shorter one is looked up in the longer."""
    short, long = (first, second) if len(first) <= len(second) else (second, first)
    if not len(short):
        return NONE
    places = np.minimum(np.searchsorted(long, short), len(long) - 1)
    return np.asarray(short[long[places] == short])


def union(sets: Sequence[np.ndarray], limit: int) -> np.ndarray:
    """What is in any, ascending."""
    filled = [documents for documents in sets if len(documents)]
    if len(filled) < 2:
        return filled[0] if filled else NONE
    if sum(map(len, filled)) < limit >> 6:
        return np.unique(np.concatenate(filled))
    mask = np.zeros(limit, bool)
    for documents in filled:
        mask[documents] = True
    return np.flatnonzero(mask)


def difference(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """What is in the first but not in the second, ascending."""
    if not len(second) or not len(first):
        return first
    places = np.minimum(np.searchsorted(second, first), len(second) - 1)
    return np.asarray(first[second[places] != first])
