"""Dense vectors of one field in one segment: the reader of the matrix and its graph."""

from __future__ import annotations

import threading

import numpy as np

from siftline.index.arrays import Arrays
from siftline.index.graph.graph import Graph, load_graph
from siftline.index.graph.space import Space
from siftline.index.layout import VectorSpec
from siftline.index.packed import DenseRows, restore_cells


class DenseVectors:
    """One row for each document that has the vector.

    matrix: stored cells `(rows, size)` (float64, float32, bfloat16 as uint16, or int8).
    documents: int32 `(rows,)` ascending, the document of each row; None where every document
    has a row, so that row and document number are the same.
    """

    def __init__(self, arrays: Arrays, spec: VectorSpec, count: int) -> None:
        self.spec = spec
        self.count = count
        self.matrix = arrays["matrix"]
        self.documents = arrays["documents"] if "documents" in arrays else None
        self._links = arrays["links"] if "links" in arrays else None
        self._longest = float(arrays.notes.get("longest", 0.0))
        self._graph: Graph | None = None
        self._lock = threading.Lock()

    @property
    def has_graph(self) -> bool:
        """Whether there is a graph; asking does not load it."""
        return self._links is not None

    @property
    def neighbors(self) -> int:
        """The most neighbours that a row has in the graph's lowest layer, 0 without one."""
        return 0 if self.spec.graph is None else 2 * self.spec.graph.links

    @property
    def space(self) -> Space:
        """The metric's space."""
        return Space(self.spec.metric, self.spec.size, self._longest)

    @property
    def graph(self) -> Graph | None:
        """The graph over the rows, loaded at the first call; None in a small segment."""
        if self._links is not None and self._graph is None:
            with self._lock:
                if self._graph is None:
                    vectors = self.vectors(0, len(self.matrix))
                    self._graph = load_graph(self._links, self.space, vectors)
        return self._graph

    def copy_graph(self) -> Graph | None:
        """A graph of its own, to add rows to; None without one."""
        if self._links is None:
            return None
        return load_graph(self._links, self.space, self.vectors(0, len(self.matrix)))

    def vectors(self, start: int, end: int) -> np.ndarray:
        """Rows `start:end` as float32 (float64 and int8 cells converted)."""
        rows = restore_cells(self.spec, self.matrix[start:end])
        return rows.astype(np.float32, copy=False)

    def rows_of(self, documents: np.ndarray) -> np.ndarray:
        """The row of each document, int64, -1 where it has none."""
        if self.documents is None:
            return np.asarray(documents, np.int64)
        place = np.searchsorted(self.documents, documents)
        place = np.minimum(place, max(len(self.documents) - 1, 0))
        if not len(self.documents):
            return np.full(len(documents), -1, np.int64)
        return np.where(self.documents[place] == documents, place, -1)

    def documents_of(self, rows: np.ndarray) -> np.ndarray:
        """The document of each row, int64."""
        if self.documents is None:
            return np.asarray(rows, np.int64)
        return np.asarray(self.documents[rows], np.int64)

    def take(self, documents: np.ndarray) -> DenseRows:
        """Stored cells of the documents; absent rows are zero."""
        rows = self.rows_of(documents)
        present = rows >= 0
        if present.all():
            return DenseRows(self.matrix[rows], present)
        values = np.zeros((len(rows), self.spec.size), self.spec.storage)
        values[present] = self.matrix[rows[present]]
        return DenseRows(values, present)

    def search(
        self, query: np.ndarray, count: int, explore: int = 0, allowed: np.ndarray | None = None
    ) -> np.ndarray:
        """Documents (int64) of about the `count` nearest vectors, nearest first, by the graph.

        allowed: bool `(documents,)`, only those. Without a graph: nothing.
        """
        graph = self.graph
        if graph is None:
            return np.zeros(0, np.int64)
        mask = allowed
        if allowed is not None and self.documents is not None:
            mask = allowed[self.documents]
        return self.documents_of(graph.search(query, count, explore, mask))
