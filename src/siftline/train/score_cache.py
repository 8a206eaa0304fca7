"""What teachers said, on disk: a second epoch, a sweep or another run computes nothing again."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterable, Mapping
from hashlib import blake2b
from pathlib import Path
from weakref import WeakValueDictionary

import lmdb

from siftline.errors import FullError, StoreError

#: Raised when records change their form, so that older ones are no longer found.
VERSION = 1

#: Addresses set aside for the file, which grows as it is written.
MAP_BYTES = 1 << 38

_OPEN: WeakValueDictionary[str, ScoreCache] = WeakValueDictionary()
_LOCK = threading.Lock()


def record_key(teacher: str, *parts: str) -> bytes:
    """16 bytes that stand for what a teacher says of texts.

    teacher: its own key. Each part goes in with its length, so that no two lists of parts are one.
    """
    digest = blake2b(f"{VERSION} {teacher}".encode(), digest_size=16)
    for part in parts:
        data = part.encode("utf-8", "surrogatepass")
        digest.update(len(data).to_bytes(8, "big") + data)
    return digest.digest()


class ScoreCache:
    """Records of bytes by key in one LMDB file; any number of processes may read and write.

    A record is there whole or not at all, also after a kill in the middle of a `put`. StoreError
    where the folder cannot be used or the file is damaged.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        try:
            folder.mkdir(parents=True, exist_ok=True)
            self._env = lmdb.open(str(folder), map_size=MAP_BYTES, max_readers=512, readahead=False)
            self._env.reader_check()
        except (lmdb.Error, OSError) as error:
            raise self._failed("open", error) from error

    @staticmethod
    def open(folder: Path) -> ScoreCache:
        """The cache of a folder, the same for everyone in the process who has it open."""
        name = os.path.realpath(folder)
        with _LOCK:
            found = _OPEN.get(name)
            if found is None:
                found = _OPEN[name] = ScoreCache(Path(name))
            return found

    def get(self, keys: Iterable[bytes]) -> list[bytes | None]:
        """The record of each key, None where there is none."""
        try:
            with self._env.begin() as transaction:
                return [transaction.get(key) for key in keys]
        except lmdb.Error as error:
            raise self._failed("read", error) from error

    def missing(self, keys: Iterable[bytes]) -> list[bytes]:
        """The keys that have no record, in their order."""
        try:
            with self._env.begin(buffers=True) as transaction:
                return [key for key in keys if transaction.get(key) is None]
        except lmdb.Error as error:
            raise self._failed("read", error) from error

    def put(self, records: Mapping[bytes, bytes]) -> None:
        """Write records, all or none of them; on disk when it returns."""
        try:
            with self._env.begin(write=True) as transaction:
                for key in sorted(records):
                    transaction.put(key, records[key])
        except (lmdb.MapFullError, lmdb.DiskError) as error:
            raise FullError(f"'{self.folder}' is full: {error}; make room, or remove it") from error
        except (lmdb.Error, OSError) as error:
            raise self._failed("write", error) from error

    def __len__(self) -> int:
        entries: int = self._env.stat()["entries"]
        return entries

    def _failed(self, what: str, error: Exception) -> StoreError:
        return StoreError(
            f"cannot {what} the scores of teachers in '{self.folder}': {error}; name another "
            "teacher_cache, or remove the folder and have them computed again"
        )
