"""Checks that the parts of a package fit together: every name used is one that exists."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from siftline.errors import PackageError, Place
from siftline.schema.check_profile import check_profiles
from siftline.schema.definition import Field, Schema
from siftline.schema.nearest import nearest
from siftline.schema.package import Component, Package
from siftline.schema.query_profiles import resolve_query_profile
from siftline.schema.script import (
    CallStep,
    ConcatStep,
    FirstStep,
    InputStep,
    LiteralStep,
    OutputStep,
    PipeStep,
    Step,
)
from siftline.schema.settings import FILE
from siftline.tensor.types import TensorType


def check_package(package: Package) -> None:
    """PackageError, with its place, for the first name in the package that leads nowhere."""
    for schema in package.schemas.values():
        check_schema(schema)
        for field in schema.fields.values():
            _check_embedders(field, package.services.components)
    for name in package.services.documents:
        if name not in package.schemas:
            raise PackageError(
                f'<document type="{name}"> has no schema{nearest(name, package.schemas)}',
                Place("services.xml"),
            )
    for name in package.query_profiles:
        resolve_query_profile(package.query_profiles, name)
    _check_settings(package)


def check_schema(schema: Schema) -> None:
    """PackageError for the first inconsistency within one schema."""
    for field in schema.fields.values():
        _check_inputs(field, schema)
        _check_storage(field)
        if field.type.tensor is not None and field.indexed:
            _check_vector_index(field, field.type.tensor)
    _check_aliases(schema)
    for fieldset in schema.fieldsets.values():
        for name in fieldset.fields:
            _known(name, _names(schema), f"fieldset '{fieldset.name}' names field", fieldset.place)
    for summary in schema.summaries.values():
        for parent in summary.inherits:
            where = f"document-summary '{summary.name}' inherits"
            _known(parent, ["default", *schema.summaries], where, summary.place)
        for source in summary.fields.values():
            where = f"document-summary '{summary.name}' shows field"
            _known(source.split(".")[0], [*_names(schema), "documentid", "sddocname"], where,
                   summary.place)  # fmt: skip
    check_profiles(schema)


def _known(name: str, names: Iterable[str], what: str, place: Place | None) -> None:
    names = list(names)
    if name not in names:
        raise PackageError(f"{what} '{name}', which does not exist{nearest(name, names)}", place)


def _names(schema: Schema) -> list[str]:
    return [n for f in schema.fields.values() for n in (f.name, *f.aliases)]


def _check_aliases(schema: Schema) -> None:
    seen: dict[str, str] = {name: name for name in schema.fields}
    for field in schema.fields.values():
        for alias in field.aliases:
            if alias in seen:
                raise PackageError(
                    f"alias '{alias}' of field '{field.name}' already names '{seen[alias]}'",
                    field.place,
                )
            seen[alias] = field.name


def _check_inputs(field: Field, schema: Schema) -> None:
    inside = [f.name for f in schema.fields.values() if f.inside]
    for name in sorted(field.indexing.inputs):
        root = name.split(".")[0]
        if root in schema.fields and root not in inside:
            raise PackageError(
                f"field '{field.name}' reads '{root}', which is outside the document; "
                "only fields of the document can be read",
                field.indexing.place,
            )
        _known(root, inside, f"field '{field.name}' reads", field.indexing.place)
    if field.inside:
        return
    if not field.indexing.statements:
        raise PackageError(
            f"field '{field.name}' is outside the document and needs an indexing statement, like "
            "'indexing: input title | index'",
            field.place,
        )
    for statement in field.indexing.statements:
        if not _begins(statement[0]):
            raise PackageError(
                f"field '{field.name}' is outside the document, so its indexing must begin with "
                "'input …' or a literal",
                field.indexing.place,
            )


def _begins(step: Step) -> bool:
    """Whether the step makes a value where there is none."""
    if isinstance(step, ConcatStep):
        return _begins(step.parts[0])
    if isinstance(step, FirstStep):
        return _begins(step.alternatives[0])
    if isinstance(step, PipeStep):
        return _begins(step.steps[0])
    if isinstance(step, InputStep | LiteralStep):
        return True
    if not isinstance(step, CallStep):
        return False
    if step.name in ("+", "-", "*", "/", "%", "if"):
        return _begins(step.arguments[0])
    return step.name in ("now", "random", "hostname", "get_var", "select_input")


def _check_storage(field: Field) -> None:
    kind = field.type.kind
    if kind in ("map", "struct", "bool") and "index" in field.indexing.outputs:
        hint = "use attribute" if kind == "bool" else "index its parts with struct-field"
        raise PackageError(
            f"field '{field.name}' of type {field.type} cannot be an index; {hint}", field.place
        )
    if kind in ("map", "struct") and "attribute" in field.indexing.outputs:
        raise PackageError(
            f"field '{field.name}' of type {field.type} cannot be an attribute; use struct-field",
            field.place,
        )
    if field.bm25 and kind == "tensor":
        raise PackageError(f"enable-bm25 needs text, but '{field.name}' is {field.type}",
                           field.place)  # fmt: skip
    for step in field.indexing.steps():
        if isinstance(step, OutputStep) and step.name not in (None, field.name):
            raise PackageError(
                f"field '{field.name}' writes '{step.kind} {step.name}'; a field writes itself",
                field.indexing.place,
            )


def _check_vector_index(field: Field, type_: TensorType) -> None:
    if len(type_.indexed) != 1 or len(type_.mapped) > 1:
        raise PackageError(
            f"field '{field.name}' of type {type_} cannot have a vector index; it needs one "
            "indexed dimension, like x[384], and at most one mapped",
            field.place,
        )
    if not field.is_attribute:
        raise PackageError(
            f"the vector index of field '{field.name}' needs 'attribute' in its indexing too",
            field.place,
        )


def _check_embedders(field: Field, components: Mapping[str, Component]) -> None:
    for step in field.indexing.embedders:
        place = field.indexing.place
        if step.embedder is None:
            if len(components) != 1:
                known = ", ".join(components) or "none"
                raise PackageError(
                    f"'embed' of field '{field.name}' must name an embedder (there is: {known})",
                    place,
                )
        elif step.embedder not in components:
            raise PackageError(
                f"field '{field.name}' embeds with '{step.embedder}', which is no component of "
                f"services.xml{nearest(step.embedder, components)}",
                place,
            )
        if field.type.tensor is None:
            raise PackageError(
                f"field '{field.name}' embeds text, so it must be a tensor, not {field.type}", place
            )


def _check_settings(package: Package) -> None:
    place = Place(FILE)
    settings = package.settings
    fields = {
        f"{schema.name}.{field.name}": field
        for schema in package.schemas.values()
        for field in schema.fields.values()
    }
    for name in sorted(settings.sparse_index):
        _known(name, fields, "sparse-index names field", place)
        type_ = fields[name].type.tensor
        if type_ is None or type_.indexed or len(type_.mapped) != 1:
            raise PackageError(
                f"sparse-index names '{name}' of type {fields[name].type}; it needs a tensor with "
                "one mapped dimension, like tensor<float>(token{})",
                fields[name].place or place,
            )
        if not fields[name].is_attribute:
            raise PackageError(
                f"sparse-index names '{name}', which is not an attribute",
                fields[name].place or place,
            )
    components = package.services.components
    for id_ in dict.fromkeys([*settings.sparse_queries, *settings.embedder_options]):
        _known(id_, components, "there are settings for embedder", place)
    indexed = {name.split(".", 1)[1] for name in settings.sparse_index}
    for id_, query in settings.sparse_queries.items():
        if query.field is not None:
            _known(query.field, indexed, f"embedder '{id_}' counts sparse-index field", place)
