"""What gives sparse vectors to an evaluation, and how a model is named for it."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from siftline.errors import UsageError
from siftline.experiment.sparse.cache import VectorCache
from siftline.experiment.sparse.vectors import SparseVectors

BI_ENCODER, INFERENCE_FREE = "bi-encoder", "inference-free"
MODES = (INFERENCE_FREE, BI_ENCODER)

#: The name under which BM25 is measured beside models.
BM25 = "bm25"

#: An IDF table that is counted over the documents which are searched.
CORPUS = "corpus"

#: Last folders that say nothing about a model.
_NAMELESS = re.compile(r"final_model|model")
_CHECKPOINT = re.compile(r"checkpoint-\d+")

#: Called with the number of documents encoded.
Encoded = Callable[[int], None]


@dataclass(frozen=True, slots=True)
class Encoding:
    """Vectors of a collection's documents and queries over the same tokens."""

    documents: SparseVectors
    queries: SparseVectors


class Encoder(Protocol):
    """A model, or BM25."""

    @property
    def label(self) -> str:
        """What it is called in tables."""

    @property
    def mode(self) -> str:
        """How queries become vectors."""

    @property
    def parameters(self) -> int | None:
        """Weights of the model, None where they are not known or there is none."""

    def encode(
        self, documents: Sequence[str], queries: Sequence[str], cache: VectorCache, done: Encoded
    ) -> Encoding:
        """The vectors of both, from the cache where it has them."""


@dataclass(frozen=True, slots=True)
class ModelChoice:
    """A model as it is asked for; mode None: inference-free if it has a table for that.

    idf: `corpus`, a file, or None for the model's own table.
    """

    label: str
    model: str
    mode: str | None = None
    idf: str | None = None

    @staticmethod
    def parse(text: str, mode: str | None = None, idf: str | None = None) -> ModelChoice:
        """`[LABEL=]MODEL[@QUERIES]`, QUERIES one of bi-encoder, inference-free, corpus, a file.

        mode, idf: of models that say nothing about queries. UsageError for an unknown mode, or
        where there is no model.
        """
        if mode is not None and mode not in MODES:
            raise UsageError(f"unknown mode '{mode}' (known: {', '.join(MODES)})")
        label, model = _cut(text, "=", from_left=True)
        model, queries = _cut(model, "@", from_left=False)
        if not model:
            raise UsageError(f"'{text}' names no model (expected [LABEL=]MODEL[@QUERIES])")
        if queries in MODES:
            mode, idf = queries, None
        elif queries:
            mode, idf = INFERENCE_FREE, queries
        elif idf is not None:
            mode = mode or INFERENCE_FREE
        if mode == BI_ENCODER:
            idf = None
        return ModelChoice(label or _label(model, queries), model, mode, idf)


def _cut(text: str, mark: str, *, from_left: bool) -> tuple[str, str]:
    """The two sides of a mark; what exists as a path is left whole, as the model."""
    if Path(text).exists() or mark not in text:
        return ("", text) if from_left else (text, "")
    left, _, right = text.partition(mark) if from_left else text.rpartition(mark)
    return left, right


def _label(model: str, queries: str) -> str:
    """A model's name, or the last folders that say something, and how it is asked."""
    path = Path(model)
    if not path.exists():
        name = model
    else:
        parts = [part for part in path.resolve().parts[1:] if not _NAMELESS.fullmatch(part)]
        kept = parts[-2:] if parts and _CHECKPOINT.fullmatch(parts[-1]) else parts[-1:]
        name = "/".join(kept) or model
    if not queries:
        return name
    return f"{name}@{queries if queries in MODES else Path(queries).stem}"
