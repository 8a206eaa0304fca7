"""Dense vectors of one field in one segment: the writer."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from siftline.index.arrays import ArrayWriter
from siftline.index.graph.dense import DenseVectors
from siftline.index.graph.graph import Graph, build_graph, dump_links
from siftline.index.graph.space import Space, longest
from siftline.index.layout import VectorSpec
from siftline.index.packed import DenseRows, restore_cells
from siftline.index.parts import Part, copy_rows, copy_slice_of, document_count


def build_dense(spec: VectorSpec, rows: DenseRows, out: ArrayWriter, graph_from: int) -> None:
    """Matrix of the present rows, and a graph where there are at least `graph_from`."""
    matrix = rows.values
    if not rows.present.all():
        documents = np.flatnonzero(rows.present)
        matrix = matrix[documents]
        out.put("documents", documents.astype(np.int32))
    out.put("matrix", matrix)
    _write_graph(spec, matrix, out, graph_from, None)


def merge_dense(
    spec: VectorSpec, parts: Sequence[Part[DenseVectors]], out: ArrayWriter, graph_from: int
) -> None:
    """Several segments as one, deleted documents left out.

    A graph of the first segment is gone on with if none of its documents is deleted.
    """
    kept = [_kept_rows(part) for part in parts]
    total = sum(len(rows) for rows in kept)
    matrix = out.allocate("matrix", spec.storage, (total, spec.size))
    at = 0
    for part, rows in zip(parts, kept, strict=True):
        if len(rows) == len(part.reader.matrix):
            at = copy_rows(Part(None, np.ones(len(rows), bool)), part.reader.matrix, matrix, at)
        else:
            at = copy_slice_of(part.reader.matrix, rows, matrix, at)
    if total < document_count(parts):
        owners = [
            part.numbers[part.reader.documents_of(rows)]
            for part, rows in zip(parts, kept, strict=True)
        ]
        out.put("documents", np.concatenate(owners).astype(np.int32))
    _write_graph(spec, matrix, out, graph_from, parts[0] if parts else None)


def _kept_rows(part: Part[DenseVectors]) -> np.ndarray:
    if part.reader.documents is None:
        return part.kept
    return np.flatnonzero(part.live[part.reader.documents])


def _write_graph(
    spec: VectorSpec,
    matrix: np.ndarray,
    out: ArrayWriter,
    graph_from: int,
    first: Part[DenseVectors] | None,
) -> None:
    if spec.graph is None or len(matrix) < max(graph_from, 1):
        return
    vectors = restore_cells(spec, matrix).astype(np.float32, copy=False)
    length = longest(vectors) if spec.metric == "dotproduct" else 0.0
    space = Space(spec.metric, spec.size, length)
    start = _begun_graph(first, space) if first is not None else None
    if start is not None:
        space = start.space
    graph = build_graph(space, vectors, spec.graph.links, spec.graph.explore_at_insert, start)
    out.put("links", dump_links(graph))
    out.note("longest", space.longest)


def _begun_graph(first: Part[DenseVectors], space: Space) -> Graph | None:
    """A copy of the first segment's graph to add to, where it still fits."""
    reader = first.reader
    if not (first.whole and reader.has_graph and reader.space.longest >= space.longest):
        return None
    return reader.copy_graph()
