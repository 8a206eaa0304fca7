"""Partial updates: a stored document and an update operation to the merged document (spec 4.5).

    assign                                  every type; null clears
    add, remove                             array, weighted set, map (remove), mapped tensor
    increment, decrement, multiply, divide  numbers; not set counts as 0
    match                                   one element of an array or weighted set
    modify                                  cells of a tensor

A key of `fields` may be a path to one element: `tags{key}`, `list[3]`, `person.name`, and steps
one behind the other: `people[3].name`.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from siftline.errors import DocumentError, UsageError
from siftline.feed import tensor_updates
from siftline.feed.operation import Operation
from siftline.feed.shown import shown
from siftline.feed.values import (
    RANGES,
    Structs,
    about,
    checked,
    checked_key,
    checked_single,
    document_field,
    parts,
    struct_member,
)
from siftline.schema.definition import Field, FieldType, Schema

ARITHMETIC = ("increment", "decrement", "multiply", "divide")
OPERATIONS = ("assign", "add", "remove", *ARITHMETIC, "match", "modify")

#: one step of a path: {key}, {"key"}, [3] or .member
_STEP = re.compile(r'\{(?:"([^"]*)"|([^"{}]*))\}|\[([0-9]{1,9})\]|\.([A-Za-z_]\w*)')
_NAME = re.compile(r"[A-Za-z_]\w*")
_CREATE = "create-if-nonexistent"
_REMOVE_ZERO = "remove-if-zero"


@dataclass(frozen=True, slots=True)
class _Target:
    """What an operation changes: a type, the field's options of weighted sets, the structs."""

    type: FieldType
    structs: Structs
    options: frozenset[str] = frozenset()

    def element(self, type_: FieldType) -> _Target:
        """A part of this one."""
        return _Target(type_, self.structs)


Step = str | int


def apply_update(
    schema: Schema, stored: Mapping[str, Any] | None, operation: Operation
) -> dict[str, Any] | None:
    """The document's fields after the update, checked; `stored` itself is left as it is.

    stored: checked fields, None where there is no such document; then None unless the operation
    creates it. DocumentError names document, field and value, and nothing is changed.
    """
    if stored is None and not operation.create:
        return None
    document = dict(stored or {})
    for key, changes in operation.fields.items():
        try:
            field, steps = _resolve(schema, key)
            value = document.pop(field.name, None)
            for name, argument in _changes(field, changes):
                value = _apply(_target(schema, field), value, steps, name, argument)
        except DocumentError as error:
            raise about(operation, error) from None
        except UsageError as error:
            message = DocumentError(f"field '{key}': {error.message}")
            raise about(operation, message) from None
        if value is not None:
            document[field.name] = value
    return {name: document[name] for name in schema.fields if name in document}


def updated_fields(operation: Operation) -> frozenset[str]:
    """The names of the fields an update touches, without their paths."""
    return frozenset(re.split(r"[{\[.]", key, maxsplit=1)[0] for key in operation.fields)


def _resolve(schema: Schema, key: str) -> tuple[Field, tuple[Step, ...]]:
    """The field of a key and the steps to the element it points at."""
    found = _NAME.match(key)
    at = found.end() if found else 0
    field = document_field(schema, key[:at] or key)
    steps: list[Step] = []
    while at < len(key):
        step = _STEP.match(key, at)
        if not step:
            raise UsageError("not a path like name{key}, name[3] or name.member")
        quoted, plain, number, member = step.groups()
        steps.append(int(number) if number else quoted or plain or member or "")
        at = step.end()
    return field, tuple(steps)


def _changes(field: Field, changes: Any) -> list[tuple[str, Any]]:
    if not isinstance(changes, Mapping) or not changes:
        raise DocumentError(
            f"field '{field.name}': expected an update operation like {{\"assign\": value}}, "
            f"got {shown(changes)}"
        )
    for name in changes:
        if name not in OPERATIONS:
            raise DocumentError(
                f"field '{field.name}': unknown update operation {shown(name)} "
                f"(known: {', '.join(OPERATIONS)})"
            )
    return list(changes.items())


def _target(schema: Schema, field: Field) -> _Target:
    options = frozenset(re.split(r"[;\s]+", field.hints.get("weightedset", "")))
    return _Target(field.type, schema.structs, options)


def _apply(
    target: _Target, value: Any, steps: tuple[Step, ...], operation: str, argument: Any
) -> Any:
    """The field's new value, None for not set."""
    if steps:
        return _apply_at(target, value, steps, operation, argument)
    type_ = target.type
    if operation == "assign":
        return checked(type_, argument, target.structs)
    if operation == "match":
        return _match(target, value, argument)
    if operation in ARITHMETIC:
        return _calculate(type_, value, operation, argument)
    if type_.kind == "tensor" and type_.tensor is not None:
        return tensor_updates.apply(type_.tensor, value, operation, argument)
    if operation == "add":
        return _add(target, value, argument)
    if operation == "remove":
        return _remove(target, value, argument)
    raise UsageError(f"'{operation}' does not apply to type {type_}")


def _apply_at(
    target: _Target, value: Any, steps: tuple[Step, ...], operation: str, argument: Any
) -> Any:
    """The collection after one of its elements was changed."""
    type_ = target.type
    if type_.kind == "array":
        return _apply_at_index(target, value, steps, operation, argument)
    weighted = type_.kind == "weightedset"
    if type_.kind == "struct":
        key, element = str(steps[0]), struct_member(type_, steps[0], target.structs)
    elif weighted or type_.kind == "map":
        key_type, element = parts(type_)
        key = checked_key(key_type, steps[0])
    else:
        raise UsageError(f"type {type_} has no elements to point at")
    found = dict(value or {})
    if operation == "remove" and len(steps) == 1:
        found.pop(key, None)
        return found or None
    creates = type_.kind == "struct" or (weighted and _CREATE in target.options)
    if key not in found and operation in ARITHMETIC and not creates:
        return value
    changed = _apply(target.element(element), found.get(key), steps[1:], operation, argument)
    if changed is None or (weighted and changed == 0 and _REMOVE_ZERO in target.options):
        found.pop(key, None)
    else:
        found[key] = changed
    return found or None


def _apply_at_index(
    target: _Target, value: Any, steps: tuple[Step, ...], operation: str, argument: Any
) -> Any:
    try:
        index = int(steps[0])
    except (TypeError, ValueError):
        raise UsageError(f"expected the number of an element, got {shown(steps[0])}") from None
    if value is None or not 0 <= index < len(value):
        return value  # Vespa passes over an element that is not there
    if operation == "remove" and len(steps) == 1:
        return [*value[:index], *value[index + 1 :]] or None
    element = target.element(parts(target.type)[1])
    changed = _apply(element, value[index], steps[1:], operation, argument)
    if changed is None and element.type.kind != "string":
        raise UsageError("an element of an array cannot be null")
    return [*value[:index], "" if changed is None else changed, *value[index + 1 :]]


def _match(target: _Target, value: Any, argument: Any) -> Any:
    if not isinstance(argument, Mapping) or "element" not in argument:
        raise UsageError(f'expected {{"element": key, operation: value}}, got {shown(argument)}')
    element = argument["element"]
    changes = [(name, item) for name, item in argument.items() if name != "element"]
    if not changes:
        raise UsageError(f"'match' names no operation: {shown(argument)}")
    weighted = target.type.kind == "weightedset"
    step = checked_key(parts(target.type)[0], element) if weighted else element
    for name, item in changes:
        if name not in ("assign", *ARITHMETIC):
            raise UsageError(f"'match' cannot do {shown(name)}")
        if weighted and step not in (value or {}) and _CREATE not in target.options:
            return value
        value = _apply_at(target, value, (step,), name, item)
    return value


def _add(target: _Target, value: Any, argument: Any) -> Any:
    type_, structs = target.type, target.structs
    if type_.kind == "array":
        return [*(value or []), *(checked(type_, argument, structs) or [])] or None
    if type_.kind in ("weightedset", "map"):
        return {**(value or {}), **(checked(type_, argument, structs) or {})} or None
    raise UsageError(f"'add' does not apply to type {type_}")


def _remove(target: _Target, value: Any, argument: Any) -> Any:
    type_, structs = target.type, target.structs
    if type_.kind == "array":
        gone = checked(type_, argument, structs) or []
        return [item for item in value or [] if item not in gone] or None
    if type_.kind in ("weightedset", "map"):
        if not isinstance(argument, (Mapping, list)):
            raise UsageError(f"expected the keys to remove, got {shown(argument)}")
        keys = {checked_key(parts(type_)[0], key) for key in argument}
        return {key: item for key, item in (value or {}).items() if key not in keys} or None
    raise UsageError(f"'remove' does not apply to type {type_}")


def _calculate(type_: FieldType, value: Any, operation: str, argument: Any) -> Any:
    """The number after one step of arithmetic; whole number types cut towards zero."""
    if type_.kind not in (*RANGES, "float", "double"):
        raise UsageError(f"'{operation}' does not apply to type {type_}")
    operand = checked_single(FieldType("double"), argument)
    old = value or 0
    if operation == "increment":
        result = old + operand
    elif operation == "decrement":
        result = old - operand
    elif operation == "multiply":
        result = old * operand
    elif operand == 0:
        raise UsageError("cannot divide by 0")
    elif type_.kind in RANGES and isinstance(operand, int):
        result = abs(old) // abs(operand) * (1 if (old < 0) == (operand < 0) else -1)
    else:
        result = old / operand
    if type_.kind in RANGES and isinstance(result, float) and math.isfinite(result):
        result = math.trunc(result)
    return checked_single(type_, result)
