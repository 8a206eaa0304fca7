"""How long queries took."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from siftline.errors import UsageError


@dataclass(frozen=True, slots=True)
class Latency:
    """Milliseconds over `queries` queries; a percentile is a time that was measured."""

    queries: int
    mean: float
    p50: float
    p99: float


def latency(seconds: Iterable[float]) -> Latency:
    """The figures of the seconds that each query took.

    A percentile is the least measured time which that share of the queries did not exceed.
    UsageError where there is none, or one is negative or no number.
    """
    times = np.asarray([*seconds], float) * 1000
    if not len(times):
        raise UsageError("there is no query to take the latency of")
    if not (np.isfinite(times).all() and (times >= 0).all()):
        raise UsageError("a latency is negative or not a number")
    p50, p99 = np.percentile(times, [50, 99], method="inverted_cdf")
    return Latency(len(times), float(times.mean()), float(p50), float(p99))
