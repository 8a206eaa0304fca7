"""Features that are the same for every hit: query inputs, constants, the clock, the corpus."""

from __future__ import annotations

import numpy as np

from siftline.errors import PackageError
from siftline.rank.features.names import (
    argument_texts,
    exact_arguments,
    only_argument,
    whole_number,
)
from siftline.rank.features.scope import Scope
from siftline.rank.features.source import HitFeatures, Run
from siftline.rank.features.table import feature, scalar
from siftline.rank.nodes import Reference
from siftline.rank.values import Value
from siftline.schema.nearest import nearest
from siftline.tensor.tensor import Tensor
from siftline.tensor.types import SCALAR, TensorType

#: firstPhaseRank and the like where there is no value.
LARGEST_DOUBLE = float(np.finfo(np.float64).max)


def as_tensor(value: Tensor | float) -> Tensor:
    """A number as a scalar tensor."""
    return value if isinstance(value, Tensor) else Tensor.scalar(float(value))


def _check_query(scope: Scope, reference: Reference) -> TensorType | None:
    name = only_argument(reference)
    declared = scope.profile.inputs.get(name)
    if declared is None:
        if scope.profile.strict:
            raise PackageError(
                f"query({name}) is not among the inputs of the strict profile"
                f" '{scope.profile.name}'{nearest(name, scope.profile.inputs)}"
            )
        return None
    return declared.type or SCALAR


@feature("query", check=_check_query)
def query(hits: HitFeatures, reference: Reference) -> Value:
    """A named query input; its declared default, or zeros, where the query lacks it."""
    name = only_argument(reference)
    value = hits.run.prepared.query.inputs.get(name)
    if value is not None:
        return as_tensor(value)
    declared = hits.run.plan.scope.profile.inputs.get(name)
    if declared is None:
        return Tensor.scalar(0.0)
    if declared.default is not None:
        return as_tensor(declared.default)
    return Tensor.empty(declared.type or SCALAR)


def _check_constant(scope: Scope, reference: Reference) -> TensorType:
    name = only_argument(reference)
    known = scope.constants
    if name not in known:
        raise PackageError(f"unknown constant '{name}'{nearest(name, known)}")
    return as_tensor(known[name].value).type


@feature("constant", check=_check_constant)
def constant(hits: HitFeatures, reference: Reference) -> Value:
    """A constant of the schema or profile."""
    return as_tensor(hits.run.plan.constants[only_argument(reference)].value)


def _nothing(scope: Scope, reference: Reference) -> None:
    exact_arguments(reference, 0)


@feature("now", check=scalar(_nothing))
def now(hits: HitFeatures, reference: Reference) -> Value:
    """The query's time in seconds since the epoch; the rank property `now` overrides it."""
    return Tensor.scalar(query_time(hits.run))


def query_time(run: Run) -> float:
    """The time of a query in whole seconds since the epoch."""
    return run.number_property("now", float(int(run.started)))


@feature("num_docs_indexed", check=scalar(_nothing))
def num_docs_indexed(hits: HitFeatures, reference: Reference) -> Value:
    """How many documents the snapshot holds."""
    return Tensor.scalar(float(hits.run.snapshot.document_count))


@feature("queryTermCount", check=scalar(_nothing))
def query_term_count(hits: HitFeatures, reference: Reference) -> Value:
    """How many terms the query has."""
    return Tensor.scalar(float(len(hits.run.prepared.terms)))


def _check_term(scope: Scope, reference: Reference) -> None:
    whole_number(reference, only_argument(reference))
    if reference.output not in ("significance", "weight", "connectedness"):
        raise PackageError("term(n) has the outputs .significance, .weight and .connectedness")


def _check_random(scope: Scope, reference: Reference) -> None:
    exact_arguments(reference, 0, 1)


@feature("random", check=scalar(_check_random))
def random(hits: HitFeatures, reference: Reference) -> Value:
    """A number in 0..1 that depends on the document and the rank property `random.seed` only."""
    names = argument_texts(reference)
    prefix = f"random({names[0]})" if names else "random"
    seed = int(hits.run.number_property(f"{prefix}.seed", 0.0))
    mixed = hits.documents.astype(np.uint64) + np.uint64(seed % (1 << 63))
    return _splitmix(mixed) / float(1 << 53)


def _splitmix(state: np.ndarray) -> np.ndarray:
    """SplitMix64 of each number, its upper 53 bits (Steele, Lea, Flood 2014)."""
    mixed = (state + np.uint64(1)) * np.uint64(0x9E3779B97F4A7C15)
    mixed = (mixed ^ (mixed >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    mixed = (mixed ^ (mixed >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return ((mixed ^ (mixed >> np.uint64(31))) >> np.uint64(11)).astype(np.float64)


@feature("term", check=scalar(_check_term))
def term(hits: HitFeatures, reference: Reference) -> Value:
    """Significance (0 without such a term), weight (100) or connectedness (0.1) of query term n."""
    from siftline.rank.features.terms import CONNECTEDNESS, significance

    terms = hits.run.prepared.terms
    number = whole_number(reference, only_argument(reference))
    if reference.output == "connectedness":
        return Tensor.scalar(CONNECTEDNESS)
    if number >= len(terms):
        return Tensor.scalar(0.0 if reference.output == "significance" else 100.0)
    if reference.output == "significance":
        return Tensor.scalar(significance(hits.run, terms[number]))
    return Tensor.scalar(float(terms[number].weight))
