"""One writer for each index folder, by a file lock that the system frees when a process dies."""

from __future__ import annotations

import os
from pathlib import Path

from filelock import FileLock, Timeout

from siftline.errors import StoreError


class WriterLock:
    """Held from construction to `release`; StoreError names the folder and the other process."""

    def __init__(self, folder: Path) -> None:
        self._owner = folder / "writer"
        # a lock belongs to the index that took it, whichever thread closes that index
        self._lock = FileLock(folder / "lock", thread_local=False)
        try:
            self._lock.acquire(timeout=0)
        except Timeout:
            raise StoreError(
                f"{folder} is open for writing in another process ({self._name_owner()}): "
                "close it there, or open it read-only"
            ) from None
        except OSError as error:
            raise StoreError(f"cannot lock {folder}: {error}") from error
        self._owner.write_text(f"{os.getpid()}\n")

    def release(self) -> None:
        """Let the next writer in."""
        self._lock.release()

    def _name_owner(self) -> str:
        try:
            return f"pid {int(self._owner.read_text())}"
        except (OSError, ValueError):
            return "pid unknown"
