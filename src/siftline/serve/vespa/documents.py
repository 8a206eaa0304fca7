"""Documents at `/document/v1` (spec 4)."""

from __future__ import annotations

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route
from starlette.types import ASGIApp, Receive, Scope, Send

from siftline.errors import SiftlineError
from siftline.serve.host import Host
from siftline.serve.vespa.document_many import change_documents, copy_documents, visit_documents
from siftline.serve.vespa.document_one import get_document, write_document
from siftline.serve.vespa.document_parameters import Parameters
from siftline.serve.vespa.document_path import DocumentPath, parse_path, unknown_path
from siftline.serve.vespa.document_replies import failure, reply

_WRITES = ("POST", "PUT", "DELETE")


def routes(host: Host) -> list[BaseRoute]:
    """Everything below `/document/v1`, unknown paths too: their replies have their own form."""
    answers = endpoint(host)
    return [Route("/document/v1", answers), Route("/document/v1/{rest:path}", answers)]


def endpoint(host: Host) -> ASGIApp:
    """What answers everything below `/document/v1`."""
    return _Documents(host)


class Writes:
    """Sends writes of documents to `documents` and every other request to `others`.

    A feed pays for each layer in front of it once a document; what finds routes and packs answers
    does nothing for it.
    """

    def __init__(self, documents: ASGIApp, others: ASGIApp) -> None:
        self._documents = documents
        self._others = others

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request (ASGI)."""
        write = scope["type"] == "http" and scope["method"] in _WRITES
        direct = write and scope["path"].startswith("/document/v1/")
        await (self._documents if direct else self._others)(scope, receive, send)


class _Documents:
    """The endpoint; an ASGI application because it takes every method and the path as sent."""

    def __init__(self, host: Host) -> None:
        self._host = host

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        request = Request(scope, receive)
        raw = (scope.get("raw_path") or scope["path"].encode()).decode("latin-1")
        try:
            response = await self._answer(request, raw)
        except SiftlineError as error:
            response = failure(raw, error)
        except HTTPException as error:
            response = reply(raw, status=error.status_code, message=error.detail)
        await response(scope, receive, send)

    async def _answer(self, request: Request, raw: str) -> Response:
        path = parse_path(raw)
        if path is None:
            return reply(raw, status=404, message=unknown_path(raw))
        if request.method == "OPTIONS":
            return Response(status_code=204, headers={"Allow": ",".join(path.methods)})
        if request.method not in path.methods:
            allowed = ", ".join(path.methods)
            message = f"'{request.method}' not allowed at '{raw}'. Allowed methods are: {allowed}"
            return reply(raw, status=405, headers={"Allow": allowed}, message=message)
        parameters = Parameters(dict(request.query_params), raw)
        if path.id is None:
            return await self._many(request, path, parameters)
        if request.method == "GET":
            return await get_document(self._host, raw, path.id, parameters)
        return await write_document(self._host, raw, path.id, parameters, request)

    async def _many(self, request: Request, path: DocumentPath, parameters: Parameters) -> Response:
        if request.method == "GET":
            return await visit_documents(self._host, path, parameters, request)
        if request.method == "POST":
            return await copy_documents(self._host, path, parameters)
        return await change_documents(self._host, path, parameters, request)
