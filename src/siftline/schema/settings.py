"""Reads and writes `ext/siftline.toml`, what only Siftline knows of a package."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Mapping
from typing import Any

from siftline.errors import PackageError, Place
from siftline.schema.nearest import nearest
from siftline.schema.package import Settings, SparseQuery

FILE = "ext/siftline.toml"
_KEYS = ("name", "schemas", "embedders", "models", "runtime", "cache")
_SPARSE = ("query", "idf", "field", "unknown")
_RUNTIME: dict[str, type | tuple[type, ...]] = {"name": str, "threads": int, "precision": str}
_SIZE = re.compile(r"(\d+)\s*(B|KiB|MiB|GiB)")
_UNITS = {"B": 1, "KiB": 1 << 10, "MiB": 1 << 20, "GiB": 1 << 30}
_RUNTIMES = ("auto", "onnxruntime", "openvino")
_SYNTAX = re.compile(r"(.*) \(at line (\d+), column (\d+)\)")


def parse_settings(text: str, file: str | None = FILE) -> tuple[Settings, str | None]:
    """The settings written in `text` and the package's name if it gives one.

    PackageError with its line for anything unknown. Tables: `schemas.NAME` (sparse-index),
    `embedders.ID` (query, idf, field, unknown and options of the embedder), `models` (path in the
    package = catalogue name), `runtime` (name, threads, precision), `cache` (query-encodings, as
    "64 MiB", 0 for none).
    """
    try:
        data = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        found = _SYNTAX.fullmatch(str(error))
        last = text.rstrip().count("\n") + 1
        place = Place(file, int(found[2]), int(found[3])) if found else Place(file, last)
        raise PackageError(found[1] if found else str(error), place) from None
    except RecursionError:
        raise PackageError("values nest too deep", Place(file)) from None
    name = data.get("name")
    reader = _Reader(text, file)
    if name is not None and not (isinstance(name, str) and name):
        raise reader.wrong("name", (), "the name of the package must be text")
    return reader.settings(data), name


class _Reader:
    """Turns the TOML tables into Settings; finds the line of a key for errors."""

    def __init__(self, text: str, file: str | None) -> None:
        self._lines = text.split("\n")
        self._file = file

    def settings(self, data: Mapping[str, Any]) -> Settings:
        """The settings of the whole file."""
        self._known(data, _KEYS, "the file", ())
        indexes = {
            f"{schema}.{name}"
            for schema, table in self._tables(data, "schemas")
            for name in self._sparse_index(schema, table)
        }
        queries: dict[str, SparseQuery] = {}
        options: dict[str, dict[str, object]] = {}
        for id_, table in self._tables(data, "embedders"):
            if any(key in table for key in _SPARSE):
                queries[id_] = self._sparse_query(id_, table)
            rest = {key: value for key, value in table.items() if key not in _SPARSE}
            if rest:
                options[id_] = rest
        return Settings(
            frozenset(indexes),
            queries,
            options,
            self._models(data),
            self._runtime(data),
            self._query_encodings(data),
        )

    def _place(self, key: str, table: tuple[str, ...]) -> Place:
        """The first line with the key after its table's head; the file alone if none is found."""
        quoted = rf"\s*[\"']?{re.escape(key)}[\"']?\s*="
        head = r"\s*\[\s*" + r"\s*\.\s*".join(rf"[\"']?{re.escape(t)}[\"']?" for t in table)
        inside = not table
        for number, line in enumerate(self._lines, 1):
            if line.lstrip().startswith("["):
                inside = bool(table and re.match(head + r"\s*\]", line))
                if re.match(head + rf"\s*\.\s*[\"']?{re.escape(key)}[\"']?\s*[\].]", line) or (
                    not table and re.match(rf"\s*\[\s*{re.escape(key)}\s*[\].]", line)
                ):
                    return Place(self._file, number, line.index("[") + 1)
            elif inside and re.match(quoted, line):
                return Place(self._file, number, len(line) - len(line.lstrip()) + 1)
        return Place(self._file, field=".".join((*table, key)))

    def wrong(self, key: str, table: tuple[str, ...], message: str) -> PackageError:
        """The error for a key of a table, at its line."""
        return PackageError(message, self._place(key, table))

    def _known(
        self, data: Mapping[str, Any], known: tuple[str, ...], where: str, table: tuple[str, ...]
    ) -> None:
        for key in data:
            if key not in known:
                raise self.wrong(key, table, f"unknown key '{key}' in {where}{nearest(key, known)}")

    def _tables(self, data: Mapping[str, Any], name: str) -> list[tuple[str, dict[str, Any]]]:
        tables = data.get(name, {})
        if not isinstance(tables, dict):
            raise self.wrong(name, (), f"'{name}' must be tables: [{name}.NAME]")
        for key, table in tables.items():
            if not isinstance(table, dict):
                raise self.wrong(key, (name,), f"'{name}.{key}' must be a table: [{name}.{key}]")
        return list(tables.items())

    def _sparse_index(self, schema: str, table: Mapping[str, Any]) -> list[str]:
        where = ("schemas", schema)
        self._known(table, ("sparse-index",), f"schemas.{schema}", where)
        names = table.get("sparse-index", [])
        if not isinstance(names, list) or not all(isinstance(n, str) for n in names):
            raise self.wrong("sparse-index", where, "sparse-index must be a list of field names")
        return names

    def _sparse_query(self, id_: str, table: Mapping[str, Any]) -> SparseQuery:
        where = ("embedders", id_)
        default = SparseQuery()
        mode = table.get("query", default.mode)
        if mode not in ("encoder", "idf"):
            near = nearest(str(mode), ("encoder", "idf"))
            raise self.wrong("query", where, f"query of embedder '{id_}' is '{mode}'{near}")
        for key in ("idf", "field"):
            if not isinstance(table.get(key, ""), str):
                raise self.wrong(key, where, f"{key} of embedder '{id_}' must be text")
        unknown = table.get("unknown", default.unknown)
        if isinstance(unknown, bool) or not isinstance(unknown, int | float) or unknown < 0:
            raise self.wrong("unknown", where, f"unknown of '{id_}' must be a number from 0")
        return SparseQuery(mode, table.get("idf", default.idf), table.get("field"), float(unknown))

    def _models(self, data: Mapping[str, Any]) -> dict[str, str]:
        models = data.get("models", {})
        if not isinstance(models, dict):
            raise self.wrong("models", (), "'models' must be a table: [models]")
        for path, name in models.items():
            if not isinstance(name, str):
                raise self.wrong(path, ("models",), f"model '{path}' needs a catalogue name")
        return dict(models)

    def _runtime(self, data: Mapping[str, Any]) -> dict[str, object]:
        runtime = data.get("runtime", {})
        if not isinstance(runtime, dict):
            raise self.wrong("runtime", (), "'runtime' must be a table: [runtime]")
        self._known(runtime, tuple(_RUNTIME), "runtime", ("runtime",))
        for key, value in runtime.items():
            if isinstance(value, bool) or not isinstance(value, _RUNTIME[key]):
                raise self.wrong(key, ("runtime",), f"{key} is {value!r}, which it cannot be")
        name = runtime.get("name", "auto")
        if name not in _RUNTIMES:
            raise self.wrong(
                "name", ("runtime",), f"unknown runtime '{name}'{nearest(name, _RUNTIMES)}"
            )
        if runtime.get("threads", 1) < 1:
            raise self.wrong("threads", ("runtime",), "threads must be at least 1")
        return dict(runtime)

    def _query_encodings(self, data: Mapping[str, Any]) -> int | None:
        cache = data.get("cache", {})
        if not isinstance(cache, dict):
            raise self.wrong("cache", (), "'cache' must be a table: [cache]")
        self._known(cache, ("query-encodings",), "cache", ("cache",))
        size = cache.get("query-encodings")
        if size is None:
            return None
        if type(size) is int and size == 0:
            return 0
        found = _SIZE.fullmatch(size) if isinstance(size, str) else None
        if found is None:
            raise self.wrong(
                "query-encodings",
                ("cache",),
                f'query-encodings is {size!r}, expected a size like "64 MiB", or 0 for none',
            )
        return int(found[1]) * _UNITS[found[2]]


def format_settings(settings: Settings, name: str | None = None) -> str:
    """The settings, and the package's name if given, as TOML that `parse_settings` reads back."""
    lines = [] if name is None else [f"name = {_value(name)}", ""]

    def table(names: tuple[str, ...], values: Mapping[str, object]) -> None:
        if values:
            lines.append(f"[{'.'.join(map(_key, names))}]")
            lines.extend(f"{_key(k)} = {_value(v)}" for k, v in values.items())
            lines.append("")

    by_schema: dict[str, list[object]] = {}
    for name in sorted(settings.sparse_index):
        schema, _, field = name.partition(".")
        by_schema.setdefault(schema, []).append(field)
    for schema, fields in by_schema.items():
        table(("schemas", schema), {"sparse-index": fields})
    for id_ in dict.fromkeys([*settings.sparse_queries, *settings.embedder_options]):
        values: dict[str, object] = {}
        query = settings.sparse_queries.get(id_)
        if query is not None:
            values = {"query": query.mode, "idf": query.idf, "unknown": query.unknown}
            if query.field is not None:
                values["field"] = query.field
        table(("embedders", id_), {**values, **settings.embedder_options.get(id_, {})})
    table(("models",), settings.models)
    table(("runtime",), settings.runtime)
    if settings.query_encodings is not None:
        table(("cache",), {"query-encodings": _size(settings.query_encodings)})
    return "\n".join(lines)


def _size(count: int) -> str:
    """A number of bytes in the largest unit that it is a multiple of."""
    unit = next(u for u in reversed(_UNITS) if count % _UNITS[u] == 0)
    return f"{count // _UNITS[unit]} {unit}" if count else "0 B"


def _key(name: str) -> str:
    return name if re.fullmatch(r"[A-Za-z0-9_-]+", name) else _value(name)


_UNPRINTABLE = re.compile(r"[\x00-\x1f\x7f]")


def _value(value: object) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str):
        text = value.replace("\\", "\\\\").replace('"', '\\"')
        return '"' + _UNPRINTABLE.sub(lambda c: f"\\u{ord(c[0]):04x}", text) + '"'
    if isinstance(value, list | tuple):
        return f"[{', '.join(map(_value, value))}]"
    if isinstance(value, int | float):
        return repr(value)
    raise PackageError(f"{value!r} cannot be written to {FILE}", Place(FILE))
