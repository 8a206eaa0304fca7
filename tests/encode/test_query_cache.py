"""Encodings that are kept: found again, bounded, computed once, never changed."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from encode_fakes import CountingEmbedder
from hypothesis import given
from hypothesis import strategies as st

from siftline.encode.embedder import TokenSets
from siftline.encode.query_cache import EncodingKey, QueryCache, with_cache
from siftline.tensor.batch import SparseBatch
from siftline.tensor.tensor import Tensor
from siftline.tensor.types import TensorType

X4 = TensorType.parse("tensor<float>(x[4])")
X8 = TensorType.parse("tensor<float>(x[8])")
WAIT = 10.0


def key(text: str, target: TensorType = X4, embedder: str = "e") -> EncodingKey:
    return EncodingKey(embedder, text, target)


def tensor(value: float = 1.0, size: int = 4) -> Tensor:
    type_ = TensorType.parse(f"tensor<float>(x[{size}])")
    return Tensor.dense(type_, np.full(size, value))


class Counted:
    """Makes tensors and counts how many."""

    def __init__(self, size: int = 4) -> None:
        self.made = 0
        self.size = size

    def __call__(self) -> Tensor:
        self.made += 1
        return tensor(self.made, self.size)


def test_what_was_encoded_is_found_again() -> None:
    cache, encode = QueryCache(), Counted()
    first = cache.get(key("a"), encode)
    assert cache.get(key("a"), encode) is first and encode.made == 1
    statistics = cache.statistics()
    assert (statistics.hits, statistics.misses, statistics.entries) == (1, 1, 1)
    assert 16 < statistics.bytes < 2000 and statistics.limit == 32 << 20


@pytest.mark.parametrize(
    "other",
    [key("b"), key("a", X8), key("a", embedder="f"), EncodingKey("e", "a", X4, "document")],
)
def test_every_part_of_the_key_counts(other: EncodingKey) -> None:
    cache, encode = QueryCache(), Counted()
    cache.get(key("a"), encode)
    cache.get(other, encode)
    assert encode.made == 2


def test_the_least_recently_used_leaves_first() -> None:
    cache, encode = QueryCache(10_000), Counted(1000)  # room for two of 4000 bytes and a bit
    cache.get(key("a"), encode)
    cache.get(key("b"), encode)
    cache.get(key("a"), encode)
    cache.get(key("c"), encode)
    assert encode.made == 3 and cache.statistics().entries == 2
    cache.get(key("a"), encode)
    assert encode.made == 3
    cache.get(key("b"), encode)
    assert encode.made == 4


def test_what_is_larger_than_everything_is_not_kept() -> None:
    cache, encode = QueryCache(1000), Counted(1000)
    assert len(cache.get(key("a"), encode).array) == 1000
    assert cache.statistics().entries == 0 and cache.statistics().bytes == 0


@given(st.lists(st.tuples(st.integers(0, 20), st.integers(1, 400)), max_size=60))
def test_it_never_takes_more_than_its_limit(asked: list[tuple[int, int]]) -> None:
    cache = QueryCache(4000)
    for text, size in asked:
        found = cache.get(key(str(text)), lambda size=size: tensor(1.0, size))  # type: ignore[misc]
        assert len(found.array)
        statistics = cache.statistics()
        assert statistics.bytes <= 4000 and bool(statistics.bytes) == bool(statistics.entries)


def test_a_limit_of_nothing_keeps_nothing() -> None:
    cache, encode = QueryCache(0), Counted()
    cache.get(key("a"), encode)
    cache.get(key("a"), encode)
    assert encode.made == 2 and cache.statistics().entries == 0
    embedder = CountingEmbedder()
    assert with_cache(embedder, cache) is embedder


def test_cells_are_the_entrys_own_and_cannot_be_changed() -> None:
    whole = np.arange(8, dtype=np.float32).reshape(2, 4)
    cache = QueryCache()
    kept = cache.get(key("a"), lambda: Tensor(X4, ((),), whole[1:]))
    whole[:] = 0
    assert kept.array.tolist() == [4, 5, 6, 7]
    with pytest.raises(ValueError, match="read-only"):
        kept.array[0] = 1


def asked_at_once(
    cache: QueryCache, encode: Callable[[], Tensor], began: threading.Event, go: threading.Event
) -> list[object]:
    """What eight callers of one text get: a tensor or an error."""

    def ask(_: int) -> object:
        try:
            return cache.get(key("a"), encode)
        except ValueError as error:
            return error

    with ThreadPoolExecutor(8) as pool:
        calls = [pool.submit(ask, i) for i in range(8)]
        assert began.wait(WAIT)
        while cache.statistics().hits < 7:
            threading.Event().wait(0.002)
        go.set()
        return [call.result(WAIT) for call in calls]


def test_what_is_being_encoded_is_encoded_once() -> None:
    began, go, encode = threading.Event(), threading.Event(), Counted()

    def slow() -> Tensor:
        began.set()
        assert go.wait(WAIT)
        return encode()

    found = asked_at_once(QueryCache(), slow, began, go)
    assert encode.made == 1 and all(other is found[0] for other in found)


def test_an_error_is_shared_and_not_kept() -> None:
    began, go, encode = threading.Event(), threading.Event(), Counted()
    cache = QueryCache()

    def failing() -> Tensor:
        began.set()
        assert go.wait(WAIT)
        raise ValueError("no such model")

    found = asked_at_once(cache, failing, began, go)
    assert all(isinstance(error, ValueError) for error in found)
    assert cache.get(key("a"), encode).array[0] == 1


def test_those_who_wait_for_an_interrupted_caller_begin_again() -> None:
    cache, encode, began, go = QueryCache(), Counted(), threading.Event(), threading.Event()

    def interrupted() -> Tensor:
        began.set()
        assert go.wait(WAIT)
        raise KeyboardInterrupt

    with ThreadPoolExecutor(2) as pool:
        broken = pool.submit(cache.get, key("a"), interrupted)
        assert began.wait(WAIT)
        other = pool.submit(cache.get, key("a"), encode)
        while not cache.statistics().hits:
            threading.Event().wait(0.002)
        go.set()
        assert other.result(WAIT).array[0] == 1
        with pytest.raises(KeyboardInterrupt):
            broken.result(WAIT)


def test_a_cached_embedder_is_the_embedder_otherwise() -> None:
    inner = CountingEmbedder("mine")
    cache = QueryCache()
    embedder = with_cache(inner, cache)
    assert (embedder.id, embedder.type) == ("mine", inner.type)
    assert not isinstance(embedder, TokenSets)
    for _ in range(3):
        assert embedder.query("three", X4).array[0] == 5
    assert inner.asked == [(["three"], str(X4))]
    assert embedder.documents(["three", "a"], X4).tensor(1) == Tensor.dense(X4, [1, 1, 1, 1])
    assert cache.statistics().entries == 1


class Counting(CountingEmbedder):
    """An embedder that knows tokens."""

    def token_sets(self, texts: list[str]) -> SparseBatch:
        raise NotImplementedError(",".join(texts))


def test_a_cached_embedder_of_tokens_still_knows_them() -> None:
    embedder = with_cache(Counting(), QueryCache())
    assert isinstance(embedder, TokenSets)
    with pytest.raises(NotImplementedError, match="a,b"):
        embedder.token_sets(["a", "b"])
