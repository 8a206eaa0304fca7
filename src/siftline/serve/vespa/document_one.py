"""One document at `/document/v1`: get, put, update, remove (spec 4.2)."""

from __future__ import annotations

import asyncio
import time
from concurrent.futures import Future
from typing import Any, Literal

from starlette.requests import Request
from starlette.responses import Response

from siftline.errors import DeadlineError
from siftline.feed.operation import DocumentId, Operation
from siftline.intake import Outcome
from siftline.serve.host import Host
from siftline.serve.vespa.document_body import read_operation, without_undefined
from siftline.serve.vespa.document_checks import check_cluster, check_route, schema_of
from siftline.serve.vespa.document_fields import TENSOR_FORMS, shown_fields
from siftline.serve.vespa.document_parameters import Parameters
from siftline.serve.vespa.document_replies import failure, reply

IGNORED_FIELDS = {"X-Vespa-Ignored-Fields": "true"}
IGNORED_OPERATION = {"X-Vespa-Ignored-Operation": "true"}


async def get_document(host: Host, raw: str, id_: DocumentId, parameters: Parameters) -> Response:
    """The document's fields, 404 where there is none."""
    with host.use() as application:
        package = application.package
        schema_of(package, id_.type)
        check_cluster(package, parameters.text("cluster"))
        shown = shown_fields(
            package.schemas,
            parameters.text("fieldSet"),
            parameters.choice("format.tensors", TENSOR_FORMS, "short"),
        )
        fields = await asyncio.to_thread(application.get, str(id_))
        if fields is None:
            return reply(raw, id_, 404)
        return reply(raw, id_, fields=shown(id_.type, fields))


async def write_document(
    host: Host, raw: str, id_: DocumentId, parameters: Parameters, request: Request
) -> Response:
    """Put, update or remove; the reply says that it is on disk and that queries see it."""
    trace = _Trace(parameters.number("tracelevel") or 0)
    timeout = parameters.timeout
    operation, headers = await _operation(host, id_, parameters, request)
    trace.note(f"{operation.kind} of '{id_}' read")
    if parameters.flag("dryRun"):
        return reply(raw, id_, headers=headers, **trace.members())
    outcome = await within(host.intake.submit(operation, timeout), timeout)
    host.metrics.count_operation(operation.kind, outcome)
    if outcome.error is not None:
        return failure(raw, outcome.error, id_)
    trace.note(f"{operation.kind} of '{id_}': {outcome.kind}")
    if outcome.kind == "ignored":
        headers = {**headers, **IGNORED_OPERATION}
    return reply(raw, id_, headers=headers, **trace.members())


async def within(accepted: Future[Outcome], timeout: float) -> Outcome:
    """What became of an accepted operation; DeadlineError after `timeout` seconds.

    An operation that is late may still be applied.
    """
    # a future and a timer by hand take half the time of asyncio.timeout around wrap_future
    loop = asyncio.get_running_loop()
    settled: asyncio.Future[bool] = loop.create_future()

    def settle(in_time: bool) -> None:
        if not settled.done():
            settled.set_result(in_time)

    def wake(_: object) -> None:
        if not loop.is_closed():
            loop.call_soon_threadsafe(settle, True)

    timer = loop.call_later(timeout, settle, False)
    accepted.add_done_callback(wake)
    try:
        if not await settled:
            raise DeadlineError(f"Timeout after {timeout * 1000:.0f}ms")
    finally:
        timer.cancel()
    return accepted.result()


async def _operation(
    host: Host, id_: DocumentId, parameters: Parameters, request: Request
) -> tuple[Operation, dict[str, str]]:
    """What a request asks for, and the headers that its reply gets for it."""
    overrides = _overrides(parameters)
    with host.use() as application:
        schema = schema_of(application.package, id_.type)
        check_route(application.package, parameters)
        ignores_undefined = application.package.services.ignore_undefined_fields
    if request.method == "DELETE":
        return Operation("remove", id_, condition=overrides.get("condition")), {}
    kind: Literal["put", "update"] = "put" if request.method == "POST" else "update"
    operation = await read_operation(kind, id_, await request.body(), overrides)
    if not ignores_undefined:
        return operation, {}
    operation, gone = without_undefined(schema, operation)
    return operation, IGNORED_FIELDS if gone else {}


def _overrides(parameters: Parameters) -> dict[str, Any]:
    """What the query string says about an operation; it wins over the body."""
    given = {"condition": parameters.text("condition"), "create": parameters.flag("create")}
    return {name: value for name, value in given.items() if value is not None}


class _Trace:
    """What happened to an operation and when, for `tracelevel`; level 0 keeps nothing."""

    def __init__(self, level: int) -> None:
        self._level = level
        self._started = time.perf_counter()
        self._notes: list[str] = []

    def note(self, text: str) -> None:
        """Keep a line with the milliseconds since the start."""
        if self._level:
            passed = (time.perf_counter() - self._started) * 1000
            self._notes.append(f"[{passed:.3f} ms] {text}")

    def members(self) -> dict[str, Any]:
        """`trace` for the reply."""
        return {"trace": [{"message": note} for note in self._notes]} if self._notes else {}
