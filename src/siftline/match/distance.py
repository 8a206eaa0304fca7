"""Distances between a query vector and document vectors, and closeness (Vespa distance-metric).

Every row is computed alone and in the same order of operations, so equal vectors have equal
distances wherever they lie.
"""

from __future__ import annotations

import numpy as np
from numba import njit

from siftline.errors import QueryError
from siftline.schema.definition import DISTANCE_METRICS
from siftline.schema.nearest import nearest

#: Radius of the earth in kilometres that geodegrees uses.
EARTH_RADIUS = 6371.0088

_BITS = np.array([bin(byte).count("1") for byte in range(256)], np.uint8)


def distance(metric: str, query: np.ndarray, vectors: np.ndarray) -> np.ndarray:
    """Distances float64 `(n,)` of `vectors` `(n, d)` (float32, float64 or int8) to `query` `(d,)`.

    euclidean L2; angular radians; prenormalized-angular 1 - q·a / |q|², at least 0; dotproduct
    -(q·a); hamming differing bits of int8 cells; geodegrees kilometres between (lat, lng).
    """
    if metric not in DISTANCE_METRICS:
        raise QueryError(f"unknown distance metric '{metric}'{nearest(metric, DISTANCE_METRICS)}")
    if metric == "hamming":
        return _hamming(query, vectors)
    wanted = np.ascontiguousarray(query, np.float64)
    rows = np.ascontiguousarray(vectors)
    if metric == "euclidean":
        return np.asarray(np.sqrt(squared_distances(rows, wanted)))
    if metric == "geodegrees":
        return _geodegrees(wanted, rows.astype(np.float64))
    products = inner_products(rows, wanted)
    if metric == "dotproduct":
        return np.asarray(-products)
    length = float(inner_products(wanted.reshape(1, -1), wanted)[0])
    if metric == "prenormalized-angular":
        return np.maximum(1.0 - products / length, 0.0) if length > 0 else np.ones(len(rows))
    norms = np.sqrt(squared_lengths(rows) * length)
    cosine = np.divide(products, norms, out=np.zeros(len(rows)), where=norms > 0)
    return np.asarray(np.arccos(np.clip(cosine, -1.0, 1.0)))


def closeness(metric: str, distances: np.ndarray) -> np.ndarray:
    """The closeness feature: 1 / (1 + d), for dotproduct the product itself; float64 `(n,)`."""
    values = np.asarray(distances, np.float64)
    return -values if metric == "dotproduct" else 1.0 / (1.0 + values)


def worst_closeness(metric: str) -> float:
    """Closeness of a document without the vector: 0, for dotproduct the least double."""
    return float(np.finfo(np.float64).min) if metric == "dotproduct" else 0.0


def _hamming(query: np.ndarray, vectors: np.ndarray) -> np.ndarray:
    wanted = query.astype(np.int8).view(np.uint8)
    rows = np.ascontiguousarray(vectors.astype(np.int8, copy=False)).view(np.uint8)
    return np.asarray(_BITS[rows ^ wanted].sum(axis=1, dtype=np.int64), np.float64)


def _geodegrees(query: np.ndarray, rows: np.ndarray) -> np.ndarray:
    latitude, longitude = np.radians(rows[:, 0]), np.radians(rows[:, 1])
    north, east = np.radians(query[0]), np.radians(query[1])
    half = (
        np.sin((latitude - north) / 2) ** 2
        + np.cos(north) * np.cos(latitude) * np.sin((longitude - east) / 2) ** 2
    )
    return np.asarray(2 * EARTH_RADIUS * np.arcsin(np.sqrt(np.clip(half, 0.0, 1.0))))


@njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def inner_products(rows: np.ndarray, query: np.ndarray) -> np.ndarray:
    """q·a of each row in float64; the twin is `rows.astype(float64) @ query`.

    Eight running sums, so that the processor can add eight cells at once.
    """
    count, size = rows.shape
    found = np.empty(count, np.float64)
    whole = size - size % 8
    for i in range(count):
        s0 = s1 = s2 = s3 = s4 = s5 = s6 = s7 = 0.0
        for j in range(0, whole, 8):
            s0 += rows[i, j] * query[j]
            s1 += rows[i, j + 1] * query[j + 1]
            s2 += rows[i, j + 2] * query[j + 2]
            s3 += rows[i, j + 3] * query[j + 3]
            s4 += rows[i, j + 4] * query[j + 4]
            s5 += rows[i, j + 5] * query[j + 5]
            s6 += rows[i, j + 6] * query[j + 6]
            s7 += rows[i, j + 7] * query[j + 7]
        total = ((s0 + s4) + (s2 + s6)) + ((s1 + s5) + (s3 + s7))
        for j in range(whole, size):
            total += rows[i, j] * query[j]
        found[i] = total
    return found


@njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def squared_distances(rows: np.ndarray, query: np.ndarray) -> np.ndarray:
    """|q - a|² of each row in float64; the twin is `((rows - query) ** 2).sum(axis=1)`."""
    count, size = rows.shape
    found = np.empty(count, np.float64)
    whole = size - size % 4
    for i in range(count):
        s0 = s1 = s2 = s3 = 0.0
        for j in range(0, whole, 4):
            d0 = query[j] - rows[i, j]
            d1 = query[j + 1] - rows[i, j + 1]
            d2 = query[j + 2] - rows[i, j + 2]
            d3 = query[j + 3] - rows[i, j + 3]
            s0 += d0 * d0
            s1 += d1 * d1
            s2 += d2 * d2
            s3 += d3 * d3
        total = (s0 + s2) + (s1 + s3)
        for j in range(whole, size):
            d0 = query[j] - rows[i, j]
            total += d0 * d0
        found[i] = total
    return found


@njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def squared_lengths(rows: np.ndarray) -> np.ndarray:
    """|a|² of each row in float64; the twin is `(rows ** 2).sum(axis=1)`."""
    count, size = rows.shape
    found = np.empty(count, np.float64)
    whole = size - size % 4
    for i in range(count):
        s0 = s1 = s2 = s3 = 0.0
        for j in range(0, whole, 4):
            a0, a1 = np.float64(rows[i, j]), np.float64(rows[i, j + 1])
            a2, a3 = np.float64(rows[i, j + 2]), np.float64(rows[i, j + 3])
            s0 += a0 * a0
            s1 += a1 * a1
            s2 += a2 * a2
            s3 += a3 * a3
        total = (s0 + s2) + (s1 + s3)
        for j in range(whole, size):
            total += np.float64(rows[i, j]) * np.float64(rows[i, j])
        found[i] = total
    return found
