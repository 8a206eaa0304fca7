"""From a package folder and options to a host that is ready to answer."""

from __future__ import annotations

import hashlib
import logging
from dataclasses import dataclass
from pathlib import Path

from siftline.application import Application, default_data
from siftline.encode.fingerprint import file_hash
from siftline.errors import SiftlineError, UsageError
from siftline.schema.changes import compare
from siftline.schema.read import read_package
from siftline.serve.deployment import Deployments
from siftline.serve.host import Host
from siftline.serve.options import Options
from siftline.serve.sessions import Session, Sessions, copy_package
from siftline.serve.warm import warm

log = logging.getLogger(__name__)

#: Where the index and deployed packages lie when the server is started without a package.
DEFAULT_DATA = Path("siftline-data")


def data_folder(package: Path | None, options: Options) -> Path:
    """The folder of the index: as told, else beside the package, else `siftline-data`."""
    if options.data is not None:
        return options.data
    return default_data(package) if package is not None else DEFAULT_DATA


def is_package(folder: Path | None) -> bool:
    """Whether a folder holds a package; UsageError for what is neither that nor empty."""
    if folder is None:
        return False
    if not folder.is_dir():
        raise UsageError(f"there is no folder '{folder}'")
    if (folder / "services.xml").is_file():
        return True
    if next(folder.iterdir(), None) is not None:
        raise UsageError(f"'{folder}' is not an application package: it has no services.xml")
    return False


@dataclass(frozen=True, slots=True)
class _Opened:
    """An application that is ready, and the session it is."""

    application: Application
    session: Session


def open_host(package: Path | None, options: Options) -> Host:
    """A host that serves the package, or waits for a deployment without one.

    A package that was deployed later than this folder last changed is served instead of it.
    Models are loaded and rankings compiled before it returns, so that the first query is answered
    within its timeout.
    """
    data = data_folder(package, options)
    folder = package if is_package(package) else None
    sessions = Sessions(data)
    try:
        opened = _open(folder, data, sessions, options.query_cache)
    except BaseException:
        sessions.close()
        raise
    if opened is None:
        host = Host(options=options, data=data)
    else:
        generation = opened.session.id
        host = Host(opened.application, options=options, data=data, generation=generation)
    host.deployments = Deployments(host, sessions)
    return host


def _open(
    folder: Path | None, data: Path, sessions: Sessions, query_cache: int | None
) -> _Opened | None:
    """The folder's package if it is new or has changed, else what was deployed last."""
    active = sessions.active
    digest = folder_digest(folder, data) if folder is not None else None
    if folder is not None and (active is None or digest != sessions.digest):
        application = Application.open(folder, data, query_cache=query_cache)
        return _begun(application, folder, sessions, digest)
    if active is None:
        return None
    if folder is not None and active.folder != folder.absolute():
        log.warning("session %d, deployed since, is served instead of %s", active.id, folder)
    package = read_package(active.folder, active.name)
    application = Application(package, data, query_cache=query_cache)
    _warm(application)
    return _Opened(application, active)


def _begun(
    application: Application, folder: Path, sessions: Sessions, digest: str | None
) -> _Opened:
    """The folder's application as a new session."""
    data = application.data
    _warm(application)
    try:
        if sessions.active is not None:
            _mark_stale(sessions, sessions.active, application)
        session = sessions.create(
            application.package.name, lambda own: _outlined(folder.absolute(), own, data)
        )
        session = sessions.activate(session, application.encoders(), digest)
    except BaseException:
        application.close()
        raise
    return _Opened(application, session)


def _outlined(folder: Path, own: Path, data: Path) -> Path:
    """The folder itself, to serve from; what it says today is kept, its models are not."""
    copy_package(folder, own, data, models=False)
    return folder


def _mark_stale(sessions: Sessions, before: Session, application: Application) -> None:
    """Have documents indexed anew when they are fed again, where a script or embedder changed."""
    try:
        old = read_package(sessions.outline(before), before.name)
    except SiftlineError:
        old = application.package  # it cannot be read any more: its embedders are still known
    changes = compare(old, application.package, before.encoders, application.encoders())
    for change in changes.of("refeed"):
        log.warning("documents need to be fed again: %s", change.text)
    for name in changes.stale:
        application.engines[name].index.mark_stale()


def _warm(application: Application) -> None:
    try:
        warm(application)
    except BaseException:
        application.close()
        raise


def folder_digest(folder: Path, data: Path) -> str:
    """A SHA-256 of a package's files, names and contents; hidden ones and the index left out."""
    digest = hashlib.sha256()
    own = data.resolve()
    for path in sorted(folder.rglob("*")):
        name = path.relative_to(folder).as_posix()
        hidden = any(part.startswith(".") or part == "__pycache__" for part in name.split("/"))
        if path.is_file() and not hidden and not path.resolve().is_relative_to(own):
            digest.update(f"{name}\0{file_hash(path)}\0".encode())
    return digest.hexdigest()
