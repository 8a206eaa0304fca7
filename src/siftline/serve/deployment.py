"""Deploying packages: sessions are created, prepared, and made the application that is served."""

from __future__ import annotations

import dataclasses
import logging
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from siftline.application import Application
from siftline.errors import PackageError, SiftlineError, UnknownNameError, UsageError
from siftline.schema.changes import Changes
from siftline.schema.package import Package
from siftline.schema.read import read_package
from siftline.serve.archive import unpack
from siftline.serve.host import Host
from siftline.serve.replacement import Replacement
from siftline.serve.sessions import Session, Sessions, copy_package

COMPONENTS = "ext/components"


class ActivationConflictError(UsageError):
    """Another session was activated since this one was created."""


class ComponentsRefusedError(PackageError):
    """The package brings Python code, which this server does not take over the network."""


@dataclass(frozen=True, slots=True)
class Prepared:
    """A session that can be activated; log: entries as Vespa's deploy API has them."""

    session: Session
    changes: Changes
    log: list[dict[str, Any]]


class Deployments:
    """The sessions of a host; one deployment at a time, the others wait."""

    def __init__(self, host: Host, sessions: Sessions) -> None:
        self.host = host
        self.sessions = sessions
        self._lock = threading.Lock()
        self._adopt()

    def _adopt(self) -> None:
        """Make what the host serves the active session, where it was not opened as one."""
        active = self.sessions.active
        if not self.host.ready or (active and active.id == self.host.generation):
            return
        with self.host.use() as application:
            package = application.package
            session = self.sessions.create(package.name, lambda own: _placed(package, own))
            self.sessions.activate(session, application.encoders())
        self.host.generation = max(self.host.generation, session.id)

    def create(self, archive: Path) -> Session:
        """A session with the package of an archive, nothing of it read yet."""
        with self._lock:
            return self._create(archive)

    def copy(self) -> Session:
        """A session with the package that is served; UnknownNameError if there is none."""
        with self._lock:
            active = self.active()

            def fill(folder: Path) -> None:
                copy_package(active.folder, folder, self.sessions.data)

            return self.sessions.create(active.name, fill)

    def active(self) -> Session:
        """The session that is served; UnknownNameError if there is none."""
        active = self.sessions.active
        if active is None:
            raise UnknownNameError("Application 'default.default.default' was not found")
        return active

    def prepare(self, id_: int) -> Prepared:
        """Open a session's package beside the application that is served, and let go of it again.

        PackageError for what is wrong or dangerous in it; the session can be corrected then.
        """
        with self._lock:
            session = self._unfinished(id_)
            replacement, prepared = self._open(session)
            replacement.abandon()
            return dataclasses.replace(prepared, session=self.sessions.mark(session, "prepared"))

    def activate(self, id_: int, *, force: bool = False) -> Session:
        """Serve a prepared session; ActivationConflictError if it is outdated, unless forced."""
        with self._lock:
            session = self._unfinished(id_)
            if session.status != "prepared":
                raise UsageError(f"Session {id_} is not prepared: prepare it first")
            active = self.sessions.active
            now = active.id if active else 0
            if session.base != now and not force:
                raise ActivationConflictError(
                    f"Cannot activate session {id_} because the currently active session ({now}) "
                    f"has changed since session {id_} was created (was {session.base} at creation "
                    "time)"
                )
            replacement, _ = self._open(session)
            return self._activate(session, replacement)

    def deploy(self, archive: Path) -> Prepared:
        """Create, prepare and activate; where one of them fails, nothing of the session stays."""
        with self._lock:
            session = self._create(archive)
            try:
                replacement, prepared = self._open(session)
                activated = self._activate(session, replacement)
            except BaseException:
                self.sessions.remove(session)
                raise
            return dataclasses.replace(prepared, session=activated)

    def edit(self, id_: int, change: Callable[[Path], None]) -> Session:
        """Change the files of a session that is not active yet; it has to be prepared then."""
        with self._lock:
            session = self._unfinished(id_)
            change(session.folder)
            return self.sessions.mark(session, "new")

    def delete(self) -> list[Path]:
        """Serve nothing any more; the folders of the documents, which stay."""
        with self._lock:
            self.active()
            with self.host.use() as application:
                folders = [engine.index.folder for engine in application.engines.values()]
            self.sessions.deactivate()
            self.host.clear()
            return folders

    def _create(self, archive: Path) -> Session:
        def fill(folder: Path) -> None:
            unpack(archive, folder)
            _lift(folder)
            self._check_components(folder)

        name = self.host.name or (self.sessions.active or _NOBODY).name
        return self.sessions.create(name, fill)

    def _check_components(self, folder: Path, package: Package | None = None) -> None:
        if self.host.options.allow_components:
            return
        found = folder / COMPONENTS
        named = package.services.python_components if package is not None else ()
        if found.exists() or named:
            what = f"names '{named[0]}'" if named else f"brings {COMPONENTS}"
            raise ComponentsRefusedError(
                f"the package {what}: Python components are accepted over HTTP only by a server "
                "that was started with --allow-components"
            )

    def _unfinished(self, id_: int) -> Session:
        session = self.sessions.get(id_)
        if session.status in ("active", "deactivated"):
            raise UsageError(f"Session {id_} is {session.status}")
        return session

    def _open(self, session: Session) -> tuple[Replacement, Prepared]:
        today = datetime.now(UTC).date()
        with _noted() as log, _inside(session.folder), self._current() as current:
            package = read_package(session.folder, session.name)
            self._check_components(session.folder, package)
            replacement = Replacement(
                package, self.sessions.data, current, today, self.host.options.query_cache
            )
        for level, text in replacement.changes.notes():
            log.append(_entry(level, text))
        if current is not None:
            gone = [name for name in current.engines if name not in package.schemas]
            if gone:
                text = f"documents of {', '.join(gone)} stay in {self.sessions.data}, unserved"
                log.append(_entry("WARNING", text))
        return replacement, Prepared(session, replacement.changes, log)

    def _activate(self, session: Session, replacement: Replacement) -> Session:
        with _inside(session.folder):
            application = self.host.swap(lambda _: replacement.finish(), generation=session.id)
        activated = self.sessions.activate(session, application.encoders())
        self.sessions.clean()
        return activated

    @contextmanager
    def _current(self) -> Iterator[Application | None]:
        if not self.host.ready:
            yield None
            return
        with self.host.use() as application:
            yield application


_NOBODY = Session(0, Path())


def _placed(package: Package, own: Path) -> Path:
    """Where a package lies that is served already; one made in Python is written to `own`."""
    return package.folder if package.folder is not None else package.save(own)


def _lift(folder: Path) -> None:
    """Take a package out of the one folder that an archive of it may have around everything."""
    found = list(folder.iterdir())
    if len(found) == 1 and found[0].is_dir() and not (folder / "services.xml").exists():
        inner = folder.with_name("lifted")
        found[0].rename(inner)
        folder.rmdir()
        inner.rename(folder)


@contextmanager
def _inside(folder: Path) -> Iterator[None]:
    """Name files in errors by their path in the package: where it lies concerns nobody else."""
    try:
        yield
    except SiftlineError as error:
        own = f"{folder}/"
        error.message = error.message.replace(own, "").replace(f"'{folder}'", "the package")
        if error.place is not None and error.place.file is not None:
            file = error.place.file.replace(own, "")
            error.place = dataclasses.replace(error.place, file=file)
        raise


def _entry(level: str, text: str) -> dict[str, Any]:
    return {
        "time": int(time.time() * 1000),
        "level": level,
        "message": text,
        "applicationPackage": True,
    }


class _Notes(logging.Handler):
    """Takes the warnings of one thread."""

    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self.entries: list[dict[str, Any]] = []
        self._thread = threading.get_ident()

    def emit(self, record: logging.LogRecord) -> None:
        if record.thread == self._thread:
            level = "WARNING" if record.levelno < logging.ERROR else "ERROR"
            self.entries.append(_entry(level, record.getMessage()))


@contextmanager
def _noted() -> Iterator[list[dict[str, Any]]]:
    """The library's warnings of this thread, as log entries."""
    notes = _Notes()
    logger = logging.getLogger("siftline")
    logger.addHandler(notes)
    try:
        yield notes.entries
    finally:
        logger.removeHandler(notes)
