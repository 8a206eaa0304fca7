"""Loads what an application would otherwise load during its first requests."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from siftline.application import Application
from siftline.engine import Engine
from siftline.errors import SiftlineError
from siftline.feed.operation import DocumentId, Operation
from siftline.schema.definition import FieldType, RankProfile, Schema
from siftline.tensor.types import Dimension, TensorType

#: The text of the first queries and documents.
TEXT = "the first"

#: The value of a document's field of a kind.
_VALUES: Mapping[str, Any] = {
    "string": TEXT,
    "bool": True,
    **dict.fromkeys(("byte", "int", "long", "float", "double"), 1),
}


def warm(application: Application) -> None:
    """Open every model, make every ranking ready to run and ask it a few queries.

    A query has half a second unless it says otherwise, and the first one loads models and compiled
    kernels. It needs documents to find, so that an index of its own gets one of each schema. Raises
    what a broken model or ranking raises: better now than during that query.
    """
    for id_ in application.embedders:
        _ = application.embedders[id_]
    for engine in application.engines.values():
        with _trial(engine) as trial:
            _warm(application, trial)


@contextmanager
def _trial(engine: Engine) -> Iterator[Engine]:
    """The engine over an index that holds two documents, and is gone afterwards."""
    with TemporaryDirectory(prefix="siftline-") as folder:
        trial = engine.beside(Path(folder))
        try:
            values = {f.name: _value(f.type) for f in engine.schema.fields.values() if f.inside}
            fields = {name: value for name, value in values.items() if value is not None}
            ids = (DocumentId("warm", engine.schema.name, "", number) for number in "12")
            trial.apply([Operation("put", id_, fields) for id_ in ids])
            yield trial
        finally:
            trial.close()


def _value(type_: FieldType) -> Any:
    """A value of a field, None where it can do without one."""
    if type_.kind in _VALUES:
        return _VALUES[type_.kind]
    if type_.kind == "tensor" and type_.tensor is not None:
        return _ones(type_.tensor) if _sized(type_.tensor) else None
    element = _value(type_.element) if type_.element is not None else None
    if element is None:
        return None
    if type_.kind == "array":
        return [element]
    return {"1": element} if type_.kind == "map" else {str(element): 1}


def _warm(application: Application, engine: Engine) -> None:
    """Ask each ranking of an engine each kind of query."""
    for name in dict.fromkeys(("default", *engine.schema.rank_profiles)):
        profile = engine.plan(name).profile
        for condition in _conditions(engine.schema, profile):
            _ask(application, engine, condition, name, _inputs(profile))
    _ask(application, engine, "true", "unranked", {})


def _conditions(schema: Schema, profile: RankProfile) -> Iterator[str]:
    """One of each kind of query that the schema and the profile's inputs allow."""
    searched = [f.name for f in schema.fields.values() if f.indexed and f.type.tensor is None]
    if "default" in schema.fieldsets or "default" in searched:
        yield "userQuery()"
    if searched:
        yield f'{searched[0]} contains "first"'
    for field in schema.fields.values():
        for name, declared in profile.inputs.items():
            if field.type.tensor is not None and field.type.tensor == declared.type:
                yield f"({{targetHits:1}}nearestNeighbor({field.name},{name}))"


def _inputs(profile: RankProfile) -> dict[str, Any]:
    """A value for each input."""
    return {
        f"input.query({name})": _ones(declared.type)
        for name, declared in profile.inputs.items()
        if declared.type is None or _sized(declared.type)
    }


def _sized(type_: TensorType) -> bool:
    return all(d.mapped or d.size for d in type_.dimensions)


def _ones(type_: TensorType | None) -> Any:
    """1 in every cell, one block of them; a number where no type is declared."""
    if type_ is None or not type_.dimensions:
        return 1.0
    mapped = [d for d in type_.dimensions if d.mapped]
    dense = [d for d in type_.dimensions if not d.mapped]
    if len(mapped) > 1:
        address = ",".join(f"{d.name}:{'0' if not d.mapped else 'a'}" for d in type_.dimensions)
        return f"{{{{{address}}}:1}}"
    return {"a": _block(dense)} if mapped else _block(dense)


def _block(dimensions: list[Dimension]) -> Any:
    if not dimensions:
        return 1.0
    return [_block(dimensions[1:])] * (dimensions[0].size or 1)


def _ask(
    application: Application,
    engine: Engine,
    condition: str,
    profile: str,
    inputs: Mapping[str, Any],
) -> None:
    """Past the search chain: the package's own searchers are not to count this query."""
    yql = f"select * from {engine.schema.name} where {condition}"
    try:
        query = application.request(yql=yql, query=TEXT, ranking=profile, hits=1, **inputs)
        engine.search(query)
    except SiftlineError:
        return  # it needs what only its caller knows, and the rest is loaded
