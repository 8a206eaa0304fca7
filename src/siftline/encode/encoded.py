"""What encoding makes of a batch of documents, and the index stores."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from siftline.tensor.batch import Batch


@dataclass(frozen=True, slots=True)
class Encoded:
    """A batch of n documents, in feed order, ids distinct.

    ids: document ids in full. fields: each document as fed, JSON values, tensor fields included.
    outputs: field name → n values (None where null) that the indexing scripts wrote for every
    field with an index or attribute side that is not a tensor. vectors: the same for tensor
    fields, each a Batch of n rows. languages: n language codes for text analysis.
    """

    ids: Sequence[str]
    fields: Sequence[Mapping[str, Any]]
    outputs: Mapping[str, Sequence[Any]] = field(default_factory=dict)
    vectors: Mapping[str, Batch] = field(default_factory=dict)
    languages: Sequence[str] = ()

    def __len__(self) -> int:
        return len(self.ids)
