"""Reads an application package: a folder to a Package, checked whole."""

from __future__ import annotations

import dataclasses
from pathlib import Path

from siftline.errors import PackageError, Place
from siftline.schema.check import check_package
from siftline.schema.definition import Schema
from siftline.schema.files import PackageFiles, read_text
from siftline.schema.nearest import nearest
from siftline.schema.package import Package, QueryProfile, Services, Settings
from siftline.schema.query_profiles import check_query_profile_type, parse_query_profile
from siftline.schema.sd import parse_profiles, parse_schema
from siftline.schema.services import parse_services
from siftline.schema.settings import FILE, parse_settings

#: where schemas stand, the old place last
SCHEMA_FOLDERS = ("schemas", "searchdefinitions")
QUERY_PROFILES = "search/query-profiles"


def read_package(folder: str | Path, name: str | None = None) -> Package:
    """The package in `folder`; PackageError with file, line and column for what is wrong in it.

    name: of a package that gives itself none, default the folder's.
    """
    folder = Path(folder)
    if not folder.is_dir():
        raise PackageError(f"'{folder}' is not a folder with an application package")
    jars = sorted(folder.glob("components/*.jar"))
    if jars:
        raise PackageError(
            "a Java bundle cannot run here; remove it and what services.xml says of it",
            Place(f"components/{jars[0].name}"),
        )
    settings, own_name = _settings(folder)
    package = Package(
        own_name or name or folder.resolve().name,
        _schemas(folder),
        _services(folder),
        settings,
        _query_profiles(folder),
        folder,
    )
    check_package(package)
    return package


def _services(folder: Path) -> Services:
    path = folder / "services.xml"
    if not path.is_file():
        raise PackageError(f"'{folder}' has no services.xml: it is not an application package")
    return parse_services(read_text(path), "services.xml", folder=folder)


def _settings(folder: Path) -> tuple[Settings, str | None]:
    path = folder / FILE
    return parse_settings(read_text(path)) if path.is_file() else (Settings(), None)


def _schemas(folder: Path) -> dict[str, Schema]:
    schemas: dict[str, Schema] = {}
    for place in SCHEMA_FOLDERS:
        for path in sorted((folder / place).glob("*.sd")):
            file = path.relative_to(folder).as_posix()
            files = PackageFiles(folder, path.parent)
            schema = parse_schema(read_text(path), file, files=files)
            if schema.name != path.stem:
                raise PackageError(
                    f"schema '{schema.name}' must stand in {place}/{schema.name}.sd", schema.place
                )
            if schema.name in schemas:
                raise PackageError(f"schema '{schema.name}' stands in two folders", schema.place)
            schemas[schema.name] = _with_profiles(schema, path.parent / path.stem, folder)
    return schemas


def _with_profiles(schema: Schema, profiles: Path, folder: Path) -> Schema:
    """The schema with the rank profiles of `schemas/NAME/**/*.profile` added."""
    found = dict(schema.rank_profiles)
    files = PackageFiles(folder, profiles.parent)
    for path in sorted(profiles.rglob("*.profile")):
        file = path.relative_to(folder).as_posix()
        for profile in parse_profiles(read_text(path), file, files=files):
            if profile.name in found:
                raise PackageError(
                    f"rank profile '{profile.name}' is defined twice "
                    f"(first at {found[profile.name].place})",
                    profile.place,
                )
            found[profile.name] = profile
    return dataclasses.replace(schema, rank_profiles=found)


def _query_profiles(folder: Path) -> dict[str, QueryProfile]:
    profiles: dict[str, QueryProfile] = {}
    for path in sorted((folder / QUERY_PROFILES / "types").glob("*.xml")):
        check_query_profile_type(read_text(path), path.relative_to(folder).as_posix())
    for path in sorted((folder / QUERY_PROFILES).glob("*.xml")):
        file = path.relative_to(folder).as_posix()
        profile = parse_query_profile(read_text(path), file)
        if profile.name.replace("/", "_") != path.stem:
            raise PackageError(
                f"query profile '{profile.name}' must stand in {profile.name}.xml"
                f"{nearest(profile.name, [path.stem])}",
                profile.place,
            )
        profiles[profile.name] = profile
    return profiles
