"""Learned sparse vectors of one field in one segment: the writer.

The inverted index is always made from the forward one, so its impacts are as tight after a
merge as after the first build.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from siftline.index.arrays import ArrayWriter
from siftline.index.layout import VectorSpec
from siftline.index.packed import SparseRows, offsets_of
from siftline.index.parts import Part, copy_ranges, merged_offsets
from siftline.index.postings.format import block_reduce, block_starts, scales_for
from siftline.index.postings.invert import count_lists, fill_lists
from siftline.index.postings.sparse import SparseVectors


def build_sparse(spec: VectorSpec, rows: SparseRows, out: ArrayWriter) -> None:
    """Forward and, where the field has one, inverted index of n rows."""
    out.put("forward_indptr", rows.indptr)
    out.put("forward_labels", rows.labels)
    if rows.weights is not None:
        out.put("forward_weights", rows.weights)
    if spec.inverted:
        _write_inverted(rows, out)
    elif not spec.weighted:
        _write_counts(rows.labels, out)


def merge_sparse(spec: VectorSpec, parts: Sequence[Part[SparseVectors]], out: ArrayWriter) -> None:
    """Several segments as one, deleted documents left out."""
    forward = [part.reader.rows for part in parts]
    indptr = merged_offsets(parts, [rows.indptr for rows in forward])
    labels = out.allocate("forward_labels", np.int32, (int(indptr[-1]),))
    weights = None
    if spec.weighted:
        weights = out.allocate("forward_weights", np.float32, (int(indptr[-1]),))
    at = 0
    for part, rows in zip(parts, forward, strict=True):
        if weights is not None and rows.weights is not None:
            copy_ranges(part, rows.indptr, rows.weights, weights, at)
        at = copy_ranges(part, rows.indptr, rows.labels, labels, at)
    out.put("forward_indptr", indptr)
    if spec.inverted:
        _write_inverted(SparseRows(indptr, labels, weights), out)
    elif not spec.weighted:
        _write_counts(labels, out)


def _write_counts(labels: np.ndarray, out: ArrayWriter) -> None:
    """How many documents have each label."""
    counts = np.bincount(labels) if len(labels) else np.zeros(0, np.int64)
    terms = np.flatnonzero(counts)
    out.put("terms", terms.astype(np.int32))
    out.put("counts", counts[terms].astype(np.int64))


def _write_inverted(rows: SparseRows, out: ArrayWriter) -> None:
    if rows.weights is None:
        raise ValueError("an inverted index needs weights")
    size = int(rows.labels.max()) + 1 if len(rows.labels) else 0
    counts, largest = np.zeros(size, np.int64), np.full(size, -np.inf, np.float32)
    nonnegative = count_lists(rows.labels, rows.weights, counts, largest)
    terms = np.flatnonzero(counts)
    numbers = np.zeros(size, np.int32)
    numbers[terms] = np.arange(len(terms))
    indptr, maxima = offsets_of(counts[terms]), largest[terms]
    scales = scales_for(maxima)
    documents = out.allocate("documents", np.int32, (int(indptr[-1]),))
    impacts = out.allocate("impacts", np.uint8, (int(indptr[-1]),))
    forward = (rows.indptr, rows.labels, rows.weights)
    fill_lists(forward, numbers, scales, indptr[:-1].copy(), (documents, impacts))
    block_indptr, starts = block_starts(indptr)
    out.put("terms", terms.astype(np.int32))
    out.put("indptr", indptr)
    out.put("scales", scales)
    out.put("maxima", maxima)
    out.put("block_indptr", block_indptr)
    out.put("block_impacts", block_reduce(np.maximum, impacts, starts))
    out.note("nonnegative", bool(nonnegative))
