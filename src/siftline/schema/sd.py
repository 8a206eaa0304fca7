"""Reads a schema file (`.sd`): text to a Schema (spec: Vespa schema reference)."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any

from siftline.errors import PackageError, Place
from siftline.schema.declarations import read_constant
from siftline.schema.definition import (
    DocumentSummary,
    Field,
    FieldSet,
    FieldType,
    RankProfile,
    Schema,
)
from siftline.schema.elements import Element, dispatch, read_elements, unknown
from siftline.schema.field_type import parse_field_type
from siftline.schema.files import PackageFiles
from siftline.schema.read_field import STEMMINGS, checked_name, choice, flags, read_field
from siftline.schema.read_profile import read_onnx_model, read_profiles

_SUMMARY = re.compile(r"summary\s+([\w.]+)(?:\s+type\s+(.+))?")
_FRAGMENT = "fragment"


def parse_schema(
    text: str,
    file: str | None = None,
    *,
    files: PackageFiles | None = None,
    elisions: bool = False,
) -> Schema:
    """The schema written in `text`; PackageError with file, line and column where it is wrong.

    file: the name shown in errors. files: where constants and expressions in files are read;
    without it they are errors. elisions: accept a snippet as documentation prints it: `...` and
    `..` say nothing, the document may be missing, and elements may stand without their schema.
    """
    elements = read_elements(text, file, elisions=elisions)
    reader = _SchemaBody(files or PackageFiles())
    if elisions and elements and all(e.key not in ("schema", "search") for e in elements):
        reader.name = _FRAGMENT
        if all(e.key in ("function", "macro") for e in elements):
            elements = (Element(f"rank-profile {_FRAGMENT}", Place(file, 1, 1), children=elements),)
        reader.read(elements)
        return reader.schema(Place(file, 1, 1))
    if len(elements) != 1 or elements[0].key not in ("schema", "search"):
        raise _not_a_schema(elements, file)
    root = elements[0]
    reader.name = _name(root, "schema")
    reader.read(root.body)
    if reader.document is None and not elisions:
        root.fail(f"schema '{reader.name}' has no 'document {reader.name} {{ … }}'")
    return reader.schema(root.place)


def parse_profiles(
    text: str, file: str | None = None, *, files: PackageFiles | None = None
) -> tuple[RankProfile, ...]:
    """The rank profiles of a `.profile` file."""
    found: list[RankProfile] = []
    for element in read_elements(text, file):
        if element.key != "rank-profile":
            raise unknown(element, ("rank-profile",), "a profile file")
        found.extend(read_profiles(element, files or PackageFiles()))
    return tuple(found)


def _not_a_schema(elements: tuple[Element, ...], file: str | None) -> PackageError:
    if not elements:
        return PackageError("the file holds no schema", Place(file, 1, 1))
    first = elements[0]
    if first.key == "document":
        return PackageError(
            "a document outside a schema only serves inheritance, which is not supported;"
            " put it into 'schema name { … }'",
            first.place,
        )
    if len(elements) > 1 and first.key in ("schema", "search"):
        return PackageError("a file holds one schema; this is outside it", elements[1].place)
    return unknown(first, ("schema", "search"), "a schema file")


def _name(element: Element, what: str) -> str:
    name, _, inherited = element.rest.partition("inherits")
    if inherited:
        element.fail(f"'inherits{inherited}' of a {what} is not supported; copy what it inherits")
    return checked_name(element, name.strip(), what)


class _SchemaBody:
    """Collects the arguments of one Schema from the elements of its body."""

    def __init__(self, files: PackageFiles) -> None:
        self.name = ""
        self.files = files
        self.document: Element | None = None
        self.values: dict[str, dict[str, Any]] = {}
        self.structs: dict[str, dict[str, FieldType]] = {}
        self.stemming = "best"

    def read(self, elements: tuple[Element, ...]) -> None:
        """Take every element of the body."""
        documents = [e for e in elements if e.key == "document"]
        inside = [part for d in documents for part in d.children or ()]
        for element in elements:
            if element.key == "stemming":
                self.stemming = choice(element, STEMMINGS)
        self._structs([e for e in (*inside, *elements) if e.key == "struct"])
        for element in documents:
            self._document(element)
        handlers: dict[str, Any] = {
            "document": lambda _: None,
            "struct": lambda _: None,
            "stemming": lambda _: None,
            "field": self._outside_field,
            "fieldset": self._fieldset,
            "constant": self._constant,
            "onnx-model": self._onnx_model,
            "rank-profile": self._rank_profile,
            "document-summary": self._summary,
            "raw-as-base64-in-summary": self._setting,
            "documentid": self._setting,
            "index": self._index,
        }
        dispatch(elements, handlers, f"schema '{self.name}'")

    def schema(self, place: Place) -> Schema:
        """The schema of what was read."""
        return Schema(self.name, place=place, structs=self.structs, **self._filled())

    def _filled(self) -> dict[str, Any]:
        return {"fields": {}, **self.values}

    def _add(self, key: str, name: str, value: object, place: Place | None, what: str) -> None:
        into = self.values.setdefault(key, {})
        if name in into:
            first = getattr(into[name], "place", None)
            where = f" (first at {first})" if first else ""
            raise PackageError(f"{what} '{name}' is defined twice{where}", place)
        into[name] = value

    def _structs(self, elements: Iterable[Element]) -> None:
        bodies: dict[str, Element] = {}
        for element in elements:
            name = _name(element, "struct")
            if name in bodies:
                element.fail(f"struct '{name}' is defined twice")
            bodies[name] = element
        for name, element in bodies.items():
            members: dict[str, FieldType] = {}
            for part in element.body:
                found = re.fullmatch(r"field\s+(\w+)\s+type\s+(.+)", part.head)
                if not found:
                    raise unknown(part, ("field",), f"struct '{name}'")
                members[found[1]] = parse_field_type(found[2], part.place, bodies)
            self.structs[name] = members

    def _document(self, element: Element) -> None:
        if self.document is not None:
            element.fail(f"schema '{self.name}' has two documents (first at {self.document.place})")
        self.document = element
        name = _name(element, "document") if element.rest else self.name
        if name != self.name:
            element.fail(f"document '{name}' must have the name of its schema, '{self.name}'")
        handlers = {"field": self._inside_field, "struct": lambda _: None}
        dispatch(element.body, handlers, f"document '{name}'")

    def _inside_field(self, element: Element) -> None:
        field = read_field(element, self.structs, stemming=self.stemming)
        self._add("fields", field.name, field, field.place, "field")

    def _outside_field(self, element: Element) -> None:
        field: Field = read_field(element, self.structs, inside=False, stemming=self.stemming)
        self._add("fields", field.name, field, field.place, "field")

    def _fieldset(self, element: Element) -> None:
        names: list[str] = []

        def refuse(part: Element) -> None:
            part.fail(f"'{part.key}' in a fieldset is not supported; set it on the fields")

        handlers: dict[str, Any] = {
            "fields": lambda part: names.extend(f.strip() for f in part.text.split(",")),
            "match": refuse,
            "query-command": refuse,
        }
        name = checked_name(element, element.rest, "fieldset")
        dispatch(element.body, handlers, f"fieldset '{name}'")
        if not names:
            element.fail(f"fieldset '{name}' needs 'fields: a, b'")
        self._add("fieldsets", name, FieldSet(name, tuple(names), element.place), element.place,
                  "fieldset")  # fmt: skip

    def _constant(self, element: Element) -> None:
        constant = read_constant(element, self.files)
        self._add("constants", constant.name, constant, element.place, "constant")

    def _onnx_model(self, element: Element) -> None:
        model = read_onnx_model(element)
        self._add("onnx_models", model.name, model, model.place, "onnx-model")

    def _rank_profile(self, element: Element) -> None:
        for profile in read_profiles(element, self.files):
            self._add("rank_profiles", profile.name, profile, profile.place, "rank profile")

    def _setting(self, element: Element) -> None:
        self.values.setdefault("settings", {})[element.key] = element.value or "true"

    def _index(self, element: Element) -> None:
        element.fail("'index' outside a field is not supported; set it on the field")

    def _summary(self, element: Element) -> None:
        summary = _read_summary(element)
        self._add("summaries", summary.name, summary, summary.place, "document-summary")


def _read_summary(element: Element) -> DocumentSummary:
    name, _, inherited = element.rest.partition(" inherits ")
    fields: dict[str, str] = {}

    def field(part: Element) -> None:
        found = _SUMMARY.fullmatch(part.head)
        if not found:
            part.fail(f"'{part.head}' is not a summary field (expected 'summary name {{ … }}')")
        source = [found[1]]
        handlers: dict[str, Any] = {
            "source": lambda p: source.__setitem__(0, p.text),
            **dict.fromkeys(("full", "static"), lambda _: None),
        }
        for child in flags(part) if part.children or part.value else ():
            if child.key == "bolding" and child.value == "off":
                continue
            dispatch([child], handlers, f"summary '{found[1]}'")
        fields[found[1]] = source[0]

    settings: set[str] = set()
    handlers: dict[str, Any] = {
        "summary": field,
        "from-disk": lambda part: settings.add(part.key),
        "omit-summary-features": lambda part: settings.add(part.key),
    }
    dispatch(element.body, handlers, f"document-summary '{name}'")
    return DocumentSummary(
        name.strip(),
        fields,
        tuple(p.strip() for p in inherited.split(",") if p.strip()),
        "from-disk" in settings,
        "omit-summary-features" in settings,
        element.place,
    )
