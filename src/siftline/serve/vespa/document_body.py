"""The body of a put or update to an operation (spec 4.2, 4.5)."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Mapping
from typing import Any, Literal

from siftline.errors import DocumentError
from siftline.feed.json_text import JsonFault, decode
from siftline.feed.operation import DocumentId, Operation
from siftline.feed.reader import operation_from
from siftline.feed.shown import shown
from siftline.schema.definition import Schema

#: bytes of a body from which parsing it leaves the event loop
LARGE = 1 << 16

#: members of a body that mean something; its own id does not, the path has it
_MEMBERS = ("fields", "condition", "create")


async def read_operation(
    kind: Literal["put", "update"], id_: DocumentId, data: bytes, overrides: Mapping[str, Any]
) -> Operation:
    """The operation that a body means for the document of that id.

    overrides: `condition` and `create` of the query string, which win. DocumentError for a body
    that is not a JSON object with `fields`.
    """
    if len(data) < LARGE:
        return _operation(kind, id_, data, overrides)
    return await asyncio.to_thread(_operation, kind, id_, data, overrides)


def without_undefined(schema: Schema, operation: Operation) -> tuple[Operation, tuple[str, ...]]:
    """The operation without fields that documents of the schema do not have, and their names."""
    known, gone = {}, []
    for key, value in operation.fields.items():
        field = schema.fields.get(re.split(r"[{\[.]", key, maxsplit=1)[0])
        if field is None or not field.inside:
            gone.append(key)
        else:
            known[key] = value
    if not gone:
        return operation, ()
    kept = Operation(
        operation.kind, operation.id, known, operation.condition, operation.create, operation.place
    )
    return kept, tuple(gone)


def _operation(
    kind: Literal["put", "update"], id_: DocumentId, data: bytes, overrides: Mapping[str, Any]
) -> Operation:
    body = _decoded(data)
    if not isinstance(body, Mapping):
        raise DocumentError(f"expected a JSON object with 'fields', got {shown(body)}")
    document = {name: body[name] for name in _MEMBERS if name in body}
    return operation_from({kind: str(id_), **document, **overrides}, id_.type, id_.namespace)


def _decoded(data: bytes) -> Any:
    if not data.strip():
        raise DocumentError("the request has no body; expected a JSON object with 'fields'")
    value = decode(data.decode("utf-8", "surrogateescape"))
    if isinstance(value, JsonFault):
        raise DocumentError(value.message)
    return value
