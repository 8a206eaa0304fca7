"""Collects the nodes of trees, whatever file they come from, and makes a Forest of them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import TypeVar

import numpy as np

from siftline.errors import ModelError
from siftline.model.trees.forest import Forest, Transform

#: Nodes that a forest may have: more would not fit the arrays' 32-bit numbers.
MOST_NODES = 1 << 30

N = TypeVar("N")


@dataclass(frozen=True, slots=True)
class Leaf:
    """The end of a walk."""

    value: float


@dataclass(frozen=True, slots=True)
class Split:
    """A test: is the feature below `threshold`, or one of `categories` where they are given?"""

    feature: str
    threshold: float
    missing_left: bool
    categories: tuple[float, ...] = ()


#: What a reader says of a node of its file: a leaf, or a split with what is left and right of it.
Read = Callable[[N], "Leaf | tuple[Split, N, N]"]


class Grower:
    """The nodes of a growing forest, in plain lists."""

    def __init__(self) -> None:
        self._columns: dict[str, int] = {}
        self._roots: list[int] = []
        self._column: list[int] = []
        self._threshold: list[float] = []
        self._left: list[int] = []
        self._right: list[int] = []
        self._missing_left: list[bool] = []
        self._ranges: list[tuple[int, int]] = []
        self._categories: list[float] = []

    def add(self, root: N, read: Read[N], most: int = MOST_NODES) -> None:
        """Add the tree below `root`; ModelError if it has more than `most` nodes.

        most: the nodes that the file has, so that one whose nodes form a circle is refused.
        """
        start = len(self._column)
        self._roots.append(start)
        waiting: list[tuple[N, int, list[int]]] = [(root, -1, self._left)]
        while waiting:
            source, parent, side = waiting.pop()
            node = len(self._column)
            if node - start >= most:
                raise ModelError(f"a tree comes back to a node it had: more than {most} nodes")
            if parent >= 0:
                side[parent] = node
            found = read(source)
            if isinstance(found, Leaf):
                self._append(-1, found.value, False, ())
                continue
            split, left, right = found
            column = self._columns.setdefault(split.feature, len(self._columns))
            self._append(column, split.threshold, split.missing_left, split.categories)
            waiting.append((right, node, self._right))
            waiting.append((left, node, self._left))

    def _append(
        self, column: int, threshold: float, missing_left: bool, categories: Sequence[float]
    ) -> None:
        first = len(self._categories)
        self._categories.extend(categories)
        self._column.append(column)
        self._threshold.append(threshold)
        self._left.append(-1)
        self._right.append(-1)
        self._missing_left.append(missing_left)
        self._ranges.append((first, len(self._categories)))

    def forest(
        self, *, base: float = 0.0, transform: Transform = "none", texts: Iterable[str] = ()
    ) -> Forest:
        """The trees added so far; features in the order of their names."""
        features = tuple(sorted(self._columns))
        places = np.zeros(len(features) + 1, np.int32)
        for place, name in enumerate(features):
            places[self._columns[name]] = place
        places[-1] = -1
        ranges = np.array(self._ranges, np.int32).reshape(-1, 2)
        return Forest(
            features,
            np.array(self._roots, np.int32),
            places[np.array(self._column, np.int64)],
            np.array(self._threshold, np.float64),
            np.array(self._left, np.int32),
            np.array(self._right, np.int32),
            np.array(self._missing_left, np.bool_),
            ranges[:, 0].copy(),
            ranges[:, 1].copy(),
            np.array(self._categories, np.float64),
            base,
            transform,
            frozenset(texts) & frozenset(features),
        )
