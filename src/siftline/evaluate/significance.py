"""Whether two systems differ on the same queries, or their queries merely do.

randomisation   Fisher's test with flipped signs: Smucker, Allan, Carterette, CIKM 2007
t               Student's test on the differences
holm            p values of several comparisons, corrected: Holm 1979
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import numpy as np

from siftline.errors import UsageError

_BLOCK = 1 << 22  # signs drawn at a time


def paired_randomisation(
    first: np.ndarray, second: np.ndarray, *, rounds: int = 10_000, seed: int = 0
) -> float:
    """Two-sided p value that the means differ; `(n,)` values of the same queries.

    The share of random sign flips of the differences whose mean is at least as far from zero,
    the given one counted as one of them. The same seed gives the same value.
    """
    difference = _differences(first, second)
    observed = abs(difference.sum())
    # sums of the same numbers in another order differ in the last digits
    bound = observed - 1e-12 * max(np.abs(difference).sum(), 1.0)
    changed = difference[difference != 0]
    if not len(changed):
        return 1.0
    random = np.random.default_rng(seed)
    reached, left = 0, rounds
    while left:
        count = min(left, max(_BLOCK // len(changed), 1))
        signs = random.integers(0, 2, (count, len(changed)), dtype=np.int8) * 2 - 1
        reached += int(np.count_nonzero(np.abs(signs @ changed) >= bound))
        left -= count
    return (reached + 1) / (rounds + 1)


def paired_t(first: np.ndarray, second: np.ndarray) -> float:
    """Two-sided p value of Student's t test on the differences; 1 where they are all zero."""
    from scipy.special import stdtr

    difference = _differences(first, second)
    count = len(difference)
    if count < 2 or not difference.any():
        return 1.0
    deviation = float(difference.std(ddof=1))
    if deviation == 0.0:
        return 0.0
    statistic = float(difference.mean()) / (deviation / math.sqrt(count))
    return float(2 * stdtr(count - 1, -abs(statistic)))


def holm(values: Sequence[float]) -> list[float]:
    """The p values corrected for their number, in the order given."""
    corrected = [0.0] * len(values)
    highest = 0.0
    for position, index in enumerate(np.argsort(np.asarray(values, float), kind="stable")):
        highest = max(highest, min(1.0, (len(values) - position) * values[index]))
        corrected[index] = highest
    return corrected


def against_first(
    values: Mapping[str, np.ndarray], *, rounds: int = 10_000, seed: int = 0
) -> dict[str, float]:
    """Holm-corrected randomisation p value of every system but the first, against the first."""
    first, *others = values
    raw = [
        paired_randomisation(values[first], values[other], rounds=rounds, seed=seed)
        for other in others
    ]
    return dict(zip(others, holm(raw), strict=True))


def _differences(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    one, two = np.asarray(first, float), np.asarray(second, float)
    if one.shape != two.shape or one.ndim != 1:
        raise UsageError(
            f"a paired test needs a value of both for each query, got {one.shape} and {two.shape}"
        )
    difference: np.ndarray = two - one
    return difference
