"""Normalisers of the global phase: a value for each hit from those of all hits (spec 2.9)."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

#: The default of `k` in reciprocal_rank.
RANK_CONSTANT = 60.0

#: Values from here on count as infinite when a range is taken.
LARGEST_FLOAT = float(np.finfo(np.float32).max)


def reciprocal_rank(values: np.ndarray, k: float = RANK_CONSTANT) -> np.ndarray:
    """`1/(k + rank)` float64 `(n,)`, rank 1 for the largest value.

    NaN ranks as -inf. Equal values keep the order in which the hits stand and get distinct ranks.
    """
    keys = np.where(np.isnan(values), -np.inf, values)
    order = np.argsort(-keys, kind="stable")
    ranks = np.empty(len(values), np.float64)
    ranks[order] = np.arange(1, len(values) + 1, dtype=np.float64)
    return 1.0 / (k + ranks)


def reciprocal_rank_fusion(columns: Sequence[np.ndarray], k: float = RANK_CONSTANT) -> np.ndarray:
    """The sum of the reciprocal ranks of two or more columns, float64 `(n,)`."""
    return np.asarray(sum(reciprocal_rank(column, k) for column in columns))


def normalize_linear(values: np.ndarray) -> np.ndarray:
    """`(v - min) / (max - min)` float64 `(n,)` over the finite range; 0.5 if all are equal.

    Values that are not finite map outside of 0..1 or stay NaN.
    """
    ranged = values[np.abs(values) < LARGEST_FLOAT]
    if not len(ranged):
        return values.astype(np.float64)
    low, high = float(ranged.min()), float(ranged.max())
    if high > low:
        return 0.5 + (values - (high + low) / 2) / (high - low)
    return np.where(np.abs(values) < LARGEST_FLOAT, 0.5, values)
