"""Opening what lies in a folder: does it belong to this schema, do its segments serve."""

from __future__ import annotations

import logging

import lmdb

from siftline.errors import StoreError
from siftline.index.arrays import DamagedError
from siftline.index.layout import Layout
from siftline.index.manifest import Manifest, read_manifest
from siftline.index.record import decode_record, encode_record, without_fields
from siftline.index.segments import SegmentSet
from siftline.index.store import Store

_LOG = logging.getLogger(__name__)


def check_meta(store: Store, layout: Layout) -> None:
    """StoreError if the store is another schema's or holds a field as another type.

    A writer's store is marked with the schema and the types it will hold.
    """
    check_types(store, layout)
    if not store.read_only:
        mark_types(store, layout)


def check_types(store: Store, layout: Layout, forgotten: frozenset[str] = frozenset()) -> None:
    """StoreError if the store is another schema's or holds a field as another type.

    forgotten: fields whose stored values are going to be dropped.
    """
    folder = store.folder.parent
    known = store.meta("schema")
    if known is not None and known != layout.schema:
        raise StoreError(f"{folder} is the index of schema '{known}', not '{layout.schema}'")
    types: dict[str, str] = (store.meta("types") or {}) if store.last else {}
    for field, declared in layout.stored_types.items():
        if types.get(field, declared) != declared and field not in forgotten:
            raise StoreError(
                f"{folder} holds field '{field}' as {types[field]}, the schema says {declared}: "
                "feed the documents into a new folder"
            )


def mark_types(store: Store, layout: Layout) -> None:
    """Note on disk which schema's documents the store holds, and each field's type."""
    known = store.meta("schema")
    types: dict[str, str] = (store.meta("types") or {}) if store.last else {}
    merged = types | layout.stored_types
    if known and merged == types:
        return

    def mark(transaction: lmdb.Transaction) -> None:
        store.set_meta(transaction, "schema", layout.schema)
        store.set_meta(transaction, "types", merged)

    store.writing(mark)


def forget_fields(store: Store, fields: frozenset[str]) -> None:
    """Drop everything that is stored of these fields, and their types, in one transaction.

    StoreError (full disk) leaves every value.
    """
    documents = store.database("documents")
    known: dict[str, str] = store.meta("types") or {}
    types = {name: type_ for name, type_ in known.items() if name.partition("#")[0] not in fields}

    def forget(transaction: lmdb.Transaction) -> None:
        with transaction.cursor(db=documents) as cursor:
            for key, data in cursor.iternext(keys=True, values=True):
                record = without_fields(decode_record(bytes(data)), fields)
                cursor.put(
                    bytes(key),
                    encode_record(
                        record.id, record.fields, record.language, record.outputs, record.vectors
                    ),
                )
        store.set_meta(transaction, "types", types)

    store.writing(forget)


def load_published(segments: SegmentSet, store: Store, layout: Layout) -> bool:
    """Map the published segments; False where they must be built again from the store.

    A read-only index builds nothing on disk: StoreError if a segment file is damaged.
    """
    while (manifest := read_manifest(segments.folder)) is not None:
        if store.read_only:
            store.refresh()  # a writer may have gone on since the view of the store began
        problem = _problem(manifest, store, layout)
        if problem is None:
            try:
                segments.load(manifest)
                return True
            except DamagedError as error:
                if store.read_only and read_manifest(segments.folder) != manifest:
                    continue  # a writer published others meanwhile
                if store.read_only:
                    raise StoreError(f"{error}; open the index for writing to repair it") from error
                problem = str(error)
        segments.keep_numbering(manifest)
        if store.last:
            _LOG.warning("%s: segments are built again: %s", segments.folder, problem)
        return False
    return False


def _problem(manifest: Manifest, store: Store, layout: Layout) -> str | None:
    if manifest.fingerprint != layout.fingerprint:
        return "the schema has changed"
    if manifest.covered > store.last:
        return "they are newer than the documents"
    return None
