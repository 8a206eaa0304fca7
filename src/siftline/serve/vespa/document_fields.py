"""Which fields of a document a reply shows, and how its tensors are written (spec 4.2, 4.6)."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from siftline.errors import UsageError
from siftline.schema.definition import Schema
from siftline.tensor.json import from_json, to_json

TENSOR_FORMS = ("short", "long", "short-value", "long-value")

#: field sets without any field
_NONE = ("[id]", "[docid]", "[none]")
#: field sets with every field that the document was given
_ALL = ("[document]", "[all]")

Fields = Mapping[str, Any]
#: a document's type and fields → the fields that are shown
Show = Callable[[str, Fields], dict[str, Any]]


def shown_fields(
    schemas: Mapping[str, Schema], field_set: str | None, tensors: str = "short"
) -> Show:
    """The function that turns a document's type and fields into the fields that are shown.

    field_set: `[document]`, `[all]`, `[id]`, `[docid]`, `[none]`, `type:[document]` or
    `type:field,field`; None shows every field. tensors: one of TENSOR_FORMS. UsageError where the
    field set names what is not there.
    """
    of_type, wanted = _parsed(schemas, field_set)

    def shown(type_: str, fields: Fields) -> dict[str, Any]:
        if of_type is not None and type_ != of_type:
            return {}
        kept = {n: v for n, v in fields.items() if wanted is None or n in wanted}
        return kept if tensors == "short" else _reformed(schemas[type_], kept, tensors)

    return shown


def _parsed(
    schemas: Mapping[str, Schema], field_set: str | None
) -> tuple[str | None, frozenset[str] | None]:
    """The only type with fields (None: all), and its fields (None: all)."""
    if field_set is None or field_set in _ALL:
        return None, None
    if field_set in _NONE:
        return None, frozenset()
    type_, colon, names = field_set.partition(":")
    if not colon:
        raise UsageError(
            f"Illegal field set '{field_set}': expected [document], [all], [id] or type:field,field"
        )
    if type_ not in schemas:
        raise UsageError(f"Illegal field set '{field_set}': unknown document type '{type_}'")
    if names in _ALL:
        return type_, None
    if names in _NONE:
        return type_, frozenset()
    schema = schemas[type_]
    wanted = [name.strip() for name in names.split(",")]
    for name in wanted:
        if name not in schema.fields:
            raise UsageError(
                f"Illegal field set '{field_set}': No such field '{name}' in document type "
                f"'{type_}' (it has {', '.join(schema.fields)})"
            )
    return type_, frozenset(wanted)


def _reformed(schema: Schema, fields: Fields, form: str) -> dict[str, Any]:
    """The fields with each tensor in another form; they are stored in the short one."""
    reformed = dict(fields)
    for name, value in fields.items():
        field = schema.fields.get(name)
        if field is not None and field.type.tensor is not None:
            reformed[name] = to_json(from_json(field.type.tensor, value), form)
    return reformed
