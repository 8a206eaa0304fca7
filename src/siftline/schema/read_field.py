"""Reads `field … { … }` and `struct-field … { … }` of a schema file."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from siftline.errors import PackageError
from siftline.schema.definition import DISTANCE_METRICS, Field, FieldType, Hnsw
from siftline.schema.elements import Element, dispatch, unknown
from siftline.schema.field_type import parse_field_type
from siftline.schema.indexing import parse_script
from siftline.schema.nearest import nearest

#: names that Vespa keeps for itself
RESERVED = frozenset(
    "attribute body case context documentid else header hit host if index position reference"
    " relevancy sddocname summary switch tokenize".split()
)
ATTRIBUTE_OPTIONS = (
    "fast-search",
    "fast-access",
    "fast-rank",
    "paged",
    "mutable",
    "enable-bit-vectors",
)
MATCHES = ("text", "word", "exact", "cased", "uncased")
STEMMINGS = ("none", "best", "shortest", "multiple")

_HEAD = re.compile(r"field\s+(\S+)\s+type\s+(.+)", re.DOTALL)
_NAME = re.compile(r"[A-Za-z_]\w*")
#: old names of distance metrics
_METRIC_ALIASES = {"innerproduct": "prenormalized-angular"}

Structs = Mapping[str, Mapping[str, FieldType]]


def read_field(
    element: Element, structs: Structs, *, inside: bool = True, stemming: str = "best"
) -> Field:
    """The field of an element `field NAME type TYPE { … }`; `stemming` is the schema's default."""
    found = _HEAD.fullmatch(element.head)
    if not found:
        element.fail(f"'{element.head}' is not a field (expected 'field name type string {{ … }}')")
    name = checked_name(element, found[1], "field")
    if name.lower() in RESERVED:
        element.fail(f"'{name}' is a reserved word and cannot name a field")
    type_ = parse_field_type(found[2], element.place, structs)
    body = _FieldBody(name, type_, structs, stemming)
    body.values["inside"] = inside
    body.read(element)
    return body.field(element)


def checked_name(element: Element, name: str, what: str) -> str:
    """`name` if it is an identifier, PackageError if not."""
    if not _NAME.fullmatch(name):
        element.fail(f"'{name}' cannot name a {what} (expected letters, digits and '_')")
    return name


def whole_number(element: Element, low: int = 0) -> int:
    """The value of a setting that is a whole number of at least `low`."""
    if not re.fullmatch(r"-?\d+", element.text) or int(element.text) < low:
        element.fail(f"'{element.head}' is '{element.text}', expected a whole number from {low}")
    return int(element.text)


def choice(element: Element, known: tuple[str, ...]) -> str:
    """The value of a setting that is one of a few words."""
    if element.text not in known:
        element.fail(f"'{element.head}' is '{element.text}'{nearest(element.text, known)}")
    return element.text


def flags(element: Element) -> tuple[Element, ...]:
    """The parts of `key: part`, and of `key { part … }`, as elements."""
    if element.children is not None:
        return element.children
    place = element.value_place or element.place
    return tuple(Element(word, place) for word in re.split(r"[\s,]+", element.text))


def _flag(element: Element) -> str:
    """The key of an element that takes neither a value nor a block."""
    if element.value is not None or element.children is not None:
        element.fail(f"'{element.key}' takes no value")
    return element.key


class _FieldBody:
    """Collects the arguments of one Field from the elements of its body."""

    def __init__(self, name: str, type_: FieldType, structs: Structs, stemming: str) -> None:
        self.name, self.type, self.structs = name, type_, structs
        self.values: dict[str, Any] = {"stemming": stemming}
        self.hints: dict[str, str] = {}
        self.options: set[str] = set()
        self.match_settings: dict[str, str] = {}
        self.aliases: list[str] = []
        self.struct_fields: dict[str, Field] = {}
        self.bm25: Element | None = None

    def read(self, element: Element) -> None:
        """Take every element of the body."""
        handlers = {
            "indexing": self._indexing,
            "attribute": self._attribute,
            "index": self._index,
            "match": self._match,
            "rank": self._rank,
            "rank-type": self._rank_type,
            "stemming": self._stemming,
            "normalizing": self._normalizing,
            "bolding": self._bolding,
            "summary": self._summary,
            "dictionary": self._block_hint,
            "sorting": self._block_hint,
            "weightedset": self._block_hint,
            "query-command": self._hint,
            "id": self._hint,
            "weight": self._weight,
            "alias": self._alias,
            "struct-field": self._struct_field,
        }
        dispatch(element.body, handlers, f"field '{self.name}'")

    def field(self, element: Element) -> Field:
        """The field, after the checks that need the whole body."""
        values = self.values
        made = Field(
            self.name,
            self.type,
            match_settings=self.match_settings,
            attribute_options=frozenset(self.options),
            aliases=tuple(self.aliases),
            struct_fields=self.struct_fields,
            hints=self.hints,
            bm25=self.bm25 is not None,
            place=element.place,
            **values,
        )
        if self.type.kind == "tensor" and made.indexed and made.hnsw is None:
            values["hnsw"] = Hnsw()
            return self.field(element)
        if self.bm25 is not None and not made.indexed:
            self.bm25.fail(
                f"enable-bm25 needs an index: add 'index' to the indexing of field '{self.name}'"
            )
        return made

    def _indexing(self, element: Element) -> None:
        self.values["indexing"] = parse_script(element.text, element.value_place)

    def _attribute(self, element: Element) -> None:
        if element.rest:
            element.fail(f"named attribute '{element.rest}' is not supported: drop the name")
        for part in flags(element):
            if part.key in ATTRIBUTE_OPTIONS:
                self.options.add(_flag(part))
            elif part.key == "distance-metric":
                self._distance_metric(part)
            elif part.key == "sorting":
                self._block_hint(part)
            else:
                raise unknown(
                    part,
                    (*ATTRIBUTE_OPTIONS, "distance-metric", "sorting"),
                    f"the attribute of field '{self.name}'",
                )

    def _distance_metric(self, element: Element) -> None:
        metric = element.text.lower()
        if metric not in DISTANCE_METRICS and metric not in _METRIC_ALIASES:
            element.fail(f"unknown distance metric '{metric}'{nearest(metric, DISTANCE_METRICS)}")
        self.values["distance_metric"] = _METRIC_ALIASES.get(metric, metric)

    def _index(self, element: Element) -> None:
        if element.rest:
            element.fail(f"named index '{element.rest}' is not supported: drop the name")
        for part in flags(element):
            if part.key == "enable-bm25":
                _flag(part)
                self.bm25 = part
            elif part.key == "hnsw":
                self._hnsw(part)
            elif part.key == "stemming":
                self._stemming(part)
            elif part.key == "alias":
                self._alias(part)
            else:
                known = ("enable-bm25", "hnsw", "stemming", "alias")
                raise unknown(part, known, f"the index of field '{self.name}'")

    def _hnsw(self, element: Element) -> None:
        if self.type.kind != "tensor":
            element.fail(f"hnsw needs a tensor field, but '{self.name}' is {self.type}")
        settings: dict[str, int] = {}
        for part in element.children or ():
            if part.key in ("max-links-per-node", "neighbors-to-explore-at-insert"):
                settings[part.key] = whole_number(part, 1)
            elif part.key != "multi-threaded-indexing":
                known = ("max-links-per-node", "neighbors-to-explore-at-insert")
                raise unknown(part, known, f"hnsw of field '{self.name}'")
        default = Hnsw()
        links = settings.get("max-links-per-node", default.links)
        explore = settings.get("neighbors-to-explore-at-insert", default.explore_at_insert)
        self.values["hnsw"] = Hnsw(links, explore)

    def _match(self, element: Element) -> None:
        kinds: list[str] = []
        numbers = ("max-length", "max-occurrences", "max-token-length")
        for part in flags(element):
            if part.key in MATCHES:
                kinds.append(_flag(part))
            elif part.key == "exact-terminator":
                if not re.fullmatch(r"\"[^\"]+\"|[^\s\"]+", part.text):
                    part.fail(f"'{part.key}' needs one text in quotes, got {part.text}")
                self.match_settings[part.key] = part.text.strip('"')
            elif part.key in numbers:
                self.match_settings[part.key] = str(whole_number(part, 1))
            else:
                known = (*MATCHES, "exact-terminator", *numbers)
                raise unknown(part, known, f"match of field '{self.name}'")
        if "exact" in kinds:
            self.values["rank"] = self.values.get("rank", "filter")
        case = next((k for k in kinds if k in ("cased", "uncased")), None)
        kind = next((k for k in kinds if k not in ("cased", "uncased")), None)
        if kind == "exact" and case:
            self.match_settings["case"] = case
        elif case == "cased" or kind is None:
            kind = case
        if kind:
            self.values["match"] = kind

    def _rank(self, element: Element) -> None:
        for part in flags(element):
            if part.key not in ("filter", "normal"):
                raise unknown(part, ("filter", "normal"), f"rank of field '{self.name}'")
            self.values["rank"] = _flag(part)

    def _rank_type(self, element: Element) -> None:
        if element.text != "about":
            raise unknown(element, (), f"field '{self.name}'")

    def _stemming(self, element: Element) -> None:
        self.values["stemming"] = choice(element, STEMMINGS)

    def _normalizing(self, element: Element) -> None:
        choice(element, ("none", "codepoint", "lowercase", "accent", "all"))
        if element.text not in ("none", "all", "accent"):
            element.fail(f"normalizing '{element.text}' is not supported; use none or accent")
        self.values["normalize"] = element.text != "none"

    def _bolding(self, element: Element) -> None:
        if choice(element, ("on", "off")) == "on":
            element.fail("'bolding: on' is not supported: results hold the text as it was fed")

    def _summary(self, element: Element) -> None:
        if element.rest:
            element.fail(
                f"the named summary '{element.rest}' is not supported in a field; list it in a "
                "document-summary"
            )
        for part in flags(element):
            if part.key not in ("full", "static"):
                raise unknown(part, ("full",), f"summary of field '{self.name}'")

    def _hint(self, element: Element) -> None:
        self.hints[element.key] = element.text

    def _block_hint(self, element: Element) -> None:
        self.hints[element.key] = "; ".join(
            part.head if part.value is None else f"{part.head}: {part.value}"
            for part in flags(element)
        )

    def _weight(self, element: Element) -> None:
        self.values["weight"] = whole_number(element)

    def _alias(self, element: Element) -> None:
        if element.rest not in ("", self.name):
            element.fail(f"alias of '{element.rest}' stands in field '{self.name}'")
        self.aliases.append(element.text)

    def _struct_field(self, element: Element) -> None:
        type_ = self._part_type(element)
        body = _FieldBody(element.rest, type_, self.structs, "best")
        body.read(element)
        self.struct_fields[element.rest] = body.field(element)

    def _part_type(self, element: Element) -> FieldType:
        """The type of the part that `struct-field NAME` names; dots lead into nested parts."""
        type_ = self.type
        for word in element.rest.split("."):
            parts = self._parts(type_)
            if word not in parts:
                raise PackageError(
                    f"{self.type} has no part '{element.rest}'{nearest(word, parts)}", element.place
                )
            type_ = parts[word]
        return type_

    def _parts(self, type_: FieldType) -> Mapping[str, FieldType]:
        if type_.kind == "map" and type_.key and type_.element:
            return {"key": type_.key, "value": type_.element}
        if type_.kind == "array" and type_.element:
            type_ = type_.element
        return self.structs.get(type_.struct or "", {})
