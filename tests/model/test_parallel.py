"""Batches run concurrently come back in order and equal those run one by one."""

from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from threading import Event, Semaphore, get_ident
from typing import Any

import numpy as np
import pytest

from siftline.errors import ModelError
from siftline.model.parallel import available_threads, run_batches

Feeds = Mapping[str, np.ndarray]


class Doubling:
    """A session that doubles `x` and knows which threads ran it."""

    inputs: tuple[Any, ...] = ()
    outputs: tuple[Any, ...] = ()
    runtime = "fake"

    scaled_together = False

    def __init__(self, workers: int) -> None:
        self.workers = workers
        self.threads: set[int] = set()
        self.shared = 0

    def run(self, feeds: Feeds, outputs: Sequence[str] | None = None) -> dict[str, np.ndarray]:
        self.shared += 1
        return {"y": feeds["x"] * 2}

    def run_alone(
        self, feeds: Feeds, outputs: Sequence[str] | None = None
    ) -> dict[str, np.ndarray]:
        self.threads.add(get_ident())
        if feeds["x"][0] < 0:
            raise ModelError("a negative number")
        return {"y": feeds["x"] * 2}


def batches(count: int) -> list[dict[str, np.ndarray]]:
    return [{"x": np.array([number])} for number in range(count)]


@pytest.mark.parametrize("workers", [1, 2, 5])
@pytest.mark.parametrize("count", [0, 1, 2, 3, 40])
def test_every_batch_comes_back_in_order(workers: int, count: int) -> None:
    session = Doubling(workers)
    found = [int(result["y"][0]) for result in run_batches(session, batches(count))]
    assert found == [2 * number for number in range(count)]
    assert (session.shared == 0) == (count == 0 or (workers > 1 and count > 1))


def test_several_threads_share_the_batches() -> None:
    session = Doubling(3)
    list(run_batches(session, batches(30)))
    assert get_ident() not in session.threads


def test_a_failing_batch_fails_the_run() -> None:
    feeds = [*batches(5), {"x": np.array([-1])}, *batches(5)]
    with pytest.raises(ModelError, match="negative"):
        list(run_batches(Doubling(2), feeds))


def test_batches_are_read_only_a_little_ahead() -> None:
    taken = []

    def source() -> Any:
        for feeds in batches(100):
            taken.append(feeds)
            yield feeds

    results = run_batches(Doubling(2), source())
    next(results)
    assert len(taken) <= 6


def test_those_who_run_batches_at_the_same_time_share_the_threads() -> None:
    session = Doubling(2)
    with ThreadPoolExecutor(4) as callers:
        runs = [callers.submit(lambda: list(run_batches(session, batches(50)))) for _ in range(4)]
    assert all(len(run.result()) == 50 for run in runs)
    assert len(session.threads) <= 2


def test_at_least_one_thread_is_available() -> None:
    assert available_threads() >= 1


def test_a_lone_batch_takes_one_thread_beside_other_batches() -> None:
    session = Doubling(3)
    started, go_on = Semaphore(0), Event()
    plain = session.run_alone

    def slow(feeds: Feeds, outputs: Sequence[str] | None = None) -> dict[str, np.ndarray]:
        started.release()
        assert go_on.wait(10)
        return plain(feeds, outputs)

    session.run_alone = slow  # type: ignore[method-assign]
    with ThreadPoolExecutor(2) as callers:
        several = callers.submit(list, run_batches(session, batches(2)))
        assert started.acquire(timeout=10) and started.acquire(timeout=10)
        lone = callers.submit(list, run_batches(session, batches(1)))
        assert started.acquire(timeout=10)  # it runs while the others still do
        go_on.set()
        several.result(10)
        assert [int(result["y"][0]) for result in lone.result(10)] == [0]
    assert session.shared == 0
    list(run_batches(session, batches(1)))
    assert session.shared == 1
