"""How often words, phrases and near words stand in documents, from the postings' positions.

A position is handled as one key, `document << 32 | position`, so that sorted lists of several
documents are compared at once.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from siftline.index.postings.text import TextPostings
from siftline.index.snapshot import Snapshot
from siftline.tensor.batch import gather_ranges

#: No key is so large.
_NOWHERE = np.iinfo(np.int64).max


def term_frequencies(
    snapshot: Snapshot,
    field: str,
    tokens: Sequence[str],
    documents: np.ndarray,
    near: tuple[int, bool] | None = None,
) -> np.ndarray:
    """Occurrences of a word, phrase or near in the documents, float64 `(n,)`.

    documents: int64 numbers of the snapshot, in any order. near: distance and whether in order;
    counted are the places where such a window begins.
    """
    found = np.zeros(len(documents))
    for segment in snapshot.segments:
        local = documents - segment.base
        rows = np.flatnonzero((local >= 0) & (local < segment.count))
        if not len(rows):
            continue
        held, frequencies = occurrences(segment.text(field), tokens, near)
        if not len(held):
            continue
        places = np.minimum(np.searchsorted(held, local[rows]), len(held) - 1)
        match = held[places] == local[rows]
        found[rows[match]] = frequencies[places[match]]
    return found


def occurrences(
    postings: TextPostings, tokens: Sequence[str], near: tuple[int, bool] | None = None
) -> tuple[np.ndarray, np.ndarray]:
    """Documents (int32, ascending, numbers of the segment) with the tokens, and how often."""
    terms = [postings.lookup(token) for token in tokens]
    if not terms or min(terms) < 0:
        return np.zeros(0, np.int32), np.zeros(0, np.int32)
    if len(terms) == 1:
        return postings.postings(terms[0])
    candidates = _common(postings, terms)
    keys = [_keys(postings, term, candidates) for term in terms]
    starts = _phrases(keys) if near is None else _windows(keys, *near)
    documents, counts = np.unique(starts >> 32, return_counts=True)
    return documents.astype(np.int32), counts.astype(np.int32)


def _common(postings: TextPostings, terms: Sequence[int]) -> np.ndarray:
    """Documents that hold every term, ascending."""
    lists = sorted((postings.postings(term)[0] for term in set(terms)), key=len)
    common: np.ndarray = lists[0]
    for documents in lists[1:]:
        places = np.minimum(np.searchsorted(documents, common), len(documents) - 1)
        common = np.asarray(common[documents[places] == common])
    return common


def _keys(postings: TextPostings, term: int, documents: np.ndarray) -> np.ndarray:
    """Keys of the term's occurrences in documents that all hold it, ascending."""
    listed, _ = postings.postings(term)
    offsets, positions = postings.positions(term)
    places = np.searchsorted(listed, documents)
    taken, flat = gather_ranges(offsets, places)
    owners = np.repeat(documents.astype(np.int64), np.diff(taken))
    return np.asarray((owners << 32) | positions[flat].astype(np.int64))


def _phrases(keys: Sequence[np.ndarray]) -> np.ndarray:
    """The keys where the first word of the phrase stands."""
    starts = keys[0]
    for place, own in enumerate(keys[1:], 1):
        starts = starts[_next(own, starts + place) == starts + place]
    return starts


def _windows(keys: Sequence[np.ndarray], distance: int, ordered: bool) -> np.ndarray:
    """The keys where a window of `distance` that holds every word begins.

    In order: each word behind the one before it. Else the words may share a place.
    """
    if not ordered:
        starts = np.unique(np.concatenate(keys))
        within = [_next(own, starts) <= starts + distance for own in keys]
        return starts[np.logical_and.reduce(within)]
    starts = last = keys[0]
    for own in keys[1:]:
        last = _next(own, np.minimum(last, _NOWHERE - 1) + 1)
    return starts[last <= starts + distance]


def _next(keys: np.ndarray, wanted: np.ndarray) -> np.ndarray:
    """The first of the sorted keys that is not less than each wanted one."""
    places = np.searchsorted(keys, wanted)
    return np.asarray(np.append(keys, _NOWHERE)[places])
