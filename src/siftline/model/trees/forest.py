"""A forest of decision trees as flat arrays, and its value for many rows."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numba import njit

from siftline.errors import UsageError

#: Rows that one tree goes over at a time.
BLOCK_ROWS = 64

#: What the sum of the leaves goes through.
Transform = Literal["none", "sigmoid", "exp"]


@dataclass(frozen=True)
class Forest:
    """Trees over named features; the value of a row is `transform(base + Σ leaf)`.

    features: names, one for each column of the rows. texts: names of the features whose values are
    texts, given as `siftline.tensor.text.text_number`.

    roots `(trees,)`; all others `(nodes,)`. column: the feature that a node tests, -1 at a leaf.
    threshold: a row goes left where its feature is smaller; the value of a leaf. first and last:
    where they differ the node tests for membership in `categories[first:last]` instead.
    missing_left: whether NaN goes left. left and right: the nodes below. A child's number is higher
    than its parent's, so every walk ends.
    """

    features: tuple[str, ...]
    roots: np.ndarray
    column: np.ndarray
    threshold: np.ndarray
    left: np.ndarray
    right: np.ndarray
    missing_left: np.ndarray
    first: np.ndarray
    last: np.ndarray
    categories: np.ndarray
    base: float = 0.0
    transform: Transform = "none"
    texts: frozenset[str] = frozenset()

    def evaluate(self, rows: np.ndarray) -> np.ndarray:
        """The value of each row, `(n,)` float64.

        rows `(n, features)`, taken as float64; NaN is a missing value.
        """
        matrix = self._checked(rows)
        sums = np.empty(len(matrix))
        _sum_leaves(matrix, *self._arrays(), sums)
        return self._transformed(sums)

    def evaluate_numpy(self, rows: np.ndarray) -> np.ndarray:
        """As `evaluate`, without compiled code."""
        matrix = self._checked(rows)
        sums = np.zeros(len(matrix))
        everyone = np.arange(len(matrix))
        for root in self.roots:
            nodes = np.full(len(matrix), root)
            while np.any(inner := self.column[nodes] >= 0):
                walking = nodes[inner]
                values = matrix[everyone[inner], self.column[walking]]
                goes_left = self._test(values, walking)
                nodes[inner] = np.where(goes_left, self.left[walking], self.right[walking])
            sums += self.threshold[nodes]
        return self._transformed(sums)

    def _test(self, values: np.ndarray, nodes: np.ndarray) -> np.ndarray:
        held = values < self.threshold[nodes]
        for place in np.flatnonzero(self.first[nodes] < self.last[nodes]):
            among = self.categories[self.first[nodes[place]] : self.last[nodes[place]]]
            held[place] = bool(np.any(among == values[place]))
        return np.asarray(np.where(np.isnan(values), self.missing_left[nodes], held))

    def _checked(self, rows: np.ndarray) -> np.ndarray:
        matrix = np.ascontiguousarray(rows, np.float64)
        if matrix.ndim != 2 or matrix.shape[1] != len(self.features):
            raise UsageError(
                f"a forest of {len(self.features)} features takes rows of as many values, "
                f"not an array of shape {matrix.shape}"
            )
        return matrix

    def _arrays(self) -> tuple[np.ndarray, ...]:
        return (
            self.roots, self.column, self.threshold, self.left, self.right, self.missing_left,
            self.first, self.last, self.categories,
        )  # fmt: skip

    def _transformed(self, sums: np.ndarray) -> np.ndarray:
        values = sums + self.base if self.base else sums
        with np.errstate(over="ignore"):
            if self.transform == "sigmoid":
                return np.asarray(1.0 / (1.0 + np.exp(-values)))
            return np.asarray(np.exp(values)) if self.transform == "exp" else values


@njit(cache=True, nogil=True)
def _sum_leaves(  # type: ignore[no-untyped-def]  # noqa: PLR0913 - the arrays of a forest
    rows, roots, column, threshold, left, right, missing_left, first, last, categories, sums
):
    """The leaves that each row reaches, added in the order of the trees.

    A tree goes over a block of rows before the next one does, so that its nodes stay in the cache.
    """
    sums[:] = 0.0
    for start in range(0, rows.shape[0], BLOCK_ROWS):
        stop = min(start + BLOCK_ROWS, rows.shape[0])
        for root in roots:
            for row in range(start, stop):
                node = root
                while column[node] >= 0:
                    value = rows[row, column[node]]
                    if np.isnan(value):
                        goes_left = missing_left[node]
                    elif first[node] < last[node]:
                        goes_left = False
                        for place in range(first[node], last[node]):
                            if categories[place] == value:
                                goes_left = True
                                break
                    else:
                        goes_left = value < threshold[node]
                    node = left[node] if goes_left else right[node]
                sums[row] += threshold[node]
