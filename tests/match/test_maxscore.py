"""MaxScore finds what the exhaustive scorer finds, to the last bit and with the same ties."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from match_corpus import fill, names, prepared, sparse

from siftline.index.snapshot import Snapshot
from siftline.match import exhaustive
from siftline.match.bm25 import ScoredTerm, scored_terms
from siftline.match.maxscore import search_sparse, search_text
from siftline.match.query import Or, Phrase, Term
from siftline.match.top import Top

WORDS = "a b c d e".split()
Batches = Sequence[Mapping[str, Mapping[str, Any]]]


def terms_of(snapshot: Snapshot, *nodes: Any, **query: Any) -> list[ScoredTerm]:
    made = prepared(Or(tuple(nodes)), **query)
    return scored_terms(snapshot, made, made.terms)


def same(found: Top, expected: Top) -> None:
    assert found.documents.tolist() == expected.documents.tolist()
    assert found.scores.tolist() == expected.scores.tolist()


texts = st.lists(st.sampled_from(WORDS), max_size=6).map(" ".join)
weights = st.dictionaries(
    st.sampled_from(WORDS),
    st.one_of(st.sampled_from([0.5, 1.0, 2.0]), st.floats(0, 4, width=32)),
    max_size=4,
)
documents = st.fixed_dictionaries({"title": texts, "body": texts, "sparse": weights})


@st.composite
def corpora(draw: st.DrawFn) -> tuple[Batches, list[str]]:
    """Batches (each its own segment) and the ids that are removed afterwards."""
    sizes = draw(st.lists(st.integers(0, 9), min_size=1, max_size=3))
    batches, number = [], 0
    for size in sizes:
        batch = {}
        for _ in range(size):
            batch[f"id:n:doc::{number}"] = draw(documents)
            number += 1
        batches.append(batch)
    ids = [id_ for batch in batches for id_ in batch]
    removed = draw(st.lists(st.sampled_from(ids), max_size=4, unique=True)) if ids else []
    return batches, removed


@given(corpora(), st.data())
def test_text_search_equals_exhaustive(
    corpus: tuple[Batches, list[str]], data: st.DataObject
) -> None:
    fields = st.sampled_from(["default", "title", "body"])
    word = st.builds(Term, fields, st.sampled_from([*WORDS, "zzz"]))
    phrase = st.builds(
        Phrase, fields, st.lists(st.sampled_from(WORDS), min_size=2, max_size=3).map(tuple)
    )
    nodes = data.draw(st.lists(st.one_of(word, word, phrase), min_size=1, max_size=5))
    count = data.draw(st.integers(0, 12))
    with TemporaryDirectory() as folder, fill(Path(folder), *corpus) as index:
        snapshot = index.snapshot()
        terms = terms_of(snapshot, *nodes)
        allowed = data.draw(filters(snapshot.limit))
        others = data.draw(st.lists(numbers(snapshot.limit), max_size=2))
        expected = exhaustive.text_scores(snapshot, terms, others).best(count, allowed)
        same(search_text(snapshot, terms, count, allowed, others), expected)


@given(corpora(), st.data())
def test_sparse_search_equals_exhaustive(
    corpus: tuple[Batches, list[str]], data: st.DataObject
) -> None:
    low = data.draw(st.sampled_from([0.0, 0.0, -2.0]))
    values = st.one_of(st.sampled_from([1.0, 0.5]), st.floats(low, 3, width=32))
    query = sparse(data.draw(st.dictionaries(st.sampled_from([*WORDS, "zzz"]), values)))
    count = data.draw(st.integers(0, 12))
    with TemporaryDirectory() as folder, fill(Path(folder), *corpus) as index:
        snapshot = index.snapshot()
        allowed = data.draw(filters(snapshot.limit))
        expected = exhaustive.sparse_scores(snapshot, "sparse", query).best(count, allowed)
        same(search_sparse(snapshot, "sparse", query, count, allowed), expected)


def filters(limit: int) -> st.SearchStrategy[np.ndarray | None]:
    mask = st.lists(st.booleans(), min_size=limit, max_size=limit)
    return st.one_of(st.none(), mask.map(lambda bits: np.array(bits, bool)))


def numbers(limit: int) -> st.SearchStrategy[np.ndarray]:
    if not limit:
        return st.just(np.zeros(0, np.int64))
    listed = st.lists(st.integers(0, limit - 1), unique=True, max_size=4)
    return listed.map(lambda found: np.array(sorted(found), np.int64))


def zipf_batches(count: int, seed: int) -> Batches:
    """A larger corpus, over several windows and blocks, with many equal documents."""
    random = np.random.default_rng(seed)
    batch = {}
    for number in range(count):
        words = np.minimum(random.zipf(1.3, random.integers(1, 12)), 60)
        labels = {f"t{w}": float(random.integers(1, 5)) / 2 for w in set(words.tolist())}
        title = " ".join(f"t{word}" for word in words.tolist())
        batch[f"id:n:doc::{number}"] = {"title": title, "body": title[:9], "sparse": labels}
    items = list(batch.items())
    cut = count * 3 // 4
    return [dict(items[:cut]), dict(items[cut:])]


@pytest.fixture(scope="module")
def zipf(tmp_path_factory: pytest.TempPathFactory) -> Any:
    removed = [f"id:n:doc::{number}" for number in range(0, 12_000, 7)]
    with fill(tmp_path_factory.mktemp("zipf"), zipf_batches(12_000, 5), removed) as index:
        yield index.snapshot()


@pytest.mark.parametrize("count", [1, 10, 100, 3000])
@pytest.mark.parametrize("seed", range(6))
def test_a_larger_corpus_gives_the_same(zipf: Snapshot, count: int, seed: int) -> None:
    random = np.random.default_rng(seed)
    words = [f"t{w}" for w in random.choice(60, random.integers(1, 9), replace=False)]
    allowed = None if seed % 2 else random.random(zipf.limit) < (0.02, 0.3, 0.9)[seed // 2]
    terms = terms_of(zipf, *(Term("default", word) for word in words))
    expected = exhaustive.text_scores(zipf, terms).best(count, allowed)
    same(search_text(zipf, terms, count, allowed), expected)
    query = sparse({word: float(random.integers(1, 9)) / 4 for word in words})
    expected = exhaustive.sparse_scores(zipf, "sparse", query).best(count, allowed)
    same(search_sparse(zipf, "sparse", query, count, allowed), expected)


def test_bm25_of_the_specification(tmp_path: Path) -> None:
    """Appendix C: idf = ln 1.6, average length 7/3."""
    titles = {"1": "red apple", "2": "green apple pie", "3": "blue sky"}
    batch = {f"id:n:doc::{k}": {"title": title} for k, title in titles.items()}
    with fill(tmp_path, [batch]) as index:
        snapshot = index.snapshot()
        terms = terms_of(snapshot, Term("title", "apple"))
        top = search_text(snapshot, terms, 10)
        assert names(snapshot, top.documents) == ["1", "2"]
        assert top.scores == pytest.approx([0.49917627, 0.42081720], abs=1e-8)


def test_rank_properties_and_filters_change_bm25(tmp_path: Path) -> None:
    """Degraded terms are their idf; k1 = 0 is the same by definition (spec 2.3)."""
    batch = {f"id:n:doc::{i}": {"title": "x " * i + "y"} for i in range(1, 4)}
    with fill(tmp_path, [batch]) as index:
        snapshot = index.snapshot()
        idf = math.log(1 + 0.5 / 3.5)
        flat = terms_of(snapshot, Term("title", "x"), rank_properties={"bm25(title).k1": "0"})
        assert search_text(snapshot, flat, 10).scores == pytest.approx([idf] * 3)
        long = {"bm25(title).averageFieldLength": "100"}
        (term,) = terms_of(snapshot, Term("title", "x"), rank_properties=long)
        norm = 1.2 * (0.25 + 0.75 * 2 / 100)
        assert term.scores(np.array([1]), np.array([2])) == pytest.approx(idf * 2.2 / (1 + norm))
