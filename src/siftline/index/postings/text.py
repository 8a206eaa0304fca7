"""Text postings of one field in one segment: the reader."""

from __future__ import annotations

import numpy as np

from siftline.index.arrays import Arrays
from siftline.index.packed import offsets_of
from siftline.index.postings.dictionary import TermDictionary


class TextPostings:
    """Which documents hold which term, how often and where.

    documents: int32, ascending within a term. frequencies: uint16, or int32 where one is larger.
    lengths: int32 `(count,)` tokens of each document, 0 where the field is absent.
    Term t has postings `indptr[t]:indptr[t+1]` and blocks `block_indptr[t]:block_indptr[t+1]`
    (see postings/format.py), each with its largest frequency and smallest document length.
    max_frequencies: the largest frequency of each term. documents_with: documents that have the
    field; total_length: their tokens.
    """

    def __init__(self, arrays: Arrays) -> None:
        self.terms = TermDictionary(arrays["terms"], arrays["term_offsets"])
        self.indptr = arrays["indptr"]
        self.documents = arrays["documents"]
        self.frequencies = arrays["frequencies"]
        self.position_starts = arrays["position_starts"]
        self.all_positions = arrays["positions"]
        self.lengths = arrays["lengths"]
        self.block_indptr = arrays["block_indptr"]
        self.block_frequencies = arrays["block_frequencies"]
        self.block_lengths = arrays["block_lengths"]
        self.max_frequencies = arrays["max_frequencies"]
        self.documents_with = int(arrays.notes["documents"])
        self.total_length = int(arrays.notes["length"])

    def lookup(self, token: str) -> int:
        """The token's term number, -1 if the segment lacks it."""
        return self.terms.lookup(token)

    def prefix(self, start: str) -> range:
        """Term numbers of the tokens that begin so."""
        return self.terms.prefix(start)

    def postings(self, term: int) -> tuple[np.ndarray, np.ndarray]:
        """Documents and frequencies of a term."""
        start, end = self.indptr[term], self.indptr[term + 1]
        return self.documents[start:end], self.frequencies[start:end]

    def document_frequency(self, term: int) -> int:
        """Documents that hold the term, deleted ones among them."""
        return int(self.indptr[term + 1] - self.indptr[term])

    def positions(self, term: int) -> tuple[np.ndarray, np.ndarray]:
        """Offsets int64 `(postings + 1,)` and positions int32: posting i of the term has
        `positions[offsets[i]:offsets[i+1]]`, ascending from 0; elements of an array lie
        ELEMENT_GAP apart.
        """
        _, frequencies = self.postings(term)
        start, end = self.position_starts[term], self.position_starts[term + 1]
        return offsets_of(frequencies), self.all_positions[start:end]
