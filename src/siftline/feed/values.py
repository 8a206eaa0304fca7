"""Field values as documents give them, checked against the field's type (spec 1.3, 4.5, 4.6).

A checked value is plain JSON: text, number, bool, list or dict; tensors in their short JSON form.
None means that the field is not set; so do an empty text, array, map and weighted set.
"""

from __future__ import annotations

import difflib
import math
import numbers
import re
from collections.abc import Mapping
from typing import Any

import numpy as np

from siftline.errors import DocumentError, UsageError
from siftline.feed.operation import Operation
from siftline.feed.shown import shown
from siftline.schema.definition import Field, FieldType, Schema
from siftline.tensor.json import from_json, to_json
from siftline.tensor.tensor import Tensor
from siftline.tensor.types import TensorType

#: least and greatest value of the whole number types, and of weights
RANGES = {
    "byte": (-(2**7), 2**7 - 1),
    "int": (-(2**31), 2**31 - 1),
    "long": (-(2**63), 2**63 - 1),
}
#: numbers written as text
_WHOLE = re.compile(r"[+-]?[0-9]{1,20}")
_REAL = re.compile(r"[+-]?([0-9]+(\.[0-9]*)?|\.[0-9]+)([eE][+-]?[0-9]+)?")
#: structs of a schema: name → member → type
Structs = Mapping[str, Mapping[str, FieldType]]
NO_STRUCTS: Structs = {}
FLOAT_LIMIT = float(np.finfo(np.float32).max)


def check_fields(schema: Schema, operation: Operation) -> dict[str, Any]:
    """The fields of a put, checked and without those not set.

    DocumentError names the document, the field and the value, at the operation's place.
    """
    checked = {}
    for name, value in operation.fields.items():
        try:
            found = check_value(document_field(schema, name), value, schema.structs)
        except DocumentError as error:
            raise about(operation, error) from None
        if found is not None:
            checked[name] = found
    return checked


def about(operation: Operation, error: DocumentError) -> DocumentError:
    """The error with the operation's document and place."""
    return DocumentError(f"document '{operation.id}', {error.message}", operation.place)


def document_field(schema: Schema, name: str) -> Field:
    """The field of that name that documents may give; DocumentError names the nearest."""
    field = schema.fields.get(name)
    if field is not None and field.inside:
        return field
    if field is not None:
        raise DocumentError(
            f"field '{name}': it is made by schema '{schema.name}' and not given by documents"
        )
    known = [f.name for f in schema.fields.values() if f.inside]
    near = difflib.get_close_matches(name, known, 1)
    hint = f"did you mean '{near[0]}'?" if near else f"it has {', '.join(known) or 'none'}"
    raise DocumentError(
        f"field '{name}': No field '{name}' in the structure of type '{schema.name}' ({hint})"
    )


def check_value(field: Field, value: Any, structs: Structs = NO_STRUCTS) -> Any:
    """`value` as plain JSON of the field's type, or None where it means not set.

    structs: those of the schema, where the field has one. DocumentError names the field, the
    value and what was expected.
    """
    try:
        return checked(field.type, value, structs)
    except UsageError as error:
        raise DocumentError(f"field '{field.name}': {error.message}") from None


def checked(type_: FieldType, value: Any, structs: Structs = NO_STRUCTS) -> Any:
    """`value` as plain JSON of the type, None for not set; UsageError if it does not fit."""
    if value is None:
        return None
    if type_.kind == "tensor" and type_.tensor is not None:
        return to_json(checked_tensor(type_.tensor, value))
    if type_.kind == "array":
        return _array(type_, value, structs) or None
    if type_.kind == "weightedset":
        return _weighted_set(type_, value) or None
    if type_.kind == "map":
        return _map(type_, value, structs) or None
    if type_.kind == "struct":
        return _struct(type_, value, structs) or None
    found = checked_single(type_, value)
    return None if found == "" else found


def checked_single(type_: FieldType, value: Any) -> Any:
    """A text, number or truth value of the type; UsageError if it is none."""
    if type_.kind == "string":
        if not isinstance(value, str):
            raise _expected("a text", value)
        return _storable(value)
    if type_.kind == "bool":
        if not isinstance(value, (bool, np.bool_)):
            raise _expected("true or false", value)
        return bool(value)
    if type_.kind in RANGES:
        return _whole(type_.kind, value)
    if type_.kind in ("float", "double"):
        return _real(type_.kind, value)
    raise UsageError(f"a value of type {type_} cannot stand here")


def checked_tensor(type_: TensorType, value: Any) -> Tensor:
    """A tensor from its JSON form, a Tensor or a numpy array; UsageError where it does not fit."""
    if isinstance(value, Tensor):
        if value.type != type_:
            raise UsageError(f"expected {type_}, got {value.type}")
        tensor = value
    else:
        if isinstance(value, np.ndarray):
            value = value.tolist()
        tensor = from_json(type_, value)
    if not np.isfinite(tensor.cells).all():
        raise UsageError(f"a cell of {type_} is NaN or infinite")
    return tensor


def checked_key(type_: FieldType, key: Any) -> str:
    """A key of a map or weighted set as JSON writes it, in the one form of its type."""
    if isinstance(key, bool):
        key = "true" if key else "false"
    if type_.kind == "string":
        if not isinstance(key, str):
            raise _expected("a text as key", key)
        return _storable(key)
    if type_.kind == "bool":
        if key not in ("true", "false"):
            raise _expected("true or false as key", key)
        return str(key)
    return str(checked_single(type_, key))


def checked_weight(value: Any) -> int:
    """The weight of an element of a weighted set."""
    return _whole("int", value)


def parts(type_: FieldType) -> tuple[FieldType, FieldType]:
    """Key and element type of a map or weighted set, (int, element) of an array."""
    if type_.element is None:
        raise UsageError(f"type {type_} has no elements")
    if type_.kind == "map":
        return type_.key or FieldType("string"), type_.element
    if type_.kind == "weightedset":
        return type_.element, FieldType("int")
    return FieldType("int"), type_.element


def _array(type_: FieldType, value: Any, structs: Structs) -> list[Any]:
    if isinstance(value, np.ndarray):
        value = value.tolist()
    if not isinstance(value, (list, tuple)):
        raise _expected(f"an array for {type_}", value)
    element = parts(type_)[1]
    found = []
    for number, item in enumerate(value):
        try:
            found.append(_element(element, item, structs))
        except UsageError as error:
            raise UsageError(f"element {number}: {error.message}") from None
    return found


def _element(type_: FieldType, value: Any, structs: Structs) -> Any:
    """An element stays even where a field of its type would be not set, except null."""
    if value is None:
        raise _expected(f"a value of type {type_}", value)
    if type_.kind in ("array", "weightedset", "map", "struct", "tensor"):
        found = checked(type_, value, structs)
        return found if found is not None else [] if type_.kind == "array" else {}
    return checked_single(type_, value)


def _weighted_set(type_: FieldType, value: Any) -> dict[str, int]:
    if not isinstance(value, Mapping):
        raise _expected(f"an object of weights for {type_}", value)
    key_type = parts(type_)[0]
    return {checked_key(key_type, k): checked_weight(weight) for k, weight in value.items()}


def _map(type_: FieldType, value: Any, structs: Structs) -> dict[str, Any]:
    if not isinstance(value, Mapping):
        raise _expected(f"an object for {type_}", value)
    key_type, element = parts(type_)
    return {
        checked_key(key_type, key): _element(element, item, structs) for key, item in value.items()
    }


def _struct(type_: FieldType, value: Any, structs: Structs) -> dict[str, Any]:
    if not isinstance(value, Mapping):
        raise _expected(f"an object for struct {type_}", value)
    found = {}
    for name, item in value.items():
        try:
            member = checked(struct_member(type_, name, structs), item, structs)
        except UsageError as error:
            raise UsageError(f"{type_}.{name}: {error.message}") from None
        if member is not None:
            found[name] = member
    return found


def struct_member(type_: FieldType, name: Any, structs: Structs) -> FieldType:
    """The type of a member of a struct; UsageError if it has none of that name."""
    members = structs.get(str(type_.struct), {})
    if name not in members:
        raise UsageError(f"no member {shown(name)} (it has {', '.join(members) or 'none'})")
    return members[name]


def _whole(kind: str, value: Any) -> int:
    low, high = RANGES[kind]
    if isinstance(value, str) and _WHOLE.fullmatch(value):
        number = int(value)
    elif isinstance(value, numbers.Integral) and not isinstance(value, bool):
        number = int(value)
    else:
        raise _expected(f"a whole number ({kind})", value)
    if not low <= number <= high:
        raise UsageError(f"{shown(number)} is outside {kind}, {low} to {high}")
    return number


def _real(kind: str, value: Any) -> float | int:
    number: float | int
    if isinstance(value, str) and _REAL.fullmatch(value):
        number = float(value)
    elif isinstance(value, numbers.Integral) and not isinstance(value, bool):
        number = int(value)
    elif isinstance(value, numbers.Real) and not isinstance(value, bool):
        number = float(value)
    else:
        raise _expected(f"a number ({kind})", value)
    try:
        finite = math.isfinite(number)
    except OverflowError:
        finite = False
    if not finite or (kind == "float" and abs(number) > FLOAT_LIMIT):
        raise UsageError(f"{shown(value)} is not a finite number of type {kind}")
    return number


def _storable(text: str) -> str:
    try:
        text.encode()
    except UnicodeEncodeError:
        raise UsageError(f"{shown(text)} holds half of a surrogate pair") from None
    return text


def _expected(what: str, value: Any) -> UsageError:
    return UsageError(f"expected {what}, got {shown(value)}")
