"""Values of a `<config>` element as a dataclass: the fields say the names, types and defaults."""

from __future__ import annotations

import dataclasses
import enum
import types
from collections.abc import Mapping, Sequence
from typing import Any, Literal, TypeVar, Union, get_args, get_origin, get_type_hints

from siftline.errors import PackageError
from siftline.schema.chains import ConfigValue
from siftline.schema.nearest import nearest

T = TypeVar("T")

_TRUE, _FALSE = ("true", "1"), ("false", "0")


def read_config(kind: type[T], value: ConfigValue, where: str) -> T:
    """The dataclass with the values written, names in either spelling (`max-hits`, `max_hits`).

    PackageError names the field: one that is not there, without value and default, or of a wrong
    type. where: what the value is, for the message.
    """
    if not dataclasses.is_dataclass(kind):
        raise PackageError(f"{where}: {_name(kind)} is no dataclass")
    if not isinstance(value, Mapping):
        raise PackageError(f"{where}: expected elements, got '{value}'")
    hints = get_type_hints(kind)
    fields = {f.name: f for f in dataclasses.fields(kind) if f.init}
    given: dict[str, Any] = {}
    for written, inner in value.items():
        name = written.replace("-", "_")
        if name not in fields:
            raise PackageError(f"{where}: unknown value '{written}'{nearest(name, fields)}")
        given[name] = _value(hints[name], inner, f"{where}, {written}")
    for name, field in fields.items():
        required = (
            field.default is dataclasses.MISSING and field.default_factory is dataclasses.MISSING
        )
        if required and name not in given:
            raise PackageError(f"{where}: no value for '{name}' of {_name(kind)}")
    return kind(**given)


def _value(hint: Any, value: ConfigValue, where: str) -> Any:
    origin, arguments = get_origin(hint), get_args(hint)
    if origin in (Union, types.UnionType):
        return _union(arguments, value, where)
    if origin is Literal:
        return _one_of({str(a): a for a in arguments}, value, where)
    if isinstance(hint, type) and issubclass(hint, enum.Enum):
        return _one_of({member.name: member for member in hint}, value, where)
    if dataclasses.is_dataclass(hint) and isinstance(hint, type):
        return read_config(hint, {} if value == "" else value, where)
    kind = origin or hint
    if isinstance(kind, type) and issubclass(kind, Mapping):
        return _mapping(arguments, value, where)
    if isinstance(kind, type) and issubclass(kind, Sequence) and not issubclass(kind, (str, bytes)):
        return _sequence(kind, arguments, value, where)
    return _scalar(kind, value, where)


def _union(choices: tuple[Any, ...], value: ConfigValue, where: str) -> Any:
    if value == "" and type(None) in choices:
        return None
    kinds = [choice for choice in choices if choice is not type(None)]
    for choice in kinds[:-1]:
        try:
            return _value(choice, value, where)
        except PackageError:
            continue
    return _value(kinds[-1], value, where)


def _one_of(choices: Mapping[str, Any], value: ConfigValue, where: str) -> Any:
    if not isinstance(value, str) or value not in choices:
        raise PackageError(f"{where}: unknown value '{value}'{nearest(str(value), choices)}")
    return choices[value]


def _mapping(arguments: tuple[Any, ...], value: ConfigValue, where: str) -> dict[str, Any]:
    if value == "":
        return {}
    if not isinstance(value, Mapping):
        raise PackageError(f"{where}: expected <item key=…> elements, got '{value}'")
    hint = arguments[1] if len(arguments) == 2 else str
    return {key: _value(hint, inner, f"{where}, {key}") for key, inner in value.items()}


def _sequence(
    kind: type[Any], arguments: tuple[Any, ...], value: ConfigValue, where: str
) -> list[Any] | tuple[Any, ...]:
    if isinstance(value, Mapping):
        raise PackageError(f"{where}: expected <item> elements, got {', '.join(value)}")
    items = () if value == "" else (value,) if isinstance(value, str) else value
    hint = arguments[0] if arguments else str
    read = [_value(hint, item, where) for item in items]
    return tuple(read) if issubclass(kind, tuple) else read


def _scalar(kind: Any, value: ConfigValue, where: str) -> Any:
    if kind is Any:
        return value
    if not isinstance(value, str):
        raise PackageError(f"{where}: expected one value, got several")
    if kind is bool:
        if value.lower() not in (*_TRUE, *_FALSE):
            raise PackageError(f"{where}: expected true or false, got '{value}'")
        return value.lower() in _TRUE
    if kind is str:
        return value
    if kind in (int, float):
        try:
            return kind(value)
        except ValueError:
            what = "a whole number" if kind is int else "a number"
            raise PackageError(f"{where}: expected {what}, got '{value}'") from None
    raise PackageError(f"{where}: a value of type {_name(kind)} cannot be configured")


def _name(kind: Any) -> str:
    return getattr(kind, "__name__", str(kind))
