"""The two ASGI applications: the container's port (search, documents) and the config port."""

from __future__ import annotations

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.routing import BaseRoute

from siftline.errors import SiftlineError
from siftline.serve.answers import on_error, on_http_exception
from siftline.serve.host import Host
from siftline.serve.vespa import deploy, documents, handlers, models, search, status


def container_app(host: Host) -> Starlette:
    """What answers on the container's port: search, documents, models, the package's handlers."""
    routes = [
        *search.routes(host),
        *documents.routes(host),
        *models.routes(host),
        *status.routes(host),
        # last: a handler's binding may be a pattern that would hide the paths above
        *handlers.routes(host),
    ]
    return _app(routes)


def config_app(host: Host) -> Starlette:
    """What answers on the config port: deployment and health."""
    return _app([*deploy.routes(host), *status.routes(host)])


def _app(routes: list[BaseRoute]) -> Starlette:
    app = Starlette(
        routes=routes,
        exception_handlers={HTTPException: on_http_exception, SiftlineError: on_error},
    )
    # a path with and without its last slash is listed where both are served
    app.router.redirect_slashes = False
    return app
