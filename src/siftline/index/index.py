"""The index of one schema: documents in, searchable snapshots out.

The store (LMDB) is the truth; segments are derived from it and published by a manifest. Writing
is for one thread at a time and one process; snapshots are for any thread.
"""

from __future__ import annotations

import threading
import weakref
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any

import lmdb

from siftline.encode.encoded import Encoded
from siftline.errors import StoreError, UsageError
from siftline.index.check import check_encoded
from siftline.index.core import DocumentRows
from siftline.index.layout import Layout
from siftline.index.lock import WriterLock
from siftline.index.manifest import read_manifest
from siftline.index.packed import unpack
from siftline.index.pending import Pending, label_field, rows_of_encoded, rows_of_records
from siftline.index.record import (
    Record,
    decode_fields,
    decode_id,
    decode_record,
    encode_record,
    without_fields,
)
from siftline.index.recover import (
    check_meta,
    check_types,
    forget_fields,
    load_published,
    mark_types,
)
from siftline.index.segments import SegmentSet, make_folder
from siftline.index.slots import as_segments
from siftline.index.snapshot import Snapshot, TextStatistics
from siftline.index.store import Store, id_key, sequence_key
from siftline.schema.definition import Schema
from siftline.schema.package import Settings

__all__ = ["Index", "IndexStatistics", "Snapshot", "TextStatistics"]

#: bytes of records that are kept in memory before a commit writes them into a segment
FLUSH_BYTES = 256 << 20

#: Records made dead, and more than there are documents, after which they are dropped.
FLUSH_DEAD = 8192
_REPLAYED_AT_ONCE = 1_000
_SCANNED_AT_ONCE = 16 << 20


@dataclass(frozen=True, slots=True)
class IndexStatistics:
    """documents: live ones; deleted: dead ones still in segments.

    bytes: structure (text, sparse, dense, graph, tokens, tensors, column) → field → bytes in
    segments; store_bytes: of the document store.
    """

    documents: int
    deleted: int
    segments: int
    store_bytes: int
    bytes: Mapping[str, Mapping[str, int]]


class Index:
    """Use `Index.open`; close it, or use it in a `with` statement."""

    def __init__(
        self,
        folder: Path,
        layout: Layout,
        *,
        read_only: bool,
        beside: Index | None = None,
        forgotten: frozenset[str] = frozenset(),
    ) -> None:
        self.folder = folder
        self.layout = layout
        self.read_only = read_only
        self._write_lock = threading.RLock()
        self._state_lock = threading.RLock()
        self._pending = Pending()
        self._snapshot: Snapshot | None = None
        self._snapshots: weakref.WeakSet[Snapshot] = weakref.WeakSet()
        self._applied = 0
        self._closed = False
        self._unbuffered = 0
        self._dead = 0
        self._forgotten = forgotten
        self._unmarked = beside is not None
        self._lent = False
        self._stale = 0
        self._lock: WriterLock | None
        self._store: Store
        if beside is not None:
            self._lock, self._store = beside._lock, beside._store
            self._snapshots, self._stale = beside._snapshots, beside._stale
            self._build_beside(beside)
            return
        if not read_only:
            make_folder(folder / "store")
        self._lock = None if read_only else WriterLock(folder)
        try:
            self._store = Store(folder / "store", read_only=read_only)
            try:
                self._segments = SegmentSet(folder, layout, self._store)
                check_meta(self._store, layout)
                self._stale = int(self._store.meta("stale") or 0)
                self._recover()
            except BaseException:
                self._store.close()
                raise
        except BaseException:
            if self._lock is not None:
                self._lock.release()
            raise

    @classmethod
    def open(
        cls, folder: Path, schema: Schema, settings: Settings, *, read_only: bool = False
    ) -> Index:
        """The index in a folder, created if need be.

        Writing: StoreError if another process writes to it. read_only: the state at this moment,
        beside a writer. StoreError for a newer format, another schema, or a field whose stored
        type is not the declared one.
        """
        return cls(Path(folder), Layout.of(schema, settings), read_only=read_only)

    # -- writing ------------------------------------------------------------------------------

    def write(self, encoded: Encoded, removed: Sequence[str] = ()) -> int:
        """Put documents and remove others in one transaction, durable on return.

        A put of a known id replaces the document and moves it to the end of the document order;
        unknown ids in `removed` are passed over. Returns the last sequence number. DocumentError
        and StoreError (full disk) leave everything as it was.
        """
        with self._write_lock:
            self._require_writable()
            check_encoded(self.layout, encoded, removed)
            self._mark_types()
            rows = rows_of_encoded(encoded, self.layout, self._store.labels, self._applied + 1)
            records = _records(encoded, rows)
            last, dead = self._store.writing(
                lambda transaction: self._put(transaction, encoded.ids, records, removed)
            )
            with self._state_lock:
                self._pending.add(rows)
                self._kill(dead)
                self._applied = last
                self._snapshot = None
            self._unbuffered += sum(map(len, records))
            self._dead += len(dead)
            many = self._dead > FLUSH_DEAD and self._dead > self._store.count()
            if self._unbuffered > FLUSH_BYTES or many:
                self.commit()
            return last

    def _put(
        self,
        transaction: lmdb.Transaction,
        ids: Sequence[str],
        records: Sequence[bytes],
        removed: Sequence[str],
    ) -> tuple[int, list[int]]:
        store = self._store
        by_id, tombstones = store.database("ids"), store.database("tombstones")
        sequence, dead = self._applied, []
        items = []
        for id_, record in zip(ids, records, strict=True):
            sequence += 1
            key, own = id_key(id_), sequence_key(sequence)
            old = transaction.get(key, db=by_id)
            if old is not None:
                transaction.put(own, old, db=tombstones)
                dead.append(int.from_bytes(old, "big"))
            transaction.put(key, own, db=by_id)
            items.append((own, record))
        with transaction.cursor(db=store.database("documents")) as cursor:
            cursor.putmulti(items, append=True)
        for id_ in removed:
            old = transaction.pop(id_key(id_), db=by_id)
            if old is not None:
                sequence += 1
                transaction.put(sequence_key(sequence), old, db=tombstones)
                dead.append(int.from_bytes(old, "big"))
        if sequence > self._applied:
            store.set_meta(transaction, "last", sequence)
        return sequence, dead

    def _kill(self, sequences: Sequence[int]) -> None:
        self._pending.kill(sequences)
        self._segments.kill(sequences)

    def commit(self) -> None:
        """Write segments for what is in memory, merge what is due, publish a manifest."""
        self._commit(everything=False)

    def merge(self) -> None:
        """Commit, and make everything one segment without deleted documents."""
        self._commit(everything=True)

    def _commit(self, *, everything: bool) -> None:
        with self._write_lock:
            self._require_writable()
            if everything or self._segments.in_memory:
                self._seal()
            fresh = self._pending.joined(self.layout, self._store.labels)
            slots = self._segments.commit(self._applied, fresh, everything=everything)
            self._unbuffered = self._dead = 0
            if slots is None:
                return
            with self._state_lock:
                self._segments.slots = slots
                self._pending.clear()
                self._snapshot = None
                oldest = min((s.last for s in self._snapshots), default=self._applied)
            if not self._segments.held:  # the published segments still need what it drops
                self._store.purge(min(self._applied, oldest))

    def _seal(self) -> None:
        """Make pending documents a segment in memory."""
        if not len(self._pending):
            return
        rows = self._pending.joined(self.layout, self._store.labels)
        slots = self._segments.slots if rows is None else self._segments.grow(rows)
        with self._state_lock:
            self._segments.slots = slots
            self._pending.clear()
            self._snapshot = None

    # -- reading ------------------------------------------------------------------------------

    def snapshot(self) -> Snapshot:
        """Everything written so far; the same object as long as nothing is written."""
        while True:
            with self._state_lock:
                self._require_open()
                if self._snapshot is not None:
                    return self._snapshot
                if not len(self._pending):
                    segments = as_segments(self._segments.slots)
                    self._snapshot = Snapshot(segments, self.layout, self._store, self._applied)
                    self._snapshots.add(self._snapshot)
                    return self._snapshot
            with self._write_lock:
                self._seal()

    def get(self, id_: str) -> Mapping[str, Any] | None:
        """The document as it was fed, None if there is none."""
        record = self._live_records([id_])
        return decode_fields(record[0]) if record else None

    def fields(self, ids: Sequence[str]) -> dict[str, Mapping[str, Any]]:
        """Stored documents as they were fed, by id; unknown ids are left out."""
        return {decode_id(data): decode_fields(data) for data in self._live_records(ids)}

    def scan(
        self, start: bytes, end: bytes | None, count: int
    ) -> tuple[list[tuple[str, Mapping[str, Any]]], bytes | None]:
        """Up to `count` documents, id and fields, in the order of their keys; where to go on.

        A document has one key for ever, a digest of its id; keys are spread evenly over 20 bytes.
        start, end: the first key and the one behind the last, None for no end. Fewer than `count`
        come where they are large, so that they fit memory.
        """
        self._require_open()
        found, following = self._store.live_between(start, end, count, _SCANNED_AT_ONCE)
        return [(decode_id(data), decode_fields(data)) for data in found], following

    def load(self, ids: Sequence[str]) -> Encoded:
        """Stored documents with everything indexing made of them; unknown ids are left out."""
        records = [decode_record(data) for data in self._live_records(ids)]
        names = dict.fromkeys(name for record in records for name in record.outputs)
        rows = rows_of_records(list(enumerate(records)), self.layout, self._store.labels)
        return Encoded(
            ids=[record.id for record in records],
            fields=[record.fields for record in records],
            outputs={name: [r.outputs.get(name) for r in records] for name in names},
            vectors={
                field: unpack(spec, rows.vectors[field], self._store.labels(label_field(field)))
                for field, spec in self.layout.vectors.items()
            },
            languages=[record.language for record in records],
        )

    def visit(self, after: str | None = None) -> Iterator[tuple[str, Mapping[str, Any]]]:
        """Documents in document order, those behind `after` if it is given.

        Documents written meanwhile come at the end. UsageError if there is no document `after`.
        """
        self._require_open()
        sequence = 0
        if after is not None:
            found = self._store.find([after])[0]
            if found is None:
                raise UsageError(f"there is no document {after} to go on from")
            sequence = found
        while batch := self._store.records(sequence, _REPLAYED_AT_ONCE):
            ids = [decode_id(data) for _, data in batch]
            current = self._store.find(ids)
            for (own, data), id_, newest in zip(batch, ids, current, strict=True):
                if own == newest:
                    yield id_, decode_fields(data)
            sequence = batch[-1][0]

    def statistics(self) -> IndexStatistics:
        """Counts and sizes; what is not committed is counted as it lies in memory."""
        snapshot = self.snapshot()
        sizes: dict[str, dict[str, int]] = {}
        for segment in snapshot.segments:
            for name, size in segment.core.arrays.sizes():
                structure, field, array = (name.split("/") + ["", ""])[:3]
                if array == "links":
                    structure = "graph"
                fields = sizes.setdefault(structure, {})
                fields[field] = fields.get(field, 0) + size
        dead = sum(s.count - s.live_count for s in snapshot.segments)
        return IndexStatistics(
            snapshot.document_count, dead, len(snapshot.segments), self._store.size(), sizes
        )

    def _live_records(self, ids: Sequence[str]) -> list[bytes]:
        self._require_open()
        return self._store.live(ids)

    # -- another layout -----------------------------------------------------------------------

    def rebuilt(self, layout: Layout, forgotten: frozenset[str] = frozenset()) -> Index:
        """The same documents under another layout, from the store; this index serves meanwhile.

        forgotten: fields whose stored values cannot be kept; they are left out. Nobody may write
        before `publish` and `settle` of the result, or `restore` of this one. StoreError where a
        field is stored as another type; what is on disk then serves as before.
        """
        self.commit()
        return Index(self.folder, layout, read_only=False, beside=self, forgotten=forgotten)

    def _build_beside(self, other: Index) -> None:
        """Segments for every document that the other index has, not published."""
        check_types(self._store, self.layout, self._forgotten)
        self._segments = SegmentSet(self.folder, self.layout, self._store, held=True)
        self._segments.keep_numbering(other._segments.manifest)
        try:
            self._replay(0)
            self._commit(everything=False)
        except BaseException:
            other._segments.release()
            raise

    def publish(self) -> None:
        """Let a rebuilt index be the one on disk; StoreError leaves the other."""
        self._segments.publish()

    def restore(self) -> None:
        """Let this index be the one on disk again, and remove what was rebuilt beside it."""
        if read_manifest(self.folder) != self._segments.manifest:
            self._segments.publish()
        self._segments.release()

    def settle(self, replaced: Index) -> None:
        """End the rebuilding: the other index can be read as long as somebody does, not written."""
        self._segments.release()
        self._forgotten = frozenset()
        replaced.read_only = replaced._lent = True
        replaced._lock = None

    def forget(self, fields: frozenset[str]) -> None:
        """Drop all that is stored of these fields; StoreError leaves every value."""
        with self._write_lock:
            self._require_writable()
            forget_fields(self._store, fields)

    def mark_stale(self) -> None:
        """Note that what indexing made of the documents written so far is out of date."""
        with self._write_lock:
            self._require_writable()
            last = self._applied
            self._store.writing(lambda t: self._store.set_meta(t, "stale", last))
            self._stale = last

    def outdated(self, ids: Sequence[str]) -> set[str]:
        """Those of the documents that have to be indexed anew although nothing in them changes."""
        if not self._stale:
            return set()
        found = zip(ids, self._store.find(ids), strict=True)
        return {id_ for id_, own in found if own is not None and own <= self._stale}

    def _mark_types(self) -> None:
        """Note the types of a rebuilt index with its first write; before, the other may return."""
        if self._unmarked:
            mark_types(self._store, self.layout)
            self._unmarked = False

    def _decoded(self, data: bytes) -> Record:
        record = decode_record(data)
        return without_fields(record, self._forgotten) if self._forgotten else record

    # -- opening and closing ------------------------------------------------------------------

    def close(self) -> None:
        """Commit, and let the next writer in; a second call does nothing."""
        with self._write_lock:
            if self._closed:
                return
            try:
                if not self.read_only:
                    self.commit()
            finally:
                with self._state_lock:
                    self._closed = True
                    self._snapshot = None
                if not self._lent:
                    self._store.close()
                if self._lock is not None:
                    self._lock.release()

    def __enter__(self) -> Index:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    def _recover(self) -> None:
        """Open what the manifest names and replay the store from there; else rebuild it all."""
        rebuilt = not load_published(self._segments, self._store, self.layout)
        covered = 0 if rebuilt else self._segments.manifest.covered
        self._applied = covered
        self._replay(covered)
        if rebuilt and self._applied and not self.read_only:
            self._commit(everything=False)

    def _replay(self, covered: int) -> None:
        """Bring operations after `covered` into memory, and into segments where they are many."""
        dead: set[int] = set()
        operation = covered
        while pairs := self._store.tombstones(operation, 10_000):
            dead.update(victim for _, victim in pairs)
            operation = pairs[-1][0]
        self._segments.kill(dead)
        sequence = covered
        while batch := self._store.records(sequence, _REPLAYED_AT_ONCE):
            sequence = batch[-1][0]
            alive = [(own, self._decoded(data)) for own, data in batch if own not in dead]
            if alive:
                rows = rows_of_records(alive, self.layout, self._store.labels)
                self._pending.add(rows)
            self._applied = sequence
            self._unbuffered += sum(len(data) for _, data in batch)
            if self._unbuffered > FLUSH_BYTES and not self.read_only:
                self._commit(everything=False)
        self._applied = self._store.last

    def _require_open(self) -> None:
        if self._closed:
            raise StoreError(f"the index in {self.folder} is closed")

    def _require_writable(self) -> None:
        self._require_open()
        if self.read_only:
            raise StoreError(f"the index in {self.folder} is open read-only")


def _records(encoded: Encoded, rows: DocumentRows) -> list[bytes]:
    blobs = {field: own.blobs() for field, own in rows.vectors.items()}
    records = []
    for row, (id_, fields) in enumerate(zip(encoded.ids, encoded.fields, strict=True)):
        outputs = {n: v[row] for n, v in encoded.outputs.items() if v[row] is not None}
        vectors = {field: own[row] for field, own in blobs.items() if own[row] is not None}
        records.append(encode_record(id_, fields, rows.languages[row], outputs, vectors))
    return records
