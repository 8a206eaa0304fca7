"""What one request may cost: the bytes of its body, packed and unpacked, and the time it takes."""

from __future__ import annotations

import asyncio
import time
import zlib
from typing import Any

from starlette.exceptions import HTTPException
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from siftline.serve.answers import error_response

#: Bytes of a body that buy its sender one more second.
SLOWEST = 1024

_CODINGS = {b"gzip": 31, b"x-gzip": 31, b"deflate": 15}


class BodyLimits:
    """Reads request bodies for the application: unpacked, bounded, and not for ever.

    body: most bytes, as sent and after unpacking (413). pause: seconds before the first byte is
    due; every KB buys one more second (408). Half a body and a damaged gzip stream are 400, an
    unknown content coding 415.
    """

    def __init__(self, app: ASGIApp, body: int, pause: float) -> None:
        self._app = app
        self._body = body
        self._pause = pause

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one request (ASGI)."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        length, coding = _headers(scope)
        if length is None and coding is None and scope["method"] in ("GET", "HEAD"):
            await self._app(scope, receive, send)
            return
        if coding is not None and coding not in _CODINGS:
            shown = coding.decode("latin-1")
            answer = error_response(415, f"content coding '{shown}' is not supported: use gzip")
            await answer(scope, receive, send)
            return
        if length is not None and length > self._body:
            await error_response(413, too_large(self._body))(scope, receive, send)
            return
        bits = _CODINGS[coding] if coding else None
        if scope.get("http_version", "1.1") == "2":
            length = None  # a client that has not yet ended its stream fails where it is answered
        body = _Body(receive, self._body, self._pause, bits, length)
        if coding is not None:
            scope = {**scope, "headers": _plain(scope["headers"])}
        await self._app(scope, body.receive, send)


def too_large(limit: int) -> str:
    """The message of a 413."""
    return f"the body is larger than {limit:,} bytes"


def _headers(scope: Scope) -> tuple[int | None, bytes | None]:
    """Content length and coding; None where not given."""
    length: int | None = None
    coding: bytes | None = None
    for name, value in scope["headers"]:
        if name == b"content-length" and value.isdigit():
            length = int(value)
        elif name == b"content-encoding" and value.strip().lower() != b"identity":
            coding = bytes(value).strip().lower() or None
    return length, coding


def _plain(headers: Any) -> list[tuple[bytes, bytes]]:
    dropped = (b"content-encoding", b"content-length")
    return [(name, value) for name, value in headers if name not in dropped]


class _Body:
    """One body on its way from the connection to the application."""

    def __init__(
        self, receive: Receive, limit: int, pause: float, bits: int | None, length: int | None
    ) -> None:
        self._receive = receive
        self._limit = limit
        self._length = length
        self._deadline = time.monotonic() + pause
        self._unpack = zlib.decompressobj(bits) if bits is not None else None
        self._sent = 0
        self._unpacked = 0
        self._complete = False

    async def receive(self) -> Message:
        """The next message, with a part of the plain body."""
        if self._complete:
            return await self._receive()
        message = await self._next()
        if message["type"] != "http.request":
            return message
        chunk = message.get("body", b"")
        self._sent += len(chunk)
        if self._sent > self._limit:
            raise HTTPException(413, too_large(self._limit))
        # all that was announced is there: the server's empty last part need not be waited for
        more = message.get("more_body", False) and self._sent != self._length
        self._complete = not more
        plain = chunk if self._unpack is None else self._unpacked_part(chunk, more)
        return {"type": "http.request", "body": plain, "more_body": more}

    async def _next(self) -> Message:
        left = self._deadline + self._sent / SLOWEST - time.monotonic()
        try:
            async with asyncio.timeout(left):
                return await self._receive()
        except TimeoutError:
            raise HTTPException(408, "the body came too slowly") from None

    def _unpacked_part(self, chunk: bytes, more: bool) -> bytes:
        unpack = self._unpack
        if unpack is None:  # pragma: no cover - called for coded bodies only
            return chunk
        try:
            # one byte more than allowed: enough to know, and a bomb does not go off
            plain = unpack.decompress(chunk, self._limit - self._unpacked + 1)
        except zlib.error as error:
            raise HTTPException(400, f"the body is no valid gzip stream: {error}") from None
        self._unpacked += len(plain)
        if self._unpacked > self._limit:
            raise HTTPException(413, too_large(self._limit))
        if not more and not unpack.eof and self._sent:
            raise HTTPException(400, "the gzip stream ends early")
        return plain
