"""Whether the server is there, on both ports."""

from __future__ import annotations

from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import BaseRoute, Route

from siftline.serve.answers import json_response
from siftline.serve.host import Host


def routes(host: Host) -> list[BaseRoute]:
    """`/status.html`, `/ApplicationStatus` and `/`."""

    async def status(request: Request) -> Response:
        if host.ready:
            return PlainTextResponse("OK\n")
        return PlainTextResponse("no application package is deployed\n", 503)

    async def application_status(request: Request) -> Response:
        return json_response({"application": {"meta": {"generation": host.generation}}})

    return [
        Route("/", status),
        Route("/status.html", status),
        Route("/ApplicationStatus", application_status),
    ]
