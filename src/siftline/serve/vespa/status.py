"""Whether the server is there and how it does: health, metrics, configuration (spec 0.4)."""

from __future__ import annotations

import time
from importlib.metadata import version
from typing import Any

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from siftline.errors import SiftlineError
from siftline.serve.answers import error_response, json_response
from siftline.serve.host import Host
from siftline.serve.metrics import CONTENT_TYPE
from siftline.serve.openapi import Names, document

WAITING = "no application package is deployed; deploy one to the config port"

RESOURCES = ("config", "health", "metrics", "version")


def routes(host: Host, *, config: bool = False) -> list[BaseRoute]:
    """Health, metrics and the interface's own description.

    config: for the config port, which is up whether or not a package is deployed.
    """
    status = Status(host, config)
    return [
        Route("/", status.application),
        Route("/status.html", status.page),
        Route("/ApplicationStatus", status.application),
        Route("/state/v1", status.resources),
        Route("/state/v1/", status.resources),
        Route("/state/v1/health", status.health),
        Route("/state/v1/metrics", status.metrics),
        Route("/state/v1/config", status.configuration),
        Route("/state/v1/version", status.version),
        Route("/metrics", status.prometheus),
        Route("/openapi.json", status.openapi),
    ]


class Status:
    """Answers about the server itself."""

    def __init__(self, host: Host, config: bool) -> None:
        self._host = host
        self._config = config

    @property
    def _up(self) -> bool:
        return self._config or self._host.ready

    async def page(self, request: Request) -> Response:
        """`/status.html`: 200 while requests are answered."""
        text = f"<title>OK</title>generation {self._host.generation}\n"
        if not self._up:
            return error_response(503, WAITING)
        return Response(text, media_type="text/html")

    async def application(self, request: Request) -> Response:
        """`/` and `/ApplicationStatus`: the package, and what answers where."""
        if not self._up:
            return error_response(503, WAITING)
        host = self._host
        meta: dict[str, Any] = {"generation": host.generation}
        components: list[dict[str, Any]] = []
        try:
            with host.use() as application:
                package = application.package
                meta["name"] = package.name
                components = [
                    {"id": id_, "class": component.type, "bundle": "siftline"}
                    for id_, component in package.services.components.items()
                ]
        except SiftlineError:
            components = []  # nothing is deployed yet: the config port says so
        return json_response(
            {
                "application": {
                    "vespa": {"version": _version()},
                    "meta": meta,
                    "user": {"version": ""},
                },
                "abstractComponents": components,
                "handlers": [
                    {"id": name, "class": name, "bundle": "siftline", "serverBindings": [binding]}
                    for name, binding in HANDLERS.items()
                ],
                "client": [],
                "server": [{"id": "granian", "class": "granian", "bundle": "granian"}],
                "request-filters": [],
                "response-filters": [],
            }
        )

    async def resources(self, request: Request) -> Response:
        """`/state/v1`: what there is below it."""
        base = str(request.base_url).rstrip("/")
        return json_response(
            {"resources": [{"url": f"{base}/state/v1/{name}"} for name in RESOURCES]}
        )

    async def health(self, request: Request) -> Response:
        """`/state/v1/health`: `up`, or `initializing` until a package is deployed."""
        code = "up" if self._up else "initializing"
        return json_response({"time": _now(), "status": {"code": code}, "metrics": {}})

    def metrics(self, request: Request) -> Response:
        """`/state/v1/metrics`: every metric with its last value."""
        metrics = self._host.metrics
        snapshot = {"from": metrics.started, "to": time.time()}
        return json_response(
            {
                "time": _now(),
                "status": {"code": "up" if self._up else "initializing"},
                "metrics": {"snapshot": snapshot, "values": list(metrics.values())},
            }
        )

    async def configuration(self, request: Request) -> Response:
        """`/state/v1/config`: the generation that is served."""
        generation = self._host.generation
        return json_response(
            {"config": {"generation": generation, "container": {"generation": generation}}}
        )

    async def version(self, request: Request) -> Response:
        """`/state/v1/version`."""
        return json_response({"version": _version()})

    def prometheus(self, request: Request) -> Response:
        """`/metrics` in Prometheus' text format."""
        return Response(self._host.metrics.text(), headers={"content-type": CONTENT_TYPE})

    async def openapi(self, request: Request) -> Response:
        """`/openapi.json`: the interface of this port, described."""
        return json_response(document(self._names(), config=self._config))

    def _names(self) -> Names:
        """What the package calls its parts; nothing where none is deployed."""
        try:
            with self._host.use() as application:
                schemas = application.package.schemas
                rankings = {n: None for s in schemas.values() for n in s.rank_profiles}
                return Names(tuple(schemas), tuple(rankings), tuple(application.models))
        except SiftlineError:
            return Names()


#: Vespa's names of what answers, by which `vespa visit` finds the document API, and where it does.
HANDLERS = {
    "com.yahoo.search.handler.SearchHandler": "http://*/search/*",
    "com.yahoo.document.restapi.resource.DocumentV1ApiHandler": "http://*/document/v1/*",
    "ai.vespa.models.handler.ModelsEvaluationHandler": "http://*/model-evaluation/v1/*",
    "com.yahoo.container.jdisc.state.StateHandler": "http://*/state/v1/*",
}


def _version() -> str:
    return version("siftline")


def _now() -> int:
    return int(time.time() * 1000)
