"""Named arrays with notes, in memory or in one memory-mapped file: the home of every segment.

docs/format.md gives the bytes of the file.
"""

from __future__ import annotations

import json
import mmap
import os
import struct
import zlib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from siftline.errors import StoreError

MAGIC = b"SIFTSEG\0"
FORMAT_VERSION = 1
ALIGNMENT = 64
#: magic, format version, CRC-32 of the table, offset of the table, its length, file length
_HEADER = struct.Struct("<8sIIQQQ")


class DamagedError(StoreError):
    """A segment file is missing, cut off or altered; the store can make it again."""


class Arrays:
    """Arrays by name, and small JSON values (`notes`) by name; read-only."""

    def __init__(self, arrays: Mapping[str, np.ndarray], notes: Mapping[str, Any]) -> None:
        self.arrays = arrays
        self.notes = notes

    def __getitem__(self, name: str) -> np.ndarray:
        return self.arrays[name]

    def __contains__(self, name: str) -> bool:
        return name in self.arrays

    def under(self, prefix: str) -> Arrays:
        """Those whose names start with `prefix/`, without it."""
        start = prefix + "/"
        return Arrays(
            {n[len(start) :]: a for n, a in self.arrays.items() if n.startswith(start)},
            {n[len(start) :]: v for n, v in self.notes.items() if n.startswith(start)},
        )

    def sizes(self) -> Iterator[tuple[str, int]]:
        """Each name with its bytes."""
        for name, array in self.arrays.items():
            yield name, array.nbytes


class ArrayWriter(Protocol):
    """Where a segment is written to."""

    def put(self, name: str, array: np.ndarray) -> None:
        """Keep an array that is complete."""

    def allocate(self, name: str, dtype: Any, shape: tuple[int, ...]) -> np.ndarray:
        """A writable array of that shape, zero-filled, to be filled by the caller."""

    def note(self, name: str, value: Any) -> None:
        """Keep a JSON value."""


class Under:
    """An ArrayWriter that puts `prefix/` before every name."""

    def __init__(self, writer: ArrayWriter, prefix: str) -> None:
        self._writer = writer
        self._prefix = prefix + "/"

    def put(self, name: str, array: np.ndarray) -> None:
        """Keep an array that is complete."""
        self._writer.put(self._prefix + name, array)

    def allocate(self, name: str, dtype: Any, shape: tuple[int, ...]) -> np.ndarray:
        """A writable zero-filled array."""
        return self._writer.allocate(self._prefix + name, dtype, shape)

    def note(self, name: str, value: Any) -> None:
        """Keep a JSON value."""
        self._writer.note(self._prefix + name, value)


class MemoryWriter:
    """Collects arrays in memory."""

    def __init__(self) -> None:
        self._arrays: dict[str, np.ndarray] = {}
        self._notes: dict[str, Any] = {}

    def put(self, name: str, array: np.ndarray) -> None:
        """Keep an array that is complete."""
        self._arrays[name] = np.ascontiguousarray(array)

    def allocate(self, name: str, dtype: Any, shape: tuple[int, ...]) -> np.ndarray:
        """A writable zero-filled array."""
        array = np.zeros(shape, dtype)
        self._arrays[name] = array
        return array

    def note(self, name: str, value: Any) -> None:
        """Keep a JSON value."""
        self._notes[name] = value

    def finish(self) -> Arrays:
        """What was collected."""
        return Arrays(self._arrays, self._notes)


class FileWriter:
    """Writes an array file; nothing is readable before `finish`, and `abandon` removes it."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._table: dict[str, dict[str, Any]] = {}
        self._notes: dict[str, Any] = {}
        try:
            self._file = open(path, "w+b")
            self._file.write(bytes(ALIGNMENT))
        except OSError as error:
            raise write_error(path, error) from error
        self._end = ALIGNMENT

    def put(self, name: str, array: np.ndarray) -> None:
        """Write an array that is complete."""
        whole = np.ascontiguousarray(array)
        start = self._enter(name, whole.dtype, whole.shape)
        try:
            self._file.seek(start)
            self._file.write(whole.reshape(-1).view(np.uint8).data)
        except OSError as error:
            raise write_error(self._path, error) from error

    def allocate(self, name: str, dtype: Any, shape: tuple[int, ...]) -> np.ndarray:
        """A writable zero-filled array inside the file."""
        kind = np.dtype(dtype)
        start = self._enter(name, kind, shape)
        size = self._end - start
        if size == 0:
            return np.zeros(shape, kind)
        try:
            self._file.flush()
            _reserve(self._file.fileno(), start, size)
        except OSError as error:
            raise write_error(self._path, error) from error
        return np.asarray(np.memmap(self._file, kind, "r+", start, shape))

    def note(self, name: str, value: Any) -> None:
        """Keep a JSON value."""
        self._notes[name] = value

    def finish(self) -> None:
        """Write the table and the header, and force everything to disk."""
        table = json.dumps(
            {"arrays": self._table, "notes": self._notes}, separators=(",", ":"), sort_keys=True
        ).encode()
        header = _HEADER.pack(
            MAGIC, FORMAT_VERSION, zlib.crc32(table), self._end, len(table), self._end + len(table)
        )
        try:
            self._file.seek(self._end)
            self._file.write(table)
            self._file.flush()
            os.fsync(self._file.fileno())
            self._file.seek(0)
            self._file.write(header)
            self._file.flush()
            os.fsync(self._file.fileno())
            self._file.close()
        except OSError as error:
            raise write_error(self._path, error) from error

    def abandon(self) -> None:
        """Close and remove the unfinished file."""
        try:
            self._file.close()
        except OSError:  # a full disk refuses the last buffered bytes; the file goes anyway
            pass
        self._path.unlink(missing_ok=True)

    def _enter(self, name: str, dtype: np.dtype, shape: tuple[int, ...]) -> int:
        start = -(-self._end // ALIGNMENT) * ALIGNMENT
        self._table[name] = {"dtype": dtype.str, "shape": list(shape), "offset": start}
        self._end = start + dtype.itemsize * int(np.prod(shape, dtype=np.int64))
        return start


def open_arrays(path: Path) -> Arrays:
    """The arrays of a finished file, memory-mapped.

    DamagedError if the file is not whole, StoreError if its format is newer.
    """
    try:
        with open(path, "rb") as file:
            mapped = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
    except FileNotFoundError:
        raise DamagedError(f"segment file {path} is missing") from None
    except (OSError, ValueError) as error:
        raise DamagedError(f"segment file {path} cannot be read: {error}") from error
    if len(mapped) < _HEADER.size:
        raise DamagedError(f"segment file {path} is damaged: only {len(mapped)} bytes")
    magic, version, checksum, offset, length, size = _HEADER.unpack_from(mapped)
    if magic != MAGIC:
        raise DamagedError(f"segment file {path} is damaged: it does not start with {MAGIC!r}")
    if version > FORMAT_VERSION:
        raise StoreError(
            f"segment file {path} has format {version}, this version reads up to {FORMAT_VERSION}: "
            "upgrade siftline"
        )
    table = mapped[offset : offset + length]
    if not offset + length == size == len(mapped) or zlib.crc32(table) != checksum:
        raise DamagedError(f"segment file {path} is damaged: its table or its length is wrong")
    content = json.loads(table)
    arrays = {name: _view(mapped, entry) for name, entry in content["arrays"].items()}
    return Arrays(arrays, content["notes"])


def write_error(path: Path, error: OSError) -> StoreError:
    """The StoreError for a failed write, with the space that is left."""
    return StoreError(f"cannot write {path}: {error.strerror or error} (is the disk full?)")


def _view(mapped: mmap.mmap, entry: Mapping[str, Any]) -> np.ndarray:
    dtype, shape = np.dtype(entry["dtype"]), tuple(entry["shape"])
    count = int(np.prod(shape, dtype=np.int64))
    if count == 0:
        return np.zeros(shape, dtype)
    return np.frombuffer(mapped, dtype, count, entry["offset"]).reshape(shape)


def _reserve(descriptor: int, start: int, size: int) -> None:
    """Take the disk space now: a full disk found while a map is written kills the process."""
    if hasattr(os, "posix_fallocate"):
        os.posix_fallocate(descriptor, start, size)
        return
    zeros = bytes(1 << 20)
    os.lseek(descriptor, start, os.SEEK_SET)
    left = size
    while left:
        left -= os.write(descriptor, zeros[: min(left, len(zeros))])
