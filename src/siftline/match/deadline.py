"""When a query must be answered: a soft moment, from which work is left out, and a hard one.

Both are checked between pieces of work, so a query is late by at most the piece it was in.
Spec: Vespa query API reference, timeout and ranking.softtimeout.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from typing import TypeVar

from siftline.errors import DeadlineError

T = TypeVar("T")

#: The soft moment as a share of the timeout (`ranking.softtimeout.factor`).
SOFT_FACTOR = 0.7


@dataclass(frozen=True, slots=True)
class Deadline:
    """Two moments of a monotonic clock, in its seconds, and the timeout they were made from.

    Once `soft` has passed the phases that have not begun are left out, and matches not yet scored
    are not scored: the answer is there, degraded. Once `hard` has passed there is none.
    """

    hard: float = math.inf
    soft: float = math.inf
    timeout: float = math.inf
    clock: Callable[[], float] = field(default=time.monotonic, compare=False, repr=False)

    @staticmethod
    def after(
        timeout: float,
        *,
        started: float | None = None,
        soft_factor: float | None = SOFT_FACTOR,
        clock: Callable[[], float] = time.monotonic,
    ) -> Deadline:
        """The deadline `timeout` seconds after `started`, a reading of the clock (None: now).

        soft_factor: where the soft moment lies between the two; None for no soft moment.
        """
        begun = clock() if started is None else started
        soft = math.inf if soft_factor is None else begun + timeout * soft_factor
        return Deadline(begun + timeout, soft, timeout, clock)

    @property
    def finite(self) -> bool:
        """Whether the query has to end at all."""
        return self.hard < math.inf or self.soft < math.inf

    @property
    def soft_passed(self) -> bool:
        """Whether work that has not begun is to be left out."""
        return self.soft < math.inf and self.clock() >= self.soft

    @property
    def remaining(self) -> float:
        """Seconds left, 0 or less when the time is over, inf where nothing limits it."""
        return math.inf if self.hard == math.inf else self.hard - self.clock()

    def check(self, stage: str) -> None:
        """DeadlineError naming the stage if the time is over."""
        if self.hard < math.inf and self.clock() >= self.hard:
            milliseconds = f"{self.timeout * 1000:.0f} ms"
            raise DeadlineError(
                f"Timed out: {stage} was not done within the query's timeout of {milliseconds}; "
                "ask for less, or give it a longer timeout"
            )

    def over(self, items: Iterable[T], stage: str) -> Iterator[T]:
        """The items, the time checked before each is fetched and after the last."""
        waiting = iter(items)
        self.check(stage)
        for item in waiting:
            yield item
            self.check(stage)


#: What a query is doing when it is looking for its documents.
MATCHING = "matching"

#: For a query that may take as long as it takes.
NEVER = Deadline()
