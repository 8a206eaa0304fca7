"""Weights of vocabulary tokens: splade-embedder, with a model for queries or without.

A text's weight for a token is `ln(1 + relu(max over positions of the logit))`; the maximum is
taken first, as the rest is monotone. Special tokens stand for no text and weigh nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from siftline.encode.dense import cells as as_cells
from siftline.encode.idf import IdfTable
from siftline.encode.tokenizer import Tokenizer
from siftline.encode.transformer import Hidden, Transformer
from siftline.errors import ModelError, UsageError
from siftline.tensor.batch import SparseBatch
from siftline.tensor.tensor import Tensor
from siftline.tensor.types import TensorType

#: The type of token sets counted for a corpus.
TOKEN_SET = TensorType.parse("tensor<int8>(token{})")


@dataclass(frozen=True, slots=True)
class SparseOptions:
    """threshold: weights must be above it. prune_ratio: and above this part of the text's largest.

    activation: `log1p`, or `log1p-log1p` for models trained with two logarithms. zero_specials:
    drop special tokens.
    """

    threshold: float = 0.0
    prune_ratio: float = 0.0
    activation: Literal["log1p", "log1p-log1p"] = "log1p"
    zero_specials: bool = True


class SparseEmbedder:
    """A masked language model whose logits become one weight for each vocabulary token.

    The model gives logits `(b, n, V)`, or weights `(b, V)` where it pools and activates itself.
    rows: texts to token ids, special tokens included. idf: gives the table for queries, which
    then need no model; None encodes queries as documents.
    """

    type = "splade-embedder"

    def __init__(
        self,
        name: str,
        transformer: Transformer,
        tokenizer: Callable[[], Tokenizer],
        rows: Callable[[Sequence[str]], list[np.ndarray]],
        options: SparseOptions,
        idf: Callable[[], IdfTable] | None = None,
    ) -> None:
        self.id = name
        self._transformer = transformer
        self._tokenizer = tokenizer
        self._rows = rows
        self._options = options
        self._idf = idf

    def check(self, target: TensorType, *, query: bool = False) -> None:
        """UsageError unless the target is one mapped dimension with cells for fractions."""
        if len(target.mapped) != 1 or target.indexed or target.cell == "int8":
            raise UsageError(
                f"embedder '{self.id}' makes a weight for each token, which does not fit {target} "
                "(expected like tensor<float>(token{}))"
            )

    def documents(
        self, texts: Sequence[str], target: TensorType, arguments: tuple[str, ...] = ()
    ) -> SparseBatch:
        """Tokens above the threshold with their weights, ids ascending in each row."""
        self.check(target)
        tokens: list[np.ndarray] = [np.zeros(0, np.int32)] * len(texts)
        weights: list[np.ndarray] = [np.zeros(0, np.float32)] * len(texts)
        vocabulary = self._tokenizer().vocabulary
        for hidden in self._transformer.run(self._rows(texts)):
            for row, found in zip(hidden.rows, self._kept(hidden, len(vocabulary)), strict=True):
                tokens[row], weights[row] = found
        return _batch(target, tokens, weights, vocabulary)

    def query(self, text: str, target: TensorType) -> Tensor:
        """Weights of the query's own distinct tokens by the table, or of the model's expansion."""
        self.check(target, query=True)
        if self._idf is None:
            tensor = self._encoded(text, target).tensor(0)
            return Tensor(target, (), np.zeros(0, target.dtype)) if tensor is None else tensor
        table = self._idf()
        vocabulary = self._tokenizer().vocabulary
        found = [(vocabulary[token],) for token in self._distinct([text])[0]]
        values = np.array([table.weight(label) for (label,) in found], dtype=np.float64)
        labels = tuple(label for label, value in zip(found, values, strict=True) if value > 0)
        return Tensor(target, labels, as_cells(values[values > 0], target))

    def _encoded(self, text: str, target: TensorType) -> SparseBatch:
        """A query through the model, as documents go."""
        vocabulary = self._tokenizer().vocabulary
        hidden = self._transformer.query(self._rows([text])[0])
        tokens, weights = self._kept(hidden, len(vocabulary))[0]
        return _batch(target, [tokens], [weights], vocabulary)

    def token_sets(self, texts: Sequence[str]) -> SparseBatch:
        """The distinct tokens of each whole text, special ones left out, weight 1."""
        rows = [np.sort(row).astype(np.int32) for row in self._distinct(texts)]
        ones = [np.ones(len(row), np.float32) for row in rows]
        return _batch(TOKEN_SET, rows, ones, self._tokenizer().vocabulary)

    def _distinct(self, texts: Sequence[str]) -> list[np.ndarray]:
        """Distinct plain token ids of each text, in the order they first occur."""
        tokenizer = self._tokenizer()
        specials = list(tokenizer.special_ids)
        distinct = []
        for row in tokenizer.ids(texts, special=False):
            ids, first = np.unique(row, return_index=True)
            ids = ids[np.argsort(first, kind="stable")]
            distinct.append(ids[~np.isin(ids, specials)])
        return distinct

    def _kept(self, hidden: Hidden, vocabulary: int) -> list[tuple[np.ndarray, np.ndarray]]:
        """Ids int32 ascending and weights float32 above the floor, for each row."""
        found = []
        options = self._options
        specials = self._tokenizer().special_ids if options.zero_specials else ()
        logarithms = 2 if options.activation == "log1p-log1p" else 1
        for weights in token_weights(hidden, vocabulary, specials, logarithms):
            kept = np.flatnonzero(weights > self._floor(weights))
            found.append((kept.astype(np.int32), weights[kept]))
        return found

    def _floor(self, weights: np.ndarray) -> float:
        """Weights must be above this: the threshold, or the pruned part of the largest."""
        return max(0.0, self._options.threshold, self._options.prune_ratio * float(weights.max()))


def token_weights(
    hidden: Hidden, vocabulary: int, zeroed: Collection[int], logarithms: int = 1
) -> np.ndarray:
    """Weights `(b, V)` float32, V = vocabulary, of a model's output for a batch of texts.

    Logits `(b, n, V)` become ln(1 + relu(max over the text's positions)), once more for two
    logarithms; weights `(b, V)` are taken as they are. zeroed: token ids that weigh nothing.
    ModelError for an output of another shape.
    """
    values = hidden.values.astype(np.float32, copy=False)
    if values.ndim not in (2, 3) or values.shape[-1] < vocabulary:
        raise ModelError(
            f"a sparse encoder gives logits (batch, length, {vocabulary}) or weights "
            f"(batch, {vocabulary}); this model's output has the shape {values.shape}"
        )
    if values.ndim == 3:
        pooled = np.zeros((len(values), values.shape[2]), np.float32)
        for i, length in enumerate(hidden.lengths):
            if length:
                values[i, :length].max(axis=0, out=pooled[i])
        values = np.maximum(pooled, 0)
        for _ in range(logarithms):
            values = np.log1p(values)
    # Some models pad their vocabulary to a round size; no token has those ids.
    values = values[:, :vocabulary]
    if zeroed:
        values = values.copy()
        values[:, list(zeroed)] = 0
    return values


def _batch(
    target: TensorType,
    tokens: Sequence[np.ndarray],
    weights: Sequence[np.ndarray],
    vocabulary: Sequence[str],
) -> SparseBatch:
    indptr = np.zeros(len(tokens) + 1, np.int64)
    np.cumsum([len(row) for row in tokens], out=indptr[1:])
    flat = np.concatenate(tokens) if tokens else np.zeros(0, np.int32)
    cells = np.concatenate(weights) if weights else np.zeros(0, np.float32)
    return SparseBatch(target, indptr, flat, as_cells(cells, target).astype(np.float32), vocabulary)
