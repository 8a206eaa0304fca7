"""What one request may cost: bytes, packed and unpacked, and time."""

from __future__ import annotations

import asyncio
import gzip
import zlib
from collections.abc import Iterable

import pytest
from hypothesis import given
from hypothesis import strategies as st
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route
from starlette.testclient import TestClient
from starlette.types import Message, Receive, Scope, Send

from siftline.serve.answers import on_http_exception
from siftline.serve.limits import BodyLimits

LIMIT = 1000


async def echo(request: Request) -> Response:
    body = await request.body()
    coding = request.headers.get("content-encoding", "none")
    return Response(body, headers={"seen-coding": coding})


def client(limit: int = LIMIT, pause: float = 5) -> TestClient:
    app = Starlette(
        routes=[Route("/", echo, methods=["POST", "GET"])],
        exception_handlers={HTTPException: on_http_exception},
    )
    return TestClient(BodyLimits(app, limit, pause))


def test_a_body_up_to_the_limit_goes_through() -> None:
    assert client().post("/", content=b"x" * LIMIT).content == b"x" * LIMIT


def test_a_longer_body_is_refused_by_its_length() -> None:
    response = client().post("/", content=b"x" * (LIMIT + 1))
    assert response.status_code == 413
    assert response.json() == {
        "error-code": "PAYLOAD_TOO_LARGE",
        "message": "the body is larger than 1,000 bytes",
    }


def test_a_longer_body_is_refused_also_without_a_length() -> None:
    def parts() -> Iterable[bytes]:
        yield from [b"x" * 600] * 2

    assert client().post("/", content=parts()).status_code == 413


@given(st.binary(max_size=LIMIT), st.sampled_from(["gzip", "x-gzip", "GZIP", "deflate"]))
def test_packed_bodies_are_unpacked(body: bytes, coding: str) -> None:
    packed = zlib.compress(body) if coding == "deflate" else gzip.compress(body)
    response = client(2 * LIMIT).post("/", content=packed, headers={"content-encoding": coding})
    assert (response.status_code, response.content) == (200, body)
    assert response.headers["seen-coding"] == "none"


def test_a_bomb_does_not_go_off() -> None:
    bomb = gzip.compress(gzip.compress(b"\0" * 1_000_000)[:900] + b"\0" * 50_000)
    assert len(bomb) < LIMIT
    response = client().post("/", content=bomb, headers={"content-encoding": "gzip"})
    assert response.status_code == 413


def test_what_is_left_of_a_limit_is_never_unlimited() -> None:
    # the first part unpacks to the limit exactly; the next part must not unpack without bound
    packer = zlib.compressobj(wbits=31)
    first = packer.compress(b"x" * LIMIT) + packer.flush(zlib.Z_SYNC_FLUSH)
    second = packer.compress(b"y" * 900_000) + packer.flush()

    def parts() -> Iterable[bytes]:
        yield first
        yield second

    headers = {"content-encoding": "gzip"}
    assert client(LIMIT).post("/", content=parts(), headers=headers).status_code == 413


@pytest.mark.parametrize("packed", [b"no gzip at all", gzip.compress(b"x" * 50)[:-9]])
def test_a_damaged_stream_is_400(packed: bytes) -> None:
    response = client().post("/", content=packed, headers={"content-encoding": "gzip"})
    assert response.status_code == 400
    assert "gzip" in response.json()["message"]


def test_an_unknown_coding_is_415() -> None:
    response = client().post("/", content=b"x", headers={"content-encoding": "br"})
    assert response.status_code == 415
    assert "'br' is not supported: use gzip" in response.json()["message"]


def test_no_coding_by_its_name() -> None:
    response = client().post("/", content=b"x", headers={"content-encoding": "identity"})
    assert response.content == b"x"


async def answer_to(parts: list[tuple[float, bytes, bool]], pause: float) -> int:
    """The status for a body whose parts come after seconds."""
    waiting = list(parts)
    sent: list[Message] = []

    async def receive() -> Message:
        if not waiting:
            await asyncio.sleep(60)
        seconds, body, more = waiting.pop(0)
        await asyncio.sleep(seconds)
        return {"type": "http.request", "body": body, "more_body": more}

    async def send(message: Message) -> None:
        sent.append(message)

    scope: Scope = {
        "type": "http",
        "method": "POST",
        "path": "/",
        "query_string": b"",
        "headers": [(b"transfer-encoding", b"chunked")],
    }
    app = Starlette(
        routes=[Route("/", echo, methods=["POST"])],
        exception_handlers={HTTPException: on_http_exception},
    )
    await BodyLimits(app, LIMIT, pause)(scope, receive, send)
    status = sent[0]["status"]
    assert isinstance(status, int)
    return status


def test_a_body_that_never_comes_is_408() -> None:
    assert asyncio.run(answer_to([], 0.05)) == 408


def test_half_a_body_is_408() -> None:
    assert asyncio.run(answer_to([(0, b"half", True)], 0.05)) == 408


def test_every_part_buys_time_by_its_size_only() -> None:
    slow = [(0.03, b"x", True)] * 20 + [(0.0, b"", False)]
    assert asyncio.run(answer_to(slow, 0.1)) == 408
    quick = [(0.03, b"x" * 300, True)] * 3 + [(0.0, b"", False)]
    assert asyncio.run(answer_to(quick, 0.2)) == 200


@pytest.mark.parametrize("packed", [False, True])
def test_a_body_of_known_length_is_complete_with_its_last_byte(packed: bool) -> None:
    body = gzip.compress(b"hello") if packed else b"hello"
    parts = [body[:3], body[3:]]
    headers = [(b"content-length", str(len(body)).encode())]
    scope = {
        "type": "http",
        "method": "POST",
        "headers": [*headers, (b"content-encoding", b"gzip")] if packed else headers,
    }
    received: list[bytes] = []

    async def receive() -> Message:
        # after the last byte there is nothing to wait for
        return {"type": "http.request", "body": parts.pop(0), "more_body": True}

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        more = True
        while more:
            message = await receive()
            received.append(message["body"])
            more = message["more_body"]

    async def send(message: Message) -> None:
        raise AssertionError(message)

    asyncio.run(BodyLimits(app, LIMIT, 5)(scope, receive, send))
    assert b"".join(received) == b"hello" and not parts
