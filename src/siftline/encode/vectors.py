"""Texts of a batch of documents through an embedder: each distinct text once, arrays flattened."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from siftline.encode.columns import pick
from siftline.encode.embedder import Embedder
from siftline.errors import UsageError
from siftline.tensor.batch import Batch, concatenate, stack
from siftline.tensor.types import TensorType

_Key = tuple[str, TensorType, tuple[str, ...]]


class EmbeddedTexts:
    """Remembers what was embedded, so that fields with the same input share the inference."""

    def __init__(self) -> None:
        self._rows: dict[_Key, dict[str, int]] = {}
        self._batches: dict[_Key, Batch] = {}

    def embed(
        self,
        embedder: Embedder,
        texts: Sequence[str | None],
        target: TensorType,
        arguments: tuple[str, ...],
    ) -> Batch:
        """One row for each text, absent for None; texts seen before are not embedded again."""
        embedder.check(target)
        key = (embedder.id, target, arguments)
        rows = self._rows.setdefault(key, {})
        new = list(dict.fromkeys(t for t in texts if t is not None and t not in rows))
        if new:
            batch = embedder.documents(new, target, arguments)
            known = self._batches.get(key)
            self._batches[key] = batch if known is None else concatenate([known, batch])
            rows.update((text, len(rows)) for text in new)
        if key not in self._batches:
            return stack(target, [None] * len(texts))
        index = np.array([-1 if text is None else rows[text] for text in texts], np.int64)
        return pick(self._batches[key], index)


def array_dimension(target: TensorType, arguments: tuple[str, ...]) -> str:
    """The mapped dimension that numbers the elements of an array of texts."""
    if arguments and arguments[0] in target.mapped:
        return arguments[0]
    if arguments:
        raise UsageError(
            f"embed names the dimension '{arguments[0]}', which is not a mapped one of {target}"
        )
    if len(target.mapped) != 1:
        raise UsageError(
            f"an array of texts needs a mapped dimension for its elements in {target}; "
            "where there are several, name it: embed ID DIMENSION"
        )
    return target.mapped[0]


def element_type(target: TensorType, dimension: str) -> TensorType:
    """The type of one element's tensor."""
    return TensorType(target.cell, tuple(d for d in target.dimensions if d.name != dimension))


def flatten(texts: Sequence[Any]) -> tuple[list[str], np.ndarray]:
    """All elements one after the other, and offsets of each row's; a lone text is one element."""
    lists = [[t] if isinstance(t, str) else list(t or ()) for t in texts]
    offsets = np.zeros(len(lists) + 1, np.int64)
    np.cumsum([len(found) for found in lists], out=offsets[1:])
    return [text for found in lists for text in found], offsets
