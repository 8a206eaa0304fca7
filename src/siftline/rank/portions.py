"""A phase's expression over its hits, a portion at a time where the query has to end.

Every portion is a chance to notice that the time is over. They grow while they are quick and
shrink while they are slow, so that a cheap expression runs over nearly everything at once and a
dear one can be stopped.
"""

from __future__ import annotations

import numpy as np

from siftline.errors import PackageError
from siftline.rank.features.ranks import per_hit
from siftline.rank.features.source import HitFeatures
from siftline.rank.plan import PhasePlan

#: Hits of the first portion, and the fewest and most of any.
FIRST_PORTION = 4096
LEAST, MOST = 64, 1 << 18

#: Seconds: a portion quicker than the first is doubled, one slower than the second is quartered.
QUICK, SLOW = 0.01, 0.04


def score(phase: PhasePlan, source: HitFeatures) -> np.ndarray:
    """The phase's score for every hit of the source, float64 `(n,)`.

    PackageError where the expression gives a tensor.
    """
    if not source.count:
        return np.empty(0)
    value = phase.program(source)
    try:
        return per_hit(value, source.count)
    except PackageError:
        raise PackageError(
            f"the {phase.name} expression gives a tensor, but a score must be a number",
            phase.place,
        ) from None


def score_in_time(phase: PhasePlan, source: HitFeatures, *, partial: bool = False) -> np.ndarray:
    """The scores of all hits, or where `partial` of the leading ones that could be done in time.

    DeadlineError once the query's time is over; partial: hits are left out from the soft moment
    on, but never all.
    """
    deadline = source.run.prepared.query.deadline
    if not deadline.finite or source.count <= FIRST_PORTION:
        deadline.check(phase.name)
        return score(phase, source)
    scores: list[np.ndarray] = []
    done, size = 0, FIRST_PORTION
    while done < source.count and not (partial and done and deadline.soft_passed):
        deadline.check(phase.name)
        started = deadline.clock()
        scores.append(score(phase, source.part(done, done + size)))
        done += size
        seconds = deadline.clock() - started
        if seconds < QUICK:
            size = min(size * 2, MOST)
        elif seconds > SLOW:
            size = max(size // 4, LEAST)
    return np.concatenate(scores)
