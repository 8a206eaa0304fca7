"""The manifest: which segment files make the index, and the last operation they cover.

Published by one atomic rename, so that a reader sees the old set or the new one.
"""

from __future__ import annotations

import json
import os
import zlib
from dataclasses import asdict, dataclass
from pathlib import Path

from siftline.errors import StoreError
from siftline.index.arrays import FORMAT_VERSION, write_error

NAME = "manifest.json"


@dataclass(frozen=True, slots=True)
class SegmentEntry:
    """A segment file, its documents, and the file that lists the deleted ones, if any."""

    file: str
    count: int
    deleted: int = 0
    deleted_file: str | None = None


@dataclass(frozen=True, slots=True)
class Manifest:
    """Segments in document order; covered is the last sequence number in them.

    next_file numbers the next file, so that no name is ever used twice.
    """

    fingerprint: str
    covered: int = 0
    next_file: int = 1
    segments: tuple[SegmentEntry, ...] = ()

    @property
    def files(self) -> set[str]:
        """Every file the manifest names."""
        named = {entry.file for entry in self.segments}
        return named | {e.deleted_file for e in self.segments if e.deleted_file}


def read_manifest(folder: Path) -> Manifest | None:
    """The published manifest, None if there is none or it is damaged; StoreError if it is newer."""
    try:
        content = json.loads((folder / NAME).read_bytes())
        version = int(content["format"])
    except (OSError, ValueError, TypeError, KeyError):
        return None
    if version > FORMAT_VERSION:
        raise StoreError(
            f"{folder / NAME} has format {version}, this version reads up to {FORMAT_VERSION}: "
            "upgrade siftline"
        )
    try:
        body = content["body"]
        if zlib.crc32(_canonical(body)) != content["checksum"]:
            return None
        entries = tuple(SegmentEntry(**entry) for entry in body.pop("segments"))
        return Manifest(**body, segments=entries)
    except (KeyError, TypeError, AttributeError):
        return None


def publish(folder: Path, manifest: Manifest) -> None:
    """Write beside, force to disk, rename; a StoreError before the rename leaves the old one."""
    body = asdict(manifest)
    content = {
        "format": FORMAT_VERSION,
        "checksum": zlib.crc32(_canonical(body)),
        "body": body,
    }
    fresh = folder / (NAME + ".new")
    try:
        with open(fresh, "wb") as file:
            file.write(json.dumps(content, indent=1).encode())
            file.flush()
            os.fsync(file.fileno())
        sync_folder(folder)
        os.replace(fresh, folder / NAME)
        sync_folder(folder)
    except OSError as error:
        fresh.unlink(missing_ok=True)
        raise write_error(folder / NAME, error) from error


def sync_folder(folder: Path) -> None:
    """Force a folder's entries to disk, where the system can."""
    if os.name == "nt":
        return
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _canonical(body: object) -> bytes:
    return json.dumps(body, sort_keys=True, separators=(",", ":")).encode()
