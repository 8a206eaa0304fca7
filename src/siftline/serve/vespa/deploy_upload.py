"""Takes an application package from the body of a request to a file."""

from __future__ import annotations

import errno
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import IO

from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException
from starlette.requests import Request

from siftline.errors import FullError, PackageError
from siftline.serve.host import Host

#: Content types of a package, as Vespa takes them; what is in the body decides.
CONTENT_TYPES = (
    "application/zip",
    "application/x-zip-compressed",
    "application/x-gzip",
    "application/gzip",
    "application/x-tar+gzip",
    "application/octet-stream",
)
_AT_ONCE = 1 << 20


@asynccontextmanager
async def receive_package(request: Request, host: Host) -> AsyncIterator[Path]:
    """The body in a file that is gone afterwards.

    HTTPException 400 for another content type, PackageError for an empty body, FullError where
    the disk is full.
    """
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if not kind:
        raise HTTPException(400, "Request contains no Content-Type header")
    if kind not in CONTENT_TYPES:
        known = " or ".join(("application/zip", "application/x-gzip"))
        raise HTTPException(400, f"Unsupported Content-Type '{kind}': use {known}")
    async with receive_file(request, host) as path:
        if path.stat().st_size == 0:
            raise PackageError("the request has no body: send the package as zip or gzip'd tar")
        yield path


@asynccontextmanager
async def receive_file(request: Request, host: Host) -> AsyncIterator[Path]:
    """The body in a file that is gone afterwards, unless it was moved; FullError: no space."""
    deployments = await run_in_threadpool(lambda: host.deployments)
    path = deployments.sessions.incoming()
    try:
        with open(path, "xb") as file:
            await _write(request, file)
        yield path
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise FullError("no space is left on the disk for the package") from error
        raise
    finally:
        path.unlink(missing_ok=True)


async def _write(request: Request, file: IO[bytes]) -> None:
    """Write the body, large parts in a thread."""
    waiting = bytearray()
    async for part in request.stream():
        waiting += part
        if len(waiting) >= _AT_ONCE:
            await run_in_threadpool(file.write, bytes(waiting))
            waiting.clear()
    file.write(waiting)
