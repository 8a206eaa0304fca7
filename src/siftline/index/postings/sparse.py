"""Learned sparse vectors of one field in one segment: the reader."""

from __future__ import annotations

import numpy as np

from siftline.index.arrays import Arrays
from siftline.index.packed import SparseRows
from siftline.tensor.batch import Findable


class SparseVectors:
    """The forward index: exact weights by document, CSR.

    labels: int32 numbers of the field's labels. weights: float32, None where every weight is 1.
    """

    def __init__(self, arrays: Arrays, vocabulary: Findable) -> None:
        self.vocabulary = vocabulary
        weights = arrays["forward_weights"] if "forward_weights" in arrays else None
        self.rows = SparseRows(arrays["forward_indptr"], arrays["forward_labels"], weights)

    def take(self, documents: np.ndarray) -> SparseRows:
        """Rows of the documents (numbers within the segment)."""
        return self.rows.take(documents)


class SparsePostings(SparseVectors):
    """The inverted index beside the forward one: 8-bit impacts that bound the exact weights.

    terms: int32 sorted label numbers; term t is label `terms[t]`. documents: int32, ascending
    within a term. impacts: uint8 with `impacts * scales[t] >= weight`. scales, maxima: float32 for
    each term, maxima the largest exact weight. Term t has postings `indptr[t]:indptr[t+1]` and
    blocks `block_indptr[t]:block_indptr[t+1]` with their largest impact (see postings/format.py).
    nonnegative: whether no weight is below zero; impacts bound nothing for a negative query weight.
    """

    def __init__(self, arrays: Arrays, vocabulary: Findable) -> None:
        super().__init__(arrays, vocabulary)
        self.terms = arrays["terms"]
        self.indptr = arrays["indptr"]
        self.documents = arrays["documents"]
        self.impacts = arrays["impacts"]
        self.scales = arrays["scales"]
        self.maxima = arrays["maxima"]
        self.block_indptr = arrays["block_indptr"]
        self.block_impacts = arrays["block_impacts"]
        self.nonnegative = bool(arrays.notes["nonnegative"])

    def lookup(self, label: str) -> int:
        """The label's term number, -1 if the segment lacks it."""
        return self.lookup_number(self.vocabulary.find(label))

    def lookup_number(self, number: int) -> int:
        """The same for a label number of `vocabulary`."""
        place = int(np.searchsorted(self.terms, number))
        return place if place < len(self.terms) and self.terms[place] == number else -1

    def postings(self, term: int) -> tuple[np.ndarray, np.ndarray]:
        """Documents and impacts of a term."""
        start, end = self.indptr[term], self.indptr[term + 1]
        return self.documents[start:end], self.impacts[start:end]

    def document_frequency(self, term: int) -> int:
        """Documents that hold the term, deleted ones among them."""
        return int(self.indptr[term + 1] - self.indptr[term])
