"""Several batches through one model: on as many threads as the session has, one batch on each.

For small models that is faster than sharing each batch out between the threads, which wait for one
another at every layer (`python -m bench encode`).
"""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Generator, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from itertools import chain, islice
from typing import Protocol, runtime_checkable

import numpy as np

from siftline.model.session import Session

Feeds = Mapping[str, np.ndarray]


@runtime_checkable
class Parallel(Protocol):
    """A session that can run a batch on the calling thread alone; `workers` threads may do so."""

    @property
    def workers(self) -> int:
        """How many batches it is worth to run at a time."""

    def run_alone(
        self, feeds: Feeds, outputs: Sequence[str] | None = None
    ) -> dict[str, np.ndarray]:
        """As Session.run, on the calling thread only."""


def run_batches(
    session: Session, batches: Iterable[Feeds], outputs: Sequence[str] | None = None
) -> Generator[dict[str, np.ndarray], None, None]:
    """The outputs of every batch, in order; a few batches are read ahead.

    Closed early, it waits for the batches that are running and leaves out the others.
    """
    waiting = iter(batches)
    head = list(islice(waiting, 2))
    if len(head) < 2 or not isinstance(session, Parallel) or session.workers < 2:
        for feeds in chain(head, waiting):
            yield session.run(feeds, outputs)
        return
    yield from _concurrently(session, chain(head, waiting), outputs)


def _concurrently(
    session: Parallel, batches: Iterator[Feeds], outputs: Sequence[str] | None
) -> Iterator[dict[str, np.ndarray]]:
    pool = ThreadPoolExecutor(session.workers, thread_name_prefix="siftline-model")
    running: deque[Future[dict[str, np.ndarray]]] = deque()
    try:
        for feeds in batches:
            running.append(pool.submit(session.run_alone, feeds, outputs))
            if len(running) > 2 * session.workers:
                yield running.popleft().result()
        while running:
            yield running.popleft().result()
    finally:
        pool.shutdown(wait=True, cancel_futures=True)


def available_threads() -> int:
    """The processors that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
