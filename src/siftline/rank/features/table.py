"""The table of features: name → how it is computed and what type it has."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from siftline.errors import PackageError
from siftline.rank.features.scope import Scope
from siftline.rank.nodes import Reference
from siftline.schema.nearest import nearest
from siftline.tensor.types import SCALAR, TensorType

if TYPE_CHECKING:
    from siftline.rank.features.source import HitFeatures
    from siftline.rank.values import Value

#: Computes a feature for every hit of a source.
Compute = Callable[["HitFeatures", Reference], "Value"]

#: Checks a reference against the profile and gives its type; None where only a query shows it.
Check = Callable[[Scope, Reference], TensorType | None]


@dataclass(frozen=True, slots=True)
class Feature:
    """A feature that expressions may name."""

    name: str
    compute: Compute
    check: Check


FEATURES: dict[str, Feature] = {}

#: Features that Vespa has and Siftline refuses by name.
UNSUPPORTED = frozenset(
    (
        "attributeMatch bm25_for_labels closest elementCompleteness elementSimilarity elementwise "
        "fieldInfo fieldMatch flowCompleteness foreach globalSequence great_circle_distance "
        "jaroWinklerDistance lightgbm proximity queryTermDocumentFrequency reverseProximity "
        "tensorFromStructs tensorflow termDistance termInfo textSimilarity vespa xgboost"
    ).split()
)


def feature(*names: str, check: Check) -> Callable[[Compute], Compute]:
    """Register a function as the feature of these names."""

    def register(compute: Compute) -> Compute:
        for name in names:
            FEATURES[name] = Feature(name, compute, check)
        return compute

    return register


def scalar(check: Callable[[Scope, Reference], object]) -> Check:
    """A check whose result does not matter: the feature is a double."""

    def checked(scope: Scope, reference: Reference) -> TensorType:
        check(scope, reference)
        return SCALAR

    return checked


def find_feature(name: str, others: tuple[str, ...] = ()) -> Feature:
    """The feature of that name; PackageError names the nearest of features and `others`."""
    found = FEATURES.get(name)
    if found is not None:
        return found
    if name in UNSUPPORTED:
        raise PackageError(f"rank feature '{name}' is not supported by Siftline")
    raise PackageError(
        f"unknown function or rank feature '{name}'{nearest(name, [*others, *FEATURES])}"
    )
