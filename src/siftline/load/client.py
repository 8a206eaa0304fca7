"""One client: asks, waits for the answer, counts it, asks again. It never asks two at a time."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Coroutine, Sequence
from typing import IO, Any, cast

from siftline.load.answer import Answer
from siftline.load.options import LoadOptions
from siftline.load.queries import Request
from siftline.load.tally import Tally

#: What stands between two answers in an output file, as vespa-fbench writes it.
DELIMITER = b"\n[--xxyyzz--FBENCH_MAGIC_DELIMITER--zzyyxx--]\n"
#: Seconds after a connection could not be made until the next attempt.
BETWEEN_ATTEMPTS = 0.05
#: Characters of an answer that are kept to explain a failure.
_EXAMPLE = 300

Connect = Callable[["Client"], Coroutine[Any, Any, object]]


class Client(asyncio.Protocol):
    """Asks the requests in turn over one connection at a time.

    connect: makes this protocol's next connection; OSError where it cannot. done: called once,
    when there is no more to ask or after `stop`.
    """

    def __init__(
        self,
        options: LoadOptions,
        requests: Sequence[Request],
        connect: Connect,
        done: Callable[[], None],
        output: IO[bytes] | None = None,
    ) -> None:
        self.tally = Tally(clients=1)
        self._options = options
        self._requests = requests
        self._connect = connect
        self._done = done
        self._output = output
        self._loop = asyncio.get_running_loop()
        self._answer: Answer | None = None
        self._transport: asyncio.WriteTransport | None = None
        self._request = requests[0]
        self._position = 0
        self._passes = 0
        self._to_ignore = options.ignore
        self._counted_from: float | None = None
        self._cycle_started = 0.0
        self._sent = 0.0
        self._waiting = False
        self._fresh = True
        self._stopping = False
        self._finished = False
        self._connecting: asyncio.Task[None] | None = None
        self._timer: asyncio.TimerHandle | None = None
        if output is not None:
            output.write(DELIMITER[1:])

    def start(self, delay: float = 0.0) -> None:
        """Begin after `delay` seconds."""
        self._timer = self._loop.call_later(delay, self._begin)

    def stop(self) -> None:
        """End after the answer that is awaited, at once where none is."""
        self._stopping = True
        if not self._waiting:
            self._finish()

    def give_up(self) -> None:
        """End now; an answer that is awaited failed."""
        if self._waiting:
            self._failed("no answer before the end")
        self._finish()

    def seconds(self) -> float:
        """How long this client has been counting."""
        if self._finished or self._counted_from is None:
            return self.tally.seconds
        return time.perf_counter() - self._counted_from

    def _begin(self) -> None:
        if self._to_ignore == 0:
            self._counted_from = time.perf_counter()
        self._next()

    def _next(self) -> None:
        if self._stopping or self._position == len(self._requests) and not self._start_over():
            self._finish()
            return
        self._cycle_started = time.perf_counter()
        self._request = self._requests[self._position]
        self._position += 1
        if self._request.wire is None:
            self.tally.skipped += self._counting
            # Not at once: a file may have nothing but such requests from here on.
            self._loop.call_soon(self._end_cycle, 0.0)
            return
        self._send()

    def _start_over(self) -> bool:
        """Go to the file's beginning where its pass is not the last."""
        if 0 <= self._options.restarts <= self._passes:
            return False
        self._passes += 1
        self._position = 0
        return True

    @property
    def _counting(self) -> bool:
        return self._to_ignore == 0

    def _send(self) -> None:
        self._waiting = True
        self._sent = time.perf_counter()
        if self._transport is None:
            self._connecting = self._loop.create_task(self._open())
        else:
            self.tally.reused += 1
            self._write()

    async def _open(self) -> None:
        self._fresh = True
        self._answer = Answer(keep_body=self._output is not None)
        try:
            await self._connect(self)
        except OSError as error:
            self._failed(_reason(error))
            self._end_cycle(BETWEEN_ATTEMPTS)

    def _write(self) -> None:
        if self._transport is not None and self._request.wire is not None:
            self._transport.write(self._request.wire)

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Send the request that waits for this connection."""
        if self._finished:
            transport.close()
            return
        # Not checked: uvloop's transports write, but do not derive from asyncio's.
        self._transport = cast(asyncio.WriteTransport, transport)
        self._write()

    def data_received(self, data: bytes) -> None:
        """Read on; where the answer is complete, count it and ask the next."""
        answer = self._answer
        if answer is None or not self._waiting:
            return
        try:
            answer.feed(data)
        except Exception as error:  # noqa: BLE001  the parser's errors, whatever the server sends
            self._disconnect()
            self._failed(f"not HTTP: {error}")
            self._end_cycle(BETWEEN_ATTEMPTS)
            return
        if answer.complete:
            self._completed(answer)

    def connection_lost(self, error: Exception | None) -> None:
        """The server hung up: that ends an answer without a length, and fails any other."""
        if self._transport is None:
            return
        fresh, self._transport = self._fresh, None
        answer = self._answer
        if not self._waiting or answer is None:
            return
        if not answer.begun and not fresh:
            # It was closed while idle, before the request came: that is no failure yet.
            self._connecting = self._loop.create_task(self._open())
        elif answer.ends_with_connection and error is None:
            self._completed(answer)
        else:
            self._failed(_reason(error) if error else "the server closed the connection")
            self._end_cycle(BETWEEN_ATTEMPTS)

    def _completed(self, answer: Answer) -> None:
        now = time.perf_counter()
        milliseconds = (now - self._sent) * 1000.0
        status, tally = answer.status, self.tally
        tally.statuses[status] += 1
        if self._output is not None:
            self._write_output(answer, milliseconds)
        if status != 200:
            self._failed(f"status {status}", answer)
        elif answer.length < self._options.least_bytes:
            self._failed(f"less than {self._options.least_bytes} bytes", answer)
        else:
            self._waiting = False
            if self._counting:
                tally.succeeded += 1
                tally.times.add(milliseconds)
                tally.zero_hits += answer.total_hits == 0
        if self._options.keep_alive and answer.keeps_alive and self._transport is not None:
            self._fresh = False
            answer.reset()
        else:
            self._disconnect()
        self._end_cycle(0.0, milliseconds)

    def _failed(self, reason: str, answer: Answer | None = None) -> None:
        self._waiting = False
        if self._counting:
            self.tally.failed += 1
            self.tally.failures[reason] += 1
            if answer is not None and answer.body:
                said = answer.body[:_EXAMPLE].decode("utf-8", "replace")
                self.tally.examples.setdefault(reason, said)
        if self._output is not None and answer is None:
            self._output.write(b"URL: %s\n\n\nFBENCH: URL FETCH FAILED!\n" % self._request.path)
            self._output.write(DELIMITER[1:])

    def _end_cycle(self, pause: float, response: float = 0.0) -> None:
        """Wait for the time of the next request; `pause` and more after a failure to connect."""
        cycle = self._options.cycle
        if cycle < 0:
            pause = max(pause, response / 1000.0)
        else:
            rest = self._cycle_started + cycle / 1000.0 - time.perf_counter()
            if rest > 0:
                pause = max(pause, rest)
            elif self._counting:
                self.tally.not_held += 1
        if self._to_ignore > 0:
            self._to_ignore -= 1
            if self._to_ignore == 0:
                self._counted_from = time.perf_counter()
        if self._stopping:
            self._finish()
        elif pause > 0:
            self._timer = self._loop.call_later(pause, self._next)
        else:
            self._next()

    def _disconnect(self) -> None:
        transport, self._transport = self._transport, None
        if transport is not None:
            transport.close()

    def _finish(self) -> None:
        if self._finished:
            return
        self.tally.seconds = self.seconds()
        self._finished = True
        if self._timer is not None:
            self._timer.cancel()
        if self._connecting is not None:
            self._connecting.cancel()
        self._disconnect()
        self._done()

    def _write_output(self, answer: Answer, milliseconds: float) -> None:
        if self._output is None:
            return
        self._output.write(b"URL: %s\n\n" % self._request.path)
        for name, value in answer.figures.items():
            self._output.write(b"%s: %s\n" % (name, value))
        self._output.write(b"%s\nTIME USED: %.4f s\n" % (answer.body, milliseconds / 1000.0))
        self._output.write(DELIMITER[1:])


def _reason(error: BaseException) -> str:
    """What went wrong in a word or two, the same for every port and try."""
    if isinstance(error, ConnectionRefusedError):
        return "connection refused"
    if isinstance(error, OSError) and error.strerror and error.errno and error.errno > 0:
        return error.strerror
    return str(error) or type(error).__name__
