"""The golden fixtures of the specification's appendices A and C, on a real index."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from rank_corpus import corpus

from siftline.match.query import NearestNeighbor, Or, Term
from siftline.tensor.tensor import Tensor
from siftline.tensor.types import TensorType

RESCALE = """
schema d {
  document d {
    field first type int { indexing: attribute }
    field second type int { indexing: attribute }
  }
  rank-profile p {
    first-phase { expression: attribute(first) }
    second-phase { rerank-count: 2 expression: attribute(second) %s }
  }
}
"""
FIRSTS = [1400, 1300, 1200, 1100, 1000, 900, 500]
SCORED = [
    {"first": first, "second": second}
    for first, second in zip(FIRSTS, [14, 13, 0, 0, 0, 0, 0], strict=True)
]


@pytest.mark.parametrize(
    ("limit", "expected"),
    [
        ("", [14, 13, 12, 11, 10, 9, 5]),
        ("rank-score-drop-limit: 9", [14, 13, 12, 11, 10]),
        ("rank-score-drop-limit: 13", [14]),
    ],
)
def test_rescaling(limit: str, expected: list[float]) -> None:
    with corpus(RESCALE % limit, SCORED) as docs:
        ranked = docs.rank()
    assert ranked.scores.tolist() == expected
    assert ranked.total == len(expected)
    assert ranked.documents.tolist() == list(range(len(expected)))


RANKS = """
schema d {
  document d { field order type int { indexing: attribute } }
  rank-profile p {
    first-phase { expression: attribute(order) }
    second-phase {
      expression: attribute(order) + 60/firstPhaseRank + if (firstPhaseRank == 3, 1000, 0)
    }
    match-features: firstPhaseRank firstPhase secondPhase
    summary-features: firstPhaseRank firstPhase secondPhase
  }
}
"""


def test_first_phase_rank() -> None:
    with corpus(RANKS, [{"order": o} for o in (100, 150, 200, 250, 300)]) as docs:
        ranked = docs.rank()
    assert ranked.scores.tolist() == [1220, 360, 280, 165, 112]
    assert ranked.match_features is not None and ranked.summary_features is not None
    assert [f["firstPhaseRank"] for f in ranked.match_features] == [3, 1, 2, 4, 5]
    assert [f["secondPhase"] for f in ranked.match_features] == [1220, 360, 280, 165, 112]
    largest = np.finfo(np.float64).max
    assert [f["firstPhaseRank"] for f in ranked.summary_features] == [largest] * 5
    assert [f["secondPhase"] for f in ranked.summary_features] == [200, 300, 250, 150, 100]
    assert [f["firstPhase"] for f in ranked.summary_features] == [200, 300, 250, 150, 100]


NATIVE = """
schema d {
  document d {
    field title type string { indexing: index  stemming: none }
    field order type int { indexing: attribute }
  }
  fieldset default { fields: title }
  rank-profile p { first-phase { expression: nativeRank } }
  rank-profile linear {
    first-phase { expression: 10000 * attribute(order) }
    global-phase { expression: normalize_linear(nativeRank) + normalize_linear(firstPhase) }
  }
  rank-profile reciprocal inherits linear {
    global-phase { expression: reciprocal_rank(nativeRank,49) + reciprocal_rank(firstPhase) }
  }
}
"""
TITLES = ["foo bar", "bar baz", "foo foo bar", "bar bar", "1 2 3 4 5 6 7 8 9 bar"]
TITLED = [{"title": title, "order": i} for i, title in enumerate(TITLES, 1)]
BAR = Term("default", "bar")


@pytest.mark.parametrize("batches", [1, 3])
def test_native_rank(batches: int) -> None:
    with corpus(NATIVE, TITLED, batches=batches) as docs:
        found = docs.values("nativeRank", BAR)
    expected = [
        0.163438790320063,
        0.381862383599512,
        0.15974580091895,
        0.404088045944759,
        0.146073025757855,
    ]
    assert found == pytest.approx(expected, abs=1e-14)


def test_normalize_linear() -> None:
    with corpus(NATIVE, TITLED) as docs:
        ranked = docs.rank(BAR, "linear")
    assert (ranked.documents + 1).tolist() == [4, 2, 5, 3, 1]
    expected = [1.75, 1.16385903685318, 1.0, 0.552992167476104, 0.0673052466078443]
    assert ranked.scores == pytest.approx(expected, abs=1e-13)


def test_reciprocal_rank() -> None:
    with corpus(NATIVE, TITLED) as docs:
        ranked = docs.rank(BAR, "reciprocal")
    assert (ranked.documents + 1).tolist() == [4, 2, 5, 3, 1]
    expected = [
        0.0361290322580645,
        0.0352328431372549,
        0.0349119611414693,
        0.0347409404013178,
        0.0346153846153846,
    ]
    assert ranked.scores == pytest.approx(expected, abs=1e-15)


FRUIT = """
schema fruit {
  document fruit {
    field title type string { indexing: index | summary  index: enable-bm25  stemming: none }
    field vec type tensor<float>(x[2]) {
      indexing: attribute
      attribute { distance-metric: angular }
    }
    field tok type tensor<int8>(t{},x[1]) { indexing: attribute }
  }
  fieldset default { fields: title }
  rank-profile p {
    inputs { query(q) tensor<float>(x[2])  query(qt) tensor<float>(s{},x[8]) }
    function lex() { expression: bm25(title) }
    function sem() { expression: closeness(field,vec) }
    function ms() { expression: sum(reduce(sum(query(qt)*unpack_bits(attribute(tok)),x),max,t),s) }
    first-phase { expression: lex }
    global-phase { rerank-count: 3  expression: reciprocal_rank(lex) + reciprocal_rank(sem) }
    match-features: lex sem
  }
}
"""
FRUITS: list[dict[str, Any]] = [
    {"title": "red apple", "vec": [1, 0], "tok": {"0": [-86], "1": [15]}},
    {"title": "green apple pie", "vec": [0.6, 0.8]},
    {"title": "blue sky", "vec": [0, 1]},
]
APPLE = Or((Term("default", "apple"), NearestNeighbor("vec", "q", 3)))
Q = Tensor.dense(TensorType.parse("tensor<float>(x[2])"), [1, 0])
QT = Tensor.blocks(
    TensorType.parse("tensor<float>(s{},x[8])"),
    {"0": [0.5, 0.5, 0, 0, 0, 0, 0, 0], "1": [0, 0, 0, 0, 0.5, 0.5, 0.5, 0.5]},
)


def test_miniature_package() -> None:
    with corpus(FRUIT, FRUITS) as docs:
        inputs = {"q": Q, "qt": QT}
        ranked = docs.rank(APPLE, inputs=inputs, hits=2, features=["distance(field,vec)"])
        assert docs.values("ms", APPLE, inputs=inputs) == pytest.approx([2.5, 0, 0])
    assert ranked.total == 3
    assert ranked.documents.tolist() == [0, 1]
    assert ranked.scores == pytest.approx([0.032786885, 0.032258065], abs=1e-9)
    assert ranked.match_features is not None
    first, second = ranked.match_features
    assert first["lex"] == pytest.approx(0.49917627, abs=1e-8)
    assert first["sem"] == pytest.approx(1.0)
    assert second["lex"] == pytest.approx(0.42081720, abs=1e-8)
    assert second["distance(field,vec)"] == pytest.approx(0.92729522, abs=1e-7)
    assert second["sem"] == pytest.approx(0.51886187, abs=1e-7)
    names = [phase.name for phase in ranked.statistics]
    assert names == ["first-phase", "global-phase", "features"]
    assert ranked.phases["first-phase"].tolist() == [first["lex"], second["lex"]]
