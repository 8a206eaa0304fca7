"""One vector for each text: hugging-face-embedder and bert-embedder (Vespa embedding reference)."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from siftline.encode.transformer import Hidden, Transformer
from siftline.errors import ModelError, UsageError
from siftline.tensor.batch import DenseBatch
from siftline.tensor.bits import pack_bits, round_bfloat16
from siftline.tensor.tensor import Tensor
from siftline.tensor.types import TensorType

Pooling = Literal["mean", "cls", "none"]


@dataclass(frozen=True, slots=True)
class DenseOptions:
    """pooling: `mean` of all tokens, `cls` the first, `none` where the model itself gives one.

    prepend_query and prepend_document: text put before, with a space between; empty is
    none. Queries take the document's where they have none of their own.
    """

    pooling: Pooling = "mean"
    normalize: bool = False
    prepend_query: str | None = None
    prepend_document: str | None = None


class DenseEmbedder:
    """A transformer whose hidden states are pooled into one vector.

    rows: texts to token ids, special tokens included and cut to the maximum length.
    """

    def __init__(
        self,
        name: str,
        kind: str,
        transformer: Transformer,
        rows: Callable[[Sequence[str]], list[np.ndarray]],
        options: DenseOptions,
    ) -> None:
        self.id = name
        self.type = kind
        self._transformer = transformer
        self._rows = rows
        self._options = options

    def check(self, target: TensorType, *, query: bool = False) -> None:
        """UsageError unless the target has exactly one dimension, of a known size, not mapped."""
        if target.mapped or len(target.indexed) != 1:
            raise UsageError(
                f"embedder '{self.id}' makes one vector for each text, which does not fit {target} "
                "(expected one dimension like x[384], and a mapped one for an array of texts)"
            )
        target.shape  # noqa: B018  raises where the size is open

    def documents(
        self, texts: Sequence[str], target: TensorType, arguments: tuple[str, ...] = ()
    ) -> DenseBatch:
        """Vectors `(n, d)` of `target.dtype`, all present."""
        self.check(target)
        return self._embed([_prepended(self._options.prepend_document, t) for t in texts], target)

    def query(self, text: str, target: TensorType) -> Tensor:
        """The vector of a query."""
        self.check(target, query=True)
        options = self._options
        prefix = options.prepend_query or options.prepend_document
        hidden = self._transformer.query(self._rows([_prepended(prefix, text)])[0])
        pooled = pool(hidden, options.pooling)
        return Tensor(target, ((),), fit(pooled, target, options.normalize))

    def _embed(self, texts: Sequence[str], target: TensorType) -> DenseBatch:
        values = np.zeros((len(texts), *target.shape), target.dtype)
        for hidden in self._transformer.run(self._rows(texts)):
            pooled = pool(hidden, self._options.pooling)
            values[hidden.rows] = fit(pooled, target, self._options.normalize)
        return DenseBatch(target, values, np.ones(len(texts), bool))


def _prepended(prefix: str | None, text: str) -> str:
    return f"{prefix} {text}" if prefix else text


def pool(hidden: Hidden, pooling: Pooling) -> np.ndarray:
    """`(b, d)` float32 from `(b, n, d)` hidden states, or `(b, d)` as they are for `none`."""
    values = hidden.values.astype(np.float32, copy=False)
    if (values.ndim == 2) != (pooling == "none") or values.ndim not in (2, 3):
        raise ModelError(
            f"pooling '{pooling}' does not fit a model output of {values.ndim} dimensions "
            "(mean and cls need 3, none needs 2)"
        )
    if pooling == "none":
        return values
    if pooling == "cls":
        return np.asarray(values[:, 0])
    mask = (np.arange(values.shape[1]) < hidden.lengths[:, None]).astype(np.float32)
    # max: a text of no tokens at all has no mean; it becomes the zero vector.
    count = np.maximum(hidden.lengths, 1).astype(np.float32)
    # where: what a model writes at padded positions may be anything, not-a-number included.
    kept = np.where(mask[:, :, None] > 0, values, np.float32(0))
    return np.asarray(np.matmul(mask[:, None, :], kept)[:, 0] / count[:, None])


def fit(vectors: np.ndarray, target: TensorType, normalize: bool) -> np.ndarray:
    """`(b, d)` float32 cut to the target's size, normalised, then rounded or packed to its cells.

    An int8 target of size s takes the first 8·s components, one bit each (1 where above 0, first
    in the top bit). ModelError where the model gives too few components.
    """
    packed = target.cell == "int8"
    wanted = target.shape[0] * (8 if packed else 1)
    if vectors.shape[1] < wanted:
        raise ModelError(
            f"the model gives vectors of {vectors.shape[1]} components, {target} needs {wanted}"
        )
    vectors = vectors[:, :wanted]
    if normalize:
        vectors = normalized(vectors)
    if packed:
        return pack_bits(vectors)
    return cells(vectors, target)


def cells(values: np.ndarray, target: TensorType) -> np.ndarray:
    """Numbers in the cells of a float, double or bfloat16 type, the last rounded."""
    if target.cell == "bfloat16":
        return round_bfloat16(values)
    return np.asarray(values, target.dtype)


def normalized(vectors: np.ndarray) -> np.ndarray:
    """Rows of `(…, d)` divided by their Euclidean length; zero rows stay zero."""
    length = np.linalg.norm(vectors, axis=-1, keepdims=True)
    return np.asarray(np.divide(vectors, length, out=np.zeros_like(vectors), where=length > 0))
