"""Closes connections that do nothing: silent ones, stalled handshakes, readers that stopped.

granian bounds the time of HTTP/1.1's headers, but waits without end for the first bytes, from which
it learns the protocol, for a TLS handshake, and for a client that does not read its answer. The
system knows when data last went over each connection; this module asks it (Linux only).
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket
import stat
import struct
from collections import Counter
from collections.abc import Collection, Iterator
from pathlib import Path

Peer = tuple[str, int]

_DESCRIPTORS = Path("/proc/self/fd")
_ESTABLISHED = 1

#: struct tcp_info of linux/tcp.h up to tcpi_last_data_recv: state, milliseconds since the last
#: data was sent and received.
_INFO = struct.Struct("B43xI4xI")


class Busy:
    """The peers whose requests are being answered; used on the event loop alone."""

    def __init__(self) -> None:
        self._requests: Counter[Peer] = Counter()

    def enter(self, client: tuple[str, int | str] | None) -> Peer | None:
        """A request of `client` begins; what `leave` takes."""
        if client is None:
            return None
        peer = (client[0], int(client[1]))
        self._requests[peer] += 1
        return peer

    def leave(self, peer: Peer | None) -> None:
        """A request of the peer is answered."""
        if peer is not None:
            self._requests[peer] -= 1
            if not self._requests[peer]:
                del self._requests[peer]

    def peers(self) -> frozenset[Peer]:
        """Everyone who waits for an answer now."""
        return frozenset(self._requests)


async def watch(ports: Collection[int], busy: Busy, idle: float) -> None:
    """Close idle connections of the ports, again and again, until cancelled."""
    if not _DESCRIPTORS.is_dir():
        return
    while True:
        await asyncio.sleep(max(0.5, idle / 4))
        waiting = busy.peers()
        await asyncio.to_thread(close_idle, ports, waiting, idle)


def close_idle(ports: Collection[int], busy: Collection[Peer], idle: float) -> int:
    """Shut down connections over which nothing went for `idle` seconds; how many.

    busy: peers that wait for an answer, whose connections stay.
    """
    closed = 0
    for connection in _connections(ports):
        # whoever has gone by now needs no closing
        with connection, contextlib.suppress(OSError):
            state, sent, received = _INFO.unpack(
                connection.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, _INFO.size)
            )
            peer = connection.getpeername()[:2]
            if state == _ESTABLISHED and min(sent, received) > idle * 1000 and peer not in busy:
                connection.shutdown(socket.SHUT_RDWR)
                closed += 1
    return closed


def _connections(ports: Collection[int]) -> Iterator[socket.socket]:
    """This process's open connections to the ports, each by a descriptor of its own."""
    for name in os.listdir(_DESCRIPTORS):
        # it may be closed meanwhile, or be no connection: then there is nothing to do
        with contextlib.suppress(OSError):
            if not stat.S_ISSOCK(os.fstat(int(name)).st_mode):
                continue
            connection = socket.socket(fileno=os.dup(int(name)))
            try:
                ours = connection.type == socket.SOCK_STREAM and _served(connection, ports)
            except OSError:
                ours = False
            if ours:
                yield connection
            else:
                connection.close()


def _served(connection: socket.socket, ports: Collection[int]) -> bool:
    if connection.family not in (socket.AF_INET, socket.AF_INET6):
        return False
    return connection.getsockname()[1] in ports and bool(connection.getpeername())
