"""What the two kinds of postings share: list order, blocks and quantisation.

Lists lie one after the other in `documents` (int32, ascending within a list); list t is
`indptr[t]:indptr[t+1]`. A list is cut into blocks of BLOCK postings, the last one shorter; its
blocks are `block_indptr[t]:block_indptr[t+1]` of every block array.
"""

from __future__ import annotations

import numpy as np

from siftline.index.packed import offsets_of

BLOCK = 128
#: positions left free between two elements of an array, so that no phrase spans them
ELEMENT_GAP = 1024
#: the largest impact
LEVELS = 255


def order_by_list(lists: np.ndarray) -> np.ndarray:
    """Stable order of postings by list number: int64 indices, `lists` int32 of any order."""
    # one 64-bit key sorts several times faster than a stable argsort
    keys = (lists.astype(np.int64) << 32) | np.arange(len(lists), dtype=np.int64)
    keys.sort()
    return np.asarray(keys & 0xFFFFFFFF)


def block_starts(indptr: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """`block_indptr` int64 `(lists + 1,)` and the first posting of every block, int64."""
    counts = -(-np.diff(indptr) // BLOCK)
    block_indptr = offsets_of(counts)
    within = np.arange(block_indptr[-1]) - np.repeat(block_indptr[:-1], counts)
    return block_indptr, np.repeat(indptr[:-1], counts) + within * BLOCK


def block_reduce(function: np.ufunc, values: np.ndarray, starts: np.ndarray) -> np.ndarray:
    """`function` over each block of values, like np.maximum; `starts` from block_starts."""
    found: np.ndarray = function.reduceat(values, starts) if len(starts) else values[:0]
    return found


def list_maxima(values: np.ndarray, indptr: np.ndarray) -> np.ndarray:
    """The largest value of each list; no list is empty."""
    return block_reduce(np.maximum, values, indptr[:-1])


def scales_for(maxima: np.ndarray) -> np.ndarray:
    """float32 scale of each list such that 255 steps reach its largest weight."""
    scales = np.maximum(maxima, 0).astype(np.float32) / np.float32(LEVELS)
    short = scales.astype(np.float64) * LEVELS < maxima
    scales[short] = np.nextafter(scales[short], np.float32(np.inf))
    return np.asarray(scales)


def quantize(weights: np.ndarray, scales: np.ndarray) -> np.ndarray:
    """uint8 impacts with `impact * scale >= weight`, the smallest such; both float32 `(n,)`."""
    exact, step = weights.astype(np.float64), scales.astype(np.float64)
    ratio = np.divide(exact, step, out=np.zeros_like(exact), where=step > 0)
    impacts: np.ndarray = np.clip(np.ceil(ratio), 0, LEVELS)
    impacts += impacts * step < exact
    lower = np.maximum(impacts - 1, 0)
    impacts = np.where((impacts > 0) & (lower * step >= exact), lower, impacts)
    return np.asarray(np.minimum(impacts, LEVELS), np.uint8)
