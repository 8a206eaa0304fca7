"""A process of clients, driven by lines on standard input: `python -m siftline.load`.

The first line is the job as JSON. Then `go` starts the clients, `report` asks for the counts so
far, `stop` ends; the end of the input ends at once. Answers are JSON lines on standard output.
"""

from __future__ import annotations

import asyncio
import gc
import json
import os
import ssl
import sys
import threading
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import asdict
from functools import partial
from typing import IO, Any

from siftline.errors import UsageError
from siftline.load.client import Client, Connect
from siftline.load.options import LoadOptions, Tls, formatted
from siftline.load.queries import Request, part, read_requests
from siftline.load.tally import Tally

#: Seconds after `stop` that answers on their way are waited for.
DRAIN = 10.0


def job(options: LoadOptions, numbers: Sequence[int]) -> str:
    """The first line for a worker: what to do, as the clients of these numbers."""
    return json.dumps({"options": asdict(options), "clients": list(numbers)})


def read_job(line: str) -> tuple[LoadOptions, list[int]]:
    """What `job` wrote."""
    data = json.loads(line)
    given = data["options"]
    given["hosts"] = tuple((host, port) for host, port in given["hosts"])
    given["headers"] = tuple(given["headers"])
    given["tls"] = given["tls"] and Tls(**given["tls"])
    return LoadOptions(**given), data["clients"]


class Worker:
    """The clients of one process."""

    def __init__(self, options: LoadOptions, numbers: Sequence[int]) -> None:
        self._options = options
        self._numbers = numbers
        self._clients: list[Client] = []
        self._left = len(numbers)
        self._ended = asyncio.Event()
        self._tls = _tls_context(options.tls) if options.tls else None
        self._addresses: dict[int, list[tuple[Any, ...]]] = {}
        self._files = ExitStack()

    async def prepare(self) -> None:
        """Read the query files, find the hosts, open the outputs; UsageError, OSError."""
        read: dict[tuple[str, str], list[Request]] = {}
        for number in self._numbers:
            which = number % len(self._options.hosts)
            if which not in self._addresses:
                self._addresses[which] = await _resolve(*self._options.hosts[which])
            # Every client of a shared file takes its part of the file of the first.
            file = formatted(self._options.queries, 0 if self._options.shared else number)
            key = (file, _authority(*self._options.hosts[which]))
            if key not in read:
                read[key] = read_requests(file, self._options, key[1])
            requests: Sequence[Request] = read[key]
            if self._options.shared:
                requests = part(requests, number, self._options.clients)
            self._clients.append(
                Client(
                    self._options, requests, self._connector(which), self._one_ended,
                    self._output(number),
                )
            )  # fmt: skip
        # The collector would go through every request again and again.
        gc.freeze()

    def start(self) -> None:
        """Let every client ask; they begin spread over one cycle."""
        cycle = max(self._options.cycle, 0) / 1000.0
        for number, client in zip(self._numbers, self._clients, strict=True):
            client.start(cycle * number / self._options.clients)

    async def stop(self) -> None:
        """Let every client finish what it waits for, and close the outputs."""
        for client in self._clients:
            client.stop()
        try:
            await asyncio.wait_for(self._ended.wait(), DRAIN)
        except TimeoutError:
            for client in self._clients:
                client.give_up()
        self._files.close()

    @property
    def ended(self) -> asyncio.Event:
        """Set when no client has more to ask."""
        return self._ended

    def tally(self) -> Tally:
        """What all clients have counted up to now."""
        merged = Tally()
        for client in self._clients:
            merged.merge(client.tally)
            merged.seconds += client.seconds() - client.tally.seconds
        return merged

    def _one_ended(self) -> None:
        self._left -= 1
        if self._left == 0:
            self._ended.set()

    def _output(self, number: int) -> IO[bytes] | None:
        if self._options.output is None:
            return None
        return self._files.enter_context(open(formatted(self._options.output, number), "wb"))

    def _connector(self, which: int) -> Connect:
        return partial(self._connect, which)

    async def _connect(self, which: int, client: Client) -> None:
        """Connect to the first address of a host that answers, from now on to that one first."""
        loop, addresses = asyncio.get_running_loop(), self._addresses[which]
        host = self._options.hosts[which][0]
        name = host if self._tls is not None else None
        for i, (address, port, *_) in enumerate(addresses):
            try:
                await loop.create_connection(
                    lambda: client, address, port, ssl=self._tls, server_hostname=name
                )
            except OSError:
                if i == len(addresses) - 1:
                    raise
            else:
                if i:
                    addresses.insert(0, addresses.pop(i))
                return


def _authority(host: str, port: int) -> str:
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


async def _resolve(host: str, port: int) -> list[tuple[Any, ...]]:
    import socket

    loop = asyncio.get_running_loop()
    try:
        found = await loop.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except OSError as error:
        raise UsageError(f"no address for host '{host}': {error.strerror}") from None
    return [address for *_, address in found]


def _tls_context(tls: Tls) -> ssl.SSLContext:
    context = ssl.create_default_context(cafile=tls.authorities)
    context.check_hostname = False
    if tls.certificate is not None:
        context.load_cert_chain(tls.certificate, tls.key)
    return context


async def _serve(lines: asyncio.Queue[str]) -> None:
    try:
        worker = Worker(*read_job(await lines.get()))
        await worker.prepare()
    except UsageError as error:
        _say({"error": str(error)})
        return
    except (OSError, ssl.SSLError) as error:
        _say({"error": f"{error.filename or 'TLS'}: {error.strerror or error}"})
        return
    _say({"ready": os.getpid()})
    ended = asyncio.create_task(worker.ended.wait())
    ended.add_done_callback(lambda _: lines.put_nowait("ended"))
    while True:
        line = await lines.get()
        if line == "go":
            worker.start()
        elif line == "report":
            _say({"tally": worker.tally().to_json()})
        elif line == "ended":
            _say({"ended": True})
        else:
            if line == "stop":
                await worker.stop()
                _say({"final": worker.tally().to_json()})
            ended.cancel()
            return


def _say(message: dict[str, Any]) -> None:
    sys.stdout.write(json.dumps(message) + "\n")
    sys.stdout.flush()


async def _main() -> None:
    loop, lines = asyncio.get_running_loop(), asyncio.Queue[str]()

    def read() -> None:
        for line in sys.stdin:
            loop.call_soon_threadsafe(lines.put_nowait, line.strip())
        loop.call_soon_threadsafe(lines.put_nowait, "")

    # A thread: pipes of a process cannot be awaited on every system.
    threading.Thread(target=read, daemon=True).start()
    await _serve(lines)


def main() -> None:
    """Run the worker on uvloop where it is installed."""
    try:
        import uvloop
    except ImportError:
        asyncio.run(_main())
    else:
        uvloop.run(_main())
    # The reading thread may hold standard input, which the interpreter would wait for.
    sys.stdout.flush()
    os._exit(0)
