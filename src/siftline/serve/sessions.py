"""Deployed packages on disk: each a session with a number, one of them active.

`DATA/.siftline/sessions.json` holds the last number given and the active session;
`DATA/.siftline/sessions/N/` holds `session.json` and the package. Numbers only ever grow.
"""

from __future__ import annotations

import json
import os
import shutil
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, Literal

from filelock import FileLock, Timeout

from siftline.errors import StoreError, UnknownNameError

Status = Literal["new", "prepared", "active", "deactivated"]

#: seconds that a session which was never activated is kept
LIFETIME = 3600
#: the folder of the deployments below the data folder
STORE = ".siftline"
#: what files being received, and folders of packages being opened, begin with
_INCOMING, OPENING = "incoming-", "opening-"


@dataclass(frozen=True, slots=True)
class Session:
    """One deployed package.

    folder: where the package lies, outside of the store where the server was started with it.
    name: of the package, where it gives itself none.
    base: the session that was active when this one was created, 0 if none. created: seconds since
    the epoch. encoders: what the vectors of its embedders depend on, once it was activated.
    """

    id: int
    folder: Path
    name: str = "default"
    status: Status = "new"
    base: int = 0
    created: float = 0.0
    encoders: dict[str, dict[str, str]] | None = None


class Sessions:
    """The sessions below a data folder, held by one server at a time until `close`."""

    def __init__(self, data: Path) -> None:
        self.data = data
        self.folder = data / STORE
        self._file = self.folder / "sessions.json"
        try:
            (self.folder / "sessions").mkdir(parents=True, exist_ok=True)
            self._lock = FileLock(self.folder / "lock", thread_local=False)
            self._lock.acquire(timeout=0)
        except Timeout:
            raise StoreError(
                f"another server uses {data}: stop it, or choose another folder with --data"
            ) from None
        except OSError as error:
            raise StoreError(f"cannot use {data}: {error.strerror or error}") from error
        self._state: dict[str, Any] = {"last": 0, "active": 0, "digest": None}
        self._state |= _read_json(self._file) or {}
        self._sessions = self._found()
        for path in self.folder.glob(f"{_INCOMING}*"):
            path.unlink(missing_ok=True)
        for path in self.folder.glob(f"{OPENING}*"):
            shutil.rmtree(path, ignore_errors=True)
        self.clean()

    def close(self) -> None:
        """Let another server in."""
        self._lock.release()

    @property
    def last(self) -> int:
        """The last number given."""
        return int(self._state["last"])

    @property
    def active(self) -> Session | None:
        """The session that is served."""
        return self._sessions.get(int(self._state["active"]))

    @property
    def digest(self) -> str | None:
        """Of the folder that a server was last started with and that was served at once."""
        found = self._state["digest"]
        return None if found is None else str(found)

    def get(self, id_: int) -> Session:
        """The session of that number; UnknownNameError if there is none (any more)."""
        if id_ not in self._sessions:
            raise UnknownNameError(f"Session {id_} was not found")
        return self._sessions[id_]

    def incoming(self) -> Path:
        """A new file for what is being received; the caller removes it."""
        return self.folder / f"{_INCOMING}{os.urandom(8).hex()}"

    def create(self, name: str, fill: Callable[[Path], Path | None]) -> Session:
        """A new session; `fill` makes the folder it is given, or says where the package lies.

        Where `fill` raises, nothing of the session stays but its number, which is not used again.
        """
        id_ = self.last + 1
        self._write_state(last=id_)
        own = self._own(id_)
        try:
            own.mkdir()
            elsewhere = fill(own / "package")
            active = self.active
            session = Session(
                id_,
                elsewhere or own / "package",
                name,
                base=active.id if active else 0,
                created=time.time(),
            )
            self._write(session)
        except BaseException:
            shutil.rmtree(own, ignore_errors=True)
            raise
        return session

    def outline(self, session: Session) -> Path:
        """A folder with what was deployed, without its models where the package lies elsewhere."""
        own = self._own(session.id) / "package"
        return own if own.is_dir() else session.folder

    def mark(self, session: Session, status: Status) -> Session:
        """The session with another status, on disk too."""
        changed = replace(session, status=status)
        self._write(changed)
        return changed

    def activate(
        self, session: Session, encoders: dict[str, dict[str, str]], digest: str | None = None
    ) -> Session:
        """Make a session the one that a restart serves.

        digest: of the folder the server was started with, where this is its package; else the
        one noted before stays.
        """
        before = self.active
        changed = replace(session, status="active", encoders=encoders)
        self._write(changed)
        self._write_state(active=session.id, digest=digest or self.digest)
        if before is not None and before.id != session.id:
            self.mark(before, "deactivated")
        return changed

    def deactivate(self) -> None:
        """Have no active session: the application is deleted."""
        before = self.active
        self._write_state(active=0)
        if before is not None:
            self.mark(before, "deactivated")

    def clean(self) -> None:
        """Remove sessions that nobody needs: but the active one, the one before it, and new ones.

        The one before it may still be answering; new ones may still be activated.
        """
        active = self.active
        kept = {active.id, active.base} if active else set()
        oldest = time.time() - LIFETIME
        for session in list(self._sessions.values()):
            waiting = session.status in ("new", "prepared") and session.created > oldest
            if session.id not in kept and not waiting:
                self.remove(session)

    def remove(self, session: Session) -> None:
        """Forget a session; a package that lies elsewhere stays there."""
        self._sessions.pop(session.id, None)
        shutil.rmtree(self._own(session.id), ignore_errors=True)

    def _own(self, id_: int) -> Path:
        return self.folder / "sessions" / str(id_)

    def _found(self) -> dict[int, Session]:
        found = {}
        for path in sorted((self.folder / "sessions").iterdir()):
            values = _read_json(path / "session.json")
            if values is None or not path.name.isdigit():
                shutil.rmtree(path, ignore_errors=True)
                continue
            folder = Path(values.pop("folder"))
            own = folder if folder.is_absolute() else path / folder
            found[int(path.name)] = Session(folder=own, **values)
        return found

    def _write(self, session: Session) -> None:
        own = self._own(session.id)
        inside = session.folder.is_relative_to(own)
        folder = session.folder.relative_to(own) if inside else session.folder.absolute()
        _write_json(own / "session.json", {**asdict(session), "folder": str(folder)})
        self._sessions[session.id] = session

    def _write_state(self, **changes: Any) -> None:
        _write_json(self._file, {**self._state, **changes})
        self._state |= changes


def copy_package(folder: Path, target: Path, data: Path, *, models: bool = True) -> None:
    """Copy a package's files: no hidden ones, no index, nothing that a link leads out to.

    data: the folder of the index, which may lie in the package. models: whether to copy `models/`.
    """
    root, index = folder.resolve(), data.resolve()
    own = root.is_relative_to(index)

    def left_out(at: str, names: list[str]) -> list[str]:
        def is_foreign(name: str) -> bool:
            path = (Path(at) / name).resolve()
            return not path.is_relative_to(root) or (not own and path.is_relative_to(index))

        top = Path(at) == folder
        return [
            name
            for name in names
            if name.startswith(".") or (top and name == "models" and not models) or is_foreign(name)
        ]

    shutil.copytree(folder, target, ignore=left_out)


def _read_json(path: Path) -> dict[str, Any] | None:
    try:
        found = json.loads(path.read_bytes())
    except (OSError, ValueError):
        return None
    return found if isinstance(found, dict) else None


def _write_json(path: Path, value: object) -> None:
    """Write beside, force to disk, rename; StoreError leaves what was there."""
    fresh = path.with_suffix(".new")
    try:
        with open(fresh, "wb") as file:
            file.write(json.dumps(value, indent=1).encode())
            file.flush()
            os.fsync(file.fileno())
        os.replace(fresh, path)
    except OSError as error:
        fresh.unlink(missing_ok=True)
        raise StoreError(f"cannot write {path}: {error.strerror or error}") from error
