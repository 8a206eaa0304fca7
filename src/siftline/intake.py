"""The queue between those who feed and the engine: group commit, back-pressure, order.

Any thread submits operations. Two threads take what waits in batches of different documents, write
each batch in one transaction, and answer each submission once its operation is on disk: one half of
what clients have out is encoded while the other is written, answered and sent again. A lone
operation is written at once and hundreds in flight share one transaction.
"""

from __future__ import annotations

import logging
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass

from siftline.application import Application
from siftline.engine import BATCH
from siftline.errors import DeadlineError, FullError, OverloadError, SiftlineError
from siftline.feed.operation import Operation
from siftline.feed.outcome import Outcome
from siftline.index.space import Space

__all__ = ["Intake", "IntakeStatistics", "Outcome"]

#: operations that may wait or be on their way before more are refused
LIMIT = 4_096
#: seconds without work after which what is in memory is written into segments
IDLE = 2.0
#: batches on their way at a time
LANES = 2
#: seconds to wait for more where there is less than half as much as is on its way already
PATIENCE = 0.02

log = logging.getLogger(__name__)

Use = Callable[[], AbstractContextManager[Application]]


@dataclass(frozen=True, slots=True)
class IntakeStatistics:
    """Operations that wait, are being written, were done and failed, since the start.

    seconds: time spent writing batches.
    """

    queued: int
    in_flight: int
    done: int
    errors: int
    batches: int
    seconds: float


@dataclass(slots=True)
class _Waiting:
    """A submission: deadline on the monotonic clock, None for no limit."""

    id: str
    operation: Operation
    future: Future[Outcome]
    deadline: float | None


class Intake:
    """Takes operations from many threads and applies them, in the order of each document.

    application: gives the application to write to, which stays open until the block is left.
    limit: operations that may wait or be on their way. batch: operations written together at most.
    space: says when the disk of the application's data is nearly full. idle: seconds without work
    after which segments are written. lanes: batches on their way at a time.
    """

    def __init__(
        self,
        application: Use,
        *,
        limit: int = LIMIT,
        batch: int = BATCH,
        space: Space | None = None,
        idle: float = IDLE,
        lanes: int = LANES,
    ) -> None:
        self._application = application
        self._limit = limit
        self._batch = batch
        self._space = space or Space()
        self._idle = idle
        self._changed = threading.Condition()
        self._waiting: deque[_Waiting] = deque()
        self._in_flight = 0
        self._taken: set[str] = set()  # the documents on their way
        self._running = 0  # batches on their way
        self._dirty = False
        self._done = 0
        self._errors = 0
        self._batches = 0
        self._seconds = 0.0
        self._paused = 0
        self._closed = False
        self._threads = [
            threading.Thread(target=self._work, name=f"siftline-intake-{lane}", daemon=True)
            for lane in range(lanes)
        ]
        for thread in self._threads:
            thread.start()

    def submit(self, operation: Operation, timeout: float | None = None) -> Future[Outcome]:
        """Accept an operation; the future has its outcome once it is on disk.

        timeout: seconds within which it must have begun, else its outcome is a DeadlineError.
        OverloadError where too much waits, FullError where the disk is nearly full (a removal is
        taken all the same). An error of the operation is in its outcome.
        """
        deadline = None if timeout is None else time.monotonic() + timeout
        if operation.kind != "remove" and (problem := self._space.problem()) is not None:
            raise FullError(
                f"document '{operation.id}' is refused: feeding is blocked due to resource "
                f"exhaustion: {problem}"
            )
        future: Future[Outcome] = Future()
        with self._changed:
            if self._closed:
                raise OverloadError("the server is shutting down and takes no more operations")
            if len(self._waiting) + self._in_flight >= self._limit:
                raise OverloadError(
                    f"{self._limit:,} operations wait already; send '{operation.id}' again later"
                )
            self._waiting.append(_Waiting(str(operation.id), operation, future, deadline))
            if len(self._waiting) == 1 or self._enough():
                self._changed.notify_all()
        return future

    @contextmanager
    def pause(self) -> Iterator[None]:
        """Write nothing inside the block, as when another application is put in place.

        Entering waits for the batches on their way; submissions are accepted and wait.
        """
        with self._changed:
            self._paused += 1
            self._changed.wait_for(lambda: not self._running)
        try:
            yield
        finally:
            with self._changed:
                self._paused -= 1
                self._changed.notify_all()

    def close(self) -> None:
        """Finish what was accepted and accept no more; a second call does nothing."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()
        for thread in self._threads:
            thread.join()

    def statistics(self) -> IntakeStatistics:
        """What waits and what was done."""
        with self._changed:
            return IntakeStatistics(
                len(self._waiting),
                self._in_flight,
                self._done,
                self._errors,
                self._batches,
                self._seconds,
            )

    # the writing threads

    def _work(self) -> None:
        while (taken := self._take()) is not None:
            started = time.perf_counter()
            if taken:
                self._write([waiting for waiting in taken if self._begins(waiting)])
            else:
                self._commit()
            with self._changed:
                if taken:
                    self._batches += 1
                    self._seconds += time.perf_counter() - started
                    self._dirty = True
                self._in_flight -= len(taken)
                self._taken -= {waiting.id for waiting in taken}
                self._running -= 1
                self._changed.notify_all()

    def _take(self) -> list[_Waiting] | None:
        """The next batch; none of it once nobody has fed for a while, None at the end."""
        until = None
        with self._changed:
            while True:
                if not self._paused and self._closed and not self._waiting:
                    return None
                if not self._paused and any(w.id not in self._taken for w in self._waiting):
                    now = time.monotonic()
                    until = until or now + PATIENCE
                    if self._enough() or self._closed or now >= until:
                        return self._begun()
                    self._changed.wait(until - now)
                elif not self._changed.wait(self._idle if self._dirty else None):
                    if not self._paused and not self._running and not self._waiting:
                        self._dirty = False
                        self._running += 1
                        return []

    def _enough(self) -> bool:
        """Whether what waits is worth a batch beside those on their way."""
        return 2 * len(self._waiting) >= self._in_flight

    def _begun(self) -> list[_Waiting]:
        """A lane's share of what clients have out, without the documents on their way."""
        share = -(-(len(self._waiting) + self._in_flight) // len(self._threads))
        batch: list[_Waiting] = []
        held: list[_Waiting] = []
        while self._waiting and len(batch) < min(share, self._batch):
            waiting = self._waiting.popleft()
            (held if waiting.id in self._taken else batch).append(waiting)
        self._waiting.extendleft(reversed(held))
        self._taken |= {waiting.id for waiting in batch}
        self._in_flight += len(batch)
        self._running += 1
        return batch

    def _begins(self, waiting: _Waiting) -> bool:
        """Whether the operation is still wanted; otherwise it is answered."""
        if not waiting.future.set_running_or_notify_cancel():
            return False
        if waiting.deadline is not None and time.monotonic() > waiting.deadline:
            late = DeadlineError(f"document '{waiting.operation.id}': not begun within its timeout")
            self._answer(waiting, Outcome.failure(late))
            return False
        return True

    def _write(self, batch: Sequence[_Waiting]) -> None:
        """Apply a batch and answer each of it."""
        if not batch:
            return
        try:
            with self._application() as application:
                self._space.folder = application.data
                outcomes = application.apply([waiting.operation for waiting in batch])
        except SiftlineError as error:
            outcomes = [Outcome.failure(error)] * len(batch)
        except BaseException as error:  # noqa: BLE001 - whoever waits must hear of it
            with self._changed:
                self._errors += len(batch)
            for waiting in batch:
                waiting.future.set_exception(error)
            return
        for waiting, outcome in zip(batch, outcomes, strict=True):
            self._answer(waiting, outcome)

    def _answer(self, waiting: _Waiting, outcome: Outcome) -> None:
        with self._changed:
            self._done += outcome.error is None
            self._errors += outcome.error is not None
        waiting.future.set_result(outcome)

    def _commit(self) -> None:
        """Write segments while nobody waits; what fails now is tried again after the next batch."""
        try:
            with self._application() as application:
                application.commit()
        except SiftlineError as error:
            log.warning("writing segments failed: %s", error)
