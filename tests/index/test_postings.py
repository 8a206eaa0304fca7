from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from siftline.index.arrays import MemoryWriter
from siftline.index.layout import TextSpec
from siftline.index.parts import Part
from siftline.index.postings import text_writer
from siftline.index.postings.dictionary import TermDictionary, pack_terms
from siftline.index.postings.format import BLOCK, ELEMENT_GAP, quantize, scales_for
from siftline.index.postings.invert import (
    count_lists,
    fill_lists,
    plain_count_lists,
    plain_fill_lists,
)
from siftline.index.postings.text import TextPostings
from siftline.index.postings.text_writer import build_text, merge_text, tokens_of

WORDS = ["a", "b", "ab", "ä", "zz", "日本"]
texts = st.lists(st.sampled_from(WORDS), max_size=5).map(" ".join)
values = st.one_of(st.none(), texts, st.lists(texts, max_size=3))


@pytest.fixture(autouse=True)
def _words(monkeypatch: pytest.MonkeyPatch) -> None:
    """Analysis has tests of its own; here a token is what stands between spaces."""
    monkeypatch.setattr(text_writer, "analyze", lambda text, **_: text.split())


def postings_of(documents: Sequence[Any]) -> TextPostings:
    out = MemoryWriter()
    build_text(TextSpec("f"), documents, ["en"] * len(documents), out)
    return TextPostings(out.finish())


def content(reader: TextPostings) -> dict[str, dict[int, list[int]]]:
    """Term → document → positions."""
    found: dict[str, dict[int, list[int]]] = {}
    for term in range(len(reader.terms)):
        documents, frequencies = reader.postings(term)
        offsets, positions = reader.positions(term)
        assert np.diff(offsets).tolist() == frequencies.tolist()
        assert (np.diff(documents) > 0).all()
        found[reader.terms[term]] = {
            int(d): positions[offsets[i] : offsets[i + 1]].tolist() for i, d in enumerate(documents)
        }
    return found


def expected(documents: Sequence[Any]) -> dict[str, dict[int, list[int]]]:
    found: dict[str, dict[int, list[int]]] = {}
    for number, value in enumerate(documents):
        before = 0
        elements = [value] if isinstance(value, str) else value or []
        for index, element in enumerate(elements):
            for word in element.split():
                place = before + index * ELEMENT_GAP
                found.setdefault(word, {}).setdefault(number, []).append(place)
                before += 1
    return found


def check_derived(reader: TextPostings, documents: Sequence[Any]) -> None:
    flat = [" ".join([v] if isinstance(v, str) else v or []).split() for v in documents]
    assert reader.lengths.tolist() == [len(words) for words in flat]
    assert reader.documents_with == sum(bool(words) for words in flat)
    assert reader.total_length == sum(map(len, flat))
    for term in range(len(reader.terms)):
        owners, frequencies = reader.postings(term)
        assert reader.max_frequencies[term] == frequencies.max()
        blocks = range(reader.block_indptr[term], reader.block_indptr[term + 1])
        assert len(blocks) == -(-len(owners) // BLOCK)
        for i, block in enumerate(blocks):
            part = slice(i * BLOCK, (i + 1) * BLOCK)
            assert reader.block_frequencies[block] == frequencies[part].max()
            assert reader.block_lengths[block] == reader.lengths[owners[part]].min()


@given(st.lists(values, max_size=12))
def test_text_postings_hold_every_token(documents: list[Any]) -> None:
    reader = postings_of(documents)
    assert content(reader) == expected(documents)
    check_derived(reader, documents)


@given(st.lists(st.lists(st.tuples(values, st.booleans()), max_size=6), min_size=1, max_size=4))
def test_merged_postings_are_those_of_the_live_documents(
    segments: list[list[tuple[Any, bool]]],
) -> None:
    parts, base = [], 0
    for segment in segments:
        live = np.array([alive for _, alive in segment], bool)
        parts.append(Part(postings_of([value for value, _ in segment]), live, base))
        base += int(live.sum())
    out = MemoryWriter()
    merge_text(parts, out)
    reader = TextPostings(out.finish())
    kept = [value for segment in segments for value, alive in segment if alive]
    assert content(reader) == expected(kept)
    check_derived(reader, kept)


def test_blocks_of_a_long_list() -> None:
    documents = [f"{'x ' * (1 + number % 7)}y" for number in range(300)]
    reader = postings_of(documents)
    assert reader.document_frequency(reader.lookup("x")) == 300
    check_derived(reader, documents)


def test_a_frequency_beyond_16_bits_is_exact() -> None:
    reader = postings_of(["w " * 70_000, "w"])
    assert reader.frequencies.dtype == np.int32
    assert reader.postings(reader.lookup("w"))[1].tolist() == [70_000, 1]
    merged = MemoryWriter()
    merge_text(
        [Part(postings_of(["w"]), np.ones(1, bool)), Part(reader, np.ones(2, bool), 1)], merged
    )
    assert TextPostings(merged.finish()).frequencies.tolist() == [1, 70_000, 1]


def test_tokens_of_a_field_matched_as_a_whole() -> None:
    assert tokens_of(TextSpec("f", whole=True), " New York ", "en") == ["new york"]
    assert tokens_of(TextSpec("f", whole=True, cased=True), "New", "en") == ["New"]
    assert tokens_of(TextSpec("f", whole=True), "  ", "en") == []


@given(st.sets(st.text(max_size=4)), st.text(max_size=3))
def test_dictionary(terms: set[str], start: str) -> None:
    listed = sorted(terms, key=lambda t: t.encode("utf-8", "surrogatepass"))
    dictionary = TermDictionary(*pack_terms(t.encode("utf-8", "surrogatepass") for t in listed))
    assert [dictionary[i] for i in range(len(dictionary))] == listed
    assert [dictionary.lookup(term) for term in listed] == list(range(len(listed)))
    assert dictionary.lookup(start) == (listed.index(start) if start in terms else -1)
    assert [dictionary[i] for i in dictionary.prefix(start)] == [
        term for term in listed if term.startswith(start)
    ]


weights = arrays(np.float32, st.integers(1, 50), elements=st.floats(0, 2**20, width=32))


@given(weights)
def test_impacts_bound_weights_from_above_and_tightly(exact: np.ndarray) -> None:
    scale = scales_for(np.array([exact.max()], np.float32))
    impacts = quantize(exact, np.repeat(scale, len(exact)))
    bounds = impacts * np.float64(scale[0])
    assert (bounds >= exact).all()
    assert ((impacts.astype(np.float32) * scale[0]) >= exact).all()
    assert (bounds - exact <= scale[0]).all()


@given(st.lists(st.dictionaries(st.integers(0, 9), st.floats(-4, 100, width=32)), max_size=20))
def test_inverting_kernels_equal_their_twins(rows: list[dict[int, float]]) -> None:
    indptr = np.cumsum([0, *map(len, rows)]).astype(np.int64)
    labels = np.array([label for row in rows for label in row], np.int32)
    exact = np.array([weight for row in rows for weight in row.values()], np.float32)
    found = []
    for count, fill in ((count_lists, fill_lists), (plain_count_lists, plain_fill_lists)):
        counts, largest = np.zeros(10, np.int64), np.full(10, -np.inf, np.float32)
        nonnegative = bool(count(labels, exact, counts, largest))
        cursor = np.cumsum(counts) - counts
        lists = (np.zeros(len(labels), np.int32), np.zeros(len(labels), np.uint8))
        scales = scales_for(largest)
        fill((indptr, labels, exact), np.arange(10, dtype=np.int32), scales, cursor, lists)
        found.append([nonnegative, counts, largest, cursor, *lists])
    for mine, twin in zip(*found, strict=True):
        np.testing.assert_array_equal(mine, twin)
