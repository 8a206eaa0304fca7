"""Every request: its id, its line in the access log, its share of the metrics, its span."""

from __future__ import annotations

import json
import logging
import re
import sys
import time
from contextlib import AbstractContextManager, nullcontext
from datetime import UTC, datetime
from importlib import import_module
from itertools import count
from pathlib import Path
from typing import Any
from uuid import uuid4

from starlette.requests import ClientDisconnect
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from siftline.errors import UsageError
from siftline.serve.answers import error_response
from siftline.serve.connections import Busy
from siftline.serve.metrics import Metrics

log = logging.getLogger(__name__)

#: First part of a path → group under which its requests are counted.
GROUPS = {
    "search": "search",
    "document": "document",
    "model-evaluation": "model-evaluation",
    "application": "deploy",
    "state": "state",
    "metrics": "state",
    "status.html": "state",
    "ApplicationStatus": "state",
    "": "state",
}

#: An id of the client's that is safe to repeat in a header and in a log.
_ID = re.compile(rb"[A-Za-z0-9._:/+=-]{1,128}")


class AccessLog:
    """Writes one JSON object a line to a file, or to standard error for `-`."""

    def __init__(self, target: str) -> None:
        try:
            self._file = sys.stderr if target == "-" else Path(target).open("a", encoding="utf-8")
        except OSError as error:
            raise UsageError(f"cannot write the access log '{target}': {error.strerror}") from None

    def write(self, **values: Any) -> None:
        """One line: time, request id, peer, method, path, status, bytes and seconds."""
        self._file.write(json.dumps(values, ensure_ascii=True) + "\n")
        self._file.flush()

    def close(self) -> None:
        """Close the file; standard error stays open."""
        if self._file is not sys.stderr:
            self._file.close()


class Observer:
    """The outermost layer: what happens to a request is known here, whatever happens.

    An exception that nothing below turned into an answer becomes a 500 without details; it goes to
    the log with the request's id.
    """

    def __init__(
        self, app: ASGIApp, metrics: Metrics, busy: Busy, access_log: AccessLog | None
    ) -> None:
        self._app = app
        self._metrics = metrics
        self._busy = busy
        self._log = access_log
        self._prefix = uuid4().hex[:12]
        self._number = count(1)
        self._span = _spans()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one request (ASGI)."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        answer = _Answer(send, self._id(scope))
        scope["state"]["request_id"] = answer.id.decode("latin-1")
        started = time.perf_counter()
        self._metrics.open.inc()
        peer = self._busy.enter(scope.get("client"))
        try:
            with self._span(scope):
                await self._app(scope, receive, answer.send)
        except ClientDisconnect:
            answer.status = answer.status or 499
        except Exception:  # the boundary: a request's failure is only its own
            log.exception("request %s failed", answer.id.decode("latin-1"))
            if not answer.status:
                failed = error_response(500, "internal error; the server's log has the details")
                await failed(scope, receive, answer.send)
        finally:
            self._busy.leave(peer)
            self._metrics.open.dec()
            self._count(scope, answer, time.perf_counter() - started)

    def _id(self, scope: Scope) -> bytes:
        for name, value in scope["headers"]:
            if name == b"x-request-id" and _ID.fullmatch(value):
                return bytes(value)
        return f"{self._prefix}-{next(self._number)}".encode()

    def _count(self, scope: Scope, answer: _Answer, seconds: float) -> None:
        path, method = scope["path"], scope["method"]
        group = GROUPS.get(path.split("/", 2)[1] if "/" in path else "", "other")
        known = method if method in ("GET", "POST", "PUT", "DELETE", "HEAD") else "other"
        self._metrics.requests.labels(group, known, answer.status).inc()
        self._metrics.latency.labels(group).observe(seconds)
        if self._log is not None:
            client = scope.get("client")
            self._log.write(
                time=datetime.now(UTC).isoformat(timespec="milliseconds"),
                id=answer.id.decode("latin-1"),
                peer=client[0] if client else None,
                http=scope["http_version"],
                method=method,
                path=path,
                query=scope["query_string"].decode("latin-1"),
                status=answer.status,
                bytes=answer.bytes,
                seconds=round(seconds, 6),
            )


class _Answer:
    """Watches an answer go out and puts the request's id on it."""

    __slots__ = ("_send", "bytes", "id", "status")

    def __init__(self, send: Send, id_: bytes) -> None:
        self._send = send
        self.id = id_
        self.status = 0
        self.bytes = 0

    async def send(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self.status = message["status"]
            message["headers"] = [*message["headers"], (b"x-request-id", self.id)]
        elif message["type"] == "http.response.body":
            self.bytes += len(message.get("body", b""))
        await self._send(message)


def _spans() -> Any:
    """A function from a scope to a span's context: OpenTelemetry's where its package is there."""
    try:
        propagate = import_module("opentelemetry.propagate")
        trace = import_module("opentelemetry.trace")
    except ImportError:
        nothing: AbstractContextManager[None] = nullcontext()
        return lambda scope: nothing
    tracer = trace.get_tracer("siftline")

    def span(scope: Scope) -> Any:
        carrier = {name.decode("latin-1"): v.decode("latin-1") for name, v in scope["headers"]}
        return tracer.start_as_current_span(
            f"{scope['method']} {scope['path']}",
            context=propagate.extract(carrier),
            kind=trace.SpanKind.SERVER,
            attributes={"http.request.method": scope["method"], "url.path": scope["path"]},
        )

    return span
