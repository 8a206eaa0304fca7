"""Feed files and Python documents to operations (spec 4.5).

An operation is written in one of three ways:

    {"put"|"update"|"remove": id, "fields": …, "condition": …, "create": …}
    {"id": id, "fields": …}             what a visit gives; a put
    {"_id"|"id": name, field: value …}  a plain document; a put

A plain document's `_id` (BEIR) comes without BEIR's `metadata`. A name that is no full id becomes
`id:namespace:schema::name`. Keys of an operation that are not known are passed over.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from itertools import islice
from pathlib import Path
from typing import Any, BinaryIO, Literal

from siftline.errors import DocumentError, Place
from siftline.feed.json_array import read_array
from siftline.feed.json_lines import read_lines
from siftline.feed.json_text import JsonFault
from siftline.feed.operation import DocumentId, Operation
from siftline.feed.shown import shown
from siftline.feed.source import READ_ERRORS, feed_file, first_byte, open_bytes

Kind = Literal["put", "update", "remove"]
KINDS: tuple[Kind, ...] = ("put", "update", "remove")


def read_operations(
    source: str | Path, schema_name: str, namespace: str
) -> Iterator[Operation | DocumentError]:
    """The operations of a feed file, a BEIR folder or `-` for standard input, one by one.

    JSON lines or one JSON array, plain or gzipped, recognised by content. A document that cannot
    be read comes as a DocumentError with file and line, and reading goes on behind it.
    schema_name, namespace: of ids that are not written in full. UsageError at once where there is
    nothing to read.
    """
    path = feed_file(source)
    return _operations(path, schema_name, namespace, beir=Path(source).is_dir())


def operations_from(
    documents: Iterable[Mapping[str, Any] | Operation | DocumentError],
    schema_name: str,
    namespace: str,
) -> Iterator[Operation | DocumentError]:
    """Python documents as operations; Operation and DocumentError pass as they are.

    The line of a place is the document's number, from 1.
    """
    for number, document in enumerate(documents, 1):
        if isinstance(document, (Operation, DocumentError)):
            yield document
        else:
            place = Place(file="<documents>", line=number)
            yield _operation_or_error(document, schema_name, namespace, place)


def operation_from(
    document: Any, schema_name: str, namespace: str, place: Place | None = None
) -> Operation:
    """The operation that one decoded document means; DocumentError if it means none."""
    if not isinstance(document, Mapping):
        raise DocumentError(f"expected an object, got {shown(document)}", place)
    kinds = [kind for kind in KINDS if kind in document]
    if len(kinds) > 1:
        raise DocumentError(f"one operation is both {' and '.join(kinds)}", place)
    if kinds:
        return _written(kinds[0], document, schema_name, namespace, place)
    if "fields" in document and "id" in document and "_id" not in document:
        identity = _identity(document["id"], schema_name, namespace, place)
        return Operation("put", identity, _fields(document, identity, place), place=place)
    return _plain(document, schema_name, namespace, place)


def _operations(
    path: Path | None, schema_name: str, namespace: str, *, beir: bool
) -> Iterator[Operation | DocumentError]:
    name = str(path) if path else "<stdin>"
    with open_bytes(path) as stream:
        for line, value in read_values(stream):
            place = Place(file=name, line=line)
            if isinstance(value, JsonFault):
                yield DocumentError(value.message, place)
                continue
            if beir and isinstance(value, Mapping):
                value = {key: value[key] for key in ("_id", "title", "text") if key in value}
            yield _operation_or_error(value, schema_name, namespace, place)


def read_values(stream: BinaryIO) -> Iterator[tuple[int, Any]]:
    """Each JSON value or fault with its line, a break of the data included."""
    line = 1
    values: Iterator[tuple[int, Any]]
    try:
        line, first = first_byte(stream)
        if not first:
            return
        values = read_array(stream, line) if first == b"[" else read_lines(stream, first, line)
        for line, value in values:
            yield line, value
    except READ_ERRORS as error:
        yield line, JsonFault(f"the data breaks off behind this line: {error}", end=True)


def _operation_or_error(
    document: Any, schema_name: str, namespace: str, place: Place
) -> Operation | DocumentError:
    try:
        return operation_from(document, schema_name, namespace, place)
    except DocumentError as error:
        return error


def _written(
    kind: Kind, document: Mapping[str, Any], schema_name: str, namespace: str, place: Place | None
) -> Operation:
    identity = _identity(document[kind], schema_name, namespace, place)
    condition = document.get("condition")
    if condition is not None and not isinstance(condition, str):
        raise DocumentError(
            f"document '{identity}': expected a text as condition, got {shown(condition)}", place
        )
    create = document.get("create", False)
    if not isinstance(create, bool):
        raise DocumentError(
            f"document '{identity}': expected true or false as create, got {shown(create)}", place
        )
    fields = {} if kind == "remove" else _fields(document, identity, place)
    if kind == "update":
        for name, change in fields.items():
            if not isinstance(change, Mapping):
                raise DocumentError(
                    f"document '{identity}', field '{name}': expected an update operation like "
                    f'{{"assign": value}}, got {shown(change)}',
                    place,
                )
    return Operation(kind, identity, fields, condition, create, place)


def _plain(
    document: Mapping[str, Any], schema_name: str, namespace: str, place: Place | None
) -> Operation:
    key = next((key for key in ("_id", "id") if key in document), None)
    if key is None:
        keys = ", ".join(str(k) for k in islice(document, 8)) or "nothing"
        raise DocumentError(
            f"a document needs one of put, update, remove, id, _id (it has {keys})", place
        )
    identity = _identity(document[key], schema_name, namespace, place)
    left_out = {key, "metadata"} if key == "_id" else {key}
    fields = {name: value for name, value in document.items() if name not in left_out}
    return Operation("put", identity, _named(fields, identity, place), place=place)


def _fields(
    document: Mapping[str, Any], identity: DocumentId, place: Place | None
) -> dict[str, Any]:
    if "fields" not in document:
        raise DocumentError(f"document '{identity}': there is no 'fields'", place)
    fields = document["fields"]
    if not isinstance(fields, Mapping):
        raise DocumentError(
            f"document '{identity}': expected an object as fields, got {shown(fields)}", place
        )
    return _named(fields, identity, place)


def _named(fields: Mapping[Any, Any], identity: DocumentId, place: Place | None) -> dict[str, Any]:
    for name in fields:
        if not isinstance(name, str):
            raise DocumentError(f"document '{identity}': no field name: {shown(name)}", place)
    return dict(fields)


def _identity(value: Any, schema_name: str, namespace: str, place: Place | None) -> DocumentId:
    if isinstance(value, int) and not isinstance(value, bool):
        value = str(value)
    if not isinstance(value, str) or not value:
        raise DocumentError(f"expected a document id, got {shown(value)}", place)
    if value.startswith("id:"):
        return DocumentId.parse(value, place)
    return DocumentId(namespace, schema_name, "", value)
