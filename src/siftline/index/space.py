"""When a disk is too full to take more documents."""

from __future__ import annotations

import shutil
import threading
import time
from pathlib import Path

#: share of the disk that may be used; merging segments needs room beside what it merges
DISK_LIMIT = 0.8
#: bytes that are room enough however large the disk is
ENOUGH = 4 << 30
#: seconds for which one look at the disk holds
LOOK = 1.0


class Space:
    """Room on the disk of a folder; looks at most once a second.

    folder: where the indexes are; None, for now, has room. disk_limit: share of the disk in use
    from which no more is taken, unless `enough` bytes are free. index_limit: bytes that the folder
    may hold at most, None for any number.
    """

    def __init__(
        self,
        folder: Path | None = None,
        *,
        disk_limit: float = DISK_LIMIT,
        enough: int = ENOUGH,
        index_limit: int | None = None,
    ) -> None:
        self.folder = folder
        self.disk_limit = disk_limit
        self.enough = enough
        self.index_limit = index_limit
        self._lock = threading.Lock()
        self._looked = -LOOK
        self._problem: str | None = None

    def problem(self) -> str | None:
        """Why there is too little room, None where there is enough."""
        if self.folder is None:
            return None
        if time.monotonic() - self._looked >= LOOK and self._lock.acquire(blocking=False):
            try:
                self._problem = self._look(self.folder)
                self._looked = time.monotonic()
            finally:
                self._lock.release()
        return self._problem

    def _look(self, folder: Path) -> str | None:
        try:
            usage = shutil.disk_usage(folder)
            size = _size(folder) if self.index_limit is not None else 0
        except OSError:
            return None  # the folder is made by the first write
        used = 1 - usage.free / usage.total
        if self.index_limit is not None and size >= self.index_limit:
            return f"the indexes in {folder} take {size:,} bytes (limit {self.index_limit:,})"
        if used < self.disk_limit or usage.free >= self.enough:
            return None
        return (
            f"the disk of {folder} is {100 * used:.1f}% full "
            f"(limit {100 * self.disk_limit:.0f}%); free some space"
        )


def _size(folder: Path) -> int:
    """Bytes on the disk; the holes of a sparse file do not count."""
    return sum(path.stat().st_blocks * 512 for path in folder.rglob("*") if path.is_file())
