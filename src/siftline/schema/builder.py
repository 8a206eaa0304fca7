"""Builds a package in Python; every part is written as in a schema file and means the same.

    app = siftline.Application(
        "books",
        siftline.Schema(
            "book",
            siftline.Field("title", "string", "index | summary", index="enable-bm25"),
            siftline.Field("vector", "tensor<float>(x[384])", "input title | embed e5 | attribute",
                           inside=False),
            fieldsets={"default": ["title"]},
            rank_profiles=[siftline.RankProfile("bm25", first_phase="bm25(title)")],
        ),
        components=[siftline.Component("e5", "hugging-face-embedder", {…})],
    )
    app.save("books")

The functions are named like the values they make, which are the frozen ones of `definition` and
`package`; what is wrong raises PackageError, its place naming the part.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import TypeVar

from siftline.errors import PackageError, Place, UsageError
from siftline.schema import definition, package
from siftline.schema.check import check_package, check_schema
from siftline.schema.definition import (
    Constant,
    DocumentSummary,
    Expression,
    FieldSet,
    FieldType,
    Hnsw,
    Input,
    OnnxModel,
)
from siftline.schema.elements import Element, clean
from siftline.schema.nearest import nearest
from siftline.schema.package import ModelReference, QueryProfile, Services, Settings, SparseQuery
from siftline.schema.read_field import read_field
from siftline.schema.read_profile import SETTINGS, split_features
from siftline.schema.services import EMBEDDERS, MODEL_ELEMENTS
from siftline.tensor.literal import parse_literal
from siftline.tensor.tensor import Tensor
from siftline.tensor.types import TensorType

Words = str | Iterable[str]
T = TypeVar("T", definition.Field, definition.Schema, definition.RankProfile, OnnxModel)


def Field(  # noqa: PLR0913 - a field has this many settings
    name: str,
    type: str | FieldType,
    indexing: str | None = None,
    *,
    inside: bool = True,
    index: Words = (),
    attribute: Words = (),
    distance_metric: str | None = None,
    hnsw: Hnsw | None = None,
    match: Words = (),
    rank: str | None = None,
    stemming: str | None = None,
    normalizing: str | None = None,
    weight: int | None = None,
    alias: Words = (),
) -> definition.Field:
    """A field, its settings worded as in a schema file.

    inside: whether documents carry the field; False for a synthetic one, which its indexing
    statement fills. index: like `enable-bm25`; attribute: like `fast-search`.
    """
    place = Place(field=f"Field {name}")

    def setting(key: str, value: object) -> Element:
        return Element(key, place, str(value), place)

    def flags(key: str, words: Iterable[str]) -> Element:
        parts = tuple(
            setting(*(part.strip() for part in word.split(":", 1)))
            if ":" in word
            else Element(word, place)
            for word in words
        )
        return Element(key, place, children=parts)

    attributes = _words(attribute)
    if distance_metric:
        attributes.append(f"distance-metric: {distance_metric}")
    parts = [] if indexing is None else [setting("indexing", clean(indexing).strip())]
    blocks = {"index": _words(index), "attribute": attributes, "match": _words(match)}
    parts += [flags(key, words) for key, words in blocks.items() if words]
    if hnsw is not None:
        sizes = (
            setting("max-links-per-node", hnsw.links),
            setting("neighbors-to-explore-at-insert", hnsw.explore_at_insert),
        )
        graph = Element("hnsw", place, children=sizes)
        parts.append(Element("index", place, children=(graph,)))
    settings = {"rank": rank, "stemming": stemming, "normalizing": normalizing, "weight": weight}
    parts += [setting(key, value) for key, value in settings.items() if value is not None]
    parts += [setting("alias", word) for word in _words(alias)]
    element = Element(f"field {name} type {type}", place, children=tuple(parts))
    return read_field(element, {}, inside=inside)


def Phase(
    expression: str | None = None,
    *,
    rerank_count: int | None = None,
    score_drop_limit: float | None = None,
) -> definition.Phase:
    """A ranking phase; rerank_count is keep-rank-count in the first phase."""
    text = None if expression is None else _expression(expression)
    return definition.Phase(text, rerank_count, score_drop_limit)


def RankProfile(  # noqa: PLR0913 - a profile has this many parts
    name: str,
    *,
    inherits: Words = (),
    inputs: Mapping[str, str] | None = None,
    constants: Mapping[str, float | Tensor] | None = None,
    functions: Mapping[str, str] | None = None,
    onnx_models: Iterable[OnnxModel] = (),
    first_phase: str | definition.Phase | None = None,
    second_phase: str | definition.Phase | None = None,
    global_phase: str | definition.Phase | None = None,
    match_features: Words | None = None,
    summary_features: Words | None = None,
    rank_properties: Mapping[str, object] | None = None,
    settings: Mapping[str, object] | None = None,
    strict: bool = False,
) -> definition.RankProfile:
    """A rank profile.

    inputs: name → type, with a default as in `tensor<float>(x[2]): [1, 2]` or `double: 0.5`.
    functions: `name` or `name(a, b)` → expression. settings: like `num-threads-per-search`.
    """
    made = [_function(head, body) for head, body in (functions or {}).items()]
    for key in settings or ():
        if key not in SETTINGS:
            raise PackageError(
                f"unknown setting '{key}' of rank profile '{name}'{nearest(key, SETTINGS)}"
            )
    return definition.RankProfile(
        name,
        tuple(_words(inherits)),
        inputs={key: _input(key, text) for key, text in (inputs or {}).items()},
        constants={key: Constant(key, value) for key, value in (constants or {}).items()},
        functions={function.name: function for function in made},
        onnx_models={model.name: model for model in onnx_models},
        first_phase=_phase(first_phase),
        second_phase=_phase(second_phase),
        global_phase=_phase(global_phase),
        match_features=_features(match_features),
        summary_features=_features(summary_features),
        rank_properties={key: str(value) for key, value in (rank_properties or {}).items()},
        settings={key: str(value) for key, value in (settings or {}).items()},
        strict=strict,
    )


def Schema(
    name: str,
    *fields: definition.Field,
    fieldsets: Mapping[str, Words] | None = None,
    rank_profiles: Iterable[definition.RankProfile] = (),
    constants: Mapping[str, Tensor] | None = None,
    onnx_models: Iterable[OnnxModel] = (),
    summaries: Mapping[str, Words | Mapping[str, str]] | None = None,
) -> definition.Schema:
    """A schema, checked: every field, function and model that is named exists.

    summaries: name → the fields it shows, or a mapping of name in the result → field.
    """
    sets = {key: FieldSet(key, tuple(_words(value))) for key, value in (fieldsets or {}).items()}
    for key, value in (constants or {}).items():
        if not isinstance(value, Tensor):
            raise PackageError(
                f"constant '{key}' of schema '{name}' must be a tensor; give numbers to the rank "
                "profiles"
            )
    made = definition.Schema(
        name,
        _by_name(fields, f"schema '{name}' has the field"),
        sets,
        _by_name(rank_profiles, f"schema '{name}' has the rank profile"),
        {key: Constant(key, value) for key, value in (constants or {}).items()},
        _by_name(onnx_models, f"schema '{name}' has the onnx-model"),
        {key: _summary(key, value) for key, value in (summaries or {}).items()},
    )
    check_schema(made)
    return made


def Component(
    id: str,
    type: str,
    models: Mapping[str, str | ModelReference],
    parameters: Mapping[str, object] | None = None,
) -> package.Component:
    """An embedder: models by element (`transformer-model` → path), parameters by path.

    parameters: like `{"max-tokens": 256, "prepend/query": "query:"}`.
    """
    if type not in EMBEDDERS:
        raise PackageError(
            f"component '{id}' has the unknown type '{type}'{nearest(type, EMBEDDERS)}"
        )
    for key in models:
        if key not in MODEL_ELEMENTS:
            raise PackageError(
                f"component '{id}' has the unknown model '{key}'{nearest(key, MODEL_ELEMENTS)}"
            )
    references = {
        key: ModelReference(path=value) if isinstance(value, str) else value
        for key, value in models.items()
    }
    return package.Component(id, type, references, _texts(parameters or {}))


def Application(  # noqa: PLR0913 - a package has this many parts
    name: str,
    *schemas: definition.Schema,
    components: Iterable[package.Component] = (),
    sparse_index: Mapping[str, Words] | None = None,
    sparse_queries: Mapping[str, SparseQuery] | None = None,
    embedder_options: Mapping[str, Mapping[str, object]] | None = None,
    models: Mapping[str, str] | None = None,
    runtime: Mapping[str, object] | None = None,
    query_profiles: Mapping[str, Mapping[str, object]] | None = None,
    threads_per_search: int = 1,
) -> package.Package:
    """An application package, checked whole; `.save(folder)` writes it.

    sparse_index: schema → mapped tensor fields with a learned-sparse index. models: path in the
    package → catalogue name that the file comes from. query_profiles: name → request parameters.
    """
    by_name = _by_name(schemas, f"package '{name}' has the schema")
    found: dict[str, package.Component] = {}
    for component in components:
        if component.id in found:
            raise PackageError(f"package '{name}' has the component '{component.id}' twice")
        found[component.id] = component
    made = package.Package(
        name,
        by_name,
        Services(found, name, tuple(by_name), threads_per_search),
        Settings(
            frozenset(
                f"{s}.{f}" for s, names in (sparse_index or {}).items() for f in _words(names)
            ),
            dict(sparse_queries or {}),
            {key: dict(value) for key, value in (embedder_options or {}).items()},
            dict(models or {}),
            dict(runtime or {}),
        ),
        {
            key: QueryProfile(key, fields=_texts(fields))
            for key, fields in (query_profiles or {}).items()
        },
    )
    check_package(made)
    return made


def _words(words: Words) -> list[str]:
    return [words] if isinstance(words, str) else list(words)


def _texts(values: Mapping[str, object]) -> dict[str, str]:
    return {
        key: str(value).lower() if isinstance(value, bool) else str(value).strip()
        for key, value in values.items()
    }


def _by_name(values: Iterable[T], what: str) -> dict[str, T]:
    named: dict[str, T] = {}
    for value in values:
        if value.name in named:
            raise PackageError(f"{what} '{value.name}' twice")
        named[value.name] = value
    return named


def _expression(text: str) -> Expression:
    lines = clean(text).strip().split("\n")
    return Expression("\n".join(line.rstrip() for line in lines))


def _phase(phase: str | definition.Phase | None) -> definition.Phase | None:
    return Phase(phase) if isinstance(phase, str) else phase


def _function(head: str, body: str) -> definition.Function:
    name, _, inside = head.strip().partition("(")
    parameters = tuple(p.strip() for p in inside.rstrip(") ").split(",") if p.strip())
    return definition.Function(name.strip(), parameters, _expression(body))


def _features(words: Words | None) -> tuple[Expression, ...] | None:
    if words is None:
        return None
    text = words if isinstance(words, str) else " ".join(words)
    place = Place(field="match-features")
    found: Sequence[Expression] = split_features(Element("match-features", place, text))
    return tuple(Expression(feature.text) for feature in found)


def _input(name: str, text: str) -> Input:
    place = Place(field=f"input {name}")
    type_, default = _type_and_default(text)
    try:
        if type_.startswith("tensor"):
            tensor = TensorType.parse(type_)
            return Input(name, tensor, parse_literal(tensor, default) if default else None)
        if type_ not in ("double", "float", "long", "int"):
            known = ("double", "tensor<float>(x[3])")
            raise PackageError(f"unknown input type '{type_}'{nearest(type_, known)}", place)
        return Input(name, None, float(default) if default else None)
    except UsageError as error:
        raise PackageError(error.message, place) from None
    except ValueError:
        raise PackageError(f"'{default}' is not a number", place) from None


def _type_and_default(text: str) -> tuple[str, str]:
    """The type, and what follows the colon after it; a type holds no colon."""
    type_, _, default = text.partition(":")
    return type_.strip(), default.strip()


def _summary(name: str, fields: Words | Mapping[str, str]) -> DocumentSummary:
    if isinstance(fields, Mapping):
        return DocumentSummary(name, dict(fields))
    return DocumentSummary(name, {field: field for field in _words(fields)})
