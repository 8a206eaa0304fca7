"""Attribute values of one field in one segment: the writer."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from siftline.index.arrays import ArrayWriter
from siftline.index.columns.column import AttributeColumn
from siftline.index.labels import encode
from siftline.index.layout import NUMBER_DTYPES, ColumnSpec
from siftline.index.packed import offsets_of
from siftline.index.parts import Part, copy_ranges, copy_rows, document_count, merged_offsets
from siftline.index.postings.dictionary import pack_terms, unite


def build_column(spec: ColumnSpec, values: Sequence[Any], out: ArrayWriter) -> None:
    """Values of n documents, None where absent; see check_value for what they are."""
    if spec.shape == "single":
        present = np.array([value is not None for value in values], bool)
        flat = [value for value in values if value is not None]
        items = _items(spec, flat, out)
        if present.all():
            out.put("values", items)
            return
        column = np.full(len(values), -1 if spec.kind == "string" else 0, items.dtype)
        column[present] = items
        out.put("values", column)
        out.put("present", present.view(np.uint8))
        return
    counts = np.array([len(value or ()) for value in values], np.int64)
    out.put("indptr", offsets_of(counts))
    keys = [key for value in values for key in value or ()]
    if spec.shape == "weightedset":
        weights = [weight for value in values for weight in (value or {}).values()]
        out.put("weights", np.array(weights, np.int32))
        keys = keys if spec.kind == "string" else [_key(spec, key) for key in keys]
    out.put("values", _items(spec, keys, out))


def _key(spec: ColumnSpec, key: str) -> int | float:
    return float(key) if NUMBER_DTYPES[spec.kind].kind == "f" else int(key)


def _items(spec: ColumnSpec, flat: list[Any], out: ArrayWriter) -> np.ndarray:
    if spec.kind != "string":
        return np.array(flat, NUMBER_DTYPES[spec.kind])
    texts = [encode(text) for text in flat]
    terms = sorted(set(texts))
    _write_dictionary(terms, out)
    number = {term: i for i, term in enumerate(terms)}
    return np.fromiter((number[text] for text in texts), np.int32, len(texts))


def _write_dictionary(terms: list[bytes], out: ArrayWriter) -> None:
    blob, offsets = pack_terms(terms)
    out.put("terms", blob)
    out.put("term_offsets", offsets)


def merge_column(
    spec: ColumnSpec, parts: Sequence[Part[AttributeColumn]], out: ArrayWriter
) -> None:
    """Several segments as one, deleted documents left out."""
    values = [part.reader.values for part in parts]
    if spec.kind == "string":
        values = _united_values(parts, out)
    kind = np.dtype(np.int32) if spec.kind == "string" else NUMBER_DTYPES[spec.kind]
    if spec.shape == "single":
        _merge_single(parts, values, kind, out)
        return
    offsets = [_offsets(part) for part in parts]
    merged = merged_offsets(parts, offsets)
    out.put("indptr", merged)
    target = out.allocate("values", kind, (int(merged[-1]),))
    weights = None
    if spec.shape == "weightedset":
        weights = out.allocate("weights", np.int32, (int(merged[-1]),))
    at = 0
    for part, own, own_offsets in zip(parts, values, offsets, strict=True):
        if weights is not None and part.reader.weights is not None:
            copy_ranges(part, own_offsets, part.reader.weights, weights, at)
        at = copy_ranges(part, own_offsets, own, target, at)


def _merge_single(
    parts: Sequence[Part[AttributeColumn]],
    values: Sequence[np.ndarray],
    kind: np.dtype,
    out: ArrayWriter,
) -> None:
    count = document_count(parts)
    target = out.allocate("values", kind, (count,))
    present = np.empty(count, bool)
    for part, own in zip(parts, values, strict=True):
        copy_rows(part, own, target, part.base)
        copy_rows(part, part.reader.present, present, part.base)
    if not present.all():
        out.put("present", present.view(np.uint8))


def _offsets(part: Part[AttributeColumn]) -> np.ndarray:
    indptr = part.reader.indptr
    if indptr is None:
        raise ValueError(f"column '{part.reader.spec.field}' has one value for each document")
    return indptr


def _united_values(parts: Sequence[Part[AttributeColumn]], out: ArrayWriter) -> list[np.ndarray]:
    """The places in the common dictionary of all values; strings no longer used are dropped."""
    dictionaries = [d for part in parts if (d := part.reader.dictionary) is not None]
    terms, maps = unite(dictionaries)
    used = np.zeros(len(terms) + 1, bool)
    for part, own in zip(parts, maps, strict=True):
        used[np.append(own, -1)[_kept_values(part)]] = True
    place = np.append(np.cumsum(used[:-1]) - 1, -1).astype(np.int32)
    _write_dictionary([t for t, kept in zip(terms, used.tolist(), strict=False) if kept], out)
    return [
        place[np.append(own, -1)[part.reader.values]] for part, own in zip(parts, maps, strict=True)
    ]


def _kept_values(part: Part[AttributeColumn]) -> np.ndarray:
    values: np.ndarray = part.reader.values
    if part.whole:
        return values
    if part.reader.indptr is None:
        return np.asarray(values[part.kept])
    return np.asarray(values[np.repeat(part.live, np.diff(part.reader.indptr))])
