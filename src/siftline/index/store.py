"""The document store: LMDB, one transaction for each batch of operations.

Databases: `documents` (8-byte big-endian sequence number → record), `ids` (digest of the id →
sequence number), `tombstones` (sequence number of an operation → the one it made dead), `labels`
(field, digest → number), `names` (field, number → label), `meta`.
"""

from __future__ import annotations

import json
import os
import struct
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

import lmdb

from siftline.errors import FullError, StoreError
from siftline.index.labels import FieldLabels, digest, encode

STORE_VERSION = 1
INITIAL_MAP = 1 << 26
_SEQUENCE = struct.Struct(">Q")
_NUMBER = struct.Struct(">i")
_T = TypeVar("_T")


def sequence_key(sequence: int) -> bytes:
    """The key of a sequence number; keys sort as the numbers do."""
    return _SEQUENCE.pack(sequence)


def id_key(id_: str) -> bytes:
    """The key of a document id of any length."""
    return digest(encode(id_))


class Store:
    """The LMDB environment of one index.

    A writer begins short read transactions; a read-only store keeps one from its opening, so
    that it sees that moment however the writer goes on.
    """

    def __init__(self, folder: Path, *, read_only: bool = False) -> None:
        self.folder = folder
        self.read_only = read_only
        self._readers = 0
        self._gate = threading.Condition()
        self._labels: dict[str, FieldLabels] = {}
        self._staged: dict[bytes, int] = {}
        self._staged_names: dict[bytes, bytes] = {}
        self._counts: dict[str, int] = {}
        self._view: lmdb.Transaction | None = None
        self._view_lock = threading.Lock()
        self._env = self._open()
        self._databases = self._open_databases()
        if read_only:
            self._view = self._env.begin()

    # -- transactions -------------------------------------------------------------------------

    @contextmanager
    def reading(self) -> Iterator[lmdb.Transaction]:
        """A read transaction, for a short while."""
        if self._view is not None:
            with self._view_lock:
                yield self._view
            return
        with self._gate:
            self._readers += 1
        try:
            with self._env.begin() as transaction:
                yield transaction
        finally:
            with self._gate:
                self._readers -= 1
                self._gate.notify_all()

    def writing(self, work: Callable[[lmdb.Transaction], _T]) -> _T:
        """Run `work` in one transaction, durable on return; all or nothing.

        The map grows and `work` runs again where it does not fit; StoreError if the disk is full.
        """
        if self.read_only:
            raise StoreError(f"{self.folder} is open read-only")
        while True:
            try:
                with self._env.begin(write=True) as transaction:
                    result = work(transaction)
                    self._write_labels(transaction)
            except lmdb.MapFullError:
                self._grow()
                continue
            except (lmdb.Error, OSError) as error:
                full = isinstance(error, lmdb.DiskError)
                raise (FullError if full else StoreError)(
                    f"cannot write the documents of {self.folder}, nothing was written: {error} "
                    "(is the disk full?)"
                ) from error
            self._staged.clear()
            self._staged_names.clear()
            return result

    def _grow(self) -> None:
        with self._gate:
            while self._readers:
                self._gate.wait()
            self._env.set_mapsize(self._env.info()["map_size"] * 2)

    # -- documents ----------------------------------------------------------------------------

    def database(self, name: str) -> Any:
        """The handle of a database by name."""
        return self._databases[name]

    def get(self, sequences: Sequence[int]) -> list[bytes | None]:
        """The records, None where there is none."""
        documents = self._databases["documents"]
        with self.reading() as transaction:
            return [_bytes(transaction.get(sequence_key(s), db=documents)) for s in sequences]

    def find(self, ids: Sequence[str]) -> list[int | None]:
        """The sequence number of each document, None where there is none."""
        database = self._databases["ids"]
        with self.reading() as transaction:
            found = [transaction.get(id_key(id_), db=database) for id_ in ids]
        return [None if f is None else _SEQUENCE.unpack(f)[0] for f in found]

    def live(self, ids: Sequence[str]) -> list[bytes]:
        """The records of documents, as they are at one moment; unknown ids are left out."""
        by_id, documents = self._databases["ids"], self._databases["documents"]
        with self.reading() as transaction:
            found = [transaction.get(id_key(id_), db=by_id) for id_ in ids]
            records = [transaction.get(key, db=documents) for key in found if key is not None]
        return [record for record in map(_bytes, records) if record is not None]

    def live_between(
        self, start: bytes, end: bytes | None, count: int, size: int
    ) -> tuple[list[bytes], bytes | None]:
        """Records of documents with id keys from `start` to before `end`, and where to go on.

        Up to `count` of them, and no more behind `size` bytes; None where there are no others.
        """
        found: list[bytes] = []
        with self.reading() as transaction:
            cursor = transaction.cursor(db=self._databases["ids"])
            if cursor.set_range(start):
                for item, sequence in cursor:
                    key = bytes(item)
                    if end is not None and key >= end:
                        break
                    if len(found) == count or size <= 0:
                        return found, key
                    record = _bytes(transaction.get(sequence, db=self._databases["documents"]))
                    if record is not None:
                        found.append(record)
                        size -= len(record)
        return found, None

    def records(self, after: int, count: int) -> list[tuple[int, bytes]]:
        """Up to `count` records after a sequence number, in order, dead ones among them."""
        return self._scan("documents", after, count)

    def tombstones(self, after: int, count: int) -> list[tuple[int, int]]:
        """Up to `count` pairs (operation, sequence number it made dead) after an operation."""
        found = self._scan("tombstones", after, count)
        return [(operation, _SEQUENCE.unpack(dead)[0]) for operation, dead in found]

    def _scan(self, name: str, after: int, count: int) -> list[tuple[int, bytes]]:
        found = []
        with self.reading() as transaction:
            cursor = transaction.cursor(db=self._databases[name])
            if cursor.set_range(sequence_key(after + 1)):
                for key, value in cursor:
                    found.append((_SEQUENCE.unpack(key)[0], bytes(value)))
                    if len(found) == count:
                        break
        return found

    def purge(self, until: int) -> None:
        """Drop the records that operations up to `until` made dead, and their tombstones."""
        while pairs := [p for p in self.tombstones(0, 10_000) if p[0] <= until]:

            def drop(transaction: lmdb.Transaction, pairs: Any = pairs) -> None:
                for operation, dead in pairs:
                    transaction.delete(sequence_key(dead), db=self._databases["documents"])
                    transaction.delete(sequence_key(operation), db=self._databases["tombstones"])

            self.writing(drop)

    # -- meta ---------------------------------------------------------------------------------

    def meta(self, key: str) -> Any:
        """A JSON value, None if it was never set."""
        with self.reading() as transaction:
            data = _bytes(transaction.get(key.encode(), db=self._databases["meta"]))
        return None if data is None else json.loads(data)

    def set_meta(self, transaction: lmdb.Transaction, key: str, value: Any) -> None:
        """Set a JSON value in a write transaction."""
        transaction.put(key.encode(), json.dumps(value).encode(), db=self._databases["meta"])

    @property
    def last(self) -> int:
        """The last sequence number given, 0 in an empty store."""
        return int(self.meta("last") or 0)

    def count(self) -> int:
        """Live documents."""
        with self.reading() as transaction:
            return int(transaction.stat(db=self._databases["ids"])["entries"])

    def size(self) -> int:
        """Bytes of the store on disk."""
        info = self._env.info()
        return int((info["last_pgno"] + 1) * self._env.stat()["psize"])

    # -- labels -------------------------------------------------------------------------------

    def labels(self, field: str) -> FieldLabels:
        """The labels of a field."""
        found = self._labels.get(field)
        if found is None:
            found = FieldLabels(field, self, lambda: self._label_count(field))
            found = self._labels.setdefault(field, found)
        return found

    def find_labels(self, field: str, digests: Sequence[bytes]) -> list[int | None]:
        """Number of each label, None where it has none."""
        database = self._databases["labels"]
        keys = [_field_key(field) + d for d in digests]
        found: list[int | None] = []
        with self.reading() as transaction:
            for key in keys:
                staged = self._staged.get(key)
                data = None if staged is not None else transaction.get(key, db=database)
                found.append(_NUMBER.unpack(data)[0] if data is not None else staged)
        return found

    def add_labels(self, field: str, labels: Sequence[tuple[bytes, bytes]]) -> list[int]:
        """New numbers for `(digest, label)` pairs; on disk with the next transaction."""
        first = self._label_count(field)
        numbers = list(range(first, first + len(labels)))
        for number, (key, label) in zip(numbers, labels, strict=True):
            self._staged[_field_key(field) + key] = number
            self._staged_names[_field_key(field) + _NUMBER.pack(number)] = label
        self._counts[field] = first + len(labels)
        return numbers

    def label(self, field: str, number: int) -> bytes | None:
        """The label of a number."""
        key = _field_key(field) + _NUMBER.pack(number)
        staged = self._staged_names.get(key)
        if staged is not None:
            return staged
        with self.reading() as transaction:
            return _bytes(transaction.get(key, db=self._databases["names"]))

    def keep_labels(self) -> None:
        """Write labels that were added outside a write."""
        if self._staged:
            self.writing(lambda transaction: None)

    def _label_count(self, field: str) -> int:
        count = self._counts.get(field)
        if count is None:
            count = int(self.meta("labels:" + field) or 0)
            self._counts[field] = count
        return count

    def _write_labels(self, transaction: lmdb.Transaction) -> None:
        if not self._staged:
            return
        for key, number in self._staged.items():
            transaction.put(key, _NUMBER.pack(number), db=self._databases["labels"])
        for key, label in self._staged_names.items():
            transaction.put(key, label, db=self._databases["names"])
        for field, count in self._counts.items():
            self.set_meta(transaction, "labels:" + field, count)

    # -- opening and closing ------------------------------------------------------------------

    def refresh(self) -> None:
        """See the present moment, in a read-only store."""
        if self._view is not None:
            with self._view_lock:
                self._view.abort()
                self._view = self._env.begin()

    def close(self) -> None:
        """End every transaction and close the environment."""
        if self._view is not None:
            with self._view_lock:
                self._view.abort()
                self._view = None
        self._env.close()

    def _open(self) -> lmdb.Environment:
        if self.read_only and not (self.folder / "data.mdb").exists():
            raise StoreError(f"there is no index in {self.folder.parent}")
        try:
            if not self.read_only:
                self.folder.mkdir(parents=True, exist_ok=True)
            env = lmdb.open(
                str(self.folder),
                map_size=INITIAL_MAP,
                max_dbs=6,
                max_readers=1024,
                readonly=self.read_only,
                lock=not self.read_only or os.access(self.folder, os.W_OK),
                create=not self.read_only,
            )
        except (lmdb.Error, OSError) as error:
            raise StoreError(f"cannot open the documents of {self.folder}: {error}") from error
        try:
            version = self._read_version(env)
        except (lmdb.Error, ValueError) as error:
            env.close()
            raise StoreError(f"the documents of {self.folder} are damaged: {error}") from error
        if version > STORE_VERSION:
            env.close()
            raise StoreError(
                f"{self.folder} has store format {version}, this version reads up to "
                f"{STORE_VERSION}: upgrade siftline"
            )
        return env

    @staticmethod
    def _read_version(env: lmdb.Environment) -> int:
        try:
            with env.begin() as transaction:
                database = env.open_db(b"meta", txn=transaction, create=False)
                data = transaction.get(b"format", db=database)
        except lmdb.NotFoundError:
            return STORE_VERSION
        return STORE_VERSION if data is None else int(json.loads(data))

    def _open_databases(self) -> dict[str, Any]:
        names = ("documents", "ids", "tombstones", "labels", "names", "meta")
        try:
            found = {n: self._env.open_db(n.encode(), create=not self.read_only) for n in names}
        except (lmdb.Error, OSError) as error:
            self._env.close()
            raise StoreError(f"cannot open the documents of {self.folder}: {error}") from error
        if not self.read_only:
            with self._env.begin(write=True) as transaction:
                meta = found["meta"]
                if transaction.get(b"format", db=meta) is None:
                    transaction.put(b"format", json.dumps(STORE_VERSION).encode(), db=meta)
        return found


def _bytes(data: Any) -> bytes | None:
    return data if isinstance(data, bytes) else None


def _field_key(field: str) -> bytes:
    """A prefix of fixed length, so that no field's keys fall among another's."""
    return digest(field.encode())[:8]
