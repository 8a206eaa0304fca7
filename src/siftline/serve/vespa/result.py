"""A result as the bytes that the client asked for: JSON, CBOR or server-sent events."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import cbor2

from siftline.errors import QueryError
from siftline.respond.hits import Result
from siftline.respond.problems import SearchError, http_status
from siftline.respond.render import failure_json
from siftline.schema.nearest import nearest
from siftline.serve.answers import JSON_TYPE, json_bytes

CBOR_TYPE = "application/cbor"
EVENTS_TYPE = "text/event-stream"

#: Value of `presentation.format` → content type of the answer; where it is not given, `Accept`.
FORMATS = {"json": JSON_TYPE, "cbor": CBOR_TYPE, "sse": EVENTS_TYPE}


@dataclass(frozen=True, slots=True)
class Answer:
    """HTTP status, content type, the body in parts, and the result it renders; None of an error."""

    status: int
    type: str
    parts: tuple[bytes, ...]
    result: Result | None = None


def content_type(format_: str | None, accept: str) -> str:
    """The content type of the answer; QueryError for a format there is none of."""
    if format_ is not None and format_ != "default":
        if format_ not in FORMATS:
            raise QueryError(f"no renderer for format '{format_}'{nearest(format_, FORMATS)}")
        return FORMATS[format_]
    return accepted(accept)


def accepted(accept: str) -> str:
    """CBOR or events where the client wants them more than JSON, else JSON."""
    if not accept or accept == "*/*":
        return JSON_TYPE
    wanted = {"application/json": 0.0, CBOR_TYPE: 0.0, EVENTS_TYPE: 0.0}
    for part in accept.split(","):
        name, _, parameters = part.partition(";")
        name = name.strip().lower()
        if name in wanted:
            wanted[name] = max(wanted[name], _quality(parameters))
    best = max(wanted, key=lambda name: wanted[name])
    return JSON_TYPE if best == "application/json" else best


def _quality(parameters: str) -> float:
    for parameter in parameters.split(";"):
        name, _, value = parameter.partition("=")
        if name.strip() == "q":
            try:
                return float(value)
            except ValueError:
                return 0.0
    return 1.0


def render(result: Result, type_: str) -> Answer:
    """The answer that a result is."""
    status = http_status(result.errors, len(result.hits))
    return Answer(status, type_, _parts(type_, result.to_json()), result)


def render_error(error: SearchError, type_: str, status: int | None = None) -> Answer:
    """The answer that an error is; status: another than the table's."""
    parts = _parts(type_, failure_json(error))
    return Answer(error.kind.status if status is None else status, type_, parts)


def figures(answer: Answer, seconds: float, *, coverage: bool) -> dict[str, str]:
    """The headers that a load tool asks for (spec 8.1), all names after X-Yahoo-Vespa-."""
    result = answer.result
    values: dict[str, object] = {
        "NumHits": len(result) if result else 0,
        "NumErrors": len(result.errors) if result else 1,
        "TotalHitCount": result.total if result else 0,
        "SearchTime": round(seconds * 1000, 3),
    }
    if coverage and result:
        values["DocsSearched"] = result.coverage.documents
        values["NodesSearched"] = 1
        values["FullCoverage"] = int(result.coverage.full)
    return {f"X-Yahoo-Vespa-{name}": str(value) for name, value in values.items()}


def _parts(type_: str, value: dict[str, Any]) -> tuple[bytes, ...]:
    if type_ == CBOR_TYPE:
        return (cbor2.dumps(value),)
    if type_ == EVENTS_TYPE:
        return tuple(_events(value))
    return (json_bytes(value),)


def _events(value: dict[str, Any]) -> Iterator[bytes]:
    """A `hit` event for each hit, best first, an `error` event for each error, then `end`.

    `end` carries the rest of the result: counts, coverage, timing, trace.
    """
    root = dict(value["root"])
    for hit in root.pop("children", ()):
        yield _event("hit", hit)
    for error in root.pop("errors", ()):
        yield _event("error", error)
    yield _event("end", {**value, "root": root})


def _event(name: str, value: Any) -> bytes:
    return b"event: " + name.encode() + b"\ndata: " + json_bytes(value) + b"\n\n"
