"""Many documents at `/document/v1`: visit, copy, update where, remove where (spec 4.2)."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from concurrent.futures import Future
from contextlib import ExitStack
from dataclasses import replace
from typing import Any

from starlette.requests import Request
from starlette.responses import Response, StreamingResponse
from starlette.types import Receive, Scope, Send

from siftline.application import Application
from siftline.errors import ConditionError, OverloadError, SiftlineError
from siftline.feed.operation import DocumentId, Operation
from siftline.intake import Outcome
from siftline.serve.host import Host
from siftline.serve.vespa.document_body import read_operation
from siftline.serve.vespa.document_checks import check_cluster
from siftline.serve.vespa.document_fields import TENSOR_FORMS, shown_fields
from siftline.serve.vespa.document_parameters import Parameters
from siftline.serve.vespa.document_path import DocumentPath
from siftline.serve.vespa.document_replies import document_status, failure_message, reply
from siftline.serve.vespa.document_stream import Form, JsonForm, JsonLinesForm
from siftline.serve.vespa.document_visit import Part, Reader, joined, parse_visit

#: documents that one reply that is not streamed holds at most
MOST = 1 << 10
#: documents that are read, or changed, in one step
STEP = 256
#: seconds that a change of many documents takes before it says where it got to
TIME_CHUNK = 60.0
#: seconds of the timeout that are left for sending what was read
RESERVE = 5.0
#: seconds after which a full queue is asked again, and until that is given up
RETRY = 0.02
PATIENCE = 30.0

_EVERYTHING = 1 << 62

Change = Callable[[Sequence[str]], Awaitable[SiftlineError | None]]


async def visit_documents(
    host: Host, path: DocumentPath, parameters: Parameters, request: Request
) -> Response:
    """The documents that path and selection mean, as many as wanted, and where to go on."""
    streamed = parameters.flag("stream") or False
    wanted = parameters.number("wantedDocumentCount", 1) or (_EVERYTHING if streamed else 1)
    parameters.number("concurrency", 1)
    lines = "application/jsonl" in request.headers.get("accept", "")
    form: Form = JsonLinesForm() if lines else JsonForm(path.raw)
    with ExitStack() as held:
        reader = _reader(held.enter_context(host.use()), path, parameters)
        parts = _parts(reader, wanted if streamed else min(wanted, MOST), _deadline(parameters))
        # read before anything is sent, so that a wrong visit is answered as one
        first = await anext(parts)
        if streamed:
            return _Streaming(_stream(form, first, parts), form.media_type, held.pop_all())
        rest = [part async for part in parts]
    whole = joined([first, *rest])
    body = form.begin() + form.part(whole) + form.end(whole, len(whole.documents), None)
    return Response(body, media_type=form.media_type)


async def copy_documents(host: Host, path: DocumentPath, parameters: Parameters) -> Response:
    """Copy what a selection means to a cluster: the documents of the only one are there already."""
    with host.use() as application:
        _check_change(parameters)
        check_cluster(application.package, parameters.required("destinationCluster"))
        return await _through(path, _reader(application, path, parameters), parameters, None)


async def change_documents(
    host: Host, path: DocumentPath, parameters: Parameters, request: Request
) -> Response:
    """Remove (DELETE) or update (PUT) what a selection means, as far as `timeChunk` allows."""
    with host.use() as application:
        _check_change(parameters)
        reader = _reader(application, path, parameters)
        model = await _model(path, request, parameters.required("selection"))

        async def change(ids: Sequence[str]) -> SiftlineError | None:
            return await _apply(host, [replace(model, id=DocumentId.parse(i)) for i in ids])

        return await _through(path, reader, parameters, change)


def _reader(application: Application, path: DocumentPath, parameters: Parameters) -> Reader:
    visit = parse_visit(application.package, path, parameters)
    field_set = parameters.text("fieldSet")
    if field_set is None and path.type is not None:
        field_set = f"{path.type}:[document]"
    form = parameters.choice("format.tensors", TENSOR_FORMS, "short")
    return Reader(application, visit, shown_fields(application.package.schemas, field_set, form))


def _check_change(parameters: Parameters) -> None:
    """UsageError where a change of many documents says too much or too little."""
    parameters.forbid("concurrency", "fieldSet", "route", "wantedDocumentCount")
    parameters.required("selection")
    parameters.required("cluster")


def _deadline(parameters: Parameters, longest: float = float("inf")) -> float:
    """When to stop, on the monotonic clock, so that the reply is there within the timeout."""
    timeout = parameters.timeout
    return time.monotonic() + min(longest, max(timeout - RESERVE, timeout / 2))


async def _model(path: DocumentPath, request: Request, condition: str) -> Operation:
    """The operation that each selected document gets, with an id that stands for theirs."""
    stand_in = DocumentId(path.namespace or "", path.type or "", path.selector, "x")
    if request.method == "DELETE":
        return Operation("remove", stand_in, condition=condition)
    operation = await read_operation("update", stand_in, await request.body(), {"create": False})
    return replace(operation, condition=condition)


async def _parts(reader: Reader, wanted: int, deadline: float) -> AsyncIterator[Part]:
    """Parts of a visit, one at least, until there are enough, none are left or time is over."""
    count = 0
    while True:
        seconds = deadline - time.monotonic()
        part = await asyncio.to_thread(reader.read, min(STEP, wanted - count), seconds)
        count += len(part.documents)
        yield part
        if part.token is None or count >= wanted or time.monotonic() > deadline:
            return


class _Streaming(StreamingResponse):
    """A streamed reply that holds on to the application until the last byte, or the client goes."""

    def __init__(self, body: AsyncIterator[bytes], media_type: str, held: ExitStack) -> None:
        super().__init__(body, media_type=media_type)
        self._held = held

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        with self._held:
            await super().__call__(scope, receive, send)


async def _stream(form: Form, first: Part, others: AsyncIterator[Part]) -> AsyncIterator[bytes]:
    """The bytes of a visit as its documents are read."""
    yield form.begin()
    yield form.part(first)
    last, count, message = first, len(first.documents), None
    try:
        async for last in others:
            count += len(last.documents)
            yield form.part(last)
    except SiftlineError as error:
        message = failure_message(error)
    yield form.end(last, count, message)


async def _through(
    path: DocumentPath, reader: Reader, parameters: Parameters, change: Change | None
) -> Response:
    """Go through the documents until the time is over, and count them."""
    count, token = 0, None
    deadline = _deadline(parameters, parameters.seconds("timeChunk", TIME_CHUNK))
    async for part in _parts(reader, _EVERYTHING, deadline):
        error = await change([document.id for document in part.documents]) if change else None
        if error is not None:
            status, message = document_status(error), failure_message(error)
            return reply(path.raw, status=status, message=message, documentCount=count)
        count += len(part.documents)
        token = part.token
    rest: dict[str, Any] = {} if token is None else {"continuation": token}
    return reply(path.raw, **rest, documentCount=count)


async def _apply(host: Host, operations: Sequence[Operation]) -> SiftlineError | None:
    """Apply operations on distinct documents; the first error, if there is one.

    A document that no longer fits its condition was changed meanwhile and is passed over.
    """
    try:
        accepted = [await _submit(host, operation) for operation in operations]
    except SiftlineError as error:
        return error
    errors = [(await asyncio.wrap_future(future)).error for future in accepted]
    return next((e for e in errors if e is not None and not isinstance(e, ConditionError)), None)


async def _submit(host: Host, operation: Operation) -> Future[Outcome]:
    """Have an operation accepted, waiting a while where the queue is full."""
    until = time.monotonic() + PATIENCE
    while True:
        try:
            return host.intake.submit(operation)
        except OverloadError:
            if time.monotonic() > until:
                raise
            await asyncio.sleep(RETRY)
