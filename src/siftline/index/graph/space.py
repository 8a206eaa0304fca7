"""Distance metrics as spaces that faiss can search: a transformation and L2 or inner product.

euclidean               vectors as they are, L2
angular                 vectors scaled to length 1, inner product
prenormalized-angular   vectors as they are, inner product
dotproduct              one more coordinate √(M² - |a|²), 0 in the query, L2: the order of L2 is
                        then that of the inner product; M is the largest length in the segment
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True, slots=True)
class Space:
    """A metric over vectors of `size` cells; `longest` is M of dotproduct, else 0."""

    metric: str
    size: int
    longest: float = 0.0

    @property
    def dimensions(self) -> int:
        """Coordinates of a transformed vector."""
        return self.size + (self.metric == "dotproduct")

    @property
    def inner_product(self) -> bool:
        """Whether faiss compares by inner product, largest first, instead of squared L2."""
        return self.metric in ("angular", "prenormalized-angular")

    def documents(self, vectors: np.ndarray) -> np.ndarray:
        """float32 `(n, size)` to `(n, dimensions)`, C order."""
        single = np.ascontiguousarray(vectors, dtype=np.float32)
        if self.metric == "angular":
            return _normalized(single)
        if self.metric == "dotproduct":
            squares = np.einsum("ij,ij->i", single, single, dtype=np.float64)
            last = np.sqrt(np.maximum(self.longest**2 - squares, 0.0)).astype(np.float32)
            return np.ascontiguousarray(np.column_stack([single, last]))
        return single

    def query(self, vector: np.ndarray) -> np.ndarray:
        """float32 `(size,)` to `(1, dimensions)`."""
        single = np.ascontiguousarray(vector, dtype=np.float32).reshape(1, -1)
        if self.metric == "angular":
            return _normalized(single)
        if self.metric == "dotproduct":
            return np.ascontiguousarray(np.pad(single, ((0, 0), (0, 1))))
        return single


def longest(vectors: np.ndarray) -> float:
    """The largest Euclidean length, 0 without vectors."""
    squares = np.einsum("ij,ij->i", vectors, vectors, dtype=np.float64)
    return float(np.sqrt(squares.max(initial=0.0)))


def _normalized(vectors: np.ndarray) -> np.ndarray:
    lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
    return np.ascontiguousarray(np.divide(vectors, lengths, out=vectors.copy(), where=lengths > 0))
