"""Query files: a path on each line, or, for POST, a path line and the lines of its content."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

from siftline.errors import Place, UsageError
from siftline.load.options import LoadOptions


@dataclass(frozen=True, slots=True)
class Request:
    """`path` as the file has it; `wire` is what is sent, None where the path is too long."""

    path: bytes
    wire: bytes | None


def read_requests(file: str, options: LoadOptions, authority: str) -> list[Request]:
    """The requests of a query file, ready to send to a host.

    authority: the Host header unless the options name one. A line of more than `most_line` bytes
    gives a request that is skipped. UsageError where the file cannot be read, holds no request,
    only too long ones, or content that is not base64 though it should be.
    """
    try:
        data = Path(file).read_bytes()
    except OSError as error:
        raise UsageError(f"cannot read the query file '{file}': {error.strerror}") from None
    head = _head(options, authority)
    requests = [
        Request(path, None)
        if len(path) > options.most_line
        else Request(path, _wire(path, content, options, head))
        for path, content in _blocks(data, file, options)
    ]
    if not requests:
        hint = " (a POST file has lines that start with '/')" if options.post else ""
        raise UsageError(f"the query file '{file}' holds no request{hint}")
    if all(request.wire is None for request in requests):
        raise UsageError(f"every path of '{file}' is longer than {options.most_line} bytes (-m)")
    return requests


def part(requests: Sequence[Request], number: int, clients: int) -> Sequence[Request]:
    """The share of a shared file that a client starts with: contiguous, all clients together all.

    More clients than requests share the requests in turn.
    """
    if clients >= len(requests):
        return [requests[number % len(requests)]]
    bounds = [len(requests) * i // clients for i in (number, number + 1)]
    return requests[bounds[0] : bounds[1]]


def _blocks(data: bytes, file: str, options: LoadOptions) -> Iterator[tuple[bytes, bytes]]:
    lines = [line.removesuffix(b"\r") for line in data.split(b"\n")]
    if not options.post:
        yield from ((line, b"") for line in lines if line)
        return
    starts = [i for i, line in enumerate(lines) if line.startswith(b"/")]
    for start, end in pairwise([*starts, len(lines)]):
        content = b"\n".join(lines[start + 1 : end])
        # The end of the last line is no part of the content.
        content = content.removesuffix(b"\n") if end == len(lines) else content
        yield lines[start], _decoded(content, file, start + 1, options)


def _decoded(content: bytes, file: str, line: int, options: LoadOptions) -> bytes:
    if not options.base64:
        return content
    try:
        return base64.b64decode(b"".join(content.split()), validate=True)
    except binascii.Error as error:
        raise UsageError(f"content is not base64: {error}", Place(file, line)) from None


def _head(options: LoadOptions, authority: str) -> bytes:
    """The header lines that every request has."""
    names = {header.partition(":")[0].strip().lower() for header in options.headers}
    lines = [f"Host: {options.authority or authority}", *options.headers]
    if "user-agent" not in names:
        lines.append("User-Agent: siftline-fbench")
    if not options.keep_alive:
        lines.append("Connection: close")
    if options.post and "content-type" not in names:
        lines.append("Content-Type: application/json")
    if options.benchmark:
        lines.append("X-Yahoo-Vespa-Benchmarkdata: true")
    if options.coverage:
        lines.append("X-Yahoo-Vespa-Benchmarkdata-Coverage: true")
    return "".join(f"{line}\r\n" for line in lines).encode("latin-1", "replace")


def _wire(path: bytes, content: bytes, options: LoadOptions, head: bytes) -> bytes:
    target = path + options.append.encode()
    if not options.post:
        return b"GET %s HTTP/1.1\r\n%s\r\n" % (target, head)
    length = b"Content-Length: %d\r\n" % len(content)
    return b"POST %s HTTP/1.1\r\n%s%s\r\n%s" % (target, head, length, content)
