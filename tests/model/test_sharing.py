"""Callers of one model: alone at once, together under load, each with its own error."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

import pytest

from siftline.model.sharing import Sharing, SharingStatistics

WAIT = 10.0


class Gate:
    """A run that doubles numbers; while closed, runs stay inside. -1 is an input that fails."""

    def __init__(self) -> None:
        self.open = threading.Event()
        self.open.set()
        self.entered = threading.Semaphore(0)
        self.runs: list[tuple[list[int], bool, int]] = []

    def __call__(self, numbers: Sequence[int], alone: bool) -> list[int]:
        self.runs.append((list(numbers), alone, threading.get_ident()))
        self.entered.release()
        if not self.open.wait(WAIT):
            raise TimeoutError
        if -1 in numbers:
            raise ValueError(f"bad input among {len(numbers)}")
        return [number * 2 for number in numbers]

    @property
    def inputs(self) -> list[list[int]]:
        return [sorted(numbers) for numbers, _, _ in self.runs]


def waiting(sharing: Sharing[int, int], count: int) -> None:
    """Until that many callers wait for a lane."""
    clock = threading.Event()
    for _ in range(1000):
        if len(sharing._waiting) == count:
            return
        clock.wait(0.005)
    raise TimeoutError


@pytest.fixture
def pool() -> Any:
    with ThreadPoolExecutor(16) as threads:
        yield threads


def start(
    sharing: Sharing[int, int], gate: Gate, pool: ThreadPoolExecutor, numbers: Sequence[int]
) -> list[Future[int]]:
    """Calls whose first finds the model idle and whose others queue up behind it, in order."""
    gate.open.clear()
    calls = [pool.submit(sharing, numbers[0])]
    assert gate.entered.acquire(timeout=WAIT)
    for place, number in enumerate(numbers[1:], 1):
        calls.append(pool.submit(sharing, number))
        waiting(sharing, place)
    return calls


def test_a_lone_caller_runs_in_its_own_thread() -> None:
    gate = Gate()
    sharing = Sharing(gate, lanes=2, most=8)
    assert [sharing(3), sharing(4)] == [6, 8]
    here = threading.get_ident()
    assert gate.runs == [([3], True, here), ([4], True, here)]
    assert sharing.statistics() == SharingStatistics(inputs=2, runs=2, largest=1)


def test_what_piled_up_behind_a_run_goes_together(pool: ThreadPoolExecutor) -> None:
    gate = Gate()
    sharing = Sharing(gate, lanes=1, most=8)
    calls = start(sharing, gate, pool, range(1, 7))
    gate.open.set()
    assert [call.result(WAIT) for call in calls] == [2, 4, 6, 8, 10, 12]
    assert gate.inputs == [[1], [2, 3, 4, 5, 6]]
    assert sharing.statistics() == SharingStatistics(inputs=6, runs=2, largest=5)


def test_a_run_takes_no_more_than_it_may(pool: ThreadPoolExecutor) -> None:
    gate = Gate()
    sharing = Sharing(gate, lanes=1, most=2)
    calls = start(sharing, gate, pool, range(6))
    gate.open.set()
    assert [call.result(WAIT) for call in calls] == [0, 2, 4, 6, 8, 10]
    assert gate.inputs == [[0], [1, 2], [3, 4], [5]]


def test_lanes_run_at_once_and_share_what_waits(pool: ThreadPoolExecutor) -> None:
    gate = Gate()
    sharing = Sharing(gate, lanes=2, most=8)
    gate.open.clear()
    first = [pool.submit(sharing, n) for n in (0, 1)]
    assert gate.entered.acquire(timeout=WAIT) and gate.entered.acquire(timeout=WAIT)
    assert sorted(alone for _, alone, _ in gate.runs) == [False, True]
    rest = []
    for number in range(2, 8):
        rest.append(pool.submit(sharing, number))
        waiting(sharing, number - 1)
    gate.open.set()
    assert [call.result(WAIT) for call in first + rest] == [n * 2 for n in range(8)]
    # Six wait and one is expected back: half of seven go with the first lane that gets free.
    assert [2, 3, 4, 5] in gate.inputs
    assert sharing(9) == 18 and gate.runs[-1][1]


def test_an_error_reaches_only_the_caller_at_fault(pool: ThreadPoolExecutor) -> None:
    gate = Gate()
    sharing = Sharing(gate, lanes=1, most=8)
    calls = start(sharing, gate, pool, [1, 2, -1, 3])
    gate.open.set()
    assert [calls[i].result(WAIT) for i in (0, 1, 3)] == [2, 4, 6]
    with pytest.raises(ValueError, match="bad input among 1"):
        calls[2].result(WAIT)
    assert gate.inputs[:2] == [[1], [-1, 2, 3]]
    assert sharing(5) == 10


def test_a_lone_error_frees_the_lane() -> None:
    sharing = Sharing(Gate(), lanes=1, most=8)
    with pytest.raises(ValueError, match="bad"):
        sharing(-1)
    assert sharing(5) == 10


class Broken(threading.Event):
    """A wait that the user breaks off: with its `early`, before anybody woke it."""

    early = False

    def wait(self, timeout: float | None = None) -> bool:
        if not self.early:
            super().wait(timeout)
        raise KeyboardInterrupt


def test_an_interrupted_leader_hands_its_batch_on(
    pool: ThreadPoolExecutor, monkeypatch: pytest.MonkeyPatch
) -> None:
    gate = Gate()
    sharing = Sharing(gate, lanes=1, most=8)
    events = iter([Broken(), threading.Event(), threading.Event()])
    monkeypatch.setattr("siftline.model.sharing.Event", lambda: next(events))
    calls = start(sharing, gate, pool, [1, 2, 3, 4])
    gate.open.set()
    assert [calls[i].result(WAIT) for i in (0, 2, 3)] == [2, 6, 8]
    with pytest.raises(KeyboardInterrupt):
        calls[1].result(WAIT)
    assert gate.inputs == [[1], [3, 4]] and sharing(5) == 10


def test_an_interrupted_caller_leaves_the_queue(
    pool: ThreadPoolExecutor, monkeypatch: pytest.MonkeyPatch
) -> None:
    gate = Gate()
    sharing = Sharing(gate, lanes=1, most=8)
    calls = start(sharing, gate, pool, [1])
    broken = Broken()
    broken.early = True
    monkeypatch.setattr("siftline.model.sharing.Event", lambda: broken)
    with pytest.raises(KeyboardInterrupt):
        sharing(2)
    gate.open.set()
    assert calls[0].result(WAIT) == 2 and gate.inputs == [[1]]


def test_many_threads_each_get_their_own(pool: ThreadPoolExecutor) -> None:
    gate = Gate()
    sharing = Sharing(gate, lanes=2, most=4)
    found = list(pool.map(sharing, range(500)))
    assert found == [n * 2 for n in range(500)]
    assert sharing.statistics().inputs == 500
    assert sharing._running == 0 and not sharing._waiting
