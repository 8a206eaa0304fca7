"""Several batches through one model: on as many threads as the session has, one batch on each.

For small models that is faster than sharing each batch out between the threads, which wait for one
another at every layer (`python -m bench encode`).
"""

from __future__ import annotations

import os
import threading
from collections import deque
from collections.abc import Generator, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, wait
from itertools import chain, islice
from typing import Protocol, runtime_checkable
from weakref import WeakKeyDictionary

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


_pools: WeakKeyDictionary[Parallel, ThreadPoolExecutor] = WeakKeyDictionary()
_pools_lock = threading.Lock()


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
    pool = _pool(session)
    running: deque[Future[dict[str, np.ndarray]]] = deque()
    try:
        for feeds in batches:
            running.append(pool.submit(session.run_alone, feeds, outputs))
            if len(running) > 2 * session.workers:
                yield running.popleft().result()
        while running:
            yield running.popleft().result()
    finally:
        wait([future for future in running if not future.cancel()])


def _pool(session: Parallel) -> ThreadPoolExecutor:
    """The session's threads, the same for all who run batches: more would share its processors."""
    with _pools_lock:
        if session not in _pools:
            _pools[session] = ThreadPoolExecutor(
                session.workers, thread_name_prefix="siftline-model"
            )
        return _pools[session]


def available_threads() -> int:
    """The processors that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
