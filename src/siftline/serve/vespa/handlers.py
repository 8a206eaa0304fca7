"""Request handlers of the application package, at the paths that it binds them to."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from functools import partial
from urllib.parse import parse_qsl

from starlette.requests import Request as HttpRequest
from starlette.responses import Response as HttpResponse
from starlette.routing import BaseRoute, Match
from starlette.types import Receive, Scope, Send

from siftline.errors import ComponentError, SiftlineError
from siftline.process.handlers import Request, Response
from siftline.serve.answers import error_response, json_response
from siftline.serve.host import Host

log = logging.getLogger(__name__)

FORM = "application/x-www-form-urlencoded"


def routes(host: Host) -> list[BaseRoute]:
    """One route, which matches what the package that is served now binds its handlers to."""
    return [BoundRoute(host)]


class BoundRoute(BaseRoute):
    """The paths of the application's handlers, looked up for every request."""

    def __init__(self, host: Host) -> None:
        self._host = host

    def matches(self, scope: Scope) -> tuple[Match, Scope]:
        """FULL where a binding of the current application matches the URL."""
        if scope["type"] != "http" or not self._host.ready:
            return Match.NONE, {}
        try:
            with self._host.use() as application:
                bound = application.handlers.find(asked(HttpRequest(scope))) is not None
        except SiftlineError:
            return Match.NONE, {}
        return (Match.FULL if bound else Match.NONE), {}

    async def handle(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request in a thread of the host's."""
        request = HttpRequest(scope, receive)
        response = await self._respond(asked(request, await request.body()))
        await response(scope, receive, send)

    async def _respond(self, request: Request) -> HttpResponse:
        response = await self._host.pool.run(partial(self._handle, request))
        if not isinstance(response, Response):
            return response
        return HttpResponse(
            response.content,
            response.status,
            dict(response.headers),
            media_type=response.content_type,
        )

    def _handle(self, request: Request) -> Response | HttpResponse:
        """Runs in a thread: the handler's answer, or the error's."""
        try:
            with self._host.use() as application:
                response = application.handlers.handle(request)
        except ComponentError as error:
            log.error("%s", error, exc_info=error.__cause__)
            return json_response({"error": str(error), "component": error.component}, 500)
        if response is None:
            # the application that was asked first has been swapped for one without the binding
            return error_response(404, f"Nothing at '{request.path}'")
        return response


def asked(request: HttpRequest, body: bytes = b"") -> Request:
    """The request as a handler sees it."""
    url = request.url
    return Request(
        request.method,
        url.path,
        _properties(url.query, request.headers, body),
        dict(request.headers),
        body,
        url.scheme,
        url.hostname or "localhost",
        url.port,
    )


def _properties(query: str, headers: Mapping[str, str], body: bytes) -> dict[str, str]:
    """Parameters of the query string, then of a form; the first of each name."""
    pairs = parse_qsl(query, keep_blank_values=True)
    if headers.get("content-type", "").partition(";")[0].strip().lower() == FORM:
        pairs += parse_qsl(body.decode(errors="replace"), keep_blank_values=True)
    found: dict[str, str] = {}
    for name, value in pairs:
        found.setdefault(name, value)
    return found
