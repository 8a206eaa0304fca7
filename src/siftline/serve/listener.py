"""One port: granian on a socket that this process has bound, on the event loop that runs."""

from __future__ import annotations

import asyncio
import errno
import os
import socket
from typing import Any

from granian._granian import SocketHolder
from granian.constants import Interfaces
from granian.http import HTTP1Settings, HTTP2Settings
from granian.server.embed import Server

from siftline.errors import UsageError
from siftline.serve.options import Limits, Options

BACKLOG = 4096

#: Streams of one HTTP/2 connection: `vespa feed` keeps hundreds in flight.
STREAMS = 1024

#: Headers of a request in bytes; queries with tensors in the URL are long.
HEADERS = 1 << 20

#: Seconds between two pings of an HTTP/2 connection, to find the peers that are gone.
PING = 30


def bind(host: str, port: int) -> socket.socket:
    """A socket bound to an address, not listening yet; UsageError says why it cannot be.

    port 0: any free one.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    bound = socket.socket(family, socket.SOCK_STREAM)
    bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        bound.bind((host, port))
    except (OSError, OverflowError) as error:
        bound.close()
        reason = str(error)
        if isinstance(error, OSError):
            reason = error.strerror or reason
            if error.errno == errno.EADDRINUSE:
                reason = "another process listens there; stop it or choose another port"
        raise UsageError(f"cannot listen on {host}:{port}: {reason}") from None
    bound.setblocking(False)
    return bound


class Listener(Server):
    """Serves an ASGI application on a bound socket, HTTP/1.1 and HTTP/2 on the same port.

    granian binds by itself otherwise, with SO_REUSEPORT: two servers would share a port without
    knowing, and port 0 would not say which one it became.
    """

    def __init__(self, app: Any, bound: socket.socket, options: Options, connections: int) -> None:
        limits = options.limits
        self._bound = bound
        self.url = _url(options, bound)
        self.port: int = bound.getsockname()[1]
        super().__init__(
            app,
            address=options.host,
            port=self.port,
            interface=Interfaces.ASGINL,
            websockets=False,
            backlog=BACKLOG,
            backpressure=connections,
            http1_settings=_http1(limits),
            http2_settings=_http2(),
            log_enabled=False,
            ssl_cert=options.tls_cert,
            ssl_key=options.tls_key,
            ssl_ca=options.client_ca,
            ssl_client_verify=options.client_ca is not None,
        )

    def _init_shared_socket(self) -> None:
        # granian closes what it is given, so it gets a descriptor of its own
        holder: Any = SocketHolder(os.dup(self._bound.fileno()), False, BACKLOG)  # type: ignore[call-arg]
        self._shd = holder
        self._sfd = holder.get_fd()
        self._ssp = None

    async def run(self) -> None:
        """Serve until `drain` is called."""
        await self.serve()

    async def accepting(self) -> None:
        """Return once the port accepts; from then on only granian holds the socket."""
        while not self._bound.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN):
            await asyncio.sleep(0.005)
        self._bound.close()

    async def drain(self, task: asyncio.Task[None], grace: float) -> bool:
        """Stop accepting, wait for what is in flight; whether it was done within `grace`."""
        self.signal_handler_interrupt()  # type: ignore[no-untyped-call]
        done, _ = await asyncio.wait([task], timeout=grace)
        if not done:
            task.cancel()
        return bool(done)


def _url(options: Options, bound: socket.socket) -> str:
    address, port = bound.getsockname()[:2]
    shown = f"[{address}]" if ":" in address else address
    return f"{options.scheme}://{shown}:{port}"


def _http1(limits: Limits) -> HTTP1Settings:
    return HTTP1Settings(
        header_read_timeout=int(limits.idle * 1000), max_buffer_size=HEADERS, keep_alive=True
    )


def _http2() -> HTTP2Settings:
    return HTTP2Settings(
        max_concurrent_streams=STREAMS,
        max_headers_size=HEADERS,
        initial_connection_window_size=1 << 24,
        keep_alive_interval=PING * 1000,
        keep_alive_timeout=PING,
    )
