"""Encodings of queries that came before: a bounded memory in front of the embedders.

Searchers ask the same things again and again, and a model is the dearest part of a short query.
"""

from __future__ import annotations

import sys
from collections import OrderedDict
from collections.abc import Callable, Sequence
from concurrent.futures import CancelledError, Future
from dataclasses import dataclass
from threading import Lock
from typing import NamedTuple

import numpy as np

from siftline.encode.embedder import Embedder, TokenSets
from siftline.tensor.batch import Batch, SparseBatch
from siftline.tensor.tensor import Tensor
from siftline.tensor.types import TensorType

#: Bytes that encodings may take unless the package or the caller says otherwise.
DEFAULT_BYTES = 32 << 20

#: Bytes that an entry takes beside its cells, its labels and its text; and each label's tuple.
_ENTRY, _LABEL = 700, 56


class EncodingKey(NamedTuple):
    """What an encoding depends on; destination is `query` or `document`, which have prefixes."""

    embedder: str
    text: str
    target: TensorType
    destination: str = "query"


@dataclass(frozen=True, slots=True)
class CacheStatistics:
    """hits were found, or computed by another caller at that moment; misses were computed.

    bytes: of the entries, at most `limit`.
    """

    hits: int
    misses: int
    entries: int
    bytes: int
    limit: int


class QueryCache:
    """Tensors by key, the least recently used leaving first once they take more than `limit` bytes.

    For any number of threads. What is computed at the moment is computed once: others who ask for
    it wait, and share an error. A limit of 0 keeps nothing and shares nothing.
    """

    def __init__(self, limit: int = DEFAULT_BYTES) -> None:
        self.limit = limit
        self._kept: OrderedDict[EncodingKey, tuple[Tensor, int]] = OrderedDict()
        self._coming: dict[EncodingKey, Future[Tensor]] = {}
        self._bytes = self._hits = self._misses = 0
        self._lock = Lock()

    def get(self, key: EncodingKey, encode: Callable[[], Tensor]) -> Tensor:
        """The tensor kept under the key, or what `encode` gives; its cells are read-only."""
        if not self.limit:
            return encode()
        with self._lock:
            kept = self._kept.get(key)
            if kept is not None:
                self._kept.move_to_end(key)
                self._hits += 1
                return kept[0]
            coming = self._coming.get(key)
            if coming is None:
                self._misses += 1
                own = self._coming[key] = Future[Tensor]()
            else:
                self._hits += 1
        if coming is None:
            return self._encode(key, own, encode)
        try:
            return coming.result()
        except CancelledError:
            return self.get(key, encode)

    def statistics(self) -> CacheStatistics:
        """What was asked so far, and what is kept."""
        with self._lock:
            return CacheStatistics(
                self._hits, self._misses, len(self._kept), self._bytes, self.limit
            )

    def clear(self) -> None:
        """Forget every encoding."""
        with self._lock:
            self._kept.clear()
            self._bytes = 0

    def _encode(
        self, key: EncodingKey, own: Future[Tensor], encode: Callable[[], Tensor]
    ) -> Tensor:
        try:
            tensor = _own(encode())
        except BaseException as error:
            with self._lock:
                del self._coming[key]
            if isinstance(error, Exception):
                own.set_exception(error)
            else:
                own.cancel()  # the caller was interrupted: those who wait begin again
            raise
        with self._lock:
            del self._coming[key]
            self._keep(key, tensor)
        own.set_result(tensor)
        return tensor

    def _keep(self, key: EncodingKey, tensor: Tensor) -> None:
        size = _ENTRY + sys.getsizeof(key.text) + tensor.cells.nbytes + _labels(tensor)
        if size > self.limit:
            return
        self._kept[key] = (tensor, size)
        self._bytes += size
        while self._bytes > self.limit:
            _, (_, freed) = self._kept.popitem(last=False)
            self._bytes -= freed


def _own(tensor: Tensor) -> Tensor:
    """The tensor with cells of its own, not a part of a batch's, that nobody can change."""
    cells = tensor.cells
    if cells.base is not None or cells.flags.writeable:
        cells = np.array(cells)
        cells.flags.writeable = False
    return Tensor(tensor.type, tensor.labels, cells)


def _labels(tensor: Tensor) -> int:
    """Bytes of the labels, whose texts belong to the vocabulary."""
    return len(tensor.labels) * (_LABEL + 8 * len(tensor.type.mapped))


class CachedEmbedder:
    """An embedder whose query encodings are kept."""

    def __init__(self, embedder: Embedder, cache: QueryCache) -> None:
        self.id = embedder.id
        self.type = embedder.type
        self.embedder = embedder
        self._cache = cache

    def check(self, target: TensorType, *, query: bool = False) -> None:
        """See Embedder.check."""
        self.embedder.check(target, query=query)

    def documents(
        self, texts: Sequence[str], target: TensorType, arguments: tuple[str, ...] = ()
    ) -> Batch:
        """See Embedder.documents."""
        return self.embedder.documents(texts, target, arguments)

    def query(self, text: str, target: TensorType) -> Tensor:
        """The tensor of a query text, read-only."""
        key = EncodingKey(self.id, text, target)
        return self._cache.get(key, lambda: self.embedder.query(text, target))


class CachedSparseEmbedder(CachedEmbedder):
    """A cached embedder that can say which tokens a text has."""

    def __init__(self, embedder: Embedder, sets: TokenSets, cache: QueryCache) -> None:
        super().__init__(embedder, cache)
        self._sets = sets

    def token_sets(self, texts: Sequence[str]) -> SparseBatch:
        """See TokenSets.token_sets."""
        return self._sets.token_sets(texts)


def with_cache(embedder: Embedder, cache: QueryCache) -> Embedder:
    """The embedder, its query encodings kept; as it is where the cache keeps nothing."""
    if not cache.limit:
        return embedder
    if isinstance(embedder, TokenSets):
        return CachedSparseEmbedder(embedder, embedder, cache)
    return CachedEmbedder(embedder, cache)
