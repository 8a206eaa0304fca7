"""Clients that send half a request, garbage or one byte at a time, and those that never read."""

from __future__ import annotations

import random
import socket
import threading
import time
from dataclasses import dataclass, field
from urllib.parse import urlsplit

from bench.fuzz_server.sent import PATIENCE, repeated

PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
#: Connections that are open at a time.
TOGETHER = 100
STARTS = [
    b"",
    b"P",
    b"GET /search/?query=a HTTP/1.1\r\nHost: a\r\n",
    b"POST /search/ HTTP/1.1\r\nHost: a\r\nContent-Length: 100\r\n\r\n{",
    b"POST /search/ HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nab",
    b"POST /search/ HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
    b"POST /document/v1/ns/music/docid/s HTTP/1.1\r\nHost: a\r\nContent-Length: 9\r\n\r\n{",
    b"PUT /document/v1/ns/music/docid/s HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\n"
    b"Content-Length: 9\r\n\r\n",
    b"GET /document/v1/?stream=true&cluster=content HTTP/1.1\r\nHost: a\r\n\r\n",
    b"GET / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\n",
    b"GET / HTTP/9.9\r\n\r\n",
    b"BREW / HTTP/1.1\r\nHost: a\r\n" + b"x: y\r\n" * 300 + b"\r\n",
    b"GET /" + b"a" * 100_000 + b" HTTP/1.1\r\n\r\n",
    PREFACE,
    PREFACE[:10],
    PREFACE + b"\x00\x00\x00\x04\x00\x00\x00\x00\x00",
]


@dataclass
class SlowClients:
    """Runs in a thread beside everything else; findings: connections that were never let go."""

    url: str
    chance: random.Random
    count: int = 0
    findings: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._run, name="slow clients", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        """Let go of what is open and wait for the thread."""
        self._stopped.set()
        self._thread.join(3 * PATIENCE)

    def _run(self) -> None:
        while not self._stopped.is_set() and not self.findings:
            self.turn()

    def turn(self) -> None:
        """Open connections together, send a little on each, and see that each is let go."""
        parts = urlsplit(self.url)
        opened: list[tuple[socket.socket, bytes]] = []
        try:
            for _ in range(TOGETHER):
                start = self._start()
                connection = socket.create_connection((parts.hostname, parts.port), PATIENCE)
                opened.append((connection, start))
                self.count += 1
                _try_send(connection, start)
            for connection, _ in opened:
                if self.chance.random() < 0.3:
                    _try_send(connection, self.chance.randbytes(3))
                if self.chance.random() < 0.2:
                    connection.close()
            end = time.monotonic() + PATIENCE
            for connection, start in opened:
                if connection.fileno() >= 0 and not self._is_let_go(connection, end):
                    self.findings.append(
                        f"a connection is still open after {PATIENCE:g} s\n{repeated(start)}"
                    )
                    return
        except OSError as error:
            self.findings.append(f"the server takes no connection: {error!r}")
        finally:
            for connection, _ in opened:
                connection.close()

    def _is_let_go(self, connection: socket.socket, end: float) -> bool:
        """Whether the other side closes it; at the end of the run there is no waiting for that."""
        connection.settimeout(0.2)
        while time.monotonic() < end and not self._stopped.is_set():
            try:
                if not connection.recv(65_536):
                    return True
            except TimeoutError:
                continue
            except OSError:
                return True
        return self._stopped.is_set()

    def _start(self) -> bytes:
        start = self.chance.choice(STARTS)
        if start.startswith(PREFACE):
            for _ in range(self.chance.randrange(4)):
                start += _frame(self.chance)
        return start if self.chance.random() < 0.7 else start + self.chance.randbytes(20)


def _frame(chance: random.Random) -> bytes:
    """A frame of HTTP/2 (RFC 9113, 4.1) of a known kind with a payload that means nothing."""
    payload = chance.randbytes(chance.randrange(30))
    kind, flags, stream = chance.randrange(11), chance.randrange(256), chance.randrange(4)
    return (
        len(payload).to_bytes(3, "big") + bytes([kind, flags]) + stream.to_bytes(4, "big") + payload
    )


def _try_send(connection: socket.socket, data: bytes) -> None:
    try:
        connection.sendall(data)
    except OSError:
        pass  # it was cut off already, which is as good
