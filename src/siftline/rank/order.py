"""Orders of hits and the arithmetic between phases."""

from __future__ import annotations

import numpy as np


def clean(scores: np.ndarray) -> np.ndarray:
    """Scores as float64 with NaN and infinities made -inf (spec 7.2)."""
    scores = np.asarray(scores, np.float64)
    return np.where(np.isfinite(scores), scores, -np.inf)


def best(scores: np.ndarray, count: int) -> np.ndarray:
    """Positions of the `count` highest scores, int64: score descending, then position ascending.

    scores: float64 `(n,)` without NaN.
    """
    n = len(scores)
    if count <= 0:
        return np.empty(0, np.int64)
    chosen = np.arange(n, dtype=np.int64)
    if count < n // 2:
        least = np.partition(scores, n - count)[n - count]
        above = np.flatnonzero(scores > least)
        ties = np.flatnonzero(scores == least)[: count - len(above)]
        chosen = np.sort(np.concatenate([above, ties]))
    return chosen[np.argsort(-scores[chosen], kind="stable")][:count]


def rescale(rest: np.ndarray, before: np.ndarray, after: np.ndarray) -> np.ndarray:
    """Scores of hits that a phase did not rank, so that none outranks one it did (spec 7.3).

    rest: their scores `(m,)`. before and after: the ranked hits' scores before and after the phase.
    With the lows and highs of both, where low1 > low2: `s * scale - (low1 * scale - low2)`,
    `scale = max(high2 - low2, 1) / max(high1 - low1, 1)`; else unchanged. -inf stays -inf.
    """
    before, after = before[np.isfinite(before)], after[np.isfinite(after)]
    if not len(before) or not len(after) or before.min() <= after.min():
        return rest
    low1, low2 = before.min(), after.min()
    scale = max(after.max() - low2, 1.0) / max(before.max() - low1, 1.0)
    return np.where(np.isfinite(rest), rest * scale - (low1 * scale - low2), -np.inf)
