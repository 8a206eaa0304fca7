"""Teachers that are models: dense, sparse and cross-encoders, each with its own tokenizer.

A text goes through a model once, whatever it is scored against, and what came out is kept in a
`ScoreCache`. Scores are computed from what is kept, in its precision, so that they are the same
numbers whether a record was just made or read.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple, Protocol

import numpy as np
from scipy.sparse import csr_matrix

from siftline.encode.dense import pool
from siftline.encode.idf import IdfTable
from siftline.encode.lazy import Lazy
from siftline.encode.sparse import token_weights
from siftline.encode.tokenizer import Tokenizer
from siftline.encode.transformer import Hidden
from siftline.errors import ModelError
from siftline.model.progress import Progress, silent
from siftline.train.score_cache import ScoreCache
from siftline.train.teacher_records import Item, Records
from siftline.train.teacher_usage import Usage

#: A query and the documents that are scored with it.
Wanted = tuple[str, Sequence[str]]


class Model(Protocol):
    """Rows of token ids to outputs, in batches of similar length."""

    def run(
        self, rows: Sequence[np.ndarray], types: Sequence[np.ndarray] | None = None
    ) -> Iterator[Hidden]:
        """The output for every row, each row once."""


class ModelTeacher(ABC):
    """What the three kinds share.

    name: the model as the recipe calls it, for errors and progress. key: says what the model gives,
    across runs and machines. cache: None computes everything anew at each call.
    """

    def __init__(
        self,
        name: str,
        key: str,
        usage: Usage,
        model: Model,
        tokenizer: Lazy[Tokenizer],
        cache: ScoreCache | None,
    ) -> None:
        self.name = name
        self.key = key
        self._usage = usage
        self._model = model
        self._tokenizer = tokenizer
        self._records = Records(key, cache, self._encode)

    @abstractmethod
    def scores(self, queries: Sequence[str], documents: Sequence[Sequence[str]]) -> np.ndarray:
        """float32 `(B, G)`: each query with its own G documents."""

    def ahead(
        self,
        wanted: Iterable[Wanted],
        *,
        progress: Progress = silent,
        share: tuple[int, int] = (0, 1),
    ) -> None:
        """Put what `scores` will need into the cache; see `Records.fill`."""
        self._records.fill(self._items(wanted), f"teacher {self.name}", progress, share=share)

    def _items(self, wanted: Iterable[Wanted]) -> Iterator[Item]:
        """What the model has to see for queries and their documents."""
        for query, documents in wanted:
            yield from self._queries([query])
            yield from self._documents(documents)

    def _queries(self, texts: Sequence[str]) -> list[Item]:
        return [("", self._usage.query_prefix + text) for text in texts]

    def _documents(self, texts: Sequence[str]) -> list[Item]:
        return [("", self._usage.document_prefix + text) for text in texts]

    def _encode(self, items: Sequence[Item]) -> list[bytes]:
        found = [b""] * len(items)
        for hidden in self._run(items):
            values = self._values(hidden)
            whole = np.isfinite(values.reshape(len(values), -1)).all(axis=1)
            if not whole.all():
                text = items[int(hidden.rows[int(np.argmin(whole))])][1]
                raise ModelError(f"the teacher '{self.name}' gives no number for {text!r:.80}")
            for row, value in zip(hidden.rows, values, strict=True):
                found[row] = self._record(value)
        return found

    def _run(self, items: Sequence[Item]) -> Iterator[Hidden]:
        texts = [text for _, text in items]
        rows = self._tokenizer().ids(texts, max_length=self._usage.max_length)
        return self._model.run(rows)

    @abstractmethod
    def _values(self, hidden: Hidden) -> np.ndarray:
        """What is kept of a batch, `(b, …)`."""

    def _record(self, value: np.ndarray) -> bytes:
        return value.tobytes()


class DenseTeacher(ModelTeacher):
    """Cosines, or dot products where the model's vectors are not normalised. Records: float16."""

    def scores(self, queries: Sequence[str], documents: Sequence[Sequence[str]]) -> np.ndarray:
        """float32 `(B, G)`."""
        texts = _unique(queries, documents)
        table = (
            self._vectors(self._queries(texts.queries))
            @ self._vectors(self._documents(texts.documents)).T
        )
        return texts.picked(table)

    def _vectors(self, items: Sequence[Item]) -> np.ndarray:
        records = [np.frombuffer(record, np.float16) for record in self._records.get(items)]
        return np.stack(records).astype(np.float32)

    def _values(self, hidden: Hidden) -> np.ndarray:
        pooled = pool(hidden, "none" if hidden.values.ndim == 2 else self._usage.pooling)
        if self._usage.normalize:
            length = np.linalg.norm(pooled, axis=1, keepdims=True)
            # what is no number has no length above 0 either, and has to stay no number
            pooled = pooled / np.where(length > 0, length, 1)
        return pooled.astype(np.float16)


class SparseTeacher(ModelTeacher):
    """Dot products of vocabulary weights; special tokens weigh nothing.

    A model with an IDF table takes its queries from that: relu(idf(t)) for each distinct token.
    Records: ids uint32 ascending, then as many weights float16.
    """

    def scores(self, queries: Sequence[str], documents: Sequence[Sequence[str]]) -> np.ndarray:
        """float32 `(B, G)`."""
        texts = _unique(queries, documents)
        if self._usage.idf is None:
            asked = self._weights(self._queries(texts.queries))
        else:
            asked = self._listed(texts.queries)
        table = asked @ self._weights(self._documents(texts.documents)).T
        return texts.picked(table.toarray())

    def _items(self, wanted: Iterable[Wanted]) -> Iterator[Item]:
        if self._usage.idf is None:
            yield from super()._items(wanted)
            return
        for _, documents in wanted:
            yield from self._documents(documents)

    def _weights(self, items: Sequence[Item]) -> csr_matrix:
        rows = []
        for record in self._records.get(items):
            count = len(record) // 6
            ids = np.frombuffer(record, np.uint32, count)
            rows.append((ids, np.frombuffer(record, np.float16, count, 4 * count)))
        return self._matrix(rows)

    def _listed(self, texts: Sequence[str]) -> csr_matrix:
        """Queries `(n, V)` by the table."""
        tokenizer, table = self._tokenizer(), self._usage.idf or IdfTable({})
        rows = []
        for ids in tokenizer.ids(texts, special=False, max_length=self._usage.max_length):
            distinct = np.setdiff1d(ids, list(tokenizer.special_ids))
            weights = [table.weight(tokenizer.vocabulary[token]) for token in distinct]
            rows.append((distinct, np.array(weights, np.float32)))
        return self._matrix(rows)

    def _matrix(self, rows: Sequence[tuple[np.ndarray, np.ndarray]]) -> csr_matrix:
        indptr = np.cumsum([0, *(len(ids) for ids, _ in rows)])
        ids = np.concatenate([ids for ids, _ in rows]).astype(np.int32)
        weights = np.concatenate([weights for _, weights in rows]).astype(np.float32)
        return csr_matrix((weights, ids, indptr), (len(rows), len(self._tokenizer().vocabulary)))

    def _values(self, hidden: Hidden) -> np.ndarray:
        tokenizer, usage = self._tokenizer(), self._usage
        size = len(tokenizer.vocabulary)
        weights = token_weights(hidden, size, tokenizer.special_ids, usage.logarithms)
        return weights.astype(np.float16)

    def _record(self, value: np.ndarray) -> bytes:
        ids = np.flatnonzero(value)
        return ids.astype(np.uint32).tobytes() + value[ids].tobytes()


class CrossTeacher(ModelTeacher):
    """One logit for each pair of a query and a document. Records: float32."""

    def scores(self, queries: Sequence[str], documents: Sequence[Sequence[str]]) -> np.ndarray:
        """float32 `(B, G)`."""
        items = list(self._items(zip(queries, documents, strict=True)))
        found = np.frombuffer(b"".join(self._records.get(items)), np.float32)
        return found.reshape(len(queries), -1).copy()

    def _items(self, wanted: Iterable[Wanted]) -> Iterator[Item]:
        return ((query, document) for query, documents in wanted for document in documents)

    def _run(self, items: Sequence[Item]) -> Iterator[Hidden]:
        rows, types = self._tokenizer().pairs(items, max_length=self._usage.max_length)
        return self._model.run(rows, types)

    def _values(self, hidden: Hidden) -> np.ndarray:
        values = hidden.values.reshape(len(hidden.rows), -1)
        if values.shape[1] != 1:
            raise ModelError(
                f"a cross-encoder gives one logit for each pair, '{self.name}' {values.shape[1]}"
            )
        return values.astype(np.float32)


class _Unique(NamedTuple):
    """Distinct texts, and where each query `(B,)` and each of its documents `(B, G)` stands."""

    queries: list[str]
    documents: list[str]
    rows: np.ndarray
    columns: np.ndarray

    def picked(self, table: np.ndarray) -> np.ndarray:
        """`(B, G)` of a table of distinct queries and documents."""
        return np.asarray(table[self.rows[:, None], self.columns], np.float32)


def _unique(queries: Sequence[str], documents: Sequence[Sequence[str]]) -> _Unique:
    row = {text: place for place, text in enumerate(dict.fromkeys(queries))}
    every = dict.fromkeys(text for own in documents for text in own)
    column = {text: place for place, text in enumerate(every)}
    return _Unique(
        list(row),
        list(column),
        np.array([row[text] for text in queries]),
        np.array([[column[text] for text in own] for own in documents]),
    )
