"""Writes a package as files, so that reading them gives it back equal."""

from __future__ import annotations

import dataclasses
import json
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path, PurePosixPath

from siftline.errors import PackageError
from siftline.schema.chains import COMPONENTS
from siftline.schema.definition import Constant
from siftline.schema.package import Package
from siftline.schema.query_profiles import format_query_profile
from siftline.schema.read import QUERY_PROFILES, SCHEMA_FOLDERS, read_package
from siftline.schema.settings import FILE, format_settings
from siftline.schema.write_sd import format_schema
from siftline.schema.write_services import format_services
from siftline.tensor.json import to_json
from siftline.tensor.tensor import Tensor


def save_package(package: Package, folder: Path) -> Path:
    """Write the package to `folder` and return it.

    Everything is written beside it first and read back; only a package that reads back equal takes
    the folder's place, by renaming. Model files that the package names are taken along from where
    it was read; other files already in `folder` stay. PackageError if it would not read back
    equal, as with expressions whose braces do not balance.
    """
    folder = Path(folder).absolute()
    if folder.exists() and not folder.is_dir():
        raise PackageError(f"'{folder}' is a file; a package is a folder")
    files = _files(package, folder.name)
    folder.parent.mkdir(parents=True, exist_ok=True)
    draft = Path(tempfile.mkdtemp(prefix=f".{folder.name}-", dir=folder.parent))
    try:
        for path, text in files.items():
            target = draft / path
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_text(text, encoding="utf-8")
        _check(package, draft)
        _carry(package, folder, draft)
        draft.chmod(0o755)
        _replace(folder, draft)
    finally:
        shutil.rmtree(draft, ignore_errors=True)
    return folder


def _files(package: Package, folder_name: str) -> dict[str, str]:
    files = {"services.xml": format_services(package)}
    for schema in package.schemas.values():
        text = format_schema(schema, _constants_into(files, schema.name))
        files[f"schemas/{schema.name}.sd"] = text
    for profile in package.query_profiles.values():
        file = profile.name.replace("/", "_")
        files[f"{QUERY_PROFILES}/{file}.xml"] = format_query_profile(profile)
    name = package.name if package.name != folder_name else None
    settings = format_settings(package.settings, name)
    if settings:
        files[FILE] = settings
    return files


def _constants_into(files: dict[str, str], schema: str) -> Callable[[str, Constant], str]:
    """Files each constant under its own path, or under a new one where that is taken."""

    def place(owner: str, constant: Constant) -> str:
        if not isinstance(constant.value, Tensor):
            raise PackageError(
                f"constant '{constant.name}' of schema '{schema}' is a number; give it to the rank "
                "profiles"
            )
        text = json.dumps(to_json(constant.value)) + "\n"
        path = constant.file or f"constants/{constant.name}.json"
        if not _is_inside(path) or files.get(path, text) != text:
            path = "-".join(filter(None, ("constants/" + schema, owner, constant.name))) + ".json"
        files[path] = text
        return path

    return place


def _is_inside(path: str) -> bool:
    parts = PurePosixPath(path).parts
    return path.endswith(".json") and not path.startswith("/") and ".." not in parts


def _check(package: Package, draft: Path) -> None:
    found = dataclasses.replace(read_package(draft), name=package.name)
    if found == package:
        return
    for name, schema in package.schemas.items():
        if found.schemas.get(name) != schema:
            raise PackageError(f"schema '{name}' would not read back as it is")
    raise PackageError(f"package '{package.name}' would not read back as it is")


def _named_files(package: Package) -> Iterator[str]:
    for schema in package.schemas.values():
        profiles = schema.rank_profiles.values()
        for models in (schema.onnx_models, *(p.onnx_models for p in profiles)):
            yield from (model.file for model in models.values())
    for component in package.services.components.values():
        for reference in component.models.values():
            if reference.path:
                yield reference.path
    for query in package.settings.sparse_queries.values():
        yield query.idf
    if package.folder is not None and package.services.python_components:
        for path in sorted((package.folder / COMPONENTS).rglob("*")):
            yield path.relative_to(package.folder).as_posix()


def _carry(package: Package, folder: Path, draft: Path) -> None:
    """Link or copy what the draft does not write: named files, and what is in `folder` already."""
    if package.folder is not None and package.folder.is_dir():
        for name in _named_files(package):
            source = package.folder / name
            if ".." not in PurePosixPath(name).parts and source.is_file():
                _link(source, draft / name)
    if folder.is_dir():
        for source in sorted(folder.rglob("*")):
            path = source.relative_to(folder)
            if source.is_file() and not _is_generated(path):
                _link(source, draft / path)


def _is_generated(path: Path) -> bool:
    """Whether the file is one that a saved package replaces as a whole."""
    text = path.as_posix()
    schemas = path.parts[0] in SCHEMA_FOLDERS and path.suffix in (".sd", ".profile", ".expression")
    profiles = text.startswith(QUERY_PROFILES + "/") and path.suffix == ".xml"
    return text in ("services.xml", FILE) or schemas or profiles


def _link(source: Path, target: Path) -> None:
    if target.exists():
        return
    target.parent.mkdir(parents=True, exist_ok=True)
    try:
        os.link(source, target)
    except OSError:
        shutil.copy2(source, target)


def _replace(folder: Path, draft: Path) -> None:
    if not folder.exists():
        draft.rename(folder)
        return
    old = Path(tempfile.mkdtemp(prefix=f".{folder.name}-", dir=folder.parent))
    folder.rename(old)
    try:
        draft.rename(folder)
    except OSError:
        old.rename(folder)
        raise
    shutil.rmtree(old)
