"""The HNSW graph of a dense field in one segment, by faiss; it shares the matrix on disk."""

from __future__ import annotations

from typing import Any

import numpy as np

from siftline.index.graph.space import Space

#: rows that are transformed and added at a time
_STEP = 16_384


def _faiss() -> Any:
    """Loaded when first needed; its generated interface has no usable types."""
    import faiss

    return faiss


class Graph:
    """Approximate nearest rows of a matrix.

    `index` is the faiss.IndexHNSW over the rows in the metric's `space`.
    """

    def __init__(self, index: Any, space: Space, storage: Any) -> None:
        self.index = index
        self.space = space
        self._storage = storage  # faiss holds a bare pointer to it

    def __len__(self) -> int:
        return int(self.index.ntotal)

    def search(
        self, query: np.ndarray, count: int, explore: int = 0, allowed: np.ndarray | None = None
    ) -> np.ndarray:
        """Up to `count` rows (int64), nearest first, by a beam of `count + explore`.

        allowed: bool `(rows,)`, only those rows.
        """
        faiss = _faiss()

        beam = max(count + explore, 1)
        selector = None
        if allowed is not None:
            bits = np.packbits(allowed, bitorder="little")
            selector = faiss.IDSelectorBitmap(bits)
        parameters = faiss.SearchParametersHNSW(efSearch=beam, sel=selector)
        wanted = min(count, len(self))
        _, rows = self.index.search(self.space.query(query), wanted, params=parameters)
        found: np.ndarray = rows[0][rows[0] >= 0]
        return found


def build_graph(
    space: Space, matrix: np.ndarray, links: int, explore: int, start: Graph | None = None
) -> Graph:
    """The graph over float32 `matrix` `(n, size)`; `start` already holds its first rows."""
    faiss = _faiss()

    if start is None:
        metric = faiss.METRIC_INNER_PRODUCT if space.inner_product else faiss.METRIC_L2
        index = faiss.IndexHNSWFlat(space.dimensions, links, metric)
        index.hnsw.efConstruction = explore
        start = Graph(index, space, None)
    for at in range(len(start), len(matrix), _STEP):
        start.index.add(space.documents(matrix[at : at + _STEP]))
    return start


def dump_links(graph: Graph) -> np.ndarray:
    """The graph without its vectors: faiss's serialised index, uint8."""
    faiss = _faiss()

    links: np.ndarray = faiss.serialize_index(graph.index, faiss.IO_FLAG_SKIP_STORAGE)
    return links


def load_graph(links: np.ndarray, space: Space, matrix: np.ndarray) -> Graph:
    """The graph of dump_links over float32 `matrix`, whose rows are transformed again."""
    faiss = _faiss()

    index = faiss.deserialize_index(np.ascontiguousarray(links))
    metric = faiss.METRIC_INNER_PRODUCT if space.inner_product else faiss.METRIC_L2
    storage = faiss.IndexFlat(space.dimensions, metric)
    for at in range(0, len(matrix), _STEP):
        storage.add(space.documents(matrix[at : at + _STEP]))
    index.storage = storage
    index.own_fields = False
    return Graph(index, space, storage)
