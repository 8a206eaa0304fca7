"""What ranking hands to the response: one page of hits with their scores and features."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from siftline.rank.statistics import PhaseTrace
from siftline.tensor.tensor import Tensor

#: A feature's value for one hit.
FeatureValue = float | Tensor


@dataclass(frozen=True, slots=True, eq=False)
class Ranked:
    """The page `offset … offset + hits` of the order, best first, k hits.

    documents: int64 `(k,)`, numbers of the snapshot. scores: float64 `(k,)`. phases: phase name →
    the score it gave, float64 `(k,)`, NaN for hits it did not score. total: hits that no phase
    dropped. match_features and summary_features: one mapping for each hit, None where the
    profile lists none. statistics: the phases in the order they ran. degraded: why a phase or a
    part of the matches was left out. covered: the share of the documents that the first phase got
    to.
    """

    documents: np.ndarray
    scores: np.ndarray
    phases: Mapping[str, np.ndarray]
    total: int
    statistics: tuple[PhaseTrace, ...] = ()
    match_features: tuple[Mapping[str, FeatureValue], ...] | None = None
    summary_features: tuple[Mapping[str, FeatureValue], ...] | None = None
    degraded: frozenset[str] = frozenset()
    covered: float = 1.0

    def __len__(self) -> int:
        return len(self.documents)
