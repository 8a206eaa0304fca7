"""The queue between those who feed and the engine: group commit, back-pressure, order.

Any thread submits operations; one thread takes what waits, writes it as one batch, and answers each
submission once its operation is on disk. While a batch is encoded the next one gathers, so that a
lone operation is written at once and hundreds in flight share one transaction. A batch is half of
what clients have out: they are answered for one half, and send again, while the other is encoded.
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
#: after a large batch, the share of its duration to wait for one as large, and most seconds
LINGER = 0.05
LONGEST_LINGER = 0.05
#: A batch is not halved to fewer operations: they could not keep every processor busy.
LEAST_SHARE = 8

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

    operation: Operation
    future: Future[Outcome]
    deadline: float | None


class Intake:
    """Takes operations from many threads and applies them, in the order of each document.

    application: gives the application to write to, which stays open until the block is left.
    limit: operations that may wait or be on their way. batch: operations written together at most.
    space: says when the disk of the application's data is nearly full. idle: seconds without work
    after which segments are written.
    """

    def __init__(
        self,
        application: Use,
        *,
        limit: int = LIMIT,
        batch: int = BATCH,
        space: Space | None = None,
        idle: float = IDLE,
    ) -> None:
        self._application = application
        self._limit = limit
        self._batch = batch
        self._space = space or Space()
        self._idle = idle
        self._changed = threading.Condition()
        self._waiting: deque[_Waiting] = deque()
        self._in_flight = 0
        self._busy = False
        self._wanted = 1  # so many that the writing thread, which sleeps, is woken
        self._done = 0
        self._errors = 0
        self._batches = 0
        self._seconds = 0.0
        self._paused = 0
        self._closed = False
        self._last = (0, 0.0)  # size of the last batch, and until when to wait for one as large
        self._thread = threading.Thread(target=self._work, name="siftline-intake", daemon=True)
        self._thread.start()

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
            self._waiting.append(_Waiting(operation, future, deadline))
            if len(self._waiting) == self._wanted:
                self._changed.notify_all()
        return future

    @contextmanager
    def pause(self) -> Iterator[None]:
        """Write nothing inside the block, as when another application is put in place.

        Entering waits for the batch on its way; submissions are accepted and wait.
        """
        with self._changed:
            self._paused += 1
            self._changed.wait_for(lambda: not self._busy)
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
        self._thread.join()

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

    # the writing thread

    def _work(self) -> None:
        dirty = False
        while True:
            taken = self._take(self._idle if dirty else None)
            if taken is None:
                return
            started = time.perf_counter()
            if taken:
                self._write([waiting for waiting in taken if self._begins(waiting)])
            else:
                self._commit()
            dirty = bool(taken)
            seconds = time.perf_counter() - started
            with self._changed:
                if taken:
                    self._batches += 1
                    self._seconds += seconds
                    linger = min(LINGER * seconds, LONGEST_LINGER)
                    self._last = (len(taken), time.monotonic() + linger)
                self._in_flight, self._busy = 0, False
                self._changed.notify_all()

    def _take(self, idle: float | None) -> list[_Waiting] | None:
        """The next batch; none of it after `idle` seconds without work, None at the end."""
        with self._changed:
            while True:
                if not self._changed.wait_for(self._ready, timeout=idle):
                    if self._paused:
                        continue
                    self._busy = True
                    return []
                if not self._waiting:
                    return None
                self._linger()
                if not self._paused:
                    break
            count = min(self._batch, self._share())
            self._in_flight, self._busy = count, True
            return [self._waiting.popleft() for _ in range(count)]

    def _share(self) -> int:
        """How many of those waiting go into the next batch: half of what clients have out.

        Those answered just now are counted, for they are out again in a moment.
        """
        waiting = len(self._waiting)
        half = (waiting + self._last[0] + 1) // 2
        return waiting if half < LEAST_SHARE else min(waiting, half)

    def _ready(self) -> bool:
        return not self._paused and (bool(self._waiting) or self._closed)

    def _linger(self) -> None:
        """After a large batch wait a moment: those answered just now are likely to send again.

        Not where others wait already who make up half of a batch like that one.
        """
        size, until = self._last
        left = until - time.monotonic()
        if left > 0 and len(self._waiting) < size // 2:
            self._wanted = size
            self._changed.wait_for(lambda: len(self._waiting) >= size or self._closed, timeout=left)
            self._wanted = 1

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
            self._errors += len(batch)
            for waiting in batch:
                waiting.future.set_exception(error)
            return
        for waiting, outcome in zip(batch, outcomes, strict=True):
            self._answer(waiting, outcome)

    def _answer(self, waiting: _Waiting, outcome: Outcome) -> None:
        if outcome.error is None:
            self._done += 1
        else:
            self._errors += 1
        waiting.future.set_result(outcome)

    def _commit(self) -> None:
        """Write segments while nobody waits; what fails now is tried again after the next batch."""
        try:
            with self._application() as application:
                application.commit()
        except SiftlineError as error:
            log.warning("writing segments failed: %s", error)
