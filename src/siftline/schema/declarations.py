"""The declarations of a rank profile: query inputs and constants with types and values."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache

from lark import Lark, Token, Tree
from lark.exceptions import UnexpectedInput, UnexpectedToken

from siftline.errors import PackageError, Place, UsageError
from siftline.schema.definition import Constant, Input
from siftline.schema.elements import Element, Handler, dispatch
from siftline.schema.files import PackageFiles
from siftline.schema.places import Places
from siftline.tensor.literal import parse_literal
from siftline.tensor.tensor import Tensor
from siftline.tensor.types import TensorType


@dataclass(frozen=True, slots=True)
class _Entry:
    name: str
    type: str | None
    value: str | None
    place: Place


def read_inputs(element: Element) -> dict[str, Input]:
    """The inputs of an `inputs` block, by name."""
    inputs: dict[str, Input] = {}
    for entry in _entries(element, "query(q) tensor<float>(x[3]), with ': value' for a default"):
        if entry.type == "string":
            raise PackageError(
                f"input '{entry.name}' of type string is not supported; use double", entry.place
            )
        if entry.name in inputs:
            raise PackageError(f"input '{entry.name}' is declared twice", entry.place)
        type_ = _tensor_type(entry)
        default = None if entry.value is None else _value(entry, type_, "input")
        inputs[entry.name] = Input(entry.name, type_, default)
    return inputs


def read_constants(element: Element, files: PackageFiles) -> dict[str, Constant]:
    """The constants of a `constants` block, by name; those in files are read."""
    constants: dict[str, Constant] = {}
    for entry in _entries(element, "name tensor<float>(x[3]): [1, 2, 3]"):
        if entry.value is None:
            raise PackageError(f"constant '{entry.name}' has no value", entry.place)
        if entry.name in constants:
            raise PackageError(f"constant '{entry.name}' is declared twice", entry.place)
        type_ = _tensor_type(entry)
        if entry.value.startswith("file:"):
            path = entry.value.removeprefix("file:").strip()
            if type_ is None:
                raise PackageError(
                    f"constant '{entry.name}' in a file needs a tensor type", entry.place
                )
            value: Tensor | float = files.constant(path, type_, entry.place)
            constants[entry.name] = Constant(entry.name, value, path)
        else:
            constants[entry.name] = Constant(entry.name, _value(entry, type_, "constant"))
    return constants


def read_constant(element: Element, files: PackageFiles) -> Constant:
    """The constant of an element `constant NAME { file: … type: tensor(…) }`."""
    parts = {part.key: part for part in element.body}
    handlers: dict[str, Handler] = dict.fromkeys(("file", "type"), lambda _: None)
    dispatch(element.body, handlers, f"constant '{element.rest}'")
    if set(parts) != {"file", "type"}:
        element.fail(f"constant '{element.rest}' needs 'file: …' and 'type: tensor(…)'")
    try:
        type_ = TensorType.parse(parts["type"].text)
    except UsageError as error:
        raise PackageError(error.message, parts["type"].value_place) from None
    path = parts["file"].text
    value = files.constant(path, type_, parts["file"].place)
    return Constant(element.rest, value, path)


@cache
def _parser() -> Lark:
    return Lark.open(
        "declarations.lark",
        rel_to=__file__,
        parser="lalr",
        lexer="contextual",
        propagate_positions=True,
    )


def _entries(element: Element, example: str) -> Iterator[_Entry]:
    text = element.text if element.value else ""
    places = Places(text, element.place.file, element.value_place)
    try:
        tree = _parser().parse(text)
    except UnexpectedInput as error:
        at_end = isinstance(error, UnexpectedToken) and error.token.type == "$END"
        offset = len(text) if at_end or error.pos_in_stream is None else error.pos_in_stream
        shown = text[offset:].split("\n", 1)[0][:30]
        raise PackageError(
            f"cannot read '{shown}' in {element.key} (expected like {example})", places.at(offset)
        ) from None
    for entry in tree.children:
        if isinstance(entry, Tree):
            yield _entry(entry, text, places)


def _entry(tree: Tree[Token], text: str, places: Places) -> _Entry:
    parts = {t.data: t for t in tree.children if isinstance(t, Tree)}
    spans = {key: text[t.meta.start_pos : t.meta.end_pos] for key, t in parts.items()}
    name = str(parts["name"].children[-1])
    return _Entry(name, spans.get("type"), spans.get("value"), places.at(tree.meta.start_pos))


def _tensor_type(entry: _Entry) -> TensorType | None:
    """None for a number: no type, or one of the scalar words."""
    if entry.type is None or not entry.type.startswith("tensor"):
        return None
    try:
        return TensorType.parse(entry.type)
    except UsageError as error:
        raise PackageError(error.message, entry.place) from None


def _value(entry: _Entry, type_: TensorType | None, what: str) -> Tensor | float:
    text = entry.value or ""
    try:
        if type_ is not None:
            return parse_literal(type_, text)
        return float(text)
    except UsageError as error:
        raise PackageError(f"{what} '{entry.name}': {error.message}", entry.place) from None
    except RecursionError:
        raise PackageError(f"{what} '{entry.name}' nests too deep", entry.place) from None
    except ValueError:
        raise PackageError(
            f"{what} '{entry.name}' needs a tensor type for the value {text[:40]}", entry.place
        ) from None
