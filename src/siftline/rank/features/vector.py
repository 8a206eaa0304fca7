"""Vector features: distance, closeness and the raw scores of nearest-neighbour operators.

A field with a learned-sparse index counts as a metric of its own: its distance is the negative dot
product with the query tensor, its closeness the dot product.
"""

from __future__ import annotations

import numpy as np

from siftline.errors import PackageError
from siftline.index.labels import FieldLabels
from siftline.match import distance as metrics
from siftline.match.query import NearestNeighbor
from siftline.rank.features.names import argument_texts, canonical, exact_arguments, only_argument
from siftline.rank.features.query import LARGEST_DOUBLE
from siftline.rank.features.scope import Scope
from siftline.rank.features.source import HitFeatures
from siftline.rank.features.table import feature, scalar
from siftline.rank.nodes import Reference
from siftline.rank.values import Value
from siftline.schema.definition import Field
from siftline.tensor.batch import DenseBatch, SparseBatch
from siftline.tensor.tensor import Tensor


def _check_neighbor(scope: Scope, reference: Reference) -> None:
    texts = exact_arguments(reference, 1, 2)
    if len(texts) == 1:
        _vector_field(scope, texts[0])
    elif texts[0] == "field":
        _vector_field(scope, texts[1])
    elif texts[0] != "label":
        raise PackageError(
            f"'{canonical(reference)}': write {reference.name}(field,{texts[1]})"
            f" or {reference.name}(label,{texts[1]})"
        )


def _vector_field(scope: Scope, name: str) -> Field:
    field = scope.field(name)
    if field.type.kind != "tensor" or not (field.is_attribute or field.indexed):
        raise PackageError(f"field '{name}' is not a tensor attribute, but a {field.type}")
    return field


def _operators(hits: HitFeatures, reference: Reference) -> list[NearestNeighbor]:
    """The query's operators that a reference means."""
    texts, neighbors = argument_texts(reference), hits.run.prepared.neighbors
    if len(texts) == 2 and texts[0] == "label":
        return [n for n in neighbors if n.label == texts[1]]
    name = hits.run.plan.scope.field(texts[-1]).name
    return [n for n in neighbors if n.field == name]


def operator_distance(hits: HitFeatures, operator: NearestNeighbor) -> np.ndarray:
    """Distance of every hit to an operator's query tensor, float64 `(n,)`.

    Computed for hits that the operator did not match too; the largest double without a tensor.
    """

    def compute(some: HitFeatures) -> np.ndarray:
        query = some.run.prepared.tensors[operator.query]
        batch = some.run.snapshot.tensors(operator.field, some.documents)
        if isinstance(batch, SparseBatch):
            present = np.diff(batch.indptr) > 0
            found = -sparse_dot(batch, query)
        elif isinstance(batch, DenseBatch):
            metric = some.run.schema.fields[operator.field].distance_metric
            present, found = batch.present, metrics.distance(metric, query.array, batch.values)
        else:
            raise PackageError(f"field '{operator.field}' ({batch.type}) has no distance")
        return np.where(present, found, LARGEST_DOUBLE)

    return np.asarray(hits.keep(f"distance of {operator.field} to {operator.query}", compute))


def sparse_dot(batch: SparseBatch, query: Tensor) -> np.ndarray:
    """Dot products of sparse rows with a query tensor of the same dimension, float64 `(n,)`."""
    labels = [address[0] for address in query.labels]
    numbers = _label_numbers(batch, labels)
    order = np.argsort(numbers, kind="stable")
    numbers, weights = numbers[order], query.cells.astype(np.float64).reshape(-1)[order]
    totals = np.zeros(len(batch))
    if not len(numbers) or not len(batch.tokens):
        return totals
    places = np.minimum(np.searchsorted(numbers, batch.tokens), len(numbers) - 1)
    held = numbers[places] == batch.tokens
    rows = np.repeat(np.arange(len(batch)), np.diff(batch.indptr))[held]
    products = weights[places[held]] * batch.weights[held]
    return np.bincount(rows, weights=products, minlength=len(batch))


def _label_numbers(batch: SparseBatch, labels: list[str]) -> np.ndarray:
    """The numbers that the batch gives to the labels, -1 where it has none."""
    vocabulary = batch.vocabulary
    if isinstance(vocabulary, FieldLabels):
        return np.array([vocabulary.find(label) for label in labels], np.int64)
    known = {label: number for number, label in enumerate(vocabulary)}
    return np.array([known.get(label, -1) for label in labels], np.int64)


@feature("distance", check=scalar(_check_neighbor))
def distance(hits: HitFeatures, reference: Reference) -> Value:
    """The smallest distance over the operators meant; the largest double without one."""
    found = np.full(hits.count, LARGEST_DOUBLE)
    for operator in _operators(hits, reference):
        found = np.minimum(found, operator_distance(hits, operator))
    return found


@feature("closeness", check=scalar(_check_neighbor))
def closeness(hits: HitFeatures, reference: Reference) -> Value:
    """The best closeness over the operators meant: `1 / (1 + distance)`, for dot products itself.

    A hit without the tensor, or a query without the operator, gets the metric's least value.
    """
    found: np.ndarray | None = None
    for operator in _operators(hits, reference):
        field = hits.run.schema.fields[operator.field]
        distances = operator_distance(hits, operator)
        lacking = distances == LARGEST_DOUBLE
        near = _closeness(field, np.where(lacking, 0.0, distances))
        own = np.where(lacking, _least(field), near)
        found = own if found is None else np.maximum(found, own)
    if found is not None:
        return found
    texts = argument_texts(reference)
    by_label = len(texts) == 2 and texts[0] == "label"
    least = 0.0 if by_label else _least(hits.run.plan.scope.field(texts[-1]))
    return np.full(hits.count, least)


def _is_sparse(field: Field) -> bool:
    return field.type.tensor is not None and not field.type.tensor.indexed


def _closeness(field: Field, distances: np.ndarray) -> np.ndarray:
    return -distances if _is_sparse(field) else metrics.closeness(field.distance_metric, distances)


def _least(field: Field) -> float:
    return 0.0 if _is_sparse(field) else metrics.worst_closeness(field.distance_metric)


def _check_raw(scope: Scope, reference: Reference) -> None:
    scope.field(only_argument(reference))


def _check_label(scope: Scope, reference: Reference) -> None:
    only_argument(reference)


@feature("rawScore", check=scalar(_check_raw))
def raw_score(hits: HitFeatures, reference: Reference) -> Value:
    """Sum of the raw scores of the field's operators that matched; retrieval gives the column."""
    return np.zeros(hits.count)


@feature("itemRawScore", check=scalar(_check_label))
def item_raw_score(hits: HitFeatures, reference: Reference) -> Value:
    """Raw score of the operator with that label where it matched; retrieval gives the column."""
    return np.zeros(hits.count)
