"""Sparse vectors of many texts, apart from any index: how costly they are, and finding the best."""

from __future__ import annotations

import os
import zipfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from siftline.errors import UsageError
from siftline.index.arrays import MemoryWriter
from siftline.index.layout import VectorSpec
from siftline.index.packed import SparseRows, offsets_of
from siftline.index.postings.sparse import SparsePostings
from siftline.index.postings.sparse_writer import build_sparse
from siftline.match.maxscore import search_impacts
from siftline.match.top import Top
from siftline.tensor.types import TensorType

_FIELD = VectorSpec("sparse", TensorType.parse("tensor<float>(token{})"), inverted=True)


@dataclass(frozen=True, eq=False)
class SparseVectors:
    """CSR: row i has `tokens[indptr[i]:indptr[i+1]]`, int32 ascending, and as many `weights`.

    weights: float32, above 0. seconds: how long encoding the texts took. index_bytes: of an index
    that they were taken from, 0 where an `ImpactIndex` is theirs.
    """

    indptr: np.ndarray
    tokens: np.ndarray
    weights: np.ndarray
    seconds: float = 0.0
    index_bytes: int = 0

    def __len__(self) -> int:
        return len(self.indptr) - 1

    @staticmethod
    def of(
        tokens: Sequence[np.ndarray], weights: Sequence[np.ndarray], seconds: float = 0.0
    ) -> SparseVectors:
        """The rows together, each of token ids and their weights; weights of 0 are left out."""
        kept = [row > 0 for row in weights]
        counts = np.array([np.count_nonzero(row) for row in kept], np.int64)
        flat = [row[keep] for row, keep in zip(tokens, kept, strict=True)]
        cells = [row[keep] for row, keep in zip(weights, kept, strict=True)]
        return SparseVectors(
            offsets_of(counts),
            np.concatenate(flat).astype(np.int32) if flat else np.zeros(0, np.int32),
            np.concatenate(cells).astype(np.float32) if cells else np.zeros(0, np.float32),
            seconds,
        )

    @property
    def length(self) -> float:
        """Mean number of tokens with a weight; 0 without rows."""
        return len(self.tokens) / len(self) if len(self) else 0.0

    def shares(self, size: int) -> np.ndarray:
        """P(t): the share of rows in which each token below `size` has a weight, float64."""
        return np.bincount(self.tokens, minlength=size)[:size] / max(len(self), 1)

    def row(self, number: int) -> tuple[np.ndarray, np.ndarray]:
        """Token ids and weights of a row."""
        part = slice(int(self.indptr[number]), int(self.indptr[number + 1]))
        return self.tokens[part], self.weights[part]

    def save(self, path: Path) -> None:
        """Write them as one file, whole or not at all."""
        path.parent.mkdir(parents=True, exist_ok=True)
        partial = path.with_name(f"{path.name}.{os.getpid()}.partial")
        with partial.open("wb") as file:
            np.savez(
                file,
                indptr=self.indptr,
                tokens=self.tokens,
                weights=self.weights,
                seconds=np.float64(self.seconds),
                index_bytes=np.int64(self.index_bytes),
            )
        os.replace(partial, path)

    @staticmethod
    def load(path: Path) -> SparseVectors:
        """The vectors that `save` wrote; UsageError where the file is none of its."""
        try:
            with np.load(path) as held:
                return SparseVectors(
                    held["indptr"],
                    held["tokens"],
                    held["weights"],
                    float(held["seconds"]),
                    int(held["index_bytes"]),
                )
        except (OSError, ValueError, KeyError, zipfile.BadZipFile) as error:
            raise UsageError(f"'{path}' holds no sparse vectors: {error}; remove it") from None


def flops(queries: SparseVectors, documents: SparseVectors) -> float:
    """Σ_t P_q(t)·P_d(t): multiplications that a query with a document costs on average.

    P counts in which vectors a token has a weight, whatever it is (arXiv 2004.05665, and what the
    OpenSearch tuning sample reports).
    """
    size = 1 + max((int(v.tokens.max()) for v in (queries, documents) if len(v.tokens)), default=0)
    return float(queries.shares(size) @ documents.shares(size))


class _TokenIds:
    """Labels that are token ids: nothing here is ever looked up by its text."""

    def find(self, label: str) -> int:
        """The id that a label of digits says, -1 for another."""
        return int(label) if label.isdigit() else -1


class ImpactIndex:
    """The engine's inverted index over sparse vectors, in memory.

    bytes: of the structures that a segment keeps for such a field.
    """

    def __init__(self, vectors: SparseVectors) -> None:
        writer = MemoryWriter()
        build_sparse(_FIELD, SparseRows(vectors.indptr, vectors.tokens, vectors.weights), writer)
        arrays = writer.finish()
        self.bytes = sum(size for _, size in arrays.sizes())
        self._postings = SparsePostings(arrays, _TokenIds())

    def search(self, tokens: np.ndarray, weights: np.ndarray, count: int) -> Top:
        """The best `count` rows by dot product, exactly; only rows that share a token."""
        return search_impacts(self._postings, tokens, weights.astype(np.float64), count)
