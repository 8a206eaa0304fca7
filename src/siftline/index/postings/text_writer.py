"""Text postings of one field in one segment: the writer, from documents or from other segments."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from siftline.encode.linguistics import analyze
from siftline.index.arrays import ArrayWriter
from siftline.index.labels import encode
from siftline.index.layout import TextSpec
from siftline.index.packed import offsets_of
from siftline.index.parts import Part, chunks, copy_rows, document_count
from siftline.index.postings.dictionary import pack_terms, unite
from siftline.index.postings.format import (
    ELEMENT_GAP,
    block_reduce,
    block_starts,
    list_maxima,
    order_by_list,
)
from siftline.index.postings.text import TextPostings

_LARGEST = np.iinfo(np.int32).max


class _Numbers(dict[str, int]):
    """Numbers words as they come."""

    def __missing__(self, word: str) -> int:
        number = len(self)
        self[word] = number
        return number


def tokens_of(spec: TextSpec, text: str, language: str) -> list[str]:
    """The tokens of one string in this field, the same for documents and queries."""
    if spec.whole:
        word = text.strip()
        return [word if spec.cased else word.lower()] if word else []
    return analyze(text, language=language, stem=spec.stem, normalize=spec.normalize)


def build_text(
    spec: TextSpec, values: Sequence[Any], languages: Sequence[str], out: ArrayWriter
) -> None:
    """Postings of n values: a string, a list or weighted set of strings, or None each."""
    numbers = _Numbers()
    words: list[int] = []
    element_lengths: list[int] = []
    element_counts: list[int] = []
    for value, language in zip(values, languages, strict=True):
        elements = [value] if isinstance(value, str) else list(value or ())
        for element in elements:
            tokens = tokens_of(spec, element, language)
            words.extend(map(numbers.__getitem__, tokens))
            element_lengths.append(len(tokens))
        element_counts.append(len(elements))
    elements_at = offsets_of(np.array(element_counts, np.int64))
    words_at = offsets_of(np.array(element_lengths, np.int64))
    lengths = np.diff(words_at[elements_at]).astype(np.int32)
    terms, order = _sorted_terms(numbers)
    lists = order[np.array(words, np.int64)].astype(np.int32)
    _write_sorted(out, terms, lists, lengths, _positions(elements_at, words_at))


def _sorted_terms(numbers: _Numbers) -> tuple[list[bytes], np.ndarray]:
    """The terms in byte order, and the place of each number among them."""
    texts = [encode(word) for word in numbers]
    by_text = sorted(range(len(texts)), key=texts.__getitem__)
    order = np.empty(len(texts), np.int64)
    order[by_text] = np.arange(len(texts))
    return [texts[i] for i in by_text], order


def _positions(elements_at: np.ndarray, words_at: np.ndarray) -> np.ndarray:
    """Position of every token in its document, int32; elements ELEMENT_GAP apart."""
    lengths = np.diff(words_at)
    first = elements_at[:-1]
    per_document = np.diff(elements_at)
    document_starts = np.repeat(words_at[first], per_document)
    element = np.arange(len(lengths)) - np.repeat(first, per_document)
    starts = words_at[:-1] - document_starts + element * ELEMENT_GAP
    positions = np.arange(words_at[-1]) + np.repeat(starts - words_at[:-1], lengths)
    return np.asarray(np.minimum(positions, _LARGEST), np.int32)


def _write_sorted(
    out: ArrayWriter,
    terms: list[bytes],
    lists: np.ndarray,
    lengths: np.ndarray,
    positions: np.ndarray,
) -> None:
    """Write postings from each token's term and position, tokens in document order."""
    order = order_by_list(lists)
    owners = np.repeat(np.arange(len(lengths), dtype=np.int32), lengths)[order]
    sorted_lists = lists[order]
    new = np.ones(len(order), bool)
    new[1:] = (sorted_lists[1:] != sorted_lists[:-1]) | (owners[1:] != owners[:-1])
    starts = np.flatnonzero(new)
    frequencies = np.diff(np.append(starts, len(order)))
    indptr = offsets_of(np.bincount(sorted_lists[starts], minlength=len(terms)))
    out.put("documents", owners[starts])
    out.put("positions", positions[order])
    kind = _frequency_dtype(int(frequencies.max(initial=0)))
    out.put("frequencies", frequencies.astype(kind))
    position_starts = offsets_of(frequencies)[indptr]
    _write_lists(out, terms, indptr, position_starts)
    _write_blocks(out, indptr, owners[starts], frequencies.astype(kind), lengths)


def _frequency_dtype(largest: int) -> np.dtype:
    return np.dtype(np.uint16 if largest <= np.iinfo(np.uint16).max else np.int32)


def _write_lists(
    out: ArrayWriter, terms: list[bytes], indptr: np.ndarray, position_starts: np.ndarray
) -> None:
    blob, offsets = pack_terms(terms)
    out.put("terms", blob)
    out.put("term_offsets", offsets)
    out.put("indptr", indptr)
    out.put("position_starts", position_starts)


def _write_blocks(
    out: ArrayWriter,
    indptr: np.ndarray,
    documents: np.ndarray,
    frequencies: np.ndarray,
    lengths: np.ndarray,
) -> None:
    block_indptr, starts = block_starts(indptr)
    out.put("block_indptr", block_indptr)
    out.put("block_frequencies", block_reduce(np.maximum, frequencies, starts))
    smallest = np.empty(len(starts), np.int32)
    ends = np.append(starts, len(documents))
    for first, last in chunks(ends):
        piece = lengths[documents[ends[first] : ends[last]]]
        smallest[first:last] = np.minimum.reduceat(piece, starts[first:last] - starts[first])
    out.put("block_lengths", smallest)
    out.put("max_frequencies", list_maxima(frequencies, indptr))
    out.put("lengths", lengths)
    out.note("documents", int(np.count_nonzero(lengths)))
    out.note("length", int(lengths.sum(dtype=np.int64)))


def merge_text(parts: Sequence[Part[TextPostings]], out: ArrayWriter) -> None:
    """The postings of several segments as one, deleted documents left out."""
    terms, maps = unite(part.reader.terms for part in parts)
    counts, position_counts = _kept_counts(parts, maps, len(terms))
    used = counts > 0
    place = np.cumsum(used) - 1
    indptr, position_starts = offsets_of(counts[used]), offsets_of(position_counts[used])
    lengths = np.zeros(document_count(parts), np.int32)
    kind = max((p.reader.frequencies.dtype for p in parts), key=lambda d: d.itemsize)
    documents = out.allocate("documents", np.int32, (int(indptr[-1]),))
    frequencies = out.allocate("frequencies", kind, (int(indptr[-1]),))
    positions = out.allocate("positions", np.int32, (int(position_starts[-1]),))
    cursor, position_cursor = indptr[:-1].copy(), position_starts[:-1].copy()
    for part, own in zip(parts, maps, strict=True):
        copy_rows(part, part.reader.lengths, lengths, part.base)
        targets = (documents, frequencies, positions)
        _append(part, place[own], targets, cursor, position_cursor)
    names = [term for term, kept in zip(terms, used.tolist(), strict=True) if kept]
    _write_lists(out, names, indptr, position_starts)
    _write_blocks(out, indptr, documents, frequencies, lengths)


def _kept_counts(
    parts: Sequence[Part[TextPostings]], maps: Sequence[np.ndarray], terms: int
) -> tuple[np.ndarray, np.ndarray]:
    """Kept postings and kept positions of every term."""
    counts, position_counts = np.zeros(terms, np.int64), np.zeros(terms, np.int64)
    for part, own in zip(parts, maps, strict=True):
        reader = part.reader
        if part.whole:
            counts[own] += np.diff(reader.indptr)
            position_counts[own] += np.diff(reader.position_starts)
            continue
        for first, last in chunks(reader.indptr):
            start, end = reader.indptr[first], reader.indptr[last]
            kept = part.live[reader.documents[start:end]].astype(np.int64)
            at = reader.indptr[first:last] - start
            counts[own[first:last]] += np.add.reduceat(kept, at)
            kept *= reader.frequencies[start:end]
            position_counts[own[first:last]] += np.add.reduceat(kept, at)
    return counts, position_counts


def _append(
    part: Part[TextPostings],
    lists: np.ndarray,
    targets: tuple[np.ndarray, np.ndarray, np.ndarray],
    cursor: np.ndarray,
    position_cursor: np.ndarray,
) -> None:
    """Write the kept postings of one segment behind those of the segments before it."""
    documents, frequencies, positions = targets
    reader = part.reader
    for first, last in chunks(reader.indptr):
        start, end = reader.indptr[first], reader.indptr[last]
        own_documents = reader.documents[start:end]
        own_frequencies = reader.frequencies[start:end].astype(np.int64)
        own_positions = reader.all_positions[
            reader.position_starts[first] : reader.position_starts[last]
        ]
        owners = np.repeat(lists[first:last], np.diff(reader.indptr[first : last + 1]))
        if not part.whole:
            kept = part.live[own_documents]
            own_positions = own_positions[np.repeat(kept, own_frequencies)]
            own_documents, own_frequencies = own_documents[kept], own_frequencies[kept]
            owners = owners[kept]
        if not len(owners):
            continue
        place = _places(owners, np.ones(len(owners), np.int64), cursor)
        documents[place] = part.numbers[own_documents]
        frequencies[place] = own_frequencies
        starts = _places(owners, own_frequencies, position_cursor)
        within = np.arange(len(own_positions)) - np.repeat(
            offsets_of(own_frequencies)[:-1], own_frequencies
        )
        positions[np.repeat(starts, own_frequencies) + within] = own_positions


def _places(owners: np.ndarray, sizes: np.ndarray, cursor: np.ndarray) -> np.ndarray:
    """Where each item goes in its list, lists in runs; moves the cursors behind them."""
    at = offsets_of(sizes)
    runs = np.append(np.flatnonzero(np.diff(owners, prepend=-1)), len(owners))
    lists = owners[runs[:-1]]
    places: np.ndarray = at[:-1] + np.repeat(cursor[lists] - at[runs[:-1]], np.diff(runs))
    cursor[lists] += at[runs[1:]] - at[runs[:-1]]
    return places
