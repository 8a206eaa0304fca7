"""The scripted server, running."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator

import pytest

from scripted_server import Server


@pytest.fixture
def server() -> Iterator[Server]:
    made, loop = Server(), asyncio.new_event_loop()
    listening = loop.run_until_complete(asyncio.start_server(made.connected, "127.0.0.1", 0))
    made.port = listening.sockets[0].getsockname()[1]
    thread = threading.Thread(target=loop.run_forever)
    thread.start()
    yield made

    async def end() -> None:
        listening.close()
        for task in asyncio.all_tasks() - {asyncio.current_task()}:
            task.cancel()
        await asyncio.sleep(0.01)

    asyncio.run_coroutine_threadsafe(end(), loop).result(5)
    loop.call_soon_threadsafe(loop.stop)
    thread.join(5)
    loop.close()
