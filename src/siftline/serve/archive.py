"""Unpacks an application package that came over the network: zip or gzip'd tar.

An archive is refused whole, and nothing of it stays, for anything but plain files and folders
below its root, and for more files or bytes than the limits, whatever its own headers say.
"""

from __future__ import annotations

import errno
import gzip
import os
import re
import shutil
import stat
import struct
import tarfile
import unicodedata
import zipfile
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

from siftline.errors import FullError, PackageError, Place

_CHUNK = 1 << 16
#: bytes of one header of a tar archive, long names and extended attributes included
_HEADER = 1 << 20
#: bytes of a zip's directory for each member: the fixed part, a name, what tools add
_ENTRY = 46 + 512
#: what the folder itself is called in an archive of it
_ROOT = (".", "./")
_END = struct.Struct("<4sHHHHIIH")
_UNPRINTABLE = re.compile(r"[\x00-\x1f\x7f]")
_DRIVE = re.compile(r"[A-Za-z]:")


@dataclass(frozen=True, slots=True)
class ArchiveLimits:
    """Bytes of one unpacked file and of all together; members: files and folders."""

    file: int = 1536 << 20
    total: int = 4096 << 20
    members: int = 10_000


def unpack(archive: Path, folder: Path, limits: ArchiveLimits | None = None) -> None:
    """Unpack a zip or gzip'd tar into `folder`, which must not exist and comes to exist whole.

    PackageError names the member and why it is refused, FullError says that the disk is full;
    both leave no folder behind.
    """
    folder.mkdir(parents=True)
    try:
        with open(archive, "rb") as file:
            magic = file.read(4)
            file.seek(0)
            unpacker = _Unpacker(folder, limits or ArchiveLimits())
            if magic[:2] == b"\x1f\x8b":
                _unpack_tar(file, unpacker)
            elif magic in (b"PK\x03\x04", b"PK\x05\x06"):
                _unpack_zip(file, unpacker)
            else:
                raise PackageError("the package is neither a zip file nor a gzip'd tar file")
    except OSError as error:
        shutil.rmtree(folder, ignore_errors=True)
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise FullError("no space is left on the disk for the package") from error
        raise
    except BaseException:
        shutil.rmtree(folder, ignore_errors=True)
        raise


class _Unpacker:
    """Writes members into a folder, each name and size checked before anything is written."""

    def __init__(self, folder: Path, limits: ArchiveLimits) -> None:
        self.limits = limits
        self._folder = folder
        self._files: set[str] = set()
        self._spelled: dict[str, str] = {}
        self._left = limits.total
        self._members = 0

    def folder(self, name: str) -> None:
        """Make a folder."""
        path = self._checked(name, is_file=False)
        (self._folder / path).mkdir(parents=True, exist_ok=True)

    def file(self, name: str, size: int, read: Callable[[int], bytes]) -> None:
        """Write a file of a declared size, which `read` gives piece by piece."""
        path = self._checked(name, is_file=True)
        if size > self.limits.file:
            raise refused(name, f"it has {size} bytes, more than the {self.limits.file} allowed")
        self._take(name, size)
        target = self._folder / path
        target.parent.mkdir(parents=True, exist_ok=True)
        written = 0
        with open(target, "xb") as out:
            while piece := read(_CHUNK):
                written += len(piece)
                if written > size:
                    raise refused(name, f"it has more than the {size} bytes its header says")
                out.write(piece)
        if written != size:
            raise refused(name, f"it has {written} bytes, its header says {size}")

    def _take(self, name: str, size: int) -> None:
        if size > self._left:
            raise refused(name, f"the package unpacks to more than {self.limits.total} bytes")
        if size > shutil.disk_usage(self._folder).free:
            raise FullError(f"too little space is left on the disk for '{_shown(name)}'")
        self._left -= size

    def _checked(self, name: str, *, is_file: bool) -> str:
        self._members += 1
        if self._members > self.limits.members:
            raise refused(name, f"the package has more than {self.limits.members} files")
        parts = member_parts(name)
        path = "/".join(parts)
        for end in range(1, len(parts) + 1):
            prefix = "/".join(parts[:end])
            folded = unicodedata.normalize("NFC", prefix).casefold()
            spelled = self._spelled.setdefault(folded, prefix)
            if spelled != prefix:
                raise refused(name, f"it differs from '{_shown(spelled)}' only in upper case")
            if prefix in self._files:
                kind = "the name stands there twice" if prefix == path else "a file has that name"
                raise refused(name, kind)
        if is_file:
            if (self._folder / path).exists():
                raise refused(name, "a folder has that name")
            self._files.add(path)
        return path


def member_parts(name: str) -> list[str]:
    """The folders and the name of a member; PackageError unless it lies below the root."""
    if name.startswith("/") or _DRIVE.match(name):
        raise refused(name, "its path is absolute")
    if "\\" in name:
        raise refused(name, "its path has a backslash")
    if _UNPRINTABLE.search(name):
        raise refused(name, "its name has a control character")
    parts = [part for part in name.rstrip("/").split("/") if part != "."]
    if ".." in parts:
        raise refused(name, "its path leads out of the package with '..'")
    if not all(parts) or not parts:
        raise refused(name, "its path has an empty part")
    encoded = [len(part.encode("utf-8", "surrogateescape")) for part in parts]
    if max(encoded) > 255 or sum(encoded) + len(parts) > 1024 or len(parts) > 64:
        raise refused(name, "its path is too long")
    return parts


def refused(name: str, why: str) -> PackageError:
    """The error for one member."""
    return PackageError(f"the package is refused: {why}", Place(_shown(name)))


def _shown(name: str) -> str:
    text = name.encode("utf-8", "backslashreplace").decode()
    text = _UNPRINTABLE.sub(lambda found: f"\\x{ord(found[0]):02x}", text)
    return text if len(text) <= 200 else f"{text[:200]}…"


# -- zip --------------------------------------------------------------------------------------


def _unpack_zip(file: IO[bytes], unpacker: _Unpacker) -> None:
    with _reading("zip"):
        _check_directory(file, unpacker.limits)
        archive = zipfile.ZipFile(file)
    total = 0
    for member in archive.infolist():
        _check_zip_member(member)
        total += member.file_size
        if total > unpacker.limits.total:
            limit = unpacker.limits.total
            raise refused(member.filename, f"the package unpacks to more than {limit} bytes")
    for member in archive.infolist():
        if member.is_dir():
            if member.filename not in _ROOT:
                unpacker.folder(member.filename)
            continue
        with _reading("zip", member.filename), archive.open(member) as stream:
            unpacker.file(member.filename, member.file_size, stream.read)


def _check_zip_member(member: zipfile.ZipInfo) -> None:
    name = member.orig_filename
    if "\0" in name:
        raise refused(name, "its name has a control character")
    kind = stat.S_IFMT(member.external_attr >> 16)
    if stat.S_ISLNK(kind):
        raise refused(name, "it is a link")
    if kind and not (stat.S_ISREG(kind) or stat.S_ISDIR(kind)):
        raise refused(name, "it is neither a file nor a folder")
    if member.flag_bits & 0x2041:
        raise refused(name, "it is encrypted")
    if member.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
        raise refused(name, "it is compressed in an unknown way (known: stored, deflate)")


def _check_directory(file: IO[bytes], limits: ArchiveLimits) -> None:
    """Refuse a directory too large before it is read into memory."""
    size = file.seek(0, os.SEEK_END)
    start = max(0, size - (1 << 16) - _END.size - 20)
    file.seek(start)
    tail = file.read()
    at = tail.rfind(b"PK\x05\x06")
    if at < 0 or at + _END.size > len(tail):
        raise PackageError("the package is not a whole zip file: its directory is missing")
    _, _, _, _, entries, bytes_, _, _ = _END.unpack_from(tail, at)
    if b"PK\x06\x07" in tail[max(0, at - 20) : at]:
        raise PackageError("the package is a zip64 file, which only more than 4 GB would need")
    if entries > limits.members or bytes_ > limits.members * _ENTRY:
        raise PackageError(f"the package is refused: it has more than {limits.members} files")
    file.seek(0)


# -- tar --------------------------------------------------------------------------------------


class _Bounded:
    """A decompressed stream that ends in an error where it is longer than it may be."""

    def __init__(self, stream: gzip.GzipFile, limit: int) -> None:
        self._stream = stream
        self._limit = limit

    def read(self, size: int = -1) -> bytes:
        """Up to `size` bytes; a header that asks for more than one may have is refused."""
        if not 0 <= size <= _HEADER:
            raise PackageError(f"the package is refused: it has a header of over {_HEADER} bytes")
        if self._stream.tell() > self._limit:
            raise PackageError(f"the package unpacks to more than {self._limit} bytes")
        return self._stream.read(size)

    def tell(self) -> int:
        """Bytes read."""
        return self._stream.tell()

    def seek(self, position: int, whence: int = os.SEEK_SET) -> int:
        """Skip forward."""
        if whence != os.SEEK_SET or position > self._limit:
            raise PackageError(f"the package unpacks to more than {self._limit} bytes")
        return self._stream.seek(position)


def _unpack_tar(file: IO[bytes], unpacker: _Unpacker) -> None:
    limits = unpacker.limits
    # each member has a header block, perhaps two more for a long name, and fills its last block
    longest = limits.total + limits.members * 8 * tarfile.BLOCKSIZE
    with _reading("gzip'd tar"), gzip.GzipFile(fileobj=file, mode="rb") as stream:
        bounded: Any = _Bounded(stream, longest)
        with tarfile.open(fileobj=bounded, mode="r:") as archive:
            for member in archive:
                _unpack_tar_member(archive, member, unpacker)


def _unpack_tar_member(
    archive: tarfile.TarFile, member: tarfile.TarInfo, unpacker: _Unpacker
) -> None:
    if member.issym() or member.islnk():
        raise refused(member.name, "it is a link")
    if member.isdir():
        if member.name not in _ROOT:
            unpacker.folder(member.name)
        return
    if not member.isreg() or member.issparse():
        raise refused(member.name, "it is neither a file nor a folder")
    stream = archive.extractfile(member)
    if stream is None:  # pragma: no cover - a regular file has a stream
        raise refused(member.name, "it cannot be read")
    with stream:
        unpacker.file(member.name, member.size, stream.read)


@contextmanager
def _reading(kind: str, member: str | None = None) -> Iterator[None]:
    """Turn what a damaged archive raises into a PackageError."""
    try:
        yield
    except (
        zipfile.BadZipFile,
        tarfile.TarError,
        gzip.BadGzipFile,
        zlib.error,
        EOFError,
        RuntimeError,  # also zipfile's for a method that it does not know
        UnicodeError,
        struct.error,
        ValueError,
        OverflowError,
    ) as error:
        place = Place(_shown(member)) if member is not None else None
        raise PackageError(f"the package is a damaged {kind} file: {error}", place) from error
