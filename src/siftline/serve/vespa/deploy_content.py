"""Files of a deployed package: found, listed, written; never anything outside of it."""

from __future__ import annotations

import hashlib
import os
import shutil
from functools import partial
from pathlib import Path
from typing import Any
from urllib.parse import quote

from siftline.errors import PackageError, UnknownNameError, UsageError
from siftline.serve.archive import ArchiveLimits, member_parts
from siftline.serve.deployment import COMPONENTS, ComponentsRefusedError
from siftline.serve.sessions import Session


def content(folder: Path, path: str, data: Path | None) -> Path:
    """The file or folder that a path of the package means; UnknownNameError if there is none.

    Hidden files and the index are not part of a package, nor is what a link leads out to.
    """
    missing = UnknownNameError(f"Content '{path}' was not found")
    try:
        parts = member_parts(path) if path.strip("/") else []
    except PackageError:
        raise missing from None
    found = folder.joinpath(*parts)
    if not _is_content(found, folder, data):
        raise missing
    return found


def _is_content(found: Path, folder: Path, data: Path | None) -> bool:
    """Whether something is there, and part of the package."""
    parts = found.relative_to(folder).parts
    if any(part.startswith(".") for part in parts):
        return False
    resolved, root = found.resolve(), folder.resolve()
    if not resolved.exists() or not resolved.is_relative_to(root):
        return False
    index = data.resolve() if data is not None else None
    # the packages that were deployed lie below the index themselves
    return index is None or root.is_relative_to(index) or not resolved.is_relative_to(index)


def list_content(
    session: Session,
    path: str,
    *,
    url: str,
    recursive: bool,
    status: bool,
    data: Path | None,
) -> list[Any]:
    """Addresses of what a folder holds, folders with a slash at their end; files by themselves.

    status: with the state and MD5 of each, as `return=status` asks.
    """
    start = content(session.folder, path, data)
    if start.is_file():
        found = [start]
    else:
        below = start.rglob("*") if recursive else start.iterdir()
        found = sorted(p for p in below if _is_content(p, session.folder, data))
    listed: list[Any] = []
    for item in found:
        name = quote(item.relative_to(session.folder).as_posix())
        address = f"{url}/{name}{'/' if item.is_dir() else ''}"
        if not status:
            listed.append(address)
            continue
        digest = "" if item.is_dir() else _md5(item)
        state = "new" if session.status == "new" else "unchanged"
        listed.append({"path": address, "status": state, "md5": digest})
    return listed


def _md5(path: Path) -> str:
    with open(path, "rb") as file:
        return hashlib.file_digest(file, partial(hashlib.md5, usedforsecurity=False)).hexdigest()


def write_content(folder: Path, path: str, data: Path | None, *, components: bool) -> None:
    """Move a file there, make a folder (a path that ends with a slash), or remove either (None).

    components: whether Python code may be written.
    """
    parts = member_parts(path)
    inside = "/".join(parts)
    if not components and data is not None and f"{inside}/".startswith(f"{COMPONENTS}/"):
        raise ComponentsRefusedError(
            f"'{inside}' would be a Python component, which is accepted over HTTP only by a "
            "server that was started with --allow-components"
        )
    target = folder.joinpath(*parts)
    if data is None:
        if not target.exists():
            raise UnknownNameError(f"Content '{path}' was not found")
        if target.is_dir():
            shutil.rmtree(target)
        else:
            target.unlink()
        return
    _check_names(folder, parts)
    most = ArchiveLimits().file
    if data.stat().st_size > most:
        raise UsageError(f"'{inside}' has more than the {most} bytes that a file may have")
    try:
        if path.endswith("/"):
            target.mkdir(parents=True, exist_ok=True)
        else:
            target.parent.mkdir(parents=True, exist_ok=True)
            os.replace(data, target)
    except (FileExistsError, NotADirectoryError, IsADirectoryError):
        raise UsageError(f"'{inside}' is a file where a folder is needed, or the reverse") from None


def _check_names(folder: Path, parts: list[str]) -> None:
    """UsageError where a name differs from one that is there only in upper case."""
    at = folder
    for part in parts:
        names = [p.name for p in at.iterdir()] if at.is_dir() else []
        other = next((n for n in names if n != part and n.casefold() == part.casefold()), None)
        if other is not None:
            raise UsageError(f"'{part}' differs from '{other}' only in upper case")
        at = at / part
