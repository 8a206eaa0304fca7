"""Runs the server: both ports in one process, until SIGTERM or SIGINT."""

from __future__ import annotations

import asyncio
import contextlib
import resource
import signal
import socket
from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, Any

from siftline.errors import MissingExtraError
from siftline.serve.host import Host
from siftline.serve.options import Options

if TYPE_CHECKING:
    from siftline.serve.listener import Listener

#: Called with the addresses of the container's port and the config port.
Listening = Callable[[str, str], None]


def serve(
    make: Callable[[], Host], options: Options, listening: Listening = lambda *urls: None
) -> None:
    """Serve until a signal; finishes what was accepted and closes the application.

    make: opens the host, called once both ports are known to be free. UsageError where a port is
    taken, MissingExtraError where the server's libraries are not installed.
    """
    try:
        import uvloop

        from siftline.serve.listener import bind
    except ImportError:
        raise MissingExtraError("siftline serve", "server") from None
    with contextlib.ExitStack() as stack:
        sockets = [
            stack.enter_context(bind(options.host, port))
            for port in (options.port, options.config_port)
        ]
        _allow_connections(options.limits.connections)
        host = make()
        try:
            uvloop.run(_serve(host, sockets, options, listening))
        finally:
            host.close()


async def _serve(
    host: Host, sockets: list[socket.socket], options: Options, listening: Listening
) -> None:
    from siftline.serve.access_log import AccessLog
    from siftline.serve.app import config_app, container_app
    from siftline.serve.listener import Listener

    log = AccessLog(options.access_log) if options.access_log else None
    listeners = [
        Listener(app(host, log), bound, options)
        for app, bound in zip((container_app, config_app), sockets, strict=True)
    ]
    loop = asyncio.get_running_loop()
    stopped = asyncio.Event()
    with _signals(loop, stopped):
        tasks = [loop.create_task(listener.run()) for listener in listeners]
        for task in tasks:
            task.add_done_callback(lambda task: stopped.set())
        await _started(listeners, tasks)
        listening(*(listener.url for listener in listeners))
        await stopped.wait()
        await asyncio.gather(
            *(
                listener.drain(task, options.limits.grace)
                for listener, task in zip(listeners, tasks, strict=True)
            )
        )
    for task in tasks:
        if task.done() and not task.cancelled():
            task.result()


async def _started(listeners: Sequence[Listener], tasks: Sequence[asyncio.Task[None]]) -> None:
    """Wait until every port accepts; raises what kept one from it."""
    accepting = asyncio.gather(*(listener.accepting() for listener in listeners))
    either: list[asyncio.Future[Any]] = [accepting, *tasks]
    await asyncio.wait(either, return_when=asyncio.FIRST_COMPLETED)
    for task in tasks:
        if task.done():
            task.result()


@contextlib.contextmanager
def _signals(loop: asyncio.AbstractEventLoop, stopped: asyncio.Event) -> Iterator[None]:
    numbers = (signal.SIGTERM, signal.SIGINT)
    for number in numbers:
        loop.add_signal_handler(number, stopped.set)
    try:
        yield
    finally:
        for number in numbers:
            loop.remove_signal_handler(number)


def _allow_connections(connections: int) -> None:
    """Let the process open as many files as connections on two ports and an index need."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = 2 * connections + 1024
    if hard != resource.RLIM_INFINITY:
        wanted = min(wanted, hard)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
