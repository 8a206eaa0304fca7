"""The bytes of one document in the store: its id, its fields, then what indexing made of them.

Three msgpack values, one after the other, so that the id or the fields can be read alone:
the id; the fields as fed; `[language, outputs, same, vectors]`, where outputs maps a field to the
value its script wrote, `same` lists the fields whose output equals the value fed, and vectors maps
a field to the blob of its rows (see `packed`). Absent values have no key.
"""

from __future__ import annotations

from collections.abc import Container, Mapping
from dataclasses import dataclass
from typing import Any

import msgpack

from siftline.errors import DocumentError, StoreError


@dataclass(frozen=True, slots=True)
class Record:
    """A stored document, decoded."""

    id: str
    fields: dict[str, Any]
    language: str
    outputs: dict[str, Any]
    vectors: dict[str, Any]


def encode_record(
    id_: str,
    fields: Mapping[str, Any],
    language: str,
    outputs: Mapping[str, Any],
    vectors: Mapping[str, Any],
) -> bytes:
    """The record's bytes; DocumentError if a value is not JSON."""
    packer = msgpack.Packer(unicode_errors="surrogatepass", autoreset=False)
    same = [name for name, value in outputs.items() if _is_same(value, fields.get(name))]
    others = {name: value for name, value in outputs.items() if name not in same}
    try:
        packer.pack(id_)
        packer.pack(fields)
        packer.pack([language, others, same, vectors])
    except (TypeError, ValueError, OverflowError) as error:
        raise DocumentError(f"document {id_} has a value that cannot be stored: {error}") from error
    return bytes(packer.bytes())


def decode_record(data: bytes) -> Record:
    """The whole record."""
    reader = _reader(data)
    id_, fields = reader.unpack(), reader.unpack()
    language, outputs, same, vectors = reader.unpack()
    outputs.update((name, fields[name]) for name in same)
    return Record(id_, fields, language, outputs, vectors)


def decode_id(data: bytes) -> str:
    """The id alone."""
    found = _reader(data).unpack()
    if not isinstance(found, str):
        raise StoreError("a document record does not start with an id: the store is damaged")
    return found


def decode_fields(data: bytes) -> dict[str, Any]:
    """The fields alone."""
    reader = _reader(data)
    reader.skip()
    fields: dict[str, Any] = reader.unpack()
    return fields


def without_fields(record: Record, names: Container[str]) -> Record:
    """The record as if these fields, and what was counted of them, had never been fed."""

    def rest(values: Mapping[str, Any]) -> dict[str, Any]:
        return {n: v for n, v in values.items() if n.partition("#")[0] not in names}

    return Record(
        record.id, rest(record.fields), record.language, rest(record.outputs), rest(record.vectors)
    )


def _is_same(value: Any, fed: Any) -> bool:
    """Equal also in type, so that 1, 1.0 and True come back as what they are."""
    return type(value) is type(fed) and bool(value == fed) and not isinstance(value, (list, dict))


def _reader(data: bytes) -> msgpack.Unpacker:
    size = max(len(data), 1)
    reader = msgpack.Unpacker(
        max_buffer_size=size,
        max_str_len=size,
        max_bin_len=size,
        max_array_len=size,
        max_map_len=size,
        unicode_errors="surrogatepass",
        strict_map_key=False,
    )
    reader.feed(data)
    return reader
