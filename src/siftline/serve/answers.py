"""Responses that every group of paths shares: JSON bodies, and the HTTP status of an error."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response

from siftline.errors import (
    ComponentError,
    ConditionError,
    DeadlineError,
    DocumentError,
    FullError,
    OverloadError,
    PackageError,
    SiftlineError,
    UnavailableError,
    UnknownNameError,
    UsageError,
)

JSON_TYPE = "application/json;charset=utf-8"

#: The first class that an error belongs to gives its status.
_STATUS: tuple[tuple[type[SiftlineError], int], ...] = (
    (UnknownNameError, 404),
    (UsageError, 400),
    (ConditionError, 412),
    (DocumentError, 400),
    (PackageError, 400),
    (ComponentError, 500),
    (FullError, 507),
    (OverloadError, 429),
    (UnavailableError, 503),
    (DeadlineError, 504),
)


def status_of(error: SiftlineError) -> int:
    """The HTTP status of an error; 500 for what is the server's own fault."""
    return next((status for kind, status in _STATUS if isinstance(error, kind)), 500)


def json_bytes(value: Any) -> bytes:
    """JSON in UTF-8; a lone surrogate, which UTF-8 has no bytes for, stays an escape."""
    text = json.dumps(value, ensure_ascii=False, separators=(",", ":"))
    try:
        return text.encode()
    except UnicodeEncodeError:
        return json.dumps(value, separators=(",", ":")).encode()


def json_response(
    value: Any, status: int = 200, headers: Mapping[str, str] | None = None
) -> Response:
    """A JSON body with the content type Vespa gives it."""
    return Response(json_bytes(value), status, headers, media_type=JSON_TYPE)


#: HTTP status → `error-code` of a plain error body.
_CODES = {
    400: "BAD_REQUEST",
    401: "UNAUTHORIZED",
    403: "FORBIDDEN",
    404: "NOT_FOUND",
    405: "METHOD_NOT_ALLOWED",
    408: "REQUEST_TIMEOUT",
    412: "PRECONDITION_FAILED",
    413: "PAYLOAD_TOO_LARGE",
    415: "UNSUPPORTED_MEDIA_TYPE",
    429: "TOO_MANY_REQUESTS",
    503: "SERVICE_UNAVAILABLE",
    504: "REQUEST_TIMEOUT",
    507: "INSUFFICIENT_STORAGE",
}


def error_response(status: int, message: str, headers: Mapping[str, str] | None = None) -> Response:
    """The body of an error outside of search and documents: `error-code` and `message`."""
    code = _CODES.get(status, "INTERNAL_SERVER_ERROR")
    return json_response({"error-code": code, "message": message}, status, headers)


async def on_http_exception(request: Request, error: Exception) -> Response:
    """The answer to an unknown path, a wrong method or what a route raised as HTTPException."""
    if not isinstance(error, HTTPException):  # pragma: no cover - registered for that class only
        raise error
    path, method = request.url.path, request.method
    message = {
        404: f"Nothing at '{path}'",
        405: f"'{method}' not allowed at '{path}'. Allowed methods are: "
        f"{', '.join(sorted((error.headers or {}).get('Allow', '').split(', ')))}",
    }.get(error.status_code, error.detail)
    return error_response(error.status_code, message, error.headers)


async def on_error(request: Request, error: Exception) -> Response:
    """The answer where a route let one of the library's errors through."""
    if not isinstance(error, SiftlineError):
        raise error
    return error_response(status_of(error), str(error))


async def on_failure(request: Request, error: Exception) -> Response:
    """The answer where something broke that should not have; the log has the details."""
    return error_response(500, "internal error; the server's log has the details")
