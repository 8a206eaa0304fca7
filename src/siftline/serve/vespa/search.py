"""Queries at `/search/` (spec: Vespa query API): parameters in, a rendered result out."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Mapping
from dataclasses import replace
from functools import partial
from typing import Any

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse
from starlette.routing import BaseRoute, Route

from siftline.errors import SiftlineError
from siftline.match.deadline import Deadline
from siftline.match.parameters import Parameters, flatten
from siftline.match.request import DEFAULT_TIMEOUT
from siftline.respond.problems import SearchError
from siftline.serve.host import Host
from siftline.serve.vespa.parameters import search_parameters
from siftline.serve.vespa.problems import search_error
from siftline.serve.vespa.result import (
    Answer,
    accepted,
    content_type,
    figures,
    render,
    render_error,
)

PATHS = ("/search/", "/search")

#: Code of a request that is no query at all.
BAD_REQUEST = 17

#: Header of a request that wants the figures of its answer in headers.
BENCHMARK = "x-yahoo-vespa-benchmarkdata"


def routes(host: Host) -> list[BaseRoute]:
    """`/search/` and `/search`, GET and POST."""
    search = Search(host)
    return [Route(path, search.respond, methods=["GET", "POST"]) for path in PATHS]


class Search:
    """Answers queries in the host's threads."""

    def __init__(self, host: Host) -> None:
        self._host = host

    async def respond(self, request: Request) -> Response:
        """The answer to one request; errors of the query are answers, too."""
        arrived = time.monotonic()
        accept = request.headers.get("accept", "")
        try:
            parameters = await search_parameters(request)
            answer = await self._host.pool.run(partial(self._query, parameters, accept, arrived))
        except SiftlineError as error:
            answer = render_error(search_error(error), accepted(accept))
        except HTTPException as error:
            problem = SearchError(BAD_REQUEST, str(error.detail))
            answer = render_error(problem, accepted(accept), error.status_code)
        seconds = time.monotonic() - arrived
        self._count(answer, seconds)
        headers = {"content-type": answer.type}
        if request.headers.get(BENCHMARK) == "true":
            coverage = request.headers.get(f"{BENCHMARK}-coverage") == "true"
            headers |= figures(answer, seconds, coverage=coverage)
        if len(answer.parts) == 1:
            return Response(answer.parts[0], answer.status, headers)
        return StreamingResponse(_stream(answer.parts), answer.status, headers)

    def _query(self, sent: Mapping[str, Any], accept: str, arrived: float) -> Answer:
        """Runs in a thread: from parameters to the bytes of the answer."""
        type_ = accepted(accept)
        try:
            type_ = content_type(Parameters(flatten(sent)).text("presentation.format"), accept)
            with self._host.use() as application:
                query = application.request(**sent)
                timeout = DEFAULT_TIMEOUT if query.timeout is None else query.timeout
                deadline = Deadline.after(timeout, started=arrived, soft_factor=query.soft_factor)
                deadline.check("waiting for a thread")
                return render(application.search(replace(query, deadline=deadline)), type_)
        except SiftlineError as error:
            return render_error(search_error(error), type_)

    def _count(self, answer: Answer, seconds: float) -> None:
        metrics = self._host.metrics
        metrics.query_latency.observe(seconds)
        metrics.queries.labels(str(answer.status)).inc()
        metrics.hits.inc(len(answer.result) if answer.result else 0)


async def _stream(parts: tuple[bytes, ...]) -> AsyncIterator[bytes]:
    for part in parts:
        yield part
