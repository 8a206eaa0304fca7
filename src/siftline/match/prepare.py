"""A query bound to its schema: terms analysed for the fields they search, tensors checked.

A field set's term searches each member with the member's own analysis, and scores the sum of the
members' bm25.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np

from siftline.errors import Place, QueryError
from siftline.index.layout import NUMBER_DTYPES, Layout, VectorSpec
from siftline.index.postings.text_writer import tokens_of
from siftline.match.query import (
    All,
    And,
    DotProduct,
    In,
    Near,
    NearestNeighbor,
    Node,
    Not,
    Nothing,
    Or,
    Phrase,
    Query,
    Range,
    Rank,
    Regex,
    SearchTerm,
    Term,
    TermAnnotations,
    Wand,
    WeakAnd,
)
from siftline.schema.definition import RankProfile, Schema
from siftline.schema.nearest import nearest
from siftline.schema.package import Settings
from siftline.tensor.tensor import Tensor

__all__ = ["NearestNeighbor", "Prepared", "SearchTerm", "prepare"]


@dataclass(frozen=True, eq=False)
class Prepared:
    """A query ready to match.

    root: the tree, every Term, Phrase and Near replaced by a SearchTerm. terms: the positive
    terms in the order written, each occurrence for itself. neighbors: the nearestNeighbor
    operators in that order. tensors: query tensor by the name that they use.
    """

    root: Node
    terms: tuple[SearchTerm, ...]
    neighbors: tuple[NearestNeighbor, ...]
    query: Query
    schema: Schema
    profile: RankProfile
    layout: Layout
    tensors: dict[str, Tensor]

    def rank_property(self, name: str) -> str | None:
        """A rank property: the query's, else the profile's."""
        own = self.query.rank_properties.get(name)
        return own if own is not None else self.profile.rank_properties.get(name)

    def setting(self, name: str, default: float) -> float:
        """A numeric setting of matching: the query's `ranking.matching.…`, else the profile's."""
        head, *tail = name.split("-")
        parameter = f"ranking.matching.{head}{''.join(word.title() for word in tail)}"
        text = self.query.parameters.get(parameter, self.profile.settings.get(name))
        if text is None:
            return default
        try:
            return float(text)
        except ValueError:
            raise QueryError(
                f"'{name}' must be a number, not '{text}'", Place(field=name)
            ) from None


def prepare(query: Query, schema: Schema, settings: Settings, profile: RankProfile) -> Prepared:
    """The query's tree bound to the schema; QueryError names an unknown or unsuitable field."""
    layout = _layout(schema, settings)
    binder = _Binder(query, schema, profile, layout)
    root = binder.bind(query.root)
    leaves = list(_positive(root))
    return Prepared(
        root,
        tuple(leaf for leaf in leaves if isinstance(leaf, SearchTerm)),
        tuple(leaf for leaf in leaves if isinstance(leaf, NearestNeighbor)),
        query,
        schema,
        profile,
        layout,
        binder.tensors,
    )


_LAYOUTS: dict[tuple[int, int], tuple[Schema, Settings, Layout]] = {}


def _layout(schema: Schema, settings: Settings) -> Layout:
    """The layout, made once for each pair of objects; holding them keeps their identity theirs."""
    known = _LAYOUTS.get((id(schema), id(settings)))
    if known is None:
        if len(_LAYOUTS) >= 64:
            _LAYOUTS.clear()
        known = (schema, settings, Layout.of(schema, settings))
        _LAYOUTS[id(schema), id(settings)] = known
    return known[2]


def _positive(node: Node) -> Iterator[Node]:
    """The leaves that a match may rest on, those under a Not left out."""
    if isinstance(node, (And, Or, WeakAnd)):
        for child in node.children:
            yield from _positive(child)
    elif isinstance(node, Rank):
        yield from _positive(node.matching)
        for child in node.ranking:
            yield from _positive(child)
    elif not isinstance(node, Not):
        yield node


class _Binder:
    def __init__(self, query: Query, schema: Schema, profile: RankProfile, layout: Layout) -> None:
        self.query = query
        self.schema = schema
        self.profile = profile
        self.layout = layout
        self.language = query.language or "en"
        self.tensors: dict[str, Tensor] = {}

    def bind(self, node: Node) -> Node:
        if isinstance(node, (And, Or, WeakAnd)):
            return replace(node, children=tuple(self.bind(child) for child in node.children))
        if isinstance(node, Not):
            return Not(self.bind(node.child))
        if isinstance(node, Rank):
            return Rank(self.bind(node.matching), tuple(self.bind(c) for c in node.ranking))
        return self._leaf(node)

    def _leaf(self, node: Node) -> Node:
        match node:
            case Term():
                return self._words(node.field, (node.text,), node.annotations, None)
            case Phrase():
                return self._words(node.field, node.words, node.annotations, None)
            case Near():
                near = (node.distance, node.ordered)
                return self._words(node.field, node.words, node.annotations, near)
            case Range():
                return replace(node, field=self._numeric(node.field))
            case In():
                return self._members(node)
            case Regex():
                return replace(node, field=self._column(node.field, "string"))
            case NearestNeighbor():
                return self._neighbor(node)
            case Wand() | DotProduct():
                return replace(node, field=self._weighted(node.field))
        return node

    # terms

    def _words(
        self,
        index: str,
        words: tuple[str, ...],
        notes: TermAnnotations,
        near: tuple[int, bool] | None,
    ) -> Node:
        if index == "sddocname":
            return All() if words == (self.schema.name,) else Nothing()
        fields: dict[str, tuple[str, ...]] = {}
        others: list[Node] = []
        for name in self._searched(index):
            if name in self.layout.texts:
                fields[name] = self._tokens(name, words, notes.stem)
            else:
                column = self.layout.columns[name]
                if column.kind == "string":
                    fields[name] = (" ".join(words),)
                else:
                    others += _number_range(name, words)
        fields = {name: tokens for name, tokens in fields.items() if tokens}
        if fields:
            others.insert(
                0,
                SearchTerm(
                    index,
                    fields,
                    notes.weight,
                    notes.significance,
                    notes.ranked,
                    notes.filter,
                    notes.label,
                    notes.prefix,
                    near,
                ),
            )
        if not others:
            return Nothing()
        return others[0] if len(others) == 1 else Or(tuple(others))

    def _tokens(self, field: str, words: tuple[str, ...], stem: bool) -> tuple[str, ...]:
        spec = self.layout.texts[field]
        if not stem:
            spec = replace(spec, stem=False)
        if spec.whole:
            words = (" ".join(words),)
        return tuple(token for word in words for token in tokens_of(spec, word, self.language))

    def _searched(self, index: str) -> list[str]:
        """The fields that a term on `index` searches; QueryError where there is no such name."""
        fieldset = self.schema.fieldsets.get(index)
        if fieldset is None and index == "default" and index not in self.schema.fields:
            return []
        names = fieldset.fields if fieldset is not None else (index,)
        found = []
        for name in map(self._known, names):
            if name in self.layout.texts or name in self.layout.columns:
                found.append(name)
            elif fieldset is None:
                raise self._unsuitable(name, "it has neither a text index nor an attribute")
        return found

    def _known(self, name: str) -> str:
        """The field's own name, from it or an alias."""
        if name in self.schema.fields:
            return name
        for field in self.schema.fields.values():
            if name in field.aliases:
                return field.name
        known = [*self.schema.fields, *self.schema.fieldsets]
        raise QueryError(
            f"schema '{self.schema.name}' has no field or field set '{name}'{nearest(name, known)}",
            Place(field="yql"),
        )

    def _unsuitable(self, name: str, reason: str) -> QueryError:
        type_ = self.schema.fields[name].type
        return QueryError(
            f"field '{name}' ({type_}) cannot be searched so: {reason}", Place(field="yql")
        )

    # attributes

    def _column(self, name: str, *kinds: str) -> str:
        name = self._known(name)
        column = self.layout.columns.get(name)
        if column is None:
            raise self._unsuitable(name, "it is not an attribute (add 'attribute' to its indexing)")
        if column.kind not in kinds:
            raise self._unsuitable(name, f"it holds {column.kind}, not {' or '.join(kinds)}")
        return name

    def _numeric(self, name: str) -> str:
        return self._column(name, *NUMBER_DTYPES)

    def _members(self, node: In) -> Node:
        name = self._known(node.field)
        if name in self.layout.texts:
            unranked = TermAnnotations(ranked=False)
            words = [self._words(name, (str(value),), unranked, None) for value in node.values]
            return Or(tuple(words))
        column = self.layout.columns.get(name)
        kind = column.kind if column else "string"
        if kind not in ("int", "long", "byte", "string"):
            raise QueryError(
                "The in operator is only supported for integer and string fields. "
                f"The field {node.field} is not of these types",
                Place(field="yql"),
            )
        if column is None:
            raise self._unsuitable(name, "it is neither an index nor an attribute")
        if kind == "string":
            return In(name, tuple(str(value) for value in node.values))
        try:
            return In(name, tuple(int(value) for value in node.values))
        except ValueError:
            raise QueryError(
                f"field '{name}' holds {kind}, so 'in' needs whole numbers: {node.values}",
                Place(field="yql"),
            ) from None

    def _weighted(self, name: str) -> str:
        name = self._known(name)
        column, vector = self.layout.columns.get(name), self.layout.vectors.get(name)
        if column is not None and column.shape == "weightedset":
            return name
        if vector is not None and vector.inverted:
            return name
        raise self._unsuitable(
            name, "it is neither a weightedset attribute nor a tensor with a sparse index"
        )

    # vectors

    def _neighbor(self, node: NearestNeighbor) -> NearestNeighbor:
        name = self._known(node.field)
        spec = self.layout.vectors.get(name)
        if spec is None:
            raise self._unsuitable(name, "nearestNeighbor needs a tensor attribute")
        self.tensors[node.query] = self._tensor(node.query, spec)
        return replace(node, field=name)

    def _tensor(self, name: str, spec: VectorSpec) -> Tensor:
        value = self.query.inputs.get(name)
        declared = self.profile.inputs.get(name)
        if value is None and declared is not None:
            value = declared.default
        place = Place(field=f"input.query({name})")
        if value is None:
            raise QueryError(
                f"query({name}) is not set: nearestNeighbor({spec.field}, {name}) needs the "
                f"parameter input.query({name})",
                place,
            )
        if not isinstance(value, Tensor):
            raise QueryError(
                f"Expected 'query({name})' to be a tensor, but it is the number {value}", place
            )
        dense = spec.form == "dense" and len(spec.type.dimensions) == 1
        if not dense and not spec.inverted:
            raise self._unsuitable(
                spec.field,
                "nearestNeighbor needs one indexed dimension, or one mapped dimension and a sparse "
                "index (sparse-index in ext/siftline.toml)",
            )
        if spec.metric == "hamming" and value.type.cell != "int8":
            raise QueryError(
                f"query({name}) must have int8 cells: field '{spec.field}' is compared by hamming",
                place,
            )
        if value.type.dimensions != spec.type.dimensions:
            raise QueryError(
                f"query({name}) is {value.type}, which does not fit field '{spec.field}' "
                f"of {spec.type}",
                place,
            )
        if not np.all(np.isfinite(value.cells.astype(np.float64))):
            raise QueryError(f"query({name}) holds a value that is not a finite number", place)
        return value


def _number_range(field: str, words: tuple[str, ...]) -> list[Node]:
    """A term on a numeric attribute: equal to its number, or nothing."""
    text = " ".join(words).strip().lower()
    number = {"true": 1.0, "false": 0.0}.get(text)
    try:
        number = float(text) if number is None else number
    except ValueError:
        return []
    return [] if math.isnan(number) else [Range(field, number, number)]
