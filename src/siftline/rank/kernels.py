"""Kernels of the recognised expressions: MaxSim, sparse dot product, dense dot product.

Arrays in, arrays out; no tensors and no names here. Each compiled loop has a numpy twin of the
same name with `_numpy`, which tests compare it against.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numba import njit

from siftline.rank import tile

#: Tokens scored at a time, so that what is made of them stays in the second-level cache.
BLOCK_TOKENS = 2048

#: Fewest query rows for which a tile of 32 beats a matrix product.
TILE_ROWS = 9

#: Fewest packed tokens for which a table of partial sums pays for being built.
TABLE_TOKENS = 512


def maxsim(query: np.ndarray, offsets: np.ndarray, rows: np.ndarray) -> np.ndarray:
    """MaxSim: `score_i = Σ_q max_t query[q] · rows[t]` over `t` in `offsets[i]:offsets[i+1]`.

    query `(q, d)` float32 or float64, offsets `(n+1,)` int64 ascending, rows `(m, d)` of any cell
    type. Returns `(n,)` float64; 0 for a document without tokens. Dot products are computed in the
    wider float type of the two, for blocks of documents: by BLAS, or where that is float32 and the
    query has rows enough, in register tiles, which are faster.
    """
    scores = np.zeros(len(offsets) - 1)
    if not len(query):
        return scores
    dtype = np.float64 if np.float64 in (query.dtype, rows.dtype) else np.float32
    tiled = dtype is np.float32 and len(query) >= TILE_ROWS
    columns = _padded_columns(query) if tiled else np.ascontiguousarray(query.T, dtype=dtype)
    for start, stop in _blocks(offsets):
        first = offsets[start]
        tokens: np.ndarray = np.ascontiguousarray(rows[first : offsets[stop]], dtype=dtype)
        at, part = offsets[start : stop + 1] - first, scores[start:stop]
        if not tiled:
            _sum_of_maxima(np.matmul(tokens, columns), at, part)
            continue
        for panel in range(len(columns)):
            count = min(len(query) - panel * tile.WIDTH, tile.WIDTH)
            tile.add_sums_of_maxima(columns[panel], at, tokens, count, part)
    return scores


def _blocks(offsets: np.ndarray) -> Iterator[tuple[int, int]]:
    """Ranges of documents with at most BLOCK_TOKENS tokens, or one document with more."""
    start, count = 0, len(offsets) - 1
    while start < count:
        limit = np.searchsorted(offsets, offsets[start] + BLOCK_TOKENS, side="right") - 1
        stop = min(max(int(limit), start + 1), count)
        yield start, stop
        start = stop


def _padded_columns(query: np.ndarray) -> np.ndarray:
    """`(q, d)` to `(ceil(q/32), d, 32)` float32; rows beyond q are zero."""
    panels = -(-len(query) // tile.WIDTH)
    padded = np.zeros((panels * tile.WIDTH, query.shape[1]), np.float32)
    padded[: len(query)] = query
    return np.ascontiguousarray(padded.reshape(panels, tile.WIDTH, -1).transpose(0, 2, 1))


def maxima(query: np.ndarray, offsets: np.ndarray, rows: np.ndarray) -> np.ndarray:
    """MaxSim before its sum: `best_iq = max_t query[q] · rows[t]`.

    Arguments as of `maxsim`. Returns `(n, q)` of the wider float type of the two; a document
    without tokens has zeros.
    """
    dtype = np.float64 if np.float64 in (query.dtype, rows.dtype) else np.float32
    best = np.zeros((len(offsets) - 1, len(query)), dtype)
    columns = np.ascontiguousarray(query.T, dtype=dtype)
    for start, stop in _blocks(offsets):
        first = offsets[start]
        tokens: np.ndarray = np.ascontiguousarray(rows[first : offsets[stop]], dtype=dtype)
        filled = start + np.flatnonzero(np.diff(offsets[start : stop + 1]))
        if len(filled):
            similarity = np.matmul(tokens, columns)
            best[filled] = np.maximum.reduceat(similarity, offsets[filled] - first, axis=0)
    return best


def maxsim_numpy(query: np.ndarray, offsets: np.ndarray, rows: np.ndarray) -> np.ndarray:
    """The twin of `maxsim`, in double precision."""
    scores = np.zeros(len(offsets) - 1)
    for i, (start, stop) in enumerate(zip(offsets[:-1], offsets[1:], strict=True)):
        if start < stop and len(query):
            similarity = query.astype(np.float64) @ rows[start:stop].astype(np.float64).T
            scores[i] = similarity.max(axis=1).sum()
    return scores


@njit(cache=True, nogil=True)
def _sum_of_maxima(similarity, offsets, scores):  # type: ignore[no-untyped-def]
    """`scores[i] = Σ_q max_t similarity[t, q]` over the tokens of document i.

    similarity `(m, q)` of floats, offsets `(n+1,)` int64 from 0, scores `(n,)` float64, written;
    documents without tokens are left alone. NaN similarities make the score NaN.
    """
    width = similarity.shape[1]
    best = np.empty(width, similarity.dtype)
    for i in range(len(offsets) - 1):
        start, stop = offsets[i], offsets[i + 1]
        if start == stop:
            continue
        for q in range(width):
            best[q] = similarity[start, q]
        for t in range(start + 1, stop):
            for q in range(width):
                value = similarity[t, q]
                best[q] = best[q] if best[q] >= value or best[q] != best[q] else value
        total = 0.0
        for q in range(width):
            total += best[q]
        scores[i] = total


def maxsim_bits(query: np.ndarray, offsets: np.ndarray, packed: np.ndarray) -> np.ndarray:
    """MaxSim over packed bits: `score_i = Σ_q max_t Σ_x query[q, x] · bit(rows[t], x)`.

    query `(q, 8b)` float32 or float64, offsets `(n+1,)` int64 ascending, packed `(m, b)` int8 with
    the first bit in the top bit of each byte. Returns `(n,)` float64; 0 for a document without
    tokens. For many tokens the sums of every byte value are tabulated once, `(b, 256, q)`, and a
    token costs b additions of a row instead of 8b multiplications.
    """
    if len(packed) < TABLE_TOKENS or not len(query):
        return maxsim(query, offsets, unpacked(packed))
    table = byte_sums(np.ascontiguousarray(query.T))
    scores = np.zeros(len(offsets) - 1)
    _maxsim_table(table, offsets, np.ascontiguousarray(packed).view(np.uint8), scores)
    return scores


def maxsim_bits_numpy(query: np.ndarray, offsets: np.ndarray, packed: np.ndarray) -> np.ndarray:
    """The twin of `maxsim_bits`, in double precision."""
    return maxsim_numpy(query, offsets, unpacked(packed))


def unpacked(packed: np.ndarray) -> np.ndarray:
    """`(m, b)` int8 to `(m, 8b)` uint8 of 0 and 1, top bit first."""
    return np.unpackbits(np.ascontiguousarray(packed).view(np.uint8), axis=-1)


@njit(cache=True, nogil=True)
def byte_sums(columns):  # type: ignore[no-untyped-def]
    """`table[j, v] = Σ_k bit(v, k) · columns[8j + k]` for each byte value v, top bit k = 0.

    columns `(8b, q)`; returns `(b, 256, q)` of the same type. A value is the value without its
    lowest set bit plus one row.
    """
    width = columns.shape[1]
    blocks = columns.shape[0] // 8
    table = np.zeros((blocks, 256, width), columns.dtype)
    for j in range(blocks):
        for value in range(1, 256):
            lowest = 0
            while not (value >> lowest) & 1:
                lowest += 1
            rest = value & (value - 1)
            for q in range(width):
                table[j, value, q] = table[j, rest, q] + columns[8 * j + 7 - lowest, q]
    return table


def byte_sums_numpy(columns: np.ndarray) -> np.ndarray:
    """The twin of `byte_sums`."""
    bits = np.unpackbits(np.arange(256, dtype=np.uint8)[:, None], axis=1).astype(columns.dtype)
    table: np.ndarray = np.einsum("vk,jkq->jvq", bits, columns.reshape(-1, 8, columns.shape[1]))
    return table


@njit(cache=True, nogil=True)
def _maxsim_table(table, offsets, packed, scores):  # type: ignore[no-untyped-def]
    """`scores[i] = Σ_q max_t Σ_j table[j, packed[t, j], q]`; scores `(n,)` float64, written."""
    blocks, _, width = table.shape
    best = np.empty(width, table.dtype)
    sums = np.empty(width, table.dtype)
    for i in range(len(offsets) - 1):
        start, stop = offsets[i], offsets[i + 1]
        if start == stop:
            continue
        best[:] = -np.inf
        for t in range(start, stop):
            sums[:] = 0.0
            for j in range(blocks):
                value = packed[t, j]
                for q in range(width):
                    sums[q] += table[j, value, q]
            for q in range(width):
                best[q] = best[q] if best[q] >= sums[q] or best[q] != best[q] else sums[q]
        total = 0.0
        for q in range(width):
            total += best[q]
        scores[i] = total


@njit(cache=True, nogil=True)
def sparse_dot(indptr, tokens, weights, query):  # type: ignore[no-untyped-def]
    """Sparse dot product: `score_i = Σ_p query[tokens[p]] · weights[p]`, p in row i.

    indptr `(n+1,)` int64, tokens `(m,)` int32, weights `(m,)` float32, query `(v,)` float32 or
    float64 by token, 0 where the query lacks it. Products are of query's type, sums double.
    Returns `(n,)` float64.
    """
    scores = np.zeros(len(indptr) - 1)
    for i in range(len(indptr) - 1):
        total = 0.0
        for p in range(indptr[i], indptr[i + 1]):
            weight = query[tokens[p]]
            if weight != 0.0:
                total += weight * weights[p]
        scores[i] = total
    return scores


def sparse_dot_numpy(
    indptr: np.ndarray, tokens: np.ndarray, weights: np.ndarray, query: np.ndarray
) -> np.ndarray:
    """The twin of `sparse_dot`."""
    products = np.where(query[tokens] != 0, query[tokens] * weights, 0).astype(np.float64)
    sums = np.concatenate([np.zeros(1), np.cumsum(products)])
    return np.asarray(sums[indptr[1:]] - sums[indptr[:-1]])


def dense_dot(query: np.ndarray, rows: np.ndarray) -> np.ndarray:
    """Dense dot product: `score_i = Σ_x query[x] · rows[i, x]`.

    query `(d,)` and rows `(n, d)`, both float64, else computed in float32. Returns `(n,)` float64.
    """
    double = np.float64 in (query.dtype, rows.dtype)
    dtype = np.float64 if double else np.float32
    left: np.ndarray = rows.astype(dtype, copy=False)
    right: np.ndarray = query.astype(dtype, copy=False)
    return np.asarray(np.matmul(left, right), np.float64)
