"""BM25 as sparse vectors: what a term adds to a document's score, and how often a query has it.

The dot product is the engine's BM25 of the whole text as one field: English stems, k1 = 1.2,
b = 0.75, idf = ln(1 + (N - n + ½)/(n + ½)) (Robertson, Zaragoza 2009). A query is its words:
nothing in it is syntax, while in the engine's query language `well-known` is a phrase.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from siftline.experiment.sparse.cache import VectorCache
from siftline.experiment.sparse.encoding import BM25, Encoded, Encoding
from siftline.experiment.sparse.vectors import SparseVectors
from siftline.index.arrays import MemoryWriter
from siftline.index.layout import TextSpec
from siftline.index.packed import offsets_of
from siftline.index.postings.format import order_by_list
from siftline.index.postings.text import TextPostings
from siftline.index.postings.text_writer import build_text, tokens_of
from siftline.match.bm25 import K1, B, ScoredTerm

_FIELD = TextSpec("contents")
_LANGUAGE = "en"


class Bm25Encoder:
    """Terms of the text analysis instead of a model's tokens."""

    mode = BM25
    parameters: int | None = None

    def __init__(self, label: str = BM25) -> None:
        self.label = label

    def encode(
        self, documents: Sequence[str], queries: Sequence[str], cache: VectorCache, done: Encoded
    ) -> Encoding:
        """The vectors of both."""
        made: list[Encoding] = []

        def make() -> Encoding:
            if not made:
                made.append(bm25_vectors(documents, queries))
                done(len(documents))
            return made[0]

        texts = [*documents, *queries]
        return Encoding(
            cache.vectors(f"{BM25} documents", texts, lambda: make().documents),
            cache.vectors(f"{BM25} queries", texts, lambda: make().queries),
        )


def bm25_vectors(documents: Sequence[str], queries: Sequence[str]) -> Encoding:
    """Vectors over the terms of the documents, numbered in their order; others match nothing.

    The documents' `index_bytes` are those of the engine's text postings, positions included.
    """
    started = time.perf_counter()
    writer = MemoryWriter()
    build_text(_FIELD, documents, [_LANGUAGE] * len(documents), writer)
    seconds = time.perf_counter() - started
    arrays = writer.finish()
    postings = TextPostings(arrays)
    size = sum(own for _, own in arrays.sizes())
    found = replace(_impacts(postings), seconds=seconds, index_bytes=size)
    return Encoding(found, _counted(postings, queries))


def _impacts(postings: TextPostings) -> SparseVectors:
    """The score that each posting adds, by document."""
    counts = np.diff(postings.indptr)
    total = len(postings.lengths)
    average = postings.total_length / max(postings.documents_with, 1)
    idf = np.log1p((total - counts + 0.5) / (counts + 0.5))
    scored = ScoredTerm("", (), None, K1 + 1, K1 * (1 - B), K1 * B / max(average, 1e-9))
    scores = scored.scores(postings.frequencies, postings.lengths[postings.documents])
    weights = np.repeat(idf, counts) * scores
    terms = np.repeat(np.arange(len(counts), dtype=np.int32), counts)
    order = order_by_list(postings.documents)
    held = np.bincount(postings.documents, minlength=total)
    return SparseVectors(offsets_of(held), terms[order], weights[order].astype(np.float32))


def _counted(postings: TextPostings, queries: Sequence[str]) -> SparseVectors:
    """How often a query has each term."""
    tokens, weights = [], []
    for query in queries:
        found = Counter(map(postings.lookup, tokens_of(_FIELD, query, _LANGUAGE)))
        kept = sorted((term, count) for term, count in found.items() if term >= 0)
        tokens.append(np.array([term for term, _ in kept], np.int32))
        weights.append(np.array([count for _, count in kept], np.float32))
    return SparseVectors.of(tokens, weights)
