"""A server that behaves as each path tells it to, and remembers what it was asked."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field

HITS = b'{"root":{"id":"toplevel","relevance":1.0,"fields":{"totalCount":3}}}'
NO_HITS = HITS.replace(b":3}", b":0}")


@dataclass
class Asked:
    """One request as it came: connection counted from 0, request line, headers, body."""

    connection: int
    line: str
    headers: dict[str, str]
    body: bytes


@dataclass
class Server:
    """`port` it listens on and what it was asked, in order."""

    port: int = 0
    asked: list[Asked] = field(default_factory=list)
    connections: int = 0

    async def connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        number = self.connections
        self.connections += 1
        try:
            while True:
                request = await self._read(reader, number)
                self.asked.append(request)
                if not await self._answer(request, writer):
                    break
        except (asyncio.IncompleteReadError, ConnectionError, asyncio.CancelledError):
            pass
        finally:
            writer.close()

    async def _read(self, reader: asyncio.StreamReader, number: int) -> Asked:
        head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
        line, *fields = head.strip().split("\r\n")
        headers = {n.lower(): v.strip() for n, _, v in (field.partition(":") for field in fields)}
        body = await reader.readexactly(int(headers.get("content-length", 0)))
        return Asked(number, line, headers, body)

    async def _answer(self, request: Asked, writer: asyncio.StreamWriter) -> bool:
        """Answer as the path says; False where the connection ends with it."""
        path = request.line.split(" ")[1]
        if path.startswith("/slow"):
            await asyncio.sleep(0.05)
        if path.startswith("/never"):
            await asyncio.sleep(60)
        if path.startswith("/garbage"):
            writer.write(b"SSH-2.0-OpenSSH\r\n\r\n")
            return False
        if path.startswith("/cut"):
            writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhalf")
            return False
        if path.startswith("/until-end"):
            writer.write(b"HTTP/1.0 200 OK\r\n\r\n" + HITS)
            return False
        if path.startswith("/chunked"):
            chunks = b"".join(b"%x\r\n%s\r\n" % (len(c), c) for c in (HITS[:9], HITS[9:]))
            head = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
            writer.write(b"HTTP/1.1 103 Early Hints\r\n\r\n" + head + chunks + b"0\r\n\r\n")
            return True
        status = b"400 Bad Request" if path.startswith("/bad") else b"200 OK"
        body = b'{"message":"no such field"}' if path.startswith("/bad") else HITS
        body = NO_HITS if path.startswith("/none") else body
        extra = b"X-Yahoo-Vespa-TotalHitCount: 0\r\n" if path.startswith("/header") else b""
        closes = path.startswith("/once") or request.headers.get("connection") == "close"
        extra += b"Connection: close\r\n" if closes else b""
        head = b"HTTP/1.1 %s\r\n%sContent-Length: %d\r\n\r\n" % (status, extra, len(body))
        writer.write(head + body)
        if path.startswith("/idle"):
            # It says that the connection lives on, and ends it.
            await asyncio.sleep(0.005)
            return False
        return not closes
