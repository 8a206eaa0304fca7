"""nearestNeighbor: an exact scan, the graphs of the segments, and the choice between them.

Strategy (spec: Vespa nearest-neighbour search): without graph or with `approximate:false` the scan;
a filter that leaves fewer than approximate-threshold of the documents, the scan within it; one that
leaves more than post-filter-threshold, the graph without it for min(k / share, factor · k)
candidates, of which those outside are dropped; else the graph within it. Unlike Vespa, a segment is
scanned where its graph would measure as many vectors, unless `approximate:true` is written out, and
the scan exposes exactly the k nearest. Whatever a graph finds is measured again exactly.
"""

from __future__ import annotations

import math
from collections.abc import Iterator

import numpy as np

from siftline.index.graph.dense import DenseVectors
from siftline.index.packed import restore_cells
from siftline.index.segment import Segment
from siftline.index.snapshot import Snapshot
from siftline.match import exhaustive
from siftline.match.deadline import MATCHING, NEVER, Deadline
from siftline.match.distance import closeness, distance
from siftline.match.maxscore import search_sparse
from siftline.match.prepare import Prepared
from siftline.match.query import NearestNeighbor
from siftline.match.top import Top, best

#: rows that a scan measures at a time
_BLOCK = 16_384

APPROXIMATE_THRESHOLD = 0.02
POST_FILTER_THRESHOLD = 1.0
MAX_ADJUSTMENT = 20.0


def nearest(
    snapshot: Snapshot, prepared: Prepared, node: NearestNeighbor, allowed: np.ndarray | None
) -> Top:
    """The nearest documents, nearest first, with closeness as score; of a sparse field the product.

    allowed: bool `(limit,)`, the documents that the rest of the query leaves, or None.
    """
    tensor = prepared.tensors[node.query]
    spec = prepared.layout.vectors[node.field]
    deadline = prepared.query.deadline
    if spec.form == "sparse":
        if prepared.query.exhaustive:
            found = exhaustive.sparse_scores(snapshot, node.field, tensor, deadline=deadline)
            top = found.best(node.target_hits, allowed)
        else:
            top = search_sparse(
                snapshot, node.field, tensor, node.target_hits, allowed, deadline=deadline
            )
        return _within(top, -top.scores, node)
    query = tensor.array.astype(np.float64)
    top = _dense(snapshot, prepared, node, query, allowed)
    kept = _within(top, -top.scores, node)
    return Top(kept.documents, closeness(spec.metric, -kept.scores))


def _within(top: Top, distances: np.ndarray, node: NearestNeighbor) -> Top:
    if node.distance_threshold is None:
        return top
    keep = distances <= node.distance_threshold
    return Top(top.documents[keep], top.scores[keep])


def _dense(
    snapshot: Snapshot,
    prepared: Prepared,
    node: NearestNeighbor,
    query: np.ndarray,
    allowed: np.ndarray | None,
) -> Top:
    """The nearest documents with the negative distance as score."""
    count, deadline = node.target_hits, prepared.query.deadline
    graphs = any(segment.dense(node.field).has_graph for segment in snapshot.segments)
    if prepared.query.exhaustive or node.approximate is False or not graphs:
        return scan(snapshot, node.field, query, count, allowed, deadline=deadline)
    share = _share(snapshot, allowed)
    if share is None:
        return _search_graphs(snapshot, node, query, count, None, deadline)
    if share > _setting(prepared, node, "post-filter-threshold", POST_FILTER_THRESHOLD):
        factor = _setting(prepared, node, "target-hits-max-adjustment-factor", MAX_ADJUSTMENT)
        wanted = max(math.floor(min(count / share, factor * count)), 1)
        found = _search_graphs(snapshot, node, query, wanted, None, deadline)
        keep = np.ones(len(found), bool) if allowed is None else allowed[found.documents]
        return Top(found.documents[keep][:count], found.scores[keep][:count])
    if share < _setting(prepared, node, "approximate-threshold", APPROXIMATE_THRESHOLD):
        return scan(snapshot, node.field, query, count, allowed, deadline=deadline)
    return _search_graphs(snapshot, node, query, count, allowed, deadline)


def _share(snapshot: Snapshot, allowed: np.ndarray | None) -> float | None:
    """The share of documents that the filter leaves; None where it leaves all.

    Of one document more than there are, as Vespa counts a reserved one.
    """
    if allowed is None:
        return None
    left = sum(
        int(np.count_nonzero(allowed[s.base : s.base + s.count] & s.live))
        for s in snapshot.segments
    )
    return None if left == snapshot.document_count else left / (snapshot.document_count + 1)


def _setting(prepared: Prepared, node: NearestNeighbor, name: str, default: float) -> float:
    own = node.settings.get(name)
    return prepared.setting(name, default) if own is None else own


def scan(
    snapshot: Snapshot,
    field: str,
    query: np.ndarray,
    count: int,
    allowed: np.ndarray | None = None,
    *,
    deadline: Deadline = NEVER,
) -> Top:
    """The nearest `count` documents, exactly; score is the negative distance.

    query: float64 `(d,)`. allowed: bool `(limit,)`, only those. deadline: looked at before each
    block of rows that is measured.
    """
    found = Top(np.zeros(0, np.int64), np.zeros(0))
    for segment in snapshot.segments:
        own = _scan_segment(segment, field, query, count, allowed, deadline)
        found = _merged(found, own, count)
    return found


def _scan_segment(
    segment: Segment,
    field: str,
    query: np.ndarray,
    count: int,
    allowed: np.ndarray | None,
    deadline: Deadline,
) -> Top:
    reader = segment.dense(field)
    found = Top(np.zeros(0, np.int64), np.zeros(0))
    for rows in deadline.over(_blocks(reader, _mask(segment, allowed)), MATCHING):
        scores = -_distances(reader, rows, query)
        documents = segment.base + reader.documents_of(_numbers(rows))
        found = _merged(found, best(documents, scores, count), count)
    return found


def _blocks(reader: DenseVectors, mask: np.ndarray | None) -> Iterator[slice | np.ndarray]:
    """Rows to measure, a block at a time: slices of the matrix, or the rows that a mask leaves."""
    size = len(reader.matrix)
    if mask is None:
        for start in range(0, size, _BLOCK):
            yield slice(start, min(start + _BLOCK, size))
        return
    allowed = mask if reader.documents is None else mask[reader.documents]
    rows = np.flatnonzero(allowed)
    for start in range(0, len(rows), _BLOCK):
        yield rows[start : start + _BLOCK]


def _numbers(rows: slice | np.ndarray) -> np.ndarray:
    return np.arange(rows.start, rows.stop) if isinstance(rows, slice) else rows


def _distances(reader: DenseVectors, rows: slice | np.ndarray, query: np.ndarray) -> np.ndarray:
    return distance(reader.spec.metric, query, restore_cells(reader.spec, reader.matrix[rows]))


def _search_graphs(
    snapshot: Snapshot,
    node: NearestNeighbor,
    query: np.ndarray,
    count: int,
    allowed: np.ndarray | None,
    deadline: Deadline,
) -> Top:
    found = Top(np.zeros(0, np.int64), np.zeros(0))
    for segment in deadline.over(snapshot.segments, MATCHING):
        own = _search_graph(segment, node, query, count, _mask(segment, allowed))
        if own is None:
            own = _scan_segment(segment, node.field, query, count, allowed, deadline)
        found = _merged(found, own, count)
    return found


def _search_graph(
    segment: Segment,
    node: NearestNeighbor,
    query: np.ndarray,
    count: int,
    mask: np.ndarray | None,
) -> Top | None:
    """What the segment's graph finds; None where a scan is better.

    That is without a graph, where it may measure as many vectors as the scan would (every one that
    the beam keeps has that many neighbours), and where it reaches too few documents.
    """
    reader = segment.dense(node.field)
    if not reader.has_graph:
        return None
    there = len(reader.matrix) if mask is None else _allowed_rows(reader, mask)
    if node.approximate is None and (count + node.explore) * reader.neighbors >= there:
        return None
    documents = reader.search(query.astype(np.float32), count, node.explore, mask)
    if len(documents) < min(count, there):
        return None
    scores = -_distances(reader, reader.rows_of(documents), query)
    return best(segment.base + documents, scores, count)


def _allowed_rows(reader: DenseVectors, mask: np.ndarray) -> int:
    return int(np.count_nonzero(mask if reader.documents is None else mask[reader.documents]))


def _mask(segment: Segment, allowed: np.ndarray | None) -> np.ndarray | None:
    """The segment's live and allowed documents; None where that is all of them."""
    if allowed is not None:
        return np.asarray(allowed[segment.base : segment.base + segment.count] & segment.live)
    return None if segment.live_count == segment.count else segment.live


def _merged(first: Top, second: Top, count: int) -> Top:
    return best(
        np.concatenate([first.documents, second.documents]),
        np.concatenate([first.scores, second.scores]),
        count,
    )
