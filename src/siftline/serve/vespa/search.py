"""Queries at `/search/`."""

from __future__ import annotations

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from siftline.serve.answers import json_response
from siftline.serve.host import Host


def routes(host: Host) -> list[BaseRoute]:
    """`/search` and `/search/`."""

    def search(request: Request) -> Response:
        with host.use() as application:
            return json_response(application.query(**request.query_params).to_json())

    return [Route(path, search, methods=["GET", "POST"]) for path in ("/search/", "/search")]
