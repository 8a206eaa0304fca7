"""Inverse document frequencies of a corpus: the weights of inference-free query tokens.

The counting that made the published tables (arXiv 2411.04403): tokens without special ones and
without truncation, each counted once a document, N documents with at least one token.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

import numpy as np

from siftline.encode.idf import idf
from siftline.encode.tokenizer import Tokenizer
from siftline.errors import UsageError

#: Texts counted together; the tokenizer spreads them over the cores.
BATCH = 2048

#: Weight of a token that no document contains, as in the published tables.
UNSEEN = 1.0


@dataclass(frozen=True, slots=True)
class CorpusIdf:
    """documents: N; containing: documents with each token, int64 by token id; tokens by id."""

    documents: int
    containing: np.ndarray
    tokens: tuple[str, ...]

    @property
    def weights(self) -> dict[str, float]:
        """Token → ln((N + 1)/(n + 0.5)); 1.0 where n is 0, so that every token is there."""
        return {
            token: idf(self.documents, count) if count else UNSEEN
            for token, count in zip(self.tokens, self.containing.tolist(), strict=True)
            if token
        }

    @property
    def seen(self) -> np.ndarray:
        """Weights of the tokens that documents contain, float64."""
        counts = self.containing[self.containing > 0]
        return np.array([idf(self.documents, int(count)) for count in counts])

    def save(self, path: Path) -> None:
        """Write token → weight as JSON, whole or not at all."""
        partial = path.with_name(path.name + ".partial")
        path.parent.mkdir(parents=True, exist_ok=True)
        partial.write_text(json.dumps(self.weights, ensure_ascii=False), encoding="utf-8")
        os.replace(partial, path)


def build_idf(
    texts: Iterable[str],
    tokenizer: Tokenizer,
    *,
    progress: Callable[[int], None] | None = None,
) -> CorpusIdf:
    """Count the tokens of a stream of documents; UsageError if none has a token.

    progress: called with the number of documents read, after each batch.
    """
    containing = np.zeros(len(tokenizer.vocabulary), np.int64)
    documents = read = 0
    for batch in _batches(texts):
        for row in tokenizer.ids(batch, special=False):
            if len(row):
                containing[np.unique(row)] += 1
                documents += 1
        read += len(batch)
        if progress is not None:
            progress(read)
    if not documents:
        raise UsageError(f"the corpus has no text: none of its {read} documents has a token")
    containing[list(tokenizer.special_ids)] = 0
    return CorpusIdf(documents, containing, tokenizer.vocabulary)


def _batches(texts: Iterable[str]) -> Iterator[list[str]]:
    stream = iter(texts)
    while batch := list(islice(stream, BATCH)):
        yield batch
