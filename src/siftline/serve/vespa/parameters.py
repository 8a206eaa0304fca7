"""Parameters of a search request, wherever they stand: query string, form or JSON body."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any
from urllib.parse import parse_qsl

from starlette.exceptions import HTTPException
from starlette.requests import Request

from siftline.errors import QueryError

_JSON = "application/json"
_FORM = "application/x-www-form-urlencoded"


async def search_parameters(request: Request) -> dict[str, Any]:
    """Names and values as sent; a body's values beat those of the query string.

    QueryError where the body is not what its content type says; HTTPException 415 for a body of
    another type.
    """
    values: dict[str, Any] = pairs(request.scope["query_string"])
    if request.method != "POST":
        return values
    body = await request.body()
    if not body.strip():
        return values
    kind = request.headers.get("content-type", _JSON).partition(";")[0].strip().lower()
    if kind == _FORM:
        return {**values, **_form(body)}
    if kind == _JSON or kind.endswith("+json"):
        return {**values, **json_object(body)}
    raise HTTPException(415, f"content type '{kind}' is not supported: use {_JSON} or {_FORM}")


def pairs(query: bytes) -> dict[str, Any]:
    """A query string or form as a mapping; of a name that comes twice, the last."""
    try:
        found = parse_qsl(
            query.decode("utf-8", "replace"), keep_blank_values=True, max_num_fields=10_000
        )
    except ValueError as error:
        raise QueryError(f"the parameters cannot be read: {error}", code=3) from None
    return dict(found)


def _form(body: bytes) -> dict[str, Any]:
    if body.lstrip().startswith(b"{"):
        raise QueryError(
            "the body is JSON but its content type says it is a form: "
            f"send 'Content-Type: {_JSON}'",
            code=3,
        )
    return pairs(body)


def json_object(body: bytes) -> Mapping[str, Any]:
    """The JSON object in a body; QueryError where it is none."""
    try:
        value = json.loads(body, parse_constant=_no_number)
    except RecursionError:
        raise QueryError("the body is not valid JSON: it nests too deep", code=3) from None
    except ValueError as error:
        raise QueryError(f"the body is not valid JSON: {error}", code=3) from None
    if not isinstance(value, dict):
        raise QueryError("the body must be a JSON object with the query's parameters", code=3)
    return value


def _no_number(name: str) -> float:
    raise ValueError(f"{name} is no number in JSON")
