"""Several batches through one model: on as many threads as the session has, one batch on each.

For small models that is faster than sharing each batch out between the threads, which wait for one
another at every layer (`python -m bench encode`).
"""

from __future__ import annotations

import os
import threading
from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, wait
from contextlib import contextmanager
from itertools import chain, islice
from typing import Protocol, runtime_checkable
from weakref import WeakKeyDictionary

import numpy as np

from siftline.model.session import Session

Feeds = Mapping[str, np.ndarray]
Outputs = dict[str, np.ndarray]
Run = Callable[[Feeds, Sequence[str] | None], Outputs]


@runtime_checkable
class Parallel(Protocol):
    """A session that can run a batch on the calling thread alone; `workers` threads may do so."""

    @property
    def workers(self) -> int:
        """How many batches it is worth to run at a time."""

    def run_alone(self, feeds: Feeds, outputs: Sequence[str] | None = None) -> Outputs:
        """As Session.run, on the calling thread only."""


def run_batches(
    session: Session, batches: Iterable[Feeds], outputs: Sequence[str] | None = None
) -> Generator[Outputs, None, None]:
    """The outputs of every batch, in order; a few batches are read ahead.

    A batch without another one takes all threads, unless others run batches of the session at the
    same time. Closed early, it waits for the batches that are running and leaves out the others.
    """
    if not isinstance(session, Parallel) or session.workers < 2:
        for feeds in batches:
            yield session.run(feeds, outputs)
        return
    pool = _pool(session)
    waiting = iter(batches)
    head = list(islice(waiting, 2))
    if len(head) == 1 and pool.idle:
        with pool.used():
            alone = session.run(head[0], outputs)
        yield alone
        return
    running: deque[Future[Outputs]] = deque()
    try:
        for feeds in chain(head, waiting):
            running.append(pool.submit(session.run_alone, feeds, outputs))
            if len(running) > 2 * session.workers:
                yield running.popleft().result()
        while running:
            yield running.popleft().result()
    finally:
        wait([future for future in running if not future.cancel()])


class _Pool:
    """The threads of a session, the same for all who run batches: more would share processors."""

    def __init__(self, workers: int) -> None:
        self._threads = ThreadPoolExecutor(workers, thread_name_prefix="siftline-model")
        self._users = 0
        self._lock = threading.Lock()

    @property
    def idle(self) -> bool:
        """Whether nobody runs a batch."""
        return not self._users

    @contextmanager
    def used(self) -> Iterator[None]:
        """Not idle inside the block."""
        with self._lock:
            self._users += 1
        try:
            yield
        finally:
            self._left()

    def submit(self, run: Run, feeds: Feeds, outputs: Sequence[str] | None) -> Future[Outputs]:
        """Run a batch on one of the threads."""
        with self._lock:
            self._users += 1
        future = self._threads.submit(run, feeds, outputs)
        future.add_done_callback(lambda _: self._left())
        return future

    def _left(self) -> None:
        with self._lock:
            self._users -= 1


_pools: WeakKeyDictionary[Parallel, _Pool] = WeakKeyDictionary()
_pools_lock = threading.Lock()


def _pool(session: Parallel) -> _Pool:
    with _pools_lock:
        if session not in _pools:
            _pools[session] = _Pool(session.workers)
        return _pools[session]


def available_threads() -> int:
    """The processors that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
