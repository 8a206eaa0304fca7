"""Many tensors of one type as plain arrays: what encode makes, index stores, rank computes on.

Four forms, chosen by the type (`batch_form`):

    DenseBatch    indexed dimensions only          attribute(embedding)
    SparseBatch   one mapped dimension             learned sparse weights
    RaggedBatch   one mapped, one indexed          ColBERT token vectors
    TensorBatch   anything else                    one Tensor each
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, Protocol, TypeVar, runtime_checkable

import numpy as np

from siftline.errors import UsageError
from siftline.tensor.tensor import Tensor, sequence_labels
from siftline.tensor.types import TensorType

BatchForm = Literal["dense", "sparse", "ragged", "tensor"]


def batch_form(type_: TensorType) -> BatchForm:
    """Which batch holds tensors of this type."""
    mapped, indexed = len(type_.mapped), len(type_.indexed)
    if mapped == 0:
        return "dense"
    if mapped == 1 and indexed == 0:
        return "sparse"
    return "ragged" if mapped == 1 and indexed == 1 else "tensor"


def gather_ranges(offsets: np.ndarray, rows: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Offsets and flat positions of the ranges `offsets[r]:offsets[r+1]` for each r in `rows`."""
    starts = offsets[rows]
    lengths = offsets[rows + 1] - starts
    taken = np.zeros(len(rows) + 1, np.int64)
    np.cumsum(lengths, out=taken[1:])
    flat = np.arange(taken[-1], dtype=np.int64) + np.repeat(starts - taken[:-1], lengths)
    return taken, flat


@runtime_checkable
class Findable(Protocol):
    """A vocabulary that finds labels by itself."""

    def find(self, label: str) -> int:
        """The number of a label, -1 if there is none."""
        ...


#: Vocabularies whose numbering was needed last, each with its numbering.
_NUMBERINGS: list[tuple[Sequence[str], dict[str, int]]] = []
_REMEMBERED_NUMBERINGS = 8


def _numbering(vocabulary: Sequence[str]) -> dict[str, int]:
    """Label → token of a vocabulary that only ever grows."""
    for known, numbering in list(_NUMBERINGS):
        if known is vocabulary and len(numbering) == len(known):
            return numbering
    numbering = {label: token for token, label in enumerate(vocabulary)}
    _NUMBERINGS.append((vocabulary, numbering))
    del _NUMBERINGS[:-_REMEMBERED_NUMBERINGS]
    return numbering


@dataclass(frozen=True, eq=False)
class DenseBatch:
    """`values` `(n, *type.shape)` of `type.dtype`; `present` `(n,)` bool, absent rows are zero."""

    type: TensorType
    values: np.ndarray
    present: np.ndarray

    def __len__(self) -> int:
        return len(self.values)

    def tensor(self, row: int) -> Tensor | None:
        """Row as a Tensor; None where absent."""
        return Tensor(self.type, ((),), self.values[row : row + 1]) if self.present[row] else None

    def take(self, rows: np.ndarray) -> DenseBatch:
        """The given rows, in that order."""
        return DenseBatch(self.type, self.values[rows], self.present[rows])


@dataclass(frozen=True, eq=False)
class SparseBatch:
    """CSR: row i has `tokens[indptr[i]:indptr[i+1]]` (int32) with `weights`.

    weights: float32, float64 where the type has double cells. `vocabulary[token]` is the label.
    An empty row is an absent or empty tensor.
    """

    type: TensorType
    indptr: np.ndarray
    tokens: np.ndarray
    weights: np.ndarray
    vocabulary: Sequence[str]

    def __len__(self) -> int:
        return len(self.indptr) - 1

    def tensor(self, row: int) -> Tensor | None:
        """Row as a Tensor; None where it has no cells."""
        start, end = self.indptr[row], self.indptr[row + 1]
        if start == end:
            return None
        labels = tuple((self.vocabulary[token],) for token in self.tokens[start:end])
        return Tensor(self.type, labels, self.weights[start:end].astype(self.type.dtype))

    def token(self, label: str) -> int:
        """The label's token, -1 if the vocabulary lacks it."""
        if isinstance(self.vocabulary, Findable):
            return self.vocabulary.find(label)
        return _numbering(self.vocabulary).get(label, -1)

    def take(self, rows: np.ndarray) -> SparseBatch:
        """The given rows, in that order."""
        indptr, flat = gather_ranges(self.indptr, rows)
        return SparseBatch(
            self.type, indptr, self.tokens[flat], self.weights[flat], self.vocabulary
        )


@dataclass(frozen=True, eq=False)
class RaggedBatch:
    """Row i has blocks `rows[offsets[i]:offsets[i+1]]`, each `(d,)`.

    `labels` has one string for each block; None means "0", "1", … within each row.
    """

    type: TensorType
    offsets: np.ndarray
    rows: np.ndarray
    labels: Sequence[str] | None = None

    def __len__(self) -> int:
        return len(self.offsets) - 1

    def tensor(self, row: int) -> Tensor | None:
        """Row as a Tensor; None where it has no blocks."""
        start, end = int(self.offsets[row]), int(self.offsets[row + 1])
        if start == end:
            return None
        if self.labels is None:
            labels = tuple(sequence_labels(end - start))
        else:
            labels = tuple((label,) for label in self.labels[start:end])
        return Tensor(self.type, labels, self.rows[start:end].astype(self.type.dtype))

    def take(self, rows: np.ndarray) -> RaggedBatch:
        """The given rows, in that order."""
        offsets, flat = gather_ranges(self.offsets, rows)
        labels = None if self.labels is None else [self.labels[i] for i in flat]
        return RaggedBatch(self.type, offsets, self.rows[flat], labels)


@dataclass(frozen=True, eq=False)
class TensorBatch:
    """One Tensor, or None where absent, for each row."""

    type: TensorType
    tensors: tuple[Tensor | None, ...]

    def __len__(self) -> int:
        return len(self.tensors)

    def tensor(self, row: int) -> Tensor | None:
        """Row as a Tensor; None where absent."""
        return self.tensors[row]

    def take(self, rows: np.ndarray) -> TensorBatch:
        """The given rows, in that order."""
        return TensorBatch(self.type, tuple(self.tensors[int(row)] for row in rows))


Batch = DenseBatch | SparseBatch | RaggedBatch | TensorBatch
B = TypeVar("B", DenseBatch, SparseBatch, RaggedBatch, TensorBatch)


def stack(type_: TensorType, tensors: Sequence[Tensor | None]) -> Batch:
    """Tensors of one type, or None where absent, as the batch form of that type."""
    for tensor in tensors:
        if tensor is not None and tensor.type != type_:
            raise UsageError(f"expected a tensor of type {type_}, not {tensor.type}")
    form = batch_form(type_)
    if form == "dense":
        return _stack_dense(type_, tensors)
    if form == "tensor":
        return TensorBatch(type_, tuple(tensors))
    counts = np.array([0 if t is None else len(t.labels) for t in tensors], np.int64)
    offsets = np.concatenate([np.zeros(1, np.int64), np.cumsum(counts)])
    present = [t for t in tensors if t is not None and len(t.labels)]
    labels = [address[0] for t in present for address in t.labels]
    if form == "ragged":
        rows = (
            np.concatenate([t.cells for t in present])
            if present
            else np.zeros((0, *type_.shape), type_.dtype)
        )
        sequential = all(t.labels == tuple(sequence_labels(len(t.labels))) for t in present)
        return RaggedBatch(type_, offsets, rows, None if sequential else labels)
    ids: dict[str, int] = {}
    tokens = np.array([ids.setdefault(label, len(ids)) for label in labels], np.int32)
    weights = np.concatenate([t.cells for t in present]) if present else np.zeros(0)
    dtype = np.float64 if type_.cell == "double" else np.float32
    return SparseBatch(type_, offsets, tokens, weights.astype(dtype), tuple(ids))


def _stack_dense(type_: TensorType, tensors: Sequence[Tensor | None]) -> DenseBatch:
    values = np.zeros((len(tensors), *type_.shape), type_.dtype)
    present = np.zeros(len(tensors), bool)
    for row, tensor in enumerate(tensors):
        if tensor is not None:
            values[row], present[row] = tensor.cells[0], True
    return DenseBatch(type_, values, present)


def concatenate(batches: Sequence[Batch]) -> Batch:
    """Batches of one type, one after the other; at least one. UsageError where types differ."""
    first = batches[0]
    for batch in batches:
        if batch.type != first.type:
            raise UsageError(f"expected a batch of type {first.type}, not {batch.type}")
    if len(batches) == 1:
        return first
    if isinstance(first, DenseBatch):
        return _concatenate_dense(_of(DenseBatch, batches))
    if isinstance(first, SparseBatch):
        return _concatenate_sparse(_of(SparseBatch, batches))
    if isinstance(first, RaggedBatch):
        return _concatenate_ragged(_of(RaggedBatch, batches))
    tensors = [tensor for batch in _of(TensorBatch, batches) for tensor in batch.tensors]
    return TensorBatch(first.type, tuple(tensors))


def _of(form: type[B], batches: Sequence[Batch]) -> list[B]:
    same = [batch for batch in batches if isinstance(batch, form)]
    if len(same) != len(batches):
        raise UsageError(f"batches of {batches[0].type} have different forms")
    return same


def _concatenate_dense(batches: Sequence[DenseBatch]) -> DenseBatch:
    return DenseBatch(
        batches[0].type,
        np.concatenate([batch.values for batch in batches]),
        np.concatenate([batch.present for batch in batches]),
    )


def _concatenate_sparse(batches: Sequence[SparseBatch]) -> SparseBatch:
    vocabulary, tokens = _shared_vocabulary(batches)
    return SparseBatch(
        batches[0].type,
        _chain_offsets([batch.indptr for batch in batches]),
        np.concatenate(tokens),
        np.concatenate([batch.weights for batch in batches]),
        vocabulary,
    )


def _shared_vocabulary(batches: Sequence[SparseBatch]) -> tuple[Sequence[str], list[np.ndarray]]:
    """One vocabulary for all batches and each batch's tokens in it."""
    first = batches[0].vocabulary
    if all(batch.vocabulary is first for batch in batches):
        return first, [batch.tokens for batch in batches]
    ids: dict[str, int] = {}
    tokens = []
    for batch in batches:
        used, positions = np.unique(batch.tokens, return_inverse=True)
        labels = [batch.vocabulary[int(token)] for token in used]
        renumbered = np.array([ids.setdefault(label, len(ids)) for label in labels], np.int32)
        tokens.append(renumbered[positions.reshape(-1)])
    return tuple(ids), tokens


def _concatenate_ragged(batches: Sequence[RaggedBatch]) -> RaggedBatch:
    labels: list[str] | None = None
    if any(batch.labels is not None for batch in batches):
        labels = [label for batch in batches for label in block_labels(batch)]
    return RaggedBatch(
        batches[0].type,
        _chain_offsets([batch.offsets for batch in batches]),
        np.concatenate([batch.rows for batch in batches]),
        labels,
    )


def block_labels(batch: SparseBatch | RaggedBatch) -> Sequence[str]:
    """The label of every block of a batch, document after document."""
    if isinstance(batch, SparseBatch):
        return [batch.vocabulary[token] for token in batch.tokens.tolist()]
    if batch.labels is not None:
        return batch.labels
    counts = np.diff(batch.offsets)
    positions = np.arange(batch.offsets[-1]) - np.repeat(batch.offsets[:-1], counts)
    return [str(position) for position in positions]


def _chain_offsets(offsets: Sequence[np.ndarray]) -> np.ndarray:
    counts = np.concatenate([np.diff(each) for each in offsets])
    chained = np.zeros(len(counts) + 1, np.int64)
    np.cumsum(counts, out=chained[1:])
    return chained
