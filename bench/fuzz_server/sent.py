"""One request as bytes, its answer, and what must hold of that."""

from __future__ import annotations

import base64
import gzip
import http.client
import io
import json
import socket
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from urllib.parse import quote, urlsplit

from hypothesis import strategies as st

#: Seconds within which every request has its answer; the slowest body may take 20.
PATIENCE = 30.0
_LEGAL = "/%:?#[]@!$&'()*+,;=-._~"


class FindingError(Exception):
    """A request that the server must not answer so; the message has what repeats it."""


@dataclass(frozen=True)
class Answer:
    """Status, content type and body."""

    status: int
    type: str
    body: bytes


def raw(method: str, target: str, headers: Mapping[str, str], body: bytes) -> bytes:
    """A whole HTTP/1.1 request on a connection of its own."""
    named = {"Host": "fuzz", "Connection": "close", "Content-Length": str(len(body)), **headers}
    lines = [f"{method} {target} HTTP/1.1", *(f"{name}: {value}" for name, value in named.items())]
    return "\r\n".join([*lines, "", ""]).encode("utf-8", "surrogatepass") + body


def target(path: str, query: Mapping[str, str] | None = None) -> str:
    """A path and a query as they go over the line; what stands for itself in `path` stays."""
    asked = "&".join(f"{_quoted(name)}={_quoted(value)}" for name, value in (query or {}).items())
    return quote(path, safe=_LEGAL) + (f"?{asked}" if asked else "")


def _quoted(text: str) -> str:
    return quote(text, safe="", errors="replace")


@st.composite
def coded(draw: st.DrawFn, body: bytes) -> tuple[dict[str, str], bytes]:
    """A body as it is, packed, packed and damaged, or said to be what it is not."""
    way = draw(st.sampled_from(["plain", "plain", "gzip", "half", "garbage", "bomb", "unknown"]))
    if way == "plain":
        return {}, body
    if way == "unknown":
        return {"Content-Encoding": draw(st.sampled_from(["br", "zstd", "gzip, gzip", "é"]))}, body
    packed = gzip.compress(b" " * 5_000_000 if way == "bomb" else body, 1)
    packed = packed[: len(packed) // 2] if way == "half" else packed
    return {"Content-Encoding": "gzip"}, body if way == "garbage" else packed


def send(url: str, request: bytes) -> Answer:
    """The answer; FindingError where none comes in time, or half of one."""
    parts = urlsplit(url)
    try:
        with socket.create_connection((parts.hostname, parts.port), PATIENCE) as connection:
            connection.sendall(request)
            method = request.split(b" ", 1)[0].decode("ascii", "replace")
            response = http.client.HTTPResponse(connection, method=method)
            response.begin()
            body = response.read()
            return Answer(response.status, response.getheader("content-type", ""), body)
    except TimeoutError:
        raise FindingError(f"no answer within {PATIENCE:g} s\n{repeated(request)}") from None
    except (OSError, http.client.HTTPException) as error:
        raise FindingError(f"no whole answer: {error!r}\n{repeated(request)}") from None


def check(request: bytes, answer: Answer, statuses: Collection[int], *, search: bool) -> None:
    """FindingError for another status, or for JSON that is none."""
    problem = ""
    if answer.status not in statuses:
        problem = f"status {answer.status}"
    elif answer.body and answer.type.startswith("application/json"):
        problem = _malformed(answer, search)
    if problem:
        told = answer.body[:500].decode("utf-8", "replace")
        raise FindingError(f"{problem}: {told}\n{repeated(request)}")


def _malformed(answer: Answer, search: bool) -> str:
    try:
        value = json.load(io.BytesIO(answer.body), parse_constant=_no_number)
    except ValueError as error:
        return f"the body is no JSON ({error})"
    if search and answer.status in (200, 400, 503, 504) and "root" not in value:
        return "the answer has no root"
    return ""


def _no_number(name: str) -> float:
    raise ValueError(f"{name} is no number in JSON")


def repeated(request: bytes) -> str:
    """The request for the eye, and the command that sends it again."""
    shown = repr(request[:2000])
    if len(request) > 2000:
        shown += f" … {len(request):,} bytes"
    again = base64.b64encode(gzip.compress(request, 9, mtime=0)).decode()
    return f"request: {shown}\nagain: python -m bench.fuzz_server --again {again}"


def unpacked(again: str) -> bytes:
    """The request that `repeated` wrote."""
    return gzip.decompress(base64.b64decode(again))
