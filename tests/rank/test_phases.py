"""Phases: order, limits, what is computed how often, statistics."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from rank_corpus import Corpus, corpus

from siftline.errors import QueryError
from siftline.match.candidates import Candidates
from siftline.rank.features.source import HitFeatures
from siftline.rank.features.table import FEATURES, Feature
from siftline.rank.nodes import Reference
from siftline.rank.order import best, clean, rescale
from siftline.rank.values import Value

SCHEMA = """
schema d {
  document d {
    field a type double { indexing: attribute }
    field b type double { indexing: attribute }
    field c type double { indexing: attribute }
    field name type string { indexing: attribute }
  }
  rank-profile p {
    function cheap() { expression: attribute(a) }
    function dear() { expression: attribute(b) * 2 }
    first-phase { expression: cheap }
    second-phase { rerank-count: 4  expression: dear + cheap }
    global-phase { rerank-count: 2  expression: attribute(c) + relevanceScore }
    match-features: dear cheap firstPhase secondPhase
  }
  rank-profile one { first-phase { expression: attribute(a) } }
  rank-profile drop inherits one { first-phase { rank-score-drop-limit: 2 } }
  rank-profile keep inherits one { first-phase { keep-rank-count: 2 } }
  rank-profile nan { first-phase { expression: log(attribute(a)) } }
  rank-profile global-drop inherits one {
    global-phase { rerank-count: 2  expression: attribute(a)  rank-score-drop-limit: 4 }
  }
}
"""
DOCUMENTS: list[dict[str, Any]] = [
    {"a": float(i), "b": float(5 - i), "c": float(i % 3), "name": name}
    for i, name in enumerate(["f", "E", "d", "C", "b", "A"])
]


@pytest.fixture(scope="module", params=[1, 3])
def docs(request: pytest.FixtureRequest) -> Iterator[Corpus]:
    with corpus(SCHEMA, DOCUMENTS, batches=request.param) as made:
        yield made


def test_three_phases(docs: Corpus) -> None:
    ranked = docs.rank()
    # first: 5 4 3 2 1 0; second on documents 5 4 3 2: 5, 6, 7, 8, the others rescaled below 5
    assert [trace.name for trace in ranked.statistics] == [
        "first-phase", "second-phase", "global-phase", "features",
    ]  # fmt: skip
    counts = [(trace.entered, trace.left) for trace in ranked.statistics]
    assert counts == [(6, 6), (4, 4), (2, 2), (6, 6)]
    assert all(trace.seconds >= 0 for trace in ranked.statistics)
    # global on documents 2 (8 + 2) and 3 (7 + 0)
    assert ranked.documents.tolist() == [2, 3, 4, 5, 1, 0]
    assert ranked.scores.tolist() == [10, 7, 6, 5, 1, 0]
    assert ranked.phases["first-phase"].tolist() == [2, 3, 4, 5, 1, 0]
    assert ranked.phases["second-phase"][:4].tolist() == [8, 7, 6, 5]
    assert np.isnan(ranked.phases["second-phase"][4:]).all()
    assert np.isnan(ranked.phases["global-phase"][2:]).all()
    assert ranked.match_features is not None
    assert ranked.match_features[4] == {
        "dear": 8.0, "cheap": 1.0, "firstPhase": 1.0, "secondPhase": 1.0,
    }  # fmt: skip


def test_query_overrides_of_the_rerank_counts(docs: Corpus) -> None:
    ranked = docs.rank(rerank_count=0, global_rerank_count=0)
    assert ranked.scores.tolist() == [5, 4, 3, 2, 1, 0]
    assert "second-phase" not in ranked.phases
    ranked = docs.rank(rerank_count=1, global_rerank_count=0)
    assert ranked.statistics[1].entered == 1
    assert ranked.scores[0] == 5


def test_page(docs: Corpus) -> None:
    whole = docs.rank()
    page = docs.rank(hits=2, offset=1)
    assert page.documents.tolist() == whole.documents[1:3].tolist()
    assert page.scores.tolist() == whole.scores[1:3].tolist()
    assert page.total == 6
    assert len(docs.rank(hits=2, offset=9)) == 0


def test_drop_limit_drops_equal_scores(docs: Corpus) -> None:
    ranked = docs.rank(profile="drop")
    assert ranked.documents.tolist() == [5, 4, 3]
    assert ranked.total == 3
    assert (ranked.statistics[0].entered, ranked.statistics[0].left) == (6, 3)


def test_global_drop_limit_lowers_the_count(docs: Corpus) -> None:
    ranked = docs.rank(profile="global-drop")
    assert ranked.documents.tolist() == [5]
    assert ranked.total == 1


def test_hits_beyond_keep_rank_count_have_no_score(docs: Corpus) -> None:
    ranked = docs.rank(profile="keep")
    assert ranked.documents.tolist() == [5, 4, 0, 1, 2, 3]
    assert ranked.scores.tolist() == [5, 4, *[-np.inf] * 4]
    assert ranked.total == 6


def test_scores_that_are_no_numbers_come_last_in_document_order(docs: Corpus) -> None:
    ranked = docs.rank(profile="nan")
    assert ranked.documents.tolist() == [5, 4, 3, 2, 1, 0]
    assert ranked.scores[-1] == -np.inf
    with corpus(SCHEMA, [{"a": -1.0}, {}, {"a": 1.0}]) as other:
        ranked = other.rank(profile="nan")
    assert ranked.documents.tolist() == [2, 0, 1]
    assert ranked.scores.tolist() == [0, -np.inf, -np.inf]
    assert ranked.total == 3


def test_no_candidates(docs: Corpus) -> None:
    none = Candidates(np.zeros(0, np.int64), np.zeros(0))
    ranked = docs.rank(candidates=none)
    assert (len(ranked), ranked.total) == (0, 0)
    assert ranked.match_features == ()
    assert [trace.entered for trace in ranked.statistics[:3]] == [0, 0, 0]


def test_sorting_by_attributes(docs: Corpus) -> None:
    assert docs.rank(profile="one", order_by=(("name", False),)).documents.tolist() == [
        5, 4, 3, 2, 1, 0,
    ]  # fmt: skip
    ranked = docs.rank(profile="one", order_by=(("c", True), ("[rank]", False)))
    assert ranked.documents.tolist() == [2, 5, 1, 4, 0, 3]
    assert ranked.scores.tolist() == [2, 5, 1, 4, 0, 3]
    assert docs.rank(profile="one", order_by=(("b", False),), hits=2).documents.tolist() == [5, 4]


def test_sorting_is_refused_with_a_global_phase_or_an_unknown_attribute(docs: Corpus) -> None:
    with pytest.raises(QueryError, match="Sorting is not supported with global phase"):
        docs.rank(order_by=(("a", False),))
    docs.rank(order_by=(("[relevance]", True),))
    with pytest.raises(QueryError, match="cannot sort by 'nam'.*did you mean 'name'"):
        docs.rank(profile="one", order_by=(("nam", False),))


def test_a_feature_is_computed_once_for_each_hit(
    docs: Corpus, monkeypatch: pytest.MonkeyPatch
) -> None:
    computed: list[tuple[str, tuple[int, ...]]] = []
    original = FEATURES["attribute"]

    def counting(hits: HitFeatures, reference: Reference) -> Value:
        computed.append((str(reference), tuple(hits.documents.tolist())))
        return original.compute(hits, reference)

    monkeypatch.setitem(FEATURES, "attribute", Feature("attribute", counting, original.check))
    docs.rank()
    seen: dict[str, list[int]] = {}
    for name, documents in computed:
        seen.setdefault(name, []).extend(documents)
    assert sorted(seen["attribute(a)"]) == list(range(6))
    assert sorted(seen["attribute(c)"]) == [2, 3]
    # b: four hits in the second phase, the other two for the page's match features
    assert sorted(seen["attribute(b)"]) == list(range(6))
    assert [len(d) for n, d in computed if n == "attribute(b)"] == [4, 2]


scores = hnp.arrays(np.float64, st.integers(0, 60), elements=st.integers(-3, 3).map(float))


@given(scores, st.integers(0, 70))
def test_best_is_the_head_of_the_full_order(values: np.ndarray, count: int) -> None:
    whole = sorted(range(len(values)), key=lambda i: (-values[i], i))
    assert best(values, count).tolist() == whole[:count]


def test_clean() -> None:
    cleaned = clean(np.array([1.0, np.nan, np.inf, -np.inf]))
    assert cleaned.tolist() == [1.0, -np.inf, -np.inf, -np.inf]


@given(
    hnp.arrays(np.float64, st.integers(1, 10), elements=st.floats(-1e3, 1e3)),
    hnp.arrays(np.float64, st.integers(1, 10), elements=st.floats(-1e3, 1e3)),
    hnp.arrays(np.float64, st.integers(0, 10), elements=st.floats(0, 1e3)),
)
def test_rescaled_hits_never_outrank_a_ranked_one(
    before: np.ndarray, after: np.ndarray, below: np.ndarray
) -> None:
    rest = before.min() - below
    rescaled = rescale(rest, before, after[: len(before)])
    assert np.all(rescaled <= after[: len(before)].min() + 1e-6)
    assert np.all(np.diff(rescaled[np.argsort(-rest)]) <= 1e-9)


def test_rescaling_keeps_minus_infinity() -> None:
    rest = rescale(np.array([-np.inf, 1.0]), np.array([10.0, 9.0]), np.array([0.5, 0.25]))
    assert rest.tolist() == [-np.inf, 0.25 - 8.0]
    unranked = rescale(np.array([1.0]), np.array([-np.inf]), np.array([5.0]))
    assert unranked.tolist() == [1.0]
