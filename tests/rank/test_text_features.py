"""bm25 and the features about matches, by values computed by hand from the formulas."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from rank_corpus import Corpus, corpus

from siftline.match.query import Node, Or, Phrase, Term, TermAnnotations
from siftline.rank.features.native import nearest_after
from siftline.rank.features.terms import Occurrences

SCHEMA = """
schema d {
  document d {
    field title type string { indexing: index  index: enable-bm25  stemming: none }
    field text type string { indexing: index  index: enable-bm25  stemming: none }
    field flags type string { indexing: index  index: enable-bm25  stemming: none  rank: filter }
    field tags type array<string> { indexing: index  index: enable-bm25  stemming: none }
  }
  fieldset default { fields: title, text }
  rank-profile p { first-phase { expression: bm25(title) } }
  rank-profile tuned inherits p {
    rank-properties {
      bm25(title).k1: 2.0
      bm25(title).b: 0.5
      bm25(title).averageFieldLength: 100
    }
  }
}
"""
DOCUMENTS: list[dict[str, Any]] = [
    {"title": "a b c d e f g", "text": "a a x", "flags": "a a", "tags": ["a b", "c"]},
    {"title": "a b a", "text": "y z"},
    {"title": "c d", "tags": ["b", "a"]},
]
LENGTHS, AVERAGE = [7, 3, 2], 4.0


@pytest.fixture(scope="module", params=[1, 3])
def docs(request: pytest.FixtureRequest) -> Iterator[Corpus]:
    with corpus(SCHEMA, DOCUMENTS, batches=request.param) as made:
        yield made


def idf(n: int, documents: int = 3) -> float:
    return math.log(1 + (documents - n + 0.5) / (n + 0.5))


def score(
    tf: float, length: float, k1: float = 1.2, b: float = 0.75, avg: float = AVERAGE
) -> float:
    return tf * (k1 + 1) / (tf + k1 * (1 - b + b * length / avg))


def term(word: str, field: str = "title", **annotations: object) -> Term:
    return Term(field, word, TermAnnotations(**annotations))  # type: ignore[arg-type]


def bm25(docs: Corpus, query: Node, field: str = "title", **asked: object) -> list[float]:
    return docs.values(f"bm25({field})", query, **asked)


def test_bm25(docs: Corpus) -> None:
    expected = [idf(2) * score(1, 7), idf(2) * score(2, 3), 0]
    assert bm25(docs, term("a")) == pytest.approx(expected)


def test_each_term_of_the_query_counts_for_itself(docs: Corpus) -> None:
    once = np.array(bm25(docs, term("a")))
    assert bm25(docs, Or((term("a"), term("A")))) == pytest.approx(2 * once)


def test_weight_does_not_scale_but_significance_replaces_idf(docs: Corpus) -> None:
    assert bm25(docs, term("a", weight=300)) == bm25(docs, term("a"))
    expected = [2 * score(1, 7), 2 * score(2, 3), 0]
    assert bm25(docs, term("a", significance=2.0)) == pytest.approx(expected)


def test_filters_count_as_idf_and_unranked_terms_not_at_all(docs: Corpus) -> None:
    assert bm25(docs, term("a", filter=True)) == pytest.approx([idf(2), idf(2), 0])
    assert bm25(docs, term("a", ranked=False)) == [0, 0, 0]
    assert bm25(docs, term("a", "flags"), "flags") == pytest.approx([idf(1), 0, 0])


def test_rank_properties_of_profile_and_query(docs: Corpus) -> None:
    tuned = [idf(2) * score(1, 7, 2.0, 0.5, 100), idf(2) * score(2, 3, 2.0, 0.5, 100), 0]
    assert bm25(docs, term("a"), profile="tuned") == pytest.approx(tuned)
    changed = bm25(docs, term("a"), profile="tuned", rank_properties={"bm25(title).k1": "0"})
    assert changed == pytest.approx([idf(2), idf(2), 0])


def test_field_set_takes_the_largest_document_frequency(docs: Corpus) -> None:
    both = term("a", "default")
    assert bm25(docs, both) == pytest.approx(bm25(docs, term("a")))
    average = 5 / 2
    expected = idf(2) * score(2, 3, avg=average)
    assert bm25(docs, both, "text") == pytest.approx([expected, 0, 0])


def test_phrase_counts_as_one_term(docs: Corpus) -> None:
    found = bm25(docs, Phrase("title", ("a", "b")))
    assert found == pytest.approx([idf(2) * score(1, 7), idf(2) * score(1, 3), 0])
    assert bm25(docs, Phrase("tags", ("b", "c")), "tags") == [0, 0, 0]


@pytest.mark.parametrize(
    ("feature", "expected"),
    [
        ("fieldLength(title)", [7, 3, 1_000_000]),
        ("fieldLength(text)", [1_000_000] * 3),
        ("averageFieldLength(title)", [4, 4, 4]),
        ("matches(title)", [1, 1, 0]),
        ("matches(title,1)", [1, 1, 0]),
        ("matches(title,9)", [0, 0, 0]),
        ("matchCount(title)", [2, 2, 0]),
        ("fieldTermMatch(title,0).firstPosition", [0, 0, 1_000_000]),
        ("fieldTermMatch(title,1).firstPosition", [1, 1, 1_000_000]),
        ("fieldTermMatch(title,0).occurrences", [1, 2, 0]),
        ("fieldTermMatch(text,0).firstPosition", [1_000_000] * 3),
        ("term(0).connectedness", [0.1] * 3),
        ("term(1).significance", [0.5 + 0.5 * math.log(2 / 3) / math.log(1e-6)] * 3),
    ],
)
def test_matches(docs: Corpus, feature: str, expected: list[float]) -> None:
    query = Or((term("a"), term("b")))
    assert [float(v) for v in docs.values(feature, query)] == pytest.approx(expected)


def test_native_rank_of_two_terms(docs: Corpus) -> None:
    """Document 1, "a b a": a at 0 twice, b at 1; a before b by 1, b before a by 1."""
    first = 8000 * np.exp(-np.arange(256) / 12.5)
    count = 1500 * np.log(1 + np.arange(256) / 19) + 4000
    most = 0.5 * first[0] + 0.5 * count[255]
    a = (0.5 * first[0] + 0.5 * count[256 * 2 // 6]) / most
    b = (0.5 * first[256 // 5] + 0.5 * count[256 // 6]) / most
    match = (a + b) / 2
    near = (0.5 * 500 + 0.5 * 400) / (0.5 * 500 + 0.5 * 400)
    found = docs.values("nativeRank(title)", Or((term("a"), term("b"))))
    assert found[1] == pytest.approx((100 * match + 25 * near) / 225)
    assert found[2] == 0
    # document 0 has a before b only: the reverse distance is the table's last entry
    near = (0.5 * 500 + 0.5 * 400 * math.exp(-255 / 3)) / 450
    proximity = docs.values("nativeProximity", Or((term("a"), term("b"))))
    assert proximity == pytest.approx([near, 1, 0])


def test_nearest_after_equals_the_plain_search() -> None:
    random = np.random.default_rng(3)
    sets = [
        [np.unique(random.integers(0, 30, random.integers(0, 6))) for _ in range(40)] * 1
        for _ in range(2)
    ]

    def occurrences(rows: list[np.ndarray]) -> Occurrences:
        offsets = np.concatenate([[0], np.cumsum([len(r) for r in rows])]).astype(np.int64)
        return Occurrences(offsets, np.concatenate(rows).astype(np.int64))

    found = nearest_after(occurrences(sets[0]), occurrences(sets[1]))
    for row in range(40):
        gaps = [b - a for a in sets[0][row] for b in sets[1][row] if b > a]
        assert found[row] == (min(gaps) if gaps else np.inf)
