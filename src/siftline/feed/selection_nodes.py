"""The nodes of a document selection: each prints as text and is evaluated for a document."""

from __future__ import annotations

import re
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from siftline.feed.operation import DocumentId
from siftline.feed.selection_values import (
    INVALID,
    OPAQUE,
    Bindings,
    Key,
    Many,
    Results,
    and_,
    both,
    calculated,
    called,
    combined,
    compared,
    negated,
    or_,
)

_ESCAPES = {"\\": "\\\\", '"': '\\"', "\n": "\\n", "\r": "\\r", "\t": "\\t", "\f": "\\f"}


@dataclass(frozen=True, slots=True)
class Document:
    """What a selection looks at; fields None where there are only ids to look at."""

    id: DocumentId
    fields: Mapping[str, Any] | None


class Condition(Protocol):
    """A node that is true, false or invalid."""

    def results(self, document: Document) -> Results:
        """What it is, for each binding of variables."""


class Value(Protocol):
    """A node that has a value."""

    def value(self, document: Document) -> Any:
        """The value, as `selection_values` has it."""


# values


@dataclass(frozen=True, slots=True)
class Literal:
    """A text, a number or null."""

    literal: str | int | float | bool | None

    def value(self, document: Document) -> Any:
        """Itself."""
        return self.literal

    def __str__(self) -> str:
        if isinstance(self.literal, str):
            return '"' + "".join(_ESCAPES.get(c, c) for c in self.literal) + '"'
        if self.literal is None or isinstance(self.literal, bool):
            return {None: "null", True: "true", False: "false"}[self.literal]
        return repr(self.literal)


@dataclass(frozen=True, slots=True)
class Now:
    """Seconds since 1970, whole ones."""

    def value(self, document: Document) -> Any:
        """The time at which it is asked for."""
        return int(time.time())

    def __str__(self) -> str:
        return "now()"


@dataclass(frozen=True, slots=True)
class IdPart:
    """The document's id, or a part of it; part "" is the whole."""

    part: str = ""

    def value(self, document: Document) -> Any:
        """Text, or a number for `user`; null for `user` and `group` of an id without one."""
        id_ = document.id
        if self.part == "user":
            return id_.number
        if self.part == "group":
            return id_.group
        whole = {"": str(id_), "scheme": "id", "namespace": id_.namespace}
        return {**whole, "type": id_.type, "specific": id_.user}[self.part]

    def __str__(self) -> str:
        return f"id.{self.part}" if self.part else "id"


@dataclass(frozen=True, slots=True)
class Lookup:
    """`{key}` or `[index]` behind a field; variable: `{$x}` or `[$x]` stands for every one."""

    key: str | int
    variable: bool = False

    def __str__(self) -> str:
        if isinstance(self.key, int):
            return f"[{self.key}]"
        if self.variable:
            return self.key
        if re.fullmatch(r"[A-Za-z_]\w*|-?\d+", self.key, re.ASCII):
            return f"{{{self.key}}}"
        return "{" + str(Literal(self.key)) + "}"


@dataclass(frozen=True, slots=True)
class Member:
    """`.name` behind a field: of a struct, or `key` and `value` of a map."""

    name: str

    def __str__(self) -> str:
        return f".{self.name}"


@dataclass(frozen=True, slots=True)
class FieldPath:
    """A field of a document type, and the way to a part of it."""

    type: str
    field: str
    steps: tuple[Lookup | Member, ...] = ()

    def value(self, document: Document) -> Any:
        """Null where not set, INVALID for a document of another type, Many for many."""
        if document.fields is None or document.id.type != self.type:
            return INVALID
        found = list(_walk(document.fields.get(self.field), self.steps, {}))
        if not found:
            return None
        if len(found) == 1 and not found[0][0]:
            return found[0][1]
        return Many(tuple(found))

    def __str__(self) -> str:
        return f"{self.type}.{self.field}" + "".join(map(str, self.steps))


def _walk(
    value: Any, steps: tuple[Lookup | Member, ...], bindings: Bindings
) -> Iterator[tuple[Bindings, Any]]:
    """The values at the end of a path."""
    if value is None:
        return
    if not steps:
        yield from ((bindings, element) for element in _ends(value))
        return
    step, rest = steps[0], steps[1:]
    if isinstance(step, Lookup):
        for key, element in _looked_up(value, step):
            bound = {**bindings, str(step.key): key} if step.variable else bindings
            yield from _walk(element, rest, bound)
    elif isinstance(value, list):
        for element in value:
            yield from _walk(element, steps, bindings)
    elif isinstance(value, Mapping):
        if step.name == "key":
            yield from ((bindings, Key(key)) for key in value)
        elif step.name == "value":
            for element in value.values():
                yield from _walk(element, rest, bindings)
        else:
            yield from _walk(value.get(step.name), rest, bindings)


def _looked_up(value: Any, step: Lookup) -> Iterator[tuple[str | int, Any]]:
    if isinstance(value, list):
        if step.variable:
            yield from enumerate(value)
        elif isinstance(step.key, int) and step.key < len(value):
            yield step.key, value[step.key]
    elif isinstance(value, Mapping):
        if step.variable:
            yield from value.items()
        elif step.key in value:
            yield step.key, value[str(step.key)]


def _ends(value: Any) -> Iterator[Any]:
    """A value by itself, the elements of an array, the keys of a map."""
    if isinstance(value, list):
        for element in value:
            yield from _ends(element)
    elif isinstance(value, Mapping):
        if str(value.get("type", "")).startswith("tensor"):
            yield OPAQUE
        else:
            yield from map(Key, value)
    else:
        yield value


@dataclass(frozen=True, slots=True)
class Chain:
    """Arithmetic of one precedence, from left to right."""

    first: Value
    rest: tuple[tuple[str, Value], ...]

    def value(self, document: Document) -> Any:
        """The result; INVALID where a part has none."""
        result = self.first.value(document)
        for sign, operand in self.rest:
            result = calculated(result, sign, operand.value(document))
        return result

    def __str__(self) -> str:
        parts = [_operand(self.first)]
        for sign, operand in self.rest:
            parts += [sign, _operand(operand)]
        return " ".join(parts)


def _operand(node: Value) -> str:
    return f"({node})" if isinstance(node, Chain) else str(node)


@dataclass(frozen=True, slots=True)
class Call:
    """A function of a value."""

    operand: Value
    function: str

    def value(self, document: Document) -> Any:
        """The function's result."""
        return called(self.function, self.operand.value(document))

    def __str__(self) -> str:
        number = isinstance(self.operand, Literal) and not isinstance(self.operand.literal, str)
        shown = f"({self.operand})" if number else _operand(self.operand)
        return f"{shown}.{self.function}()"


# conditions


@dataclass(frozen=True, slots=True)
class Constant:
    """`true` or `false`."""

    truth: bool

    def results(self, document: Document) -> Results:
        """The constant."""
        return [({}, self.truth)]

    def __str__(self) -> str:
        return "true" if self.truth else "false"


@dataclass(frozen=True, slots=True)
class OfType:
    """Whether the document is of a type."""

    type: str

    def results(self, document: Document) -> Results:
        """True or false."""
        return [({}, document.id.type == self.type)]

    def __str__(self) -> str:
        return self.type


@dataclass(frozen=True, slots=True)
class Comparison:
    """Two values compared."""

    left: Value
    comparator: str
    right: Value

    def results(self, document: Document) -> Results:
        """One result for each element of a field with several values."""
        return compared(self.left.value(document), self.comparator, self.right.value(document))

    def __str__(self) -> str:
        return f"{self.left} {self.comparator} {self.right}"


@dataclass(frozen=True, slots=True)
class Not:
    """The opposite."""

    operand: Condition

    def results(self, document: Document) -> Results:
        """Invalid stays invalid."""
        return negated(self.operand.results(document))

    def __str__(self) -> str:
        inside = isinstance(self.operand, (Constant, OfType, Not, Comparison))
        return f"not {self.operand}" if inside else f"not ({self.operand})"


@dataclass(frozen=True, slots=True)
class Junction:
    """Conditions joined by one of `and` and `or`."""

    word: str
    operands: tuple[Condition, ...]

    def results(self, document: Document) -> Results:
        """Every way in which the variables of the operands agree."""
        truth, decided = (and_, False) if self.word == "and" else (or_, True)
        results = self.operands[0].results(document)
        for operand in self.operands[1:]:
            if all(found is decided for _, found in results) and results:
                return [({}, decided)]
            results = both(results, operand.results(document), truth)
        return results

    def __str__(self) -> str:
        shown = (f"({o})" if isinstance(o, Junction) else str(o) for o in self.operands)
        return f" {self.word} ".join(shown)


def holds(condition: Condition, document: Document) -> bool | None:
    """True, false, or None where it is invalid."""
    return combined(condition.results(document))
