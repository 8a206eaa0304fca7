"""Documents at `/document/v1`."""

from __future__ import annotations

from starlette.routing import BaseRoute

from siftline.serve.host import Host


def routes(host: Host) -> list[BaseRoute]:
    """The routes of this group."""
    return []
