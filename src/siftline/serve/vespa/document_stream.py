"""The forms in which a visit is answered: one JSON object, or a stream of JSON or JSON lines.

JSON lines (`Accept: application/jsonl`): `{"put": id, "fields": …}` for each document, a
`{"continuation": …}` after each part, and the number of documents at the end.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol

from siftline.serve.answers import JSON_TYPE, json_bytes
from siftline.serve.vespa.document_visit import Part

JSONL_TYPE = "application/jsonl; charset=UTF-8"


class Form(Protocol):
    """Bytes of a stream, part by part."""

    media_type: str

    def begin(self) -> bytes:
        """What comes before the documents."""

    def part(self, part: Part) -> bytes:
        """Some documents, and how far they bring the visit."""

    def end(self, last: Part, count: int, message: str | None) -> bytes:
        """What comes behind the documents; message says what went wrong, if anything did."""


class JsonForm:
    """One JSON object, as it is also sent whole."""

    media_type = JSON_TYPE

    def __init__(self, raw: str) -> None:
        self._raw = raw
        self._first = True

    def begin(self) -> bytes:
        """The path, and the opening of the list."""
        return b'{"pathId":' + json_bytes(self._raw) + b',"documents":['

    def part(self, part: Part) -> bytes:
        """Elements of the list."""
        text = b",".join(json_bytes({"id": d.id, "fields": d.fields}) for d in part.documents)
        if not text:
            return b""
        comma = b"" if self._first else b","
        self._first = False
        return comma + text

    def end(self, last: Part, count: int, message: str | None) -> bytes:
        """The end of the list, and what is known then."""
        rest: dict[str, Any] = {}
        if message is not None:
            rest["message"] = message
        elif last.token is not None:
            rest["continuation"] = last.token
        rest["documentCount"] = count
        return b"]," + json_bytes(rest)[1:]


class JsonLinesForm:
    """One JSON object on each line."""

    media_type = JSONL_TYPE

    def begin(self) -> bytes:
        """Nothing."""
        return b""

    def part(self, part: Part) -> bytes:
        """A line for each document, then one for the place where they end."""
        lines: list[Any] = [{"put": d.id, "fields": d.fields} for d in part.documents]
        if part.documents and part.token is not None:
            lines.append(_continuation(part))
        return _lines(lines)

    def end(self, last: Part, count: int, message: str | None) -> bytes:
        """The message, the last continuation, the count."""
        lines: list[Any] = []
        if message is not None:
            lines.append({"message": {"text": message, "severity": "error"}})
        lines.append(_continuation(last))
        lines.append({"sessionStats": {"documentCount": count}})
        return _lines(lines)


def _continuation(part: Part) -> dict[str, Any]:
    members: dict[str, Any] = {"token": part.token} if part.token is not None else {}
    return {"continuation": {**members, "percentFinished": part.percent}}


def _lines(values: Sequence[Any]) -> bytes:
    return b"".join(json_bytes(value) + b"\n" for value in values)
