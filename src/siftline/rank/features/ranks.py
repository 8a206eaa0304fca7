"""Features about earlier phases, and the normalisers of the global phase."""

from __future__ import annotations

import numpy as np

from siftline.errors import PackageError
from siftline.rank.features.names import argument_texts, canonical, exact_arguments
from siftline.rank.features.scope import Scope
from siftline.rank.features.source import HitFeatures
from siftline.rank.features.table import feature, scalar
from siftline.rank.fusion import (
    RANK_CONSTANT,
    normalize_linear,
    reciprocal_rank,
    reciprocal_rank_fusion,
)
from siftline.rank.nodes import Reference
from siftline.rank.values import Value
from siftline.tensor.tensor import Tensor

#: Normalisers: only in the global phase.
NORMALIZERS = frozenset({"normalize_linear", "reciprocal_rank", "reciprocal_rank_fusion"})

#: Features whose value depends on the phase that asks or on the other hits of that phase.
VOLATILE = NORMALIZERS | {"relevanceScore"}

#: Feature → phases that may use it; match- and summary-features count as phases.
PHASES: dict[str, frozenset[str]] = {
    "firstPhase": frozenset({"second", "global", "match", "summary"}),
    "firstPhaseMax": frozenset({"second", "global", "match", "summary"}),
    "firstPhaseRank": frozenset({"second", "global", "match", "summary"}),
    "secondPhase": frozenset({"global", "match", "summary"}),
    "relevanceScore": frozenset({"global"}),
    **dict.fromkeys(NORMALIZERS, frozenset({"global"})),
}

LARGEST_DOUBLE = float(np.finfo(np.float64).max)


def per_hit(value: Value, count: int) -> np.ndarray:
    """A scalar value as float64 `(count,)`; PackageError for a tensor."""
    if isinstance(value, np.ndarray):
        return value
    if isinstance(value, Tensor) and value.is_scalar:
        return np.full(count, float(value))
    raise PackageError(f"expected a number for each hit, not {value.type}")


def _nothing(scope: Scope, reference: Reference) -> None:
    exact_arguments(reference, 0)


@feature("firstPhase", "firstPhaseMax", "firstPhaseRank", "secondPhase", check=scalar(_nothing))
def earlier_phase(hits: HitFeatures, reference: Reference) -> Value:
    """What an earlier phase left; without one, 0, and the largest double as rank."""
    empty = LARGEST_DOUBLE if reference.name == "firstPhaseRank" else 0.0
    return np.full(hits.count, empty)


@feature("relevanceScore", check=scalar(_nothing))
def relevance_score(hits: HitFeatures, reference: Reference) -> Value:
    """The score with which a hit arrives at the global phase."""
    return hits.arriving if hits.arriving is not None else np.zeros(hits.count)


def _check_normalizer(scope: Scope, reference: Reference) -> None:
    fusion = reference.name == "reciprocal_rank_fusion"
    arguments = reference.arguments
    if fusion and len(arguments) < 2:
        raise PackageError("reciprocal_rank_fusion takes at least two arguments")
    if reference.name == "reciprocal_rank":
        texts = exact_arguments(reference, 1, 2)
        if len(texts) == 2:
            _constant(reference, texts[1])
    elif not fusion:
        exact_arguments(reference, 1)
    for argument in arguments if fusion else arguments[:1]:
        if not isinstance(argument, Reference):
            raise PackageError(
                f"the argument of {reference.name} must be a feature or a function without"
                f" arguments, not '{argument}'"
            )


def _constant(reference: Reference, text: str) -> float:
    try:
        return float(text)
    except ValueError:
        raise PackageError(f"k in '{canonical(reference)}' must be a number") from None


def _inner(hits: HitFeatures, argument: object) -> np.ndarray:
    if not isinstance(argument, Reference):
        raise PackageError(f"expected a feature, not '{argument}'")
    return per_hit(hits.feature(argument), hits.count)


@feature(*sorted(NORMALIZERS), check=scalar(_check_normalizer))
def normalizer(hits: HitFeatures, reference: Reference) -> Value:
    """A normaliser over exactly the hits of the selection (spec 2.9)."""
    if reference.name == "reciprocal_rank_fusion":
        return reciprocal_rank_fusion([_inner(hits, a) for a in reference.arguments])
    values = _inner(hits, reference.arguments[0])
    if reference.name == "normalize_linear":
        return normalize_linear(values)
    texts = argument_texts(reference)
    k = _constant(reference, texts[1]) if len(texts) > 1 else RANK_CONSTANT
    return reciprocal_rank(values, k)
