"""Teachers: scores of queries with documents, as one ensemble.

A teacher gives a matrix; how it comes to its numbers is its own affair. Each has its own tokenizer,
so teachers and student may differ in their vocabularies.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import torch
from torch import Tensor

from siftline.errors import UsageError
from siftline.train.losses import ensemble


class Teacher(Protocol):
    """key: says which model it is, and how it is used, across runs."""

    key: str

    def scores(self, queries: Sequence[str], documents: Sequence[Sequence[str]]) -> np.ndarray:
        """float32 `(B, G)`: each query with its own G documents."""


@dataclass(frozen=True, slots=True)
class Ensemble:
    """Several teachers as one: S·Σ_k w_k·min_max(s_k) over each row.

    arXiv 2411.04403, equations 8 and 9.
    """

    teachers: Sequence[Teacher]
    weights: Sequence[float]
    scale: float

    def __post_init__(self) -> None:
        if not self.teachers or len(self.teachers) != len(self.weights):
            raise UsageError(f"{len(self.teachers)} teachers have {len(self.weights)} weights")

    def scores(
        self, queries: Sequence[str], documents: Sequence[Sequence[str]], *, in_batch: bool = False
    ) -> Tensor:
        """`(B, G)`, or with in_batch `(B, B·G)`: every query with the documents of all."""
        every = [text for own in documents for text in own]
        lists = [every] * len(queries) if in_batch else documents
        found = [torch.from_numpy(t.scores(queries, lists)) for t in self.teachers]
        return ensemble(found, list(self.weights), self.scale)
