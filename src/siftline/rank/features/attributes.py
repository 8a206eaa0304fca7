"""Attribute values as features: numbers, elements, weighted sets, tensors, ages."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import numpy as np

from siftline.errors import PackageError
from siftline.rank.features.names import (
    argument_texts,
    canonical,
    exact_arguments,
    only_argument,
    whole_number,
)
from siftline.rank.features.query import query_time
from siftline.rank.features.scope import Scope
from siftline.rank.features.source import HitFeatures
from siftline.rank.features.table import feature, scalar
from siftline.rank.nodes import Reference
from siftline.rank.values import Value
from siftline.schema.definition import Field
from siftline.tensor.batch import SparseBatch
from siftline.tensor.text import text_number
from siftline.tensor.types import SCALAR, Dimension, TensorType

if TYPE_CHECKING:
    from siftline.index.columns.column import Column
    from siftline.index.snapshot import Snapshot
    from siftline.match.prepare import SearchTerm

#: age of a document without a time, in seconds.
NO_AGE = 1e10

#: freshness: age at which it is 0, and age at which its logarithmic form is 0.5, in seconds.
MAX_AGE, HALF_RESPONSE = 7_776_000.0, 604_800.0

SEVERAL = ("array", "weightedset")


def read_column(hits: HitFeatures, field: Field) -> Column:
    """The attribute's values for every hit."""
    return hits.run.snapshot.column(field.name, hits.documents)


def _check_attribute(scope: Scope, reference: Reference) -> TensorType | None:
    texts = exact_arguments(reference, 1, 2)
    field = scope.attribute(texts[0])
    several, output = field.type.kind in SEVERAL, reference.output
    if len(texts) == 2 and not several:
        raise PackageError(f"'{canonical(reference)}': {field.name} is a {field.type}, one value")
    if output is not None and (not several or output not in ("count", "weight", "contains")):
        raise PackageError(f"'{canonical(reference)}': {field.type} has no output '.{output}'")
    if len(texts) == 2 and field.type.kind == "array":
        whole_number(reference, texts[1])
    if field.type.kind == "tensor":
        return field.type.tensor
    return SCALAR


@feature("attribute", check=_check_attribute)
def attribute(hits: HitFeatures, reference: Reference) -> Value:
    """A single value (NaN where absent, bool 0), a tensor, or an output of several values."""
    texts = exact_arguments(reference, 1, 2)
    field = hits.run.schema.field(texts[0])
    if field.type.kind == "tensor":
        return hits.run.snapshot.tensors(field.name, hits.documents)
    column = read_column(hits, field)
    if column.indptr is None:
        return _single(field, column)
    if reference.output == "count":
        return np.diff(column.indptr).astype(np.float64)
    if len(texts) == 1:
        return np.zeros(hits.count)
    if field.type.kind == "array":
        return _element(column, whole_number(reference, texts[1]))
    return _weight(column, texts[1], reference.output or "weight")


def _single(field: Field, column: Column) -> np.ndarray:
    values = _numbers(column.values)
    empty = 0.0 if field.type.kind == "bool" else np.nan
    return np.where(column.present, values, empty)


def _numbers(values: np.ndarray) -> np.ndarray:
    """Numbers as they are, strings as the number that stands for them."""
    if values.dtype.kind != "O":
        return values.astype(np.float64)
    return np.array([text_number(value) for value in values], np.float64)


def _element(column: Column, place: int) -> np.ndarray:
    indptr = np.asarray(column.indptr)
    held = np.diff(indptr) > place
    found = np.zeros(len(held))
    found[held] = _numbers(column.values[indptr[:-1][held] + place])
    return found


def _weight(column: Column, key: str, output: str) -> np.ndarray:
    """Weight of a key, whether it is there, or how many keys there are, float64 `(n,)`."""
    indptr = np.asarray(column.indptr)
    if output == "count":
        return np.diff(indptr).astype(np.float64)
    rows = np.repeat(np.arange(len(indptr) - 1), np.diff(indptr))
    held = _equal_to(column.values, key, cased=True)
    weights = np.ones(len(rows)) if column.weights is None else column.weights.astype(np.float64)
    values = weights if output == "weight" else np.ones(len(rows))
    return np.bincount(rows[held], weights=values[held], minlength=len(indptr) - 1)


def _equal_to(values: np.ndarray, text: str, *, cased: bool, prefix: bool = False) -> np.ndarray:
    """Which values are the one written as `text`, or begin so, bool."""
    if values.dtype.kind == "O":
        wanted = text if cased else text.lower()
        own = values.tolist() if cased else [value.lower() for value in values.tolist()]
        if prefix:
            return np.array([value.startswith(wanted) for value in own], bool)
        return np.array([value == wanted for value in own], bool)
    try:
        return np.asarray(values == float(text))
    except ValueError:
        return np.zeros(len(values), bool)


def attribute_matches(hits: HitFeatures, field: Field, term: SearchTerm) -> np.ndarray:
    """1 for a single value that the term equals, matching elements of an array, a set's weight."""
    column = read_column(hits, field)
    cased = field.match == "cased" or "cased" in field.match_settings
    total = np.zeros(hits.count)
    for text in term.fields[field.name]:
        equal = _equal_to(column.values, text, cased=cased, prefix=term.prefix)
        if column.indptr is None:
            total += equal & column.present
            continue
        rows = np.repeat(np.arange(hits.count), np.diff(column.indptr))[equal]
        weights = None if column.weights is None else column.weights[equal].astype(np.float64)
        total += np.bincount(rows, weights=weights, minlength=hits.count)
    return total


def sort_key(snapshot: Snapshot, field: Field, documents: np.ndarray) -> np.ndarray:
    """int64 numbers that sort like the attribute; absent values first, strings without case."""
    column = snapshot.column(field.name, documents)
    if column.indptr is not None:
        raise PackageError(f"cannot sort by '{field.name}': it is a {field.type}")
    values = column.values
    if values.dtype.kind == "O":
        values = np.array([value.lower() for value in values], object)
    _, ranks = np.unique(values, return_inverse=True)
    return np.where(column.present, ranks + 1, 0).astype(np.int64)


def _check_dot_product(scope: Scope, reference: Reference) -> None:
    field = scope.attribute(exact_arguments(reference, 2)[0])
    if field.type.kind not in SEVERAL:
        raise PackageError(f"dotProduct needs an array or weighted set: {field.name} is neither")


@feature("dotProduct", check=scalar(_check_dot_product))
def dot_product(hits: HitFeatures, reference: Reference) -> Value:
    """Sum over keys (places of an array) of the weight times that of the rank property."""
    name, vector = exact_arguments(reference, 2)
    text = hits.run.rank_property(f"dotProduct.{vector}")
    total = np.zeros(hits.count)
    if text is None:
        return total
    field = hits.run.schema.field(name)
    column, weights = read_column(hits, field), _parse_vector(text)
    for key, weight in weights.items():
        if field.type.kind == "array":
            total += weight * _element(column, int(key))
        else:
            total += weight * _weight(column, key, "weight")
    return total


def _parse_vector(text: str) -> dict[str, float]:
    """`{a:1,b:2}`, `(a:1,b:2)`, or `[1,2]` whose keys are places."""
    inner = text.strip().strip("{}()[]")
    parts = [part.strip() for part in inner.split(",") if part.strip()]
    if text.strip().startswith("["):
        return {str(i): float(part) for i, part in enumerate(parts)}
    pairs = (re.split(r":(?=[^:]*$)", part) for part in parts)
    return {key.strip().strip("\"'"): float(weight) for key, weight in pairs}


def _check_time(scope: Scope, reference: Reference) -> None:
    scope.attribute(only_argument(reference))
    if reference.output not in (None, "logscale") or (reference.name == "age" and reference.output):
        raise PackageError(f"{reference.name} has no output '.{reference.output}'")


@feature("age", check=scalar(_check_time))
def age(hits: HitFeatures, reference: Reference) -> Value:
    """Seconds from the attribute's time to the query's, at least 0; 1e10 where it is absent."""
    column = read_column(hits, hits.run.schema.field(only_argument(reference)))
    passed = np.maximum(query_time(hits.run) - _numbers(column.values), 0.0)
    return np.where(column.present, passed, NO_AGE)


@feature("freshness", check=scalar(_check_time))
def freshness(hits: HitFeatures, reference: Reference) -> Value:
    """1 now to 0 at maxAge, linear; `.logscale` falls fast at first and is 0.5 at halfResponse."""
    name = only_argument(reference)
    longest = hits.run.number_property(f"freshness({name}).maxAge", MAX_AGE)
    passed = np.asarray(hits.feature(Reference("age", reference.arguments)))
    passed = np.minimum(passed, longest)
    if reference.output is None:
        return np.asarray(1.0 - passed / longest)
    half = hits.run.number_property(f"freshness({name}).halfResponse", HALF_RESPONSE)
    shift = half * half / (longest - 2 * half)
    whole = np.log(longest + shift) - np.log(shift)
    return np.asarray((np.log(longest + shift) - np.log(passed + shift)) / whole)


def _check_tensor_from(scope: Scope, reference: Reference) -> TensorType:
    field, dimension = _tensor_source(scope, reference)
    if reference.name == "tensorFromWeightedSet" and field.type.kind != "weightedset":
        raise PackageError(f"tensorFromWeightedSet needs a weighted set: {field.name} is none")
    return TensorType("double", (Dimension(dimension, True),))


def _tensor_source(scope: Scope, reference: Reference) -> tuple[Field, str]:
    exact_arguments(reference, 1, 2)
    source = reference.arguments[0]
    if not isinstance(source, Reference) or source.name != "attribute":
        raise PackageError(f"{reference.name} needs an attribute: '{canonical(reference)}'")
    name = only_argument(source)
    texts = argument_texts(reference)
    return scope.attribute(name), texts[1] if len(texts) > 1 else name


@feature("tensorFromLabels", "tensorFromWeightedSet", check=_check_tensor_from)
def tensor_from(hits: HitFeatures, reference: Reference) -> Value:
    """Values of an attribute as labels, each with 1 or with its weight in the set."""
    field, dimension = _tensor_source(hits.run.plan.scope, reference)
    column = read_column(hits, field)
    indptr, values = column.indptr, column.values
    if indptr is None:
        indptr = np.concatenate([[0], np.cumsum(column.present)]).astype(np.int64)
        values = values[column.present]
    labels = [str(value) for value in values.tolist()]
    numbers: dict[str, int] = {}
    tokens = np.array([numbers.setdefault(label, len(numbers)) for label in labels], np.int64)
    weighted = reference.name == "tensorFromWeightedSet" and column.weights is not None
    weights = np.asarray(column.weights) if weighted else np.ones(len(labels))
    # An array may hold a value twice; a label stands once.
    rows = np.repeat(np.arange(hits.count), np.diff(indptr))
    _, kept = np.unique(rows * max(len(numbers), 1) + tokens, return_index=True)
    indptr = np.searchsorted(rows[kept], np.arange(hits.count + 1)).astype(np.int64)
    type_ = TensorType("double", (Dimension(dimension, True),))
    cells = weights[kept].astype(np.float64)
    return SparseBatch(type_, indptr, tokens[kept].astype(np.int32), cells, tuple(numbers))
