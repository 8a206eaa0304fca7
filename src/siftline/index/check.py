"""Refuses documents that do not fit their fields, before anything is written."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from siftline.encode.encoded import Encoded
from siftline.errors import DocumentError, Place, UsageError
from siftline.index.layout import NUMBER_DTYPES, ColumnSpec, Layout, VectorSpec
from siftline.tensor.batch import Batch, DenseBatch, RaggedBatch, SparseBatch


def check_encoded(layout: Layout, encoded: Encoded, removed: Sequence[str]) -> None:
    """DocumentError names the id and the field of the first value that does not fit."""
    _check_ids(encoded, removed)
    for field, values in encoded.outputs.items():
        _check_count(field, len(values), len(encoded))
        column = layout.columns.get(field)
        for row, value in enumerate(values):
            if value is None:
                continue
            if column is not None and not _fits(column, value):
                raise _wrong(encoded, row, field, f"{_shown(value)} is no {_described(column)}")
            if field in layout.texts and not _is_text(value):
                raise _wrong(encoded, row, field, f"{_shown(value)} is no text")
    for field, batch in encoded.vectors.items():
        spec = layout.vectors.get(field)
        if spec is None:
            raise UsageError(f"schema '{layout.schema}' has no tensor field '{field}' to index")
        _check_count(field, len(batch), len(encoded))
        _check_batch(spec, batch, encoded)


def _check_ids(encoded: Encoded, removed: Sequence[str]) -> None:
    seen: set[str] = set()
    for id_ in [*encoded.ids, *removed]:
        if id_ in seen:
            raise DocumentError(f"document {id_} is written twice in one batch")
        seen.add(id_)
    if len(encoded.fields) != len(encoded):
        raise UsageError(f"{len(encoded)} ids but fields of {len(encoded.fields)} documents")
    if encoded.languages and len(encoded.languages) != len(encoded):
        raise UsageError(f"{len(encoded)} ids but {len(encoded.languages)} languages")


def _check_count(field: str, found: int, expected: int) -> None:
    if found != expected:
        raise UsageError(f"field '{field}' has {found} values for {expected} documents")


def _check_batch(spec: VectorSpec, batch: Batch, encoded: Encoded) -> None:
    if len(encoded) == 0:
        return
    if batch.type != spec.type:
        raise _wrong(encoded, 0, spec.field, f"got tensors of type {batch.type}, not {spec.type}")
    if isinstance(batch, DenseBatch):
        _check_shape(spec, batch.values.shape[1:], encoded)
        _refuse_infinite(batch.values.reshape(len(batch), -1), None, spec, encoded)
    elif isinstance(batch, SparseBatch):
        _check_indptr(batch.indptr, len(batch.tokens), spec, encoded)
        if len(batch.tokens) != len(batch.weights):
            raise _wrong(encoded, 0, spec.field, "has not as many tokens as weights")
        _check_tokens(batch, spec, encoded)
        _refuse_infinite(batch.weights, batch.indptr, spec, encoded)
        _refuse_twice(batch, spec, encoded)
    elif isinstance(batch, RaggedBatch):
        _check_shape(spec, batch.rows.shape[1:], encoded)
        _check_indptr(batch.offsets, len(batch.rows), spec, encoded)
        _refuse_infinite(batch.rows, batch.offsets, spec, encoded)
    else:
        for row, tensor in enumerate(batch.tensors):
            if tensor is not None and not np.isfinite(tensor.cells).all():
                raise _wrong(encoded, row, spec.field, "has a cell that is not a finite number")


def _check_shape(spec: VectorSpec, shape: tuple[int, ...], encoded: Encoded) -> None:
    if shape != spec.type.shape:
        raise _wrong(encoded, 0, spec.field, f"cells of shape {shape} do not fill {spec.type}")


def _check_indptr(indptr: np.ndarray, size: int, spec: VectorSpec, encoded: Encoded) -> None:
    if indptr[0] != 0 or indptr[-1] != size or (np.diff(indptr) < 0).any():
        raise _wrong(encoded, 0, spec.field, "the offsets of its rows do not fit its cells")


def _check_tokens(batch: SparseBatch, spec: VectorSpec, encoded: Encoded) -> None:
    tokens = np.asarray(batch.tokens)
    known = len(batch.vocabulary)
    if len(tokens) and not (0 <= tokens.min() and tokens.max() < known):
        place = int(np.flatnonzero((tokens < 0) | (tokens >= known))[0])
        row = int(np.searchsorted(batch.indptr, place, side="right")) - 1
        problem = f"token {tokens[place]} is not among the {known} labels"
        raise _wrong(encoded, row, spec.field, problem)


def _refuse_infinite(
    cells: np.ndarray, indptr: np.ndarray | None, spec: VectorSpec, encoded: Encoded
) -> None:
    if cells.dtype.kind != "f" or np.isfinite(cells).all():
        return
    finite = np.isfinite(cells)
    place = int(np.flatnonzero(~finite.reshape(len(cells), -1).all(axis=1))[0])
    row = place if indptr is None else int(np.searchsorted(indptr, place, side="right")) - 1
    raise _wrong(encoded, row, spec.field, "has a cell that is not a finite number")


def _refuse_twice(batch: SparseBatch, spec: VectorSpec, encoded: Encoded) -> None:
    if len(batch.tokens) < 2:
        return
    # within a row that ascends nothing stands twice; what is left is sorted
    starts = np.zeros(len(batch.tokens) + 1, bool)
    starts[batch.indptr] = True
    if (starts[1:-1] | (batch.tokens[1:] > batch.tokens[:-1])).all():
        return
    owners = np.repeat(np.arange(len(batch), dtype=np.int64), np.diff(batch.indptr))
    keys = (owners << 32) | batch.tokens.astype(np.int64)
    keys.sort()
    twice = np.flatnonzero(keys[1:] == keys[:-1])
    if len(twice):
        key = int(keys[twice[0]])
        label = batch.vocabulary[key & 0xFFFFFFFF]
        raise _wrong(encoded, key >> 32, spec.field, f"has the label '{label}' twice")


def _fits(spec: ColumnSpec, value: Any) -> bool:
    if spec.shape == "array":
        return isinstance(value, (list, tuple)) and all(_is_item(spec.kind, v) for v in value)
    if spec.shape == "weightedset":
        return isinstance(value, dict) and all(
            _is_key(spec.kind, key) and _is_item("int", weight) for key, weight in value.items()
        )
    return _is_item(spec.kind, value)


def _is_item(kind: str, value: Any) -> bool:
    if kind == "string":
        return isinstance(value, str)
    if kind == "bool":
        return isinstance(value, bool)
    if isinstance(value, bool):
        return False
    if kind in ("float", "double"):
        if not isinstance(value, (int, float)):
            return False
        largest = float(np.finfo(NUMBER_DTYPES[kind]).max)
        return not -math.inf < value < math.inf or abs(value) <= largest
    if not isinstance(value, int):
        return False
    limits = np.iinfo(NUMBER_DTYPES[kind])
    return int(limits.min) <= value <= int(limits.max)


def _is_key(kind: str, key: Any) -> bool:
    if kind == "string" or not isinstance(key, str):
        return isinstance(key, str)
    try:
        return _is_item(kind, float(key) if kind in ("float", "double") else int(key))
    except ValueError:
        return False


def _is_text(value: Any) -> bool:
    if isinstance(value, (list, tuple, dict)):
        return all(isinstance(element, str) for element in value)
    return isinstance(value, str)


def _described(spec: ColumnSpec) -> str:
    return spec.kind if spec.shape == "single" else f"{spec.shape}<{spec.kind}>"


def _shown(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 60 else text[:57] + "..."


def _wrong(encoded: Encoded, row: int, field: str, problem: str) -> DocumentError:
    return DocumentError(f"document {encoded.ids[row]}: {problem}", Place(field=field))
