"""When segments are merged: tiers by size, adjacent segments only, so that document order stays."""

from __future__ import annotations

import math
from collections.abc import Sequence

#: segments of one tier that become one of the next
FANOUT = 8
#: segments below this are one tier
SMALLEST = 4_096
#: share of deleted documents from which a segment is rewritten alone
DEAD_SHARE = 0.4


def tier(count: int) -> int:
    """0 for small segments, one more for each factor FANOUT."""
    return 0 if count < SMALLEST else 1 + int(math.log(count / SMALLEST, FANOUT))


def plan(counts: Sequence[int], live: Sequence[int]) -> list[tuple[int, int]]:
    """Ranges `(first, last + 1)` of adjacent segments to merge, in order, not overlapping.

    Fresh segments stand at the end. Where the tail of segments up to some tier has FANOUT of that
    tier, it becomes one segment, which may then be the last that the next tier waited for.
    """
    left = list(live)
    for highest in range(max(map(tier, live), default=-1) + 2):
        start = len(left)
        while start and tier(left[start - 1]) <= highest:
            start -= 1
        if sum(tier(size) == highest for size in left[start:]) >= FANOUT:
            left[start:] = [sum(left[start:])]
    merged = len(left) < len(live)
    first = len(left) - 1 if merged else len(live)
    alone = [
        (i, i + 1) for i in range(first) if counts[i] and live[i] <= (1 - DEAD_SHARE) * counts[i]
    ]
    return alone + ([(first, len(live))] if merged else [])
