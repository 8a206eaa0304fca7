"""Runs the server: both ports in one process, until SIGTERM or SIGINT."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import resource
import signal
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from siftline.errors import MissingExtraError
from siftline.serve.connections import watch
from siftline.serve.options import Options

if TYPE_CHECKING:
    from siftline.serve.host import Host
    from siftline.serve.listener import Listener

log = logging.getLogger(__name__)

#: Open connections of the config port.
CONFIG_CONNECTIONS = 512

#: Called with the container's address, the config address and the name of the package, if any.
Listening = Callable[[str, str, str | None], None]


def serve(package: Path | None, options: Options, listening: Listening) -> None:
    """Serve a package folder until a signal; without one, wait for a deployment.

    Finishes what was accepted and closes the application before it returns. listening: called once
    both ports accept. UsageError where a port is taken or the options are not safe, PackageError
    where the package is broken, MissingExtraError where the server's libraries are not installed.
    """
    try:
        import uvloop

        from siftline.serve import app, listener
    except ModuleNotFoundError as error:
        if (error.name or "").startswith("siftline"):
            raise
        raise MissingExtraError("siftline serve", "server") from None
    from siftline.serve.access_log import AccessLog
    from siftline.serve.security import checked
    from siftline.serve.start import open_host

    options = checked(options, package)
    with contextlib.ExitStack() as stack:
        sockets = [
            stack.enter_context(listener.bind(options.host, port))
            for port in (options.port, options.config_port)
        ]
        limits = replace(options.limits, connections=_connections(options.limits.connections))
        port, config_port = (bound.getsockname()[1] for bound in sockets)
        options = replace(options, limits=limits, port=port, config_port=config_port)
        access_log = AccessLog(options.access_log) if options.access_log else None
        if access_log is not None:
            stack.callback(access_log.close)
        host = open_host(package, options)
        try:
            container, config = sockets
            listeners = [
                listener.Listener(
                    app.container_app(host, access_log), container, options, limits.connections
                ),
                listener.Listener(
                    app.config_app(host, access_log), config, options, CONFIG_CONNECTIONS
                ),
            ]
            uvloop.run(_serve(host, listeners, listening))
        finally:
            host.close()


async def _serve(host: Host, listeners: Sequence[Listener], listening: Listening) -> None:
    loop = asyncio.get_running_loop()
    stopped = asyncio.Event()
    limits = host.options.limits
    with _signals(loop, stopped):
        tasks = [loop.create_task(listener.run()) for listener in listeners]
        for task in tasks:
            task.add_done_callback(lambda task: stopped.set())
        await _started(listeners, tasks)
        container, config = (listener.url for listener in listeners)
        ports = [listener.port for listener in listeners]
        watching = loop.create_task(watch(ports, host.busy, limits.idle))
        listening(container, config, host.name)
        await stopped.wait()
        watching.cancel()
        grace = limits.grace
        pairs = zip(listeners, tasks, strict=True)
        done = await asyncio.gather(*(listener.drain(task, grace) for listener, task in pairs))
    if not all(done):
        log.warning("requests that took longer than %g s were cut off", grace)
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


def _connections(wanted: int) -> int:
    """How many connections the container's port may have: as wanted, or as open files allow.

    Raises the process's limit on open files as far as it may go; keeps some for the config port
    and for the index.
    """
    reserve = CONFIG_CONNECTIONS + 1024
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    files = wanted + reserve
    if hard != resource.RLIM_INFINITY:
        files = min(files, hard)
    if soft != resource.RLIM_INFINITY and soft < files:
        resource.setrlimit(resource.RLIMIT_NOFILE, (files, hard))
    allowed = max(64, files - reserve)
    if allowed < wanted:
        log.warning("the limit on open files (%d) allows %d connections", hard, allowed)
    return min(wanted, allowed)
