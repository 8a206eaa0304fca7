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

    Fresh segments stand at the end: the longest tail whose tiers are all at most t is merged, for
    the largest t with FANOUT or more segments in that tail.
    """
    first = len(live)
    for highest in range(max(map(tier, live), default=-1) + 1):
        start = len(live)
        while start and tier(live[start - 1]) <= highest:
            start -= 1
        if len(live) - start >= FANOUT:
            first = min(first, start)
    alone = [
        (i, i + 1) for i in range(first) if counts[i] and live[i] <= (1 - DEAD_SHARE) * counts[i]
    ]
    return alone + ([(first, len(live))] if first < len(live) else [])
