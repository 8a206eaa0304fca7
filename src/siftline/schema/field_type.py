"""Field types as written, like `array<string>` and `tensor<float>(x[384])`."""

from __future__ import annotations

import re
from collections.abc import Collection

from siftline.errors import PackageError, Place, UsageError
from siftline.schema.definition import KINDS, FieldType
from siftline.schema.nearest import nearest
from siftline.schema.refused import REFUSED_TYPES
from siftline.tensor.types import TensorType

_GENERIC = re.compile(r"(\w+)\s*<(.*)>", re.DOTALL)
_SCALARS = tuple(k for k in KINDS if k not in ("array", "weightedset", "map", "tensor"))
_DEEPEST = 16
_KEYS = ("string", "int", "long", "byte")


def parse_field_type(
    text: str, place: Place | None = None, structs: Collection[str] = ()
) -> FieldType:
    """The type written in `text`; PackageError names what is unknown or not supported."""
    text = text.strip()
    if text.count("<") + text.count("[") > _DEEPEST:
        raise PackageError(f"type '{text[:40]}…' nests too deep", place)
    if text.startswith("tensor"):
        return FieldType("tensor", tensor=_tensor(text, place))
    generic = _GENERIC.fullmatch(text)
    if generic:
        return _generic(generic[1], generic[2].strip(), place, structs)
    if text.endswith("[]"):
        return _generic("array", text[:-2], place, structs)
    if text in _SCALARS:
        return FieldType(text)
    if text in structs:
        return FieldType("struct", struct=text)
    raise _unknown(text, place, structs)


def _tensor(text: str, place: Place | None) -> TensorType:
    try:
        type_ = TensorType.parse(text)
    except UsageError as error:
        raise PackageError(error.message, place) from None
    unbound = [d.name for d in type_.dimensions if not d.mapped and d.size is None]
    if unbound:
        raise PackageError(
            f"dimension '{unbound[0]}' of {type_} has no size; a field needs one, like "
            f"{unbound[0]}[384]",
            place,
        )
    return type_


def _generic(kind: str, inside: str, place: Place | None, structs: Collection[str]) -> FieldType:
    if kind == "map":
        key, comma, value = _split(inside)
        if not comma:
            raise PackageError(f"a map needs a key and a value type: map<string,{key}>", place)
        return FieldType(
            "map",
            element=parse_field_type(value, place, structs),
            key=parse_field_type(key, place, structs),
        )
    if kind not in ("array", "weightedset"):
        raise _unknown(kind, place, structs)
    element = parse_field_type(inside, place, structs)
    if kind == "weightedset" and element.kind not in _KEYS:
        raise PackageError(f"a weightedset holds {', '.join(_KEYS)}, not {element}", place)
    if element.kind in ("tensor", "array", "weightedset"):
        raise PackageError(f"{kind}<{element}> is not a field type", place)
    return FieldType(kind, element=element)


def _split(inside: str) -> tuple[str, str, str]:
    depth = 0
    for at, character in enumerate(inside):
        depth += (character in "<(") - (character in ">)")
        if character == "," and not depth:
            return inside[:at], ",", inside[at + 1 :]
    return inside, "", ""


def _unknown(text: str, place: Place | None, structs: Collection[str]) -> PackageError:
    if text in REFUSED_TYPES:
        return PackageError(f"type '{text}' is not supported{REFUSED_TYPES[text]}", place)
    return PackageError(f"unknown type '{text}'{nearest(text, [*KINDS, *structs])}", place)
