"""The two ASGI applications: the container's port (search, documents) and the config port."""

from __future__ import annotations

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware.gzip import GZipMiddleware
from starlette.routing import BaseRoute
from starlette.types import ASGIApp

from siftline.errors import SiftlineError
from siftline.serve.access_log import AccessLog, Observer
from siftline.serve.answers import on_error, on_failure, on_http_exception
from siftline.serve.host import Host
from siftline.serve.limits import BodyLimits
from siftline.serve.security import TokenGuard
from siftline.serve.vespa import deploy, documents, handlers, models, search, status

#: Answers shorter than this are not packed, in bytes.
SHORTEST_PACKED = 1024

#: zlib level of packed answers: most of the gain at little of the time.
PACKING = 2


def container_app(host: Host, access_log: AccessLog | None = None) -> ASGIApp:
    """What answers on the container's port: search, documents, models, the package's handlers."""
    routes = [
        *search.routes(host),
        *documents.routes(host),
        *models.routes(host),
        *status.routes(host),
        # last: a handler's binding may be a pattern that would hide the paths above
        *handlers.routes(host),
    ]
    return _app(routes, host, host.options.limits.body, access_log, documents.endpoint(host))


def config_app(host: Host, access_log: AccessLog | None = None) -> ASGIApp:
    """What answers on the config port: deployment and health."""
    routes = [*deploy.routes(host), *status.routes(host, config=True)]
    return _app(routes, host, host.options.limits.package, access_log)


def _app(
    routes: list[BaseRoute],
    host: Host,
    body: int,
    access_log: AccessLog | None,
    writes: ASGIApp | None = None,
) -> ASGIApp:
    """The layers around the routes; writes: what answers writes of documents, past most of them."""
    inner = Starlette(
        routes=routes,
        exception_handlers={
            HTTPException: on_http_exception,
            SiftlineError: on_error,
            Exception: on_failure,
        },
    )
    # a path with and without its last slash is listed where both are served
    inner.router.redirect_slashes = False
    options = host.options
    app: ASGIApp = BodyLimits(inner, body, options.limits.body_pause)
    app = GZipMiddleware(app, minimum_size=SHORTEST_PACKED, compresslevel=PACKING)
    if writes is not None:
        app = documents.Writes(BodyLimits(writes, body, options.limits.body_pause), app)
    if options.token is not None:
        app = TokenGuard(app, options.token)
    return Observer(app, host.metrics, host.busy, access_log)
