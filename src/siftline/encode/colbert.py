"""One vector for each token: colbert-embedder (spec: Vespa embedding reference)."""

from __future__ import annotations

import string
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from siftline.encode.dense import cells, normalized
from siftline.encode.lazy import Lazy
from siftline.encode.tokenizer import Tokenizer
from siftline.encode.transformer import Transformer
from siftline.errors import ModelError, UsageError
from siftline.tensor.batch import RaggedBatch
from siftline.tensor.bits import pack_bits
from siftline.tensor.tensor import Tensor, sequence_labels
from siftline.tensor.types import TensorType

MaskQueries = Literal["unattended", "attended", "none"]


@dataclass(frozen=True, slots=True)
class ColbertOptions:
    """Token ids and lengths as in services.xml; the rest is for models trained otherwise.

    mask_queries: fill queries with `mask` up to max_query, not attended to (ColBERT as Vespa runs
    it), attended to (the original), or not at all. markers: put query_marker and document_marker
    after `start`. normalize: scale every vector to length 1, for a model that does not itself.
    filter_punctuation: leave ASCII punctuation out of documents.
    """

    max_query: int = 32
    max_document: int = 512
    query_marker: int = 1
    document_marker: int = 2
    start: int = 101
    end: int = 102
    mask: int = 103
    mask_queries: MaskQueries = "unattended"
    markers: bool = True
    normalize: bool = False
    filter_punctuation: bool = True


class ColbertEmbedder:
    """A transformer whose every output position is one vector of the text."""

    type = "colbert-embedder"

    def __init__(
        self,
        name: str,
        transformer: Transformer,
        tokenizer: Callable[[], Tokenizer],
        options: ColbertOptions,
    ) -> None:
        self.id = name
        self._transformer = transformer
        self._tokenizer = tokenizer
        self._options = options
        self._punctuation = Lazy(self._punctuation_ids)

    def check(self, target: TensorType, *, query: bool = False) -> None:
        """UsageError unless the target has a mapped and an indexed dimension, queries not int8."""
        if len(target.mapped) != 1 or len(target.indexed) != 1:
            raise UsageError(
                f"embedder '{self.id}' makes one vector for each token, which does not fit "
                f"{target} (expected dimensions like dt{{}},x[128])"
            )
        target.shape  # noqa: B018  raises where the size is open
        if query and target.cell == "int8":
            raise UsageError(
                f"embedder '{self.id}' cannot make an int8 query tensor {target}; "
                "declare the input float and unpack the document's bits"
            )

    def documents(
        self, texts: Sequence[str], target: TensorType, arguments: tuple[str, ...] = ()
    ) -> RaggedBatch:
        """Vectors of all tokens, special ones and marker included, labelled "0", "1", …."""
        self.check(target)
        rows = self._document_rows(texts)
        parts: list[np.ndarray] = [np.zeros((0, target.shape[0]), target.dtype)] * len(rows)
        for hidden in self._transformer.run(rows):
            fitted = self._fit(hidden.values, target)
            for i, row in enumerate(hidden.rows):
                parts[row] = fitted[i, : hidden.lengths[i]].copy()
        offsets = np.zeros(len(rows) + 1, np.int64)
        np.cumsum([len(part) for part in parts], out=offsets[1:])
        vectors = np.concatenate(parts) if parts else np.zeros((0, *target.shape), target.dtype)
        return RaggedBatch(target, offsets, vectors)

    def query(self, text: str, target: TensorType) -> Tensor:
        """Vectors of the query's tokens and of the masks that fill it up, labelled "0", "1", …."""
        self.check(target, query=True)
        row = self._surrounded(
            self._plain([text], self._options.max_query)[0],
            self._options.query_marker,
            self._options.max_query,
        )
        attended = len(row)
        if self._options.mask_queries != "none":
            filler = np.full(self._options.max_query - len(row), self._options.mask, np.int64)
            row = np.concatenate([row, filler])
        if self._options.mask_queries == "attended":
            attended = len(row)
        hidden = self._transformer.query(row, attended)
        cells = self._fit(hidden.values, target)[0, : len(row)]
        return Tensor(target, tuple(sequence_labels(len(row))), cells)

    def _document_rows(self, texts: Sequence[str]) -> list[np.ndarray]:
        options = self._options
        if not options.filter_punctuation:
            plain = self._plain(texts, options.max_document)
        else:
            # Punctuation goes before the cut, so more tokens than fit are needed; a text that is
            # nearly all punctuation needs all of it.
            plain = self._plain(texts, 2 * options.max_document)
            short = [
                i
                for i, row in enumerate(plain)
                if len(row) == 2 * options.max_document
                and len(self._without_punctuation(row)) < options.max_document
            ]
            for i in short:
                plain[i] = self._plain([texts[i]], None)[0]
            plain = [self._without_punctuation(row) for row in plain]
        return [
            self._surrounded(row, options.document_marker, options.max_document) for row in plain
        ]

    def _plain(self, texts: Sequence[str], length: int | None) -> list[np.ndarray]:
        return self._tokenizer().ids(texts, special=False, max_length=length)

    def _without_punctuation(self, row: np.ndarray) -> np.ndarray:
        return np.asarray(row[~self._punctuation()[row]])

    def _punctuation_ids(self) -> np.ndarray:
        """Whether each id is that of a punctuation character; an unknown character's is not."""
        tokenizer = self._tokenizer()
        table = np.zeros(len(tokenizer.vocabulary), bool)
        table[np.concatenate(tokenizer.ids(list(string.punctuation), special=False))] = True
        table[list(tokenizer.special_ids)] = False
        return table

    def _surrounded(self, row: np.ndarray, marker: int, length: int) -> np.ndarray:
        start = [self._options.start, marker] if self._options.markers else [self._options.start]
        kept = row[: max(0, length - len(start) - 1)]
        return np.concatenate([start, kept, [self._options.end]]).astype(np.int64)

    def _fit(self, values: np.ndarray, target: TensorType) -> np.ndarray:
        """`(b, n, d)` model output as cells of the target; ModelError where sizes differ."""
        if values.ndim != 3:
            raise ModelError(f"the model's output has {values.ndim} dimensions, not 3")
        packed = target.cell == "int8"
        size = target.shape[0] * (8 if packed else 1)
        if values.shape[2] != size:
            how = f"{size} components ({target.shape[0]} bytes of bits)" if packed else f"{size}"
            raise ModelError(
                f"the model gives token vectors of {values.shape[2]} components, "
                f"{target} needs {how}"
            )
        values = values.astype(np.float32, copy=False)
        if self._options.normalize:
            values = normalized(values)
        if packed:
            return pack_bits(values)
        return cells(values, target)
