"""What encoding makes of a batch of documents, and the index stores."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from siftline.encode.columns import pick
from siftline.tensor.batch import Batch, concatenate, stack


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

    def take(self, rows: Sequence[int]) -> Encoded:
        """The documents of these rows, in that order."""
        if list(rows) == list(range(len(self))):
            return self
        index = np.array(rows, np.int64)
        return Encoded(
            [self.ids[row] for row in rows],
            [self.fields[row] for row in rows],
            {name: [values[row] for row in rows] for name, values in self.outputs.items()},
            {name: pick(batch, index) for name, batch in self.vectors.items()},
            [self.languages[row] for row in rows] if self.languages else (),
        )


def join_encoded(parts: Sequence[Encoded]) -> Encoded:
    """The documents of several batches, one after the other; what a part lacks is absent in it."""
    if len(parts) == 1:
        return parts[0]
    outputs = dict.fromkeys(name for part in parts for name in part.outputs)
    types = {name: batch.type for part in parts for name, batch in part.vectors.items()}
    return Encoded(
        [id_ for part in parts for id_ in part.ids],
        [fields for part in parts for fields in part.fields],
        {
            name: [v for part in parts for v in part.outputs.get(name, [None] * len(part))]
            for name in outputs
        },
        {
            name: concatenate(
                [part.vectors.get(name) or stack(type_, [None] * len(part)) for part in parts]
            )
            for name, type_ in types.items()
        },
        [language for part in parts for language in part.languages],
    )
