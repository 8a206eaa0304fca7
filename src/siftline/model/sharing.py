"""Calls to one model from many threads: each at once while the model is idle, together under load.

A caller who finds a free lane runs its input itself, in its own thread. While all lanes are taken
the others wait; a lane that gets free goes to the first of them, who runs what has piled up as one
batch for all. So nobody ever waits for company, and batches grow with the load by themselves.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from threading import Event, Lock
from typing import Generic, TypeVar

Input = TypeVar("Input")
Output = TypeVar("Output")


@dataclass(frozen=True, slots=True)
class SharingStatistics:
    """How many inputs came, in how many runs they went, and the most inputs of a run."""

    inputs: int = 0
    runs: int = 0
    largest: int = 0


@dataclass(eq=False)
class _Place(Generic[Input, Output]):
    """A waiting caller: its input, and what became of it.

    batch: set for the caller who runs it, itself first. result: empty where a run failed.
    """

    item: Input
    woken: Event
    batch: list[_Place[Input, Output]] = field(default_factory=list)
    result: list[Output] = field(default_factory=list)


class Sharing(Generic[Input, Output]):
    """Calls `run` for inputs of several threads, `lanes` runs at a time, at most `most` in one.

    run: `run(inputs, alone)` gives a result for each input, in order; alone says that no other run
    is going on. An error of a batch reaches only the caller whose input is at fault: each of the
    batch is run once more by itself.
    """

    def __init__(
        self, run: Callable[[Sequence[Input], bool], Sequence[Output]], lanes: int, most: int
    ):
        self.most = most
        self._run = run
        self._lanes = lanes
        self._running = 0
        self._waiting: deque[_Place[Input, Output]] = deque()
        self._lock = Lock()
        self._statistics = SharingStatistics()

    def __call__(self, item: Input) -> Output:
        """The result of one input, computed in this thread or in that of another caller."""
        with self._lock:
            place = None
            alone = self._running == 0
            if self._running < self._lanes:
                self._running += 1
                self._count(1)
            else:
                place = _Place[Input, Output](item, Event())
                self._waiting.append(place)
        if place is None:
            try:
                return self._run([item], alone)[0]
            finally:
                self._hand_over()
        self._wait(place)
        if place.batch:
            self._lead(place.batch)
        return place.result[0] if place.result else self._run([item], False)[0]

    def statistics(self) -> SharingStatistics:
        """What was run so far."""
        with self._lock:
            return self._statistics

    def _wait(self, place: _Place[Input, Output]) -> None:
        try:
            place.woken.wait()
        except BaseException:
            with self._lock:
                if place in self._waiting:
                    self._waiting.remove(place)
                elif place.batch:
                    self._waiting.extendleft(reversed(place.batch[1:]))
                    self._pass_on()
            raise

    def _lead(self, batch: list[_Place[Input, Output]]) -> None:
        """Run a batch for everyone in it; where it fails, nobody has a result."""
        try:
            results = self._run([place.item for place in batch], self._lanes == 1)
            for place, result in zip(batch, results, strict=True):
                place.result.append(result)
        except Exception:  # whose input it was shows when each is run by itself
            if len(batch) == 1:
                raise
        finally:
            for place in batch[1:]:
                place.woken.set()
            self._hand_over()

    def _hand_over(self) -> None:
        with self._lock:
            self._pass_on()

    def _pass_on(self) -> None:
        """Give a lane to those who wait, a fair part of them, or let it go; with the lock held."""
        if not self._waiting:
            self._running -= 1
            return
        share = -(-(len(self._waiting) + 1) // self._lanes)
        batch = [self._waiting.popleft() for _ in range(min(self.most, share, len(self._waiting)))]
        batch[0].batch = batch
        self._count(len(batch))
        batch[0].woken.set()

    def _count(self, inputs: int) -> None:
        before = self._statistics
        self._statistics = SharingStatistics(
            before.inputs + inputs, before.runs + 1, max(before.largest, inputs)
        )
