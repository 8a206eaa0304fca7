"""nativeRank and its parts (spec 2.4): where terms stand, how near, which values match."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

import numpy as np

from siftline.errors import PackageError
from siftline.rank.features.names import argument_texts
from siftline.rank.features.scope import Scope
from siftline.rank.features.source import HitFeatures, Run
from siftline.rank.features.table import feature, scalar
from siftline.rank.features.terms import (
    CONNECTEDNESS,
    Occurrences,
    is_text,
    lengths,
    matches,
    occurrences,
    significance,
    terms_on,
)
from siftline.rank.nodes import Reference
from siftline.rank.values import Value
from siftline.schema.definition import Field, Schema

if TYPE_CHECKING:
    from siftline.match.prepare import SearchTerm

_SIZE = 256
_STEPS = np.arange(_SIZE, dtype=np.float64)
_FIRST = 8000 * np.exp(-_STEPS / 12.5)
_COUNT = 1500 * np.log(1 + _STEPS / 19) + 4000
_FORWARD = 500 * np.exp(-_STEPS / 3)
_REVERSE = 400 * np.exp(-_STEPS / 3)
_MATCH = _STEPS

#: A field shorter than this counts as this long.
_SHORTEST = 6

#: Query terms further apart than this are no pair.
_WINDOW = 4

#: Weights of field match, proximity and attribute match; the sum divides even without a part.
_WEIGHTS = (100.0, 25.0, 100.0)

_PROPERTIES = ("nativeRank", "nativeFieldMatch", "nativeProximity", "nativeAttributeMatch")


def _check(scope: Scope, reference: Reference) -> None:
    for name in argument_texts(reference):
        field = scope.field(name)
        if not (field.indexed or field.is_attribute):
            raise PackageError(f"field '{name}' is neither an index nor an attribute")
    for name in scope.profile.rank_properties:
        if name.partition(".")[0].partition("(")[0] in _PROPERTIES:
            raise PackageError(f"rank property '{name}' is not supported by Siftline")


def _fields(schema: Schema, reference: Reference) -> list[Field]:
    names = argument_texts(reference)
    fields = [schema.field(name) for name in names] if names else list(schema.fields.values())
    return [f for f in fields if f.rank != "filter" and f.weight > 0]


def _text_fields(hits: HitFeatures, reference: Reference) -> list[Field]:
    return [f for f in _fields(hits.run.schema, reference) if is_text(f)]


def _attributes(hits: HitFeatures, reference: Reference) -> list[Field]:
    return [f for f in _fields(hits.run.schema, reference) if f.is_attribute and not is_text(f)]


@feature("nativeRank", check=scalar(_check))
def native_rank(hits: HitFeatures, reference: Reference) -> Value:
    """`(100 fieldMatch + 25 proximity + 100 attributeMatch) / 225`."""
    parts = (
        field_match(hits, _text_fields(hits, reference)),
        proximity(hits, _text_fields(hits, reference)),
        attribute_match(hits, _attributes(hits, reference)),
    )
    weighted = [weight * part for weight, part in zip(_WEIGHTS, parts, strict=True)]
    return np.asarray(sum(weighted) / sum(_WEIGHTS))


@feature("nativeFieldMatch", check=scalar(_check))
def native_field_match(hits: HitFeatures, reference: Reference) -> Value:
    """How early and how often the terms stand in the fields."""
    return field_match(hits, _text_fields(hits, reference))


@feature("nativeProximity", check=scalar(_check))
def native_proximity(hits: HitFeatures, reference: Reference) -> Value:
    """How near to each other neighbouring terms stand."""
    return proximity(hits, _text_fields(hits, reference))


@feature("nativeAttributeMatch", check=scalar(_check))
def native_attribute_match(hits: HitFeatures, reference: Reference) -> Value:
    """The weights of matching attribute values."""
    return attribute_match(hits, _attributes(hits, reference))


@feature("nativeDotProduct", check=scalar(_check))
def native_dot_product(hits: HitFeatures, reference: Reference) -> Value:
    """The sum of term weight times match weight over all matches."""
    total = np.zeros(hits.count)
    for field in _fields(hits.run.schema, reference):
        for term in terms_on(hits.run, field.name):
            found = matches(hits, field, term)
            total += term.weight * (np.minimum(found, 1.0) if is_text(field) else found)
    return total


def field_match(hits: HitFeatures, fields: Sequence[Field]) -> np.ndarray:
    """nativeFieldMatch, float64 `(n,)`."""
    most = 0.5 * _FIRST.max() + 0.5 * _COUNT.max()
    total, divisor = np.zeros(hits.count), 0.0
    for field in fields:
        terms = terms_on(hits.run, field.name)
        size = np.maximum(lengths(hits, field.name), _SHORTEST) if terms else np.zeros(0)
        for term in terms:
            weight = significance(hits.run, term) * term.weight * field.weight
            divisor += weight
            found = occurrences(hits, field.name, term.fields[field.name])
            first = _entry(_FIRST, found.first * _SIZE / (size - 1))
            count = _entry(_COUNT, found.counts * _SIZE / size)
            total += np.where(found.counts > 0, weight * (0.5 * first + 0.5 * count) / most, 0.0)
    return total / divisor if divisor else total


def proximity(hits: HitFeatures, fields: Sequence[Field]) -> np.ndarray:
    """nativeProximity, float64 `(n,)`."""
    most = 0.5 * _FORWARD.max() + 0.5 * _REVERSE.max()
    total, divisor = np.zeros(hits.count), 0.0
    for field in fields:
        terms = terms_on(hits.run, field.name)
        if len(terms) < 2:
            continue
        own, weights = np.zeros(hits.count), 0.0
        places = [occurrences(hits, field.name, term.fields[field.name]) for term in terms]
        for i, j, weight in _pairs(hits.run, terms):
            forward = _entry(_FORWARD, nearest_after(places[i], places[j]) - 1)
            reverse = _entry(_REVERSE, nearest_after(places[j], places[i]) - 1)
            both = (places[i].counts > 0) & (places[j].counts > 0)
            own += np.where(both, weight * (0.5 * forward + 0.5 * reverse) / most, 0.0)
            weights += weight
        if weights:
            total += field.weight * own / weights
        divisor += field.weight
    return total / divisor if divisor else total


def _pairs(run: Run, terms: Sequence[SearchTerm]) -> Iterator[tuple[int, int, float]]:
    """Terms up to three apart in the query, and the weight of each pair."""
    worth = [significance(run, term) * term.weight for term in terms]
    for i in range(len(terms)):
        for j in range(i + 1, min(i + _WINDOW, len(terms))):
            yield i, j, CONNECTEDNESS / (j - i) * (worth[i] + worth[j])


def nearest_after(first: Occurrences, second: Occurrences) -> np.ndarray:
    """Least distance from a `first` to a later `second` in each hit, float64; else inf."""
    rows = first.rows
    distance = np.full(len(first.offsets) - 1, np.inf)
    if not len(first.positions) or not len(second.positions):
        return distance
    sought = (rows << 32) | first.positions
    held = (second.rows << 32) | second.positions
    places = np.searchsorted(held, sought, side="right")
    inside = places < len(held)
    gaps = held[places[inside]] - sought[inside]
    same = held[places[inside]] >> 32 == rows[inside]
    np.minimum.at(distance, rows[inside][same], gaps[same].astype(np.float64))
    return distance


def attribute_match(hits: HitFeatures, fields: Sequence[Field]) -> np.ndarray:
    """nativeAttributeMatch, float64 `(n,)`."""
    total, divisor = np.zeros(hits.count), 0.0
    for field in fields:
        for term in terms_on(hits.run, field.name):
            weight = float(term.weight * field.weight)
            divisor += weight * _MATCH.max()
            found = matches(hits, field, term)
            total += weight * np.sign(found) * _entry(_MATCH, np.abs(found))
    return total / divisor if divisor else total


def _entry(table: np.ndarray, places: np.ndarray) -> np.ndarray:
    """The table's entries at the floor of `places`; beyond the last entry, the last."""
    return np.asarray(table[np.clip(np.floor(places), 0, len(table) - 1).astype(np.int64)])
