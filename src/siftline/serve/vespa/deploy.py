"""`/application/v2`: deployment of application packages, in one request or step by step.

The paths, replies and error codes are those of Vespa's deploy API. There is one tenant, `default`,
with one application, `default.default`, in environment `prod` and region `default`.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from functools import partial
from pathlib import Path
from typing import Any

from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import FileResponse, Response
from starlette.routing import BaseRoute, Route

from siftline.errors import (
    ModelError,
    PackageError,
    SiftlineError,
    StoreError,
    UnknownNameError,
)
from siftline.serve.answers import error_response, json_response, status_of
from siftline.serve.deployment import (
    ActivationConflictError,
    ComponentsRefusedError,
    Deployments,
    Prepared,
)
from siftline.serve.host import Host
from siftline.serve.sessions import Session
from siftline.serve.vespa.deploy_content import content, list_content, write_content
from siftline.serve.vespa.deploy_upload import receive_file, receive_package

_TENANTS = "/application/v2/tenant"
_TENANT = f"{_TENANTS}/{{tenant}}"
_SESSION = f"{_TENANT}/session/{{session}}"
_SHORT = f"{_TENANT}/application/{{application}}"
_LONG = f"{_SHORT}/environment/{{environment}}/region/{{region}}/instance/{{instance}}"
INSTANCE = (
    "/application/v2/tenant/default/application/default/environment/prod/region/default"
    "/instance/default"
)

#: What each part of a path has to be.
_ONLY = {
    "tenant": "default",
    "application": "default",
    "environment": "prod",
    "region": "default",
    "instance": "default",
}

Handler = Callable[[Request], Awaitable[Response]]


def routes(host: Host) -> list[BaseRoute]:
    """The routes of this group."""
    api = _Api(host)
    found: list[BaseRoute] = []

    def add(path: str, handler: Handler, *methods: str) -> None:
        found.append(Route(path, _answered(handler), methods=list(methods)))

    for end in ("", "/"):
        add(f"{_TENANTS}{end}", api.tenants, "GET")
        add(f"{_TENANT}{end}", api.tenant, "GET", "PUT")
        add(f"{_TENANT}/prepareandactivate{end}", api.prepare_and_activate, "POST")
        add(f"{_TENANT}/session{end}", api.create, "POST")
        add(f"{_SESSION}{end}", api.session, "GET")
        add(f"{_SESSION}/prepared{end}", api.prepare, "PUT", "GET")
        add(f"{_SESSION}/active{end}", api.activate, "PUT")
        add(f"{_TENANT}/application{end}", api.applications, "GET")
        for path in (_SHORT, _LONG):
            add(f"{path}{end}", api.application, "GET", "DELETE")
            add(f"{path}/serviceconverge{end}", api.converge, "GET")
    for path in (_SHORT, _LONG):
        add(f"{path}/serviceconverge/{{service}}", api.converge_one, "GET")
        add(f"{path}/content", api.read_active, "GET")
        add(f"{path}/content/{{path:path}}", api.read_active, "GET")
    add(f"{_SESSION}/content", api.read, "GET")
    add(f"{_SESSION}/content/{{path:path}}", api.content, "GET", "PUT", "DELETE")
    return found


def _answered(handler: Handler) -> Handler:
    """The handler with Vespa's error codes, for paths of the one tenant and application."""

    async def answer(request: Request) -> Response:
        for part, value in request.path_params.items():
            if part in _ONLY and value != _ONLY[part]:
                what = "Tenant" if part == "tenant" else "Application with the"
                named = f"{what} '{value}'" if part == "tenant" else f"{what} {part} '{value}'"
                return error_response(404, f"{named} was not found")
        try:
            return await handler(request)
        except SiftlineError as error:
            return _failure(error)

    return answer


def _failure(error: SiftlineError) -> Response:
    if isinstance(error, ActivationConflictError):
        return _coded(409, "ACTIVATION_CONFLICT", str(error))
    if isinstance(error, ComponentsRefusedError):
        return _coded(403, "FORBIDDEN", str(error))
    if isinstance(error, (PackageError, ModelError)):
        return _coded(400, "INVALID_APPLICATION_PACKAGE", f"Invalid application: {error}")
    if status_of(error) == 500 and isinstance(error, StoreError):
        return _coded(500, "INTERNAL_SERVER_ERROR", str(error))
    return error_response(status_of(error), str(error))


def _coded(status: int, code: str, message: str) -> Response:
    return json_response({"error-code": code, "message": message}, status)


class _Api:
    """One method for each path; what takes long runs in a thread."""

    def __init__(self, host: Host) -> None:
        self._host = host

    async def _do(self, work: Callable[[Deployments], Any]) -> Any:
        return await run_in_threadpool(lambda: work(self._host.deployments))

    async def tenants(self, request: Request) -> Response:
        """The one tenant."""
        return json_response({"tenants": ["default"]})

    async def tenant(self, request: Request) -> Response:
        """It is there."""
        if request.method == "PUT":
            return json_response({"message": "Tenant default created."})
        return json_response({"message": "Tenant 'default' exists."})

    # -- deploying ----------------------------------------------------------------------------

    async def prepare_and_activate(self, request: Request) -> Response:
        """Deploy in one request."""
        async with receive_package(request, self._host) as archive:
            prepared: Prepared = await self._do(lambda d: d.deploy(archive))
        message = f"Session {prepared.session.id} for tenant 'default' prepared and activated."
        return json_response(
            {
                "log": prepared.log,
                "tenant": "default",
                "session-id": str(prepared.session.id),
                "url": _url(request, INSTANCE),
                "message": message,
                "configChangeActions": prepared.changes.actions(),
            }
        )

    async def create(self, request: Request) -> Response:
        """A new session from an archive, or from the application that is served."""
        origin = request.query_params.get("from")
        if origin is not None:
            if not origin.rstrip("/").endswith(("/application/default", INSTANCE)):
                raise UnknownNameError(f"from={origin} names no application (try {INSTANCE})")
            session: Session = await self._do(lambda d: d.copy())
        else:
            async with receive_package(request, self._host) as archive:
                session = await self._do(lambda d: d.create(archive))
        base = f"/application/v2/tenant/default/session/{session.id}"
        return json_response(
            {
                "log": [],
                "tenant": "default",
                "session-id": str(session.id),
                "prepared": _url(request, f"{base}/prepared"),
                "content": _url(request, f"{base}/content/"),
                "message": f"Session {session.id} for tenant 'default' created.",
            }
        )

    async def session(self, request: Request) -> Response:
        """What a session is now."""
        id_ = _number(request)
        session: Session = await self._do(lambda d: d.sessions.get(id_))
        status = {"new": "NEW", "prepared": "PREPARE", "active": "ACTIVATE"}
        return json_response(
            {
                "session-id": str(id_),
                "status": status.get(session.status, "DEACTIVATE"),
                "createdTime": int(session.created),
            }
        )

    async def prepare(self, request: Request) -> Response:
        """Check a session's package against what is served."""
        id_ = _number(request)
        prepared: Prepared = await self._do(lambda d: d.prepare(id_))
        active = f"/application/v2/tenant/default/session/{id_}/active"
        return json_response(
            {
                "log": prepared.log,
                "tenant": "default",
                "session-id": str(id_),
                "activate": _url(request, active),
                "message": f"Session {id_} for tenant 'default' prepared.",
                "configChangeActions": prepared.changes.actions(),
            }
        )

    async def activate(self, request: Request) -> Response:
        """Serve a prepared session."""
        id_ = _number(request)
        force = request.query_params.get("force") == "true"
        await self._do(lambda d: d.activate(id_, force=force))
        return json_response(
            {
                "tenant": "default",
                "session-id": str(id_),
                "message": f"Session {id_} for tenant 'default' activated.",
                "url": _url(request, INSTANCE),
            }
        )

    # -- the application ----------------------------------------------------------------------

    async def applications(self, request: Request) -> Response:
        """The applications of the tenant: the one that is served, if any."""
        return json_response([_url(request, INSTANCE)] if self._host.ready else [])

    async def application(self, request: Request) -> Response:
        """The generation that is served; DELETE has nothing served."""
        if request.method == "DELETE":
            folders = await self._do(lambda d: d.delete())
            kept = ", ".join(folder.name for folder in folders)
            message = "Application 'default.default.default' was deleted"
            rest = f"; documents stay in the data folder: {kept}" if kept else ""
            return json_response({"message": message + rest})
        active: Session = await self._do(lambda d: d.active())
        return json_response(
            {
                "generation": self._host.generation,
                "sessionId": str(active.id),
                "applicationPackageFileReference": "",
                "modelVersions": ["8.0.0"],
            }
        )

    async def converge(self, request: Request) -> Response:
        """Whether all services use the deployed package: always, a deployment ends with that."""
        await self._do(lambda d: d.active())
        generation = self._host.generation
        address = self._address()
        url = _url(request, f"{INSTANCE}/serviceconverge")
        service = {
            "host": address[0],
            "port": address[1],
            "type": "container",
            "url": f"{url}/{address[0]}:{address[1]}",
            "clusterName": "default",
            "currentGeneration": generation,
        }
        return json_response(
            {
                "services": [service],
                "url": url,
                "currentGeneration": generation,
                "wantedGeneration": generation,
                "converged": True,
            }
        )

    async def converge_one(self, request: Request) -> Response:
        """The same of one service."""
        await self._do(lambda d: d.active())
        asked = request.path_params["service"]
        answer: dict[str, Any] = {
            "url": _url(request, f"{INSTANCE}/serviceconverge/{asked}"),
            "host": asked,
            "wantedGeneration": self._host.generation,
        }
        if asked != "{}:{}".format(*self._address()):
            message = "Host:port (service) no longer part of application, refresh list of services."
            return json_response({**answer, "message": message}, 410)
        return json_response(
            {**answer, "converged": True, "currentGeneration": self._host.generation}
        )

    def _address(self) -> tuple[str, int]:
        return "localhost", self._host.options.port

    # -- content ------------------------------------------------------------------------------

    async def read_active(self, request: Request) -> Response:
        """Files and folders of the package that is served."""
        active: Session = await self._do(lambda d: d.active())
        return await run_in_threadpool(partial(self._read, request, active, f"{INSTANCE}/content"))

    async def read(self, request: Request) -> Response:
        """Files and folders of a session's package."""
        id_ = _number(request)
        session: Session = await self._do(lambda d: d.sessions.get(id_))
        base = f"/application/v2/tenant/default/session/{id_}/content"
        return await run_in_threadpool(partial(self._read, request, session, base))

    def _read(self, request: Request, session: Session, base: str) -> Response:
        path = request.path_params.get("path", "")
        found = content(session.folder, path, self._host.data)
        if found.is_file() and request.query_params.get("return") != "status":
            return FileResponse(found, media_type="application/octet-stream")
        return json_response(
            list_content(
                session,
                path,
                url=_url(request, base),
                recursive=request.query_params.get("recursive") == "true",
                status=request.query_params.get("return") == "status",
                data=self._host.data,
            )
        )

    async def content(self, request: Request) -> Response:
        """Read, write or remove a file of a session's package."""
        if request.method == "GET":
            return await self.read(request)
        id_ = _number(request)
        path = request.path_params["path"]
        allowed = self._host.options.allow_components

        def edit(data: Path | None) -> Callable[[Deployments], Session]:
            return lambda deployments: deployments.edit(
                id_, lambda folder: write_content(folder, path, data, components=allowed)
            )

        if request.method == "DELETE":
            await self._do(edit(None))
        else:
            async with receive_file(request, self._host) as data:
                await self._do(edit(data))
        prepared = f"/application/v2/tenant/default/session/{id_}/prepared"
        return json_response({"prepared": _url(request, prepared)})


def _number(request: Request) -> int:
    written = request.path_params["session"]
    if not (written.isascii() and written.isdigit() and len(written) < 19):
        raise HTTPException(400, f"'{written}' is not the number of a session")
    return int(written)


def _url(request: Request, path: str) -> str:
    return f"{str(request.base_url).rstrip('/')}{path}"
