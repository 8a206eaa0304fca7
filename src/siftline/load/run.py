"""A load test: worker processes started together, asked how far they are, stopped together."""

from __future__ import annotations

import json
import os
import queue
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from siftline.errors import MissingExtraError, SiftlineError, UsageError
from siftline.load.options import LoadOptions
from siftline.load.result import LoadResult
from siftline.load.tally import Tally
from siftline.load.worker import DRAIN, job

#: Called now and then with what was measured up to then.
Watch = Callable[[LoadResult], None]
#: Seconds that a worker may take to start and to read its query files.
START = 120.0


def run_load(options: LoadOptions, watch: Watch | None = None, every: float = 1.0) -> LoadResult:
    """Ask until the time is over, the query files are, or Ctrl-C; what was measured until then.

    watch: called every so many seconds. UsageError where an option, a query file or a host is
    wrong, MissingExtraError without the parser of HTTP answers.
    """
    try:
        import httptools  # noqa: F401  the workers need it
    except ImportError:
        raise MissingExtraError("the load tool", "server") from None
    with _workers(options) as workers:
        for worker in workers:
            worker.expect("ready", START)
        _send(workers, "go")
        started = time.perf_counter()
        try:
            _wait(options, workers, started, watch, every)
        except KeyboardInterrupt:
            pass  # the end that a test without an end has
        finals = _stop(workers)
        return LoadResult(options, finals, time.perf_counter() - started)


def _wait(
    options: LoadOptions,
    workers: list[_Worker],
    started: float,
    watch: Watch | None,
    every: float,
) -> None:
    """Until the time is over or every client has ended; calls `watch` meanwhile."""
    end = started + options.seconds if options.seconds > 0 else float("inf")
    shown = started
    while not all(worker.ended for worker in workers):
        now = time.perf_counter()
        if now >= end:
            return
        if watch is not None and now >= shown + every:
            shown = now
            watch(LoadResult(options, _report(workers), now - started))
        until = min(end, shown + every if watch is not None else end)
        for worker in workers:
            if not worker.ended:
                worker.look(min(until - time.perf_counter(), 0.2))
                break


def _report(workers: list[_Worker]) -> Tally:
    _send(workers, "report")
    return _merged(workers, "tally", START)


def _stop(workers: list[_Worker]) -> Tally:
    _send(workers, "stop")
    return _merged(workers, "final", DRAIN + START)


def _send(workers: list[_Worker], line: str) -> None:
    for worker in workers:
        worker.send(line)


def _merged(workers: list[_Worker], key: str, timeout: float) -> Tally:
    merged = Tally()
    for worker in workers:
        merged.merge(Tally.from_json(worker.expect(key, timeout)))
    return merged


@contextmanager
def _workers(options: LoadOptions) -> Iterator[list[_Worker]]:
    """The processes, each with its clients; none is left at the end."""
    count = options.worker_count
    workers: list[_Worker] = []
    try:
        for i in range(count):
            workers.append(_Worker(options, range(i, options.clients, count)))
        yield workers
    finally:
        for worker in workers:
            worker.close()


class _Worker:
    """One worker process and the lines that come from it."""

    def __init__(self, options: LoadOptions, numbers: range) -> None:
        self.ended = False
        self._lines: queue.Queue[str] = queue.Queue()
        # A session of its own, so that Ctrl-C reaches this process alone, which then asks it.
        self._process = subprocess.Popen(
            [sys.executable, "-m", "siftline.load"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            start_new_session=os.name == "posix",
        )
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()
        self.send(job(options, numbers))

    def _read(self) -> None:
        for line in self._process.stdout or ():
            self._lines.put(line)
        self._lines.put("")

    def send(self, line: str) -> None:
        """Write a line to it."""
        if self._process.stdin is not None:
            try:
                self._process.stdin.write(line + "\n")
                self._process.stdin.flush()
            except OSError:
                return  # it is gone; the next `expect` says so

    def look(self, timeout: float) -> None:
        """Wait for the line that says that all of its clients have ended."""
        try:
            self._take(self._lines.get(timeout=max(timeout, 0.001)))
        except queue.Empty:
            return

    def expect(self, key: str, timeout: float) -> Any:
        """The value of the next message with that key."""
        while True:
            try:
                message = self._take(self._lines.get(timeout=timeout))
            except queue.Empty:
                raise SiftlineError(f"a load process said nothing for {timeout:g} s") from None
            if key in message:
                return message[key]

    def _take(self, line: str) -> dict[str, Any]:
        if not line:
            raise SiftlineError(f"a load process ended early (exit code {self._process.wait(10)})")
        message: dict[str, Any] = json.loads(line)
        if "error" in message:
            raise UsageError(message["error"])
        self.ended |= "ended" in message
        return message

    def close(self) -> None:
        """End the process; the end of its input tells it to."""
        if self._process.stdin is not None:
            try:
                self._process.stdin.close()
            except OSError:
                pass  # it is gone
        try:
            self._process.wait(5)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._reader.join(5)
        if self._process.stdout is not None:
            self._process.stdout.close()
