"""Threads that answer queries, so many at once and no more."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

from siftline.errors import OverloadError

Answer = TypeVar("Answer")


class Pool:
    """Runs functions in `threads` threads; OverloadError where `waiting` more already wait.

    To be called from one event loop.
    """

    def __init__(self, threads: int, waiting: int, name: str = "query") -> None:
        self._executor = ThreadPoolExecutor(threads, thread_name_prefix=name)
        self._most = threads + waiting
        self._inside = 0

    @property
    def inside(self) -> int:
        """How many run or wait."""
        return self._inside

    async def run(self, function: Callable[[], Answer]) -> Answer:
        """What the function returns or raises, once a thread has run it."""
        if self._inside >= self._most:
            raise OverloadError(f"{self._inside} requests wait already; try again later")
        loop = asyncio.get_running_loop()
        self._inside += 1
        future = loop.run_in_executor(self._executor, function)
        # counted until the thread is done, also where the one who asked has gone
        future.add_done_callback(self._left)
        return await future

    def _left(self, _: object) -> None:
        self._inside -= 1

    def close(self) -> None:
        """Wait for what runs; what waits is cancelled."""
        self._executor.shutdown(wait=True, cancel_futures=True)
