"""The documents a phase hands to the next."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np

from siftline.tensor.batch import Batch


@dataclass(frozen=True, slots=True)
class Candidates:
    """Documents int64 `(n,)` (numbers of the snapshot), scores float64 `(n,)`, columns by name.

    As match gives them: documents ascending, scores 0, columns what retrieval already computed
    (`rawScore(field)`, …). As rank gives them: order is score descending, then document.
    """

    documents: np.ndarray
    scores: np.ndarray
    columns: Mapping[str, np.ndarray | Batch] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self.documents)
