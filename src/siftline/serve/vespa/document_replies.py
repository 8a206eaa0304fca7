"""Bodies and status codes of `/document/v1` (spec 4.2, 4.3)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from starlette.responses import Response

from siftline.errors import ConditionError, OverloadError, SiftlineError, UnknownNameError
from siftline.feed.operation import DocumentId
from siftline.serve.answers import json_response, status_of

#: what clients look for in the message of a condition that does not hold
_CONDITION = "TEST_AND_SET_CONDITION_FAILED"


def reply(
    raw: str,
    id_: DocumentId | None = None,
    status: int = 200,
    *,
    headers: Mapping[str, str] | None = None,
    **members: Any,
) -> Response:
    """A JSON object that begins with the path and, if it names one document, its id."""
    body: dict[str, Any] = {"pathId": raw}
    if id_ is not None:
        body["id"] = str(id_)
    body.update(members)
    return json_response(body, status, headers)


def failure(raw: str, error: SiftlineError, id_: DocumentId | None = None) -> Response:
    """The reply to a request that failed."""
    return reply(raw, id_, document_status(error), message=failure_message(error))


def document_status(error: SiftlineError) -> int:
    """The HTTP status of an error; a name that does not exist is the request's fault here."""
    return 400 if isinstance(error, UnknownNameError) else status_of(error)


def failure_message(error: SiftlineError) -> str:
    """The error's message, in the words that Vespa's clients look for."""
    if isinstance(error, ConditionError) and _CONDITION not in error.message:
        return f"ReturnCode({_CONDITION}, {error.message})"
    if isinstance(error, OverloadError):
        return f"Rejecting execution due to overload: {error.message}"
    return str(error)
