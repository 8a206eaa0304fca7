"""closeness, distance and raw scores: on demand, for hits that retrieval did not find too."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from rank_corpus import Corpus, corpus

from siftline.match.query import NearestNeighbor, Node, Or, Term
from siftline.match.retrieve import retrieve
from siftline.schema.package import Settings
from siftline.tensor.tensor import Tensor
from siftline.tensor.types import TensorType

SCHEMA = """
schema d {
  document d {
    field title type string { indexing: index  index: enable-bm25  stemming: none }
    field vec type tensor<float>(x[2]) { indexing: attribute }
    field dot type tensor<float>(x[2]) {
      indexing: attribute
      attribute { distance-metric: dotproduct }
    }
    field sparse type tensor<float>(t{}) { indexing: attribute }
  }
  fieldset default { fields: title }
  rank-profile p {
    inputs {
      query(q) tensor<float>(x[2])
      query(r) tensor<float>(x[2])
      query(s) tensor<float>(t{})
    }
    first-phase { expression: closeness(field,vec) }
  }
}
"""
DOCUMENTS: list[dict[str, Any]] = [
    {"title": "a", "vec": [3, 4], "dot": [1, 2], "sparse": {"a": 1.0, "b": 2.0}},
    {"title": "a b", "vec": [0, 1], "dot": [3, 0], "sparse": {"b": 0.5}},
    {"title": "b"},
]
DENSE, SPARSE = TensorType.parse("tensor<float>(x[2])"), TensorType.parse("tensor<float>(t{})")
INPUTS = {
    "q": Tensor.dense(DENSE, [0, 0]),
    "r": Tensor.dense(DENSE, [1, 1]),
    "s": Tensor.blocks(SPARSE, {"b": 2.0, "never seen": 5.0, "a": 0.5}),
}
LARGEST = float(np.finfo(np.float64).max)
NEAR = NearestNeighbor("vec", "q", 1, label="here")
DOT = NearestNeighbor("dot", "r", 1)
LEARNED = NearestNeighbor("sparse", "s", 1, label="learned")


@pytest.fixture(scope="module")
def docs() -> Iterator[Corpus]:
    with corpus(SCHEMA, DOCUMENTS, settings=Settings(frozenset({"d.sparse"})), batches=2) as made:
        yield made


def values(docs: Corpus, feature: str, root: Node) -> list[float]:
    return [float(v) for v in docs.values(feature, root, inputs=INPUTS)]


def test_hits_that_the_operator_did_not_match_have_a_distance(docs: Corpus) -> None:
    query = Or((Term("title", "a"), NEAR))
    assert values(docs, "distance(field,vec)", query) == [5, 1, LARGEST]
    assert values(docs, "closeness(field,vec)", query) == [1 / 6, 1 / 2, 0]
    assert values(docs, "closeness(label,here)", query) == [1 / 6, 1 / 2, 0]
    assert values(docs, "closeness(vec)", query) == [1 / 6, 1 / 2, 0]


def test_queries_without_the_operator(docs: Corpus) -> None:
    assert values(docs, "closeness(field,vec)", Term("title", "a")) == [0, 0, 0]
    assert values(docs, "closeness(field,dot)", Term("title", "a")) == [-LARGEST] * 3
    assert values(docs, "distance(label,nowhere)", NEAR) == [LARGEST] * 3
    assert values(docs, "closeness(label,nowhere)", NEAR) == [0, 0, 0]


def test_several_operators_on_a_field_give_the_best(docs: Corpus) -> None:
    query = Or((NEAR, replace(NEAR, query="r", label=None)))
    expected = [min(5, math.hypot(2, 3)), 1, LARGEST]
    assert values(docs, "distance(field,vec)", query) == pytest.approx(expected)
    assert values(docs, "distance(label,here)", query) == [5, 1, LARGEST]


def test_dot_products_are_their_own_closeness(docs: Corpus) -> None:
    assert values(docs, "closeness(field,dot)", DOT) == [3, 3, -LARGEST]
    assert values(docs, "distance(field,dot)", DOT) == [-3, -3, LARGEST]


def test_learned_sparse_closeness_is_the_dot_product(docs: Corpus) -> None:
    assert values(docs, "closeness(field,sparse)", LEARNED) == [4.5, 1, 0]
    assert values(docs, "distance(field,sparse)", LEARNED) == [-4.5, -1, LARGEST]


def test_raw_scores_are_zero_where_the_operator_did_not_match(docs: Corpus) -> None:
    query = Or((Term("title", "a"), Term("title", "b"), NEAR, LEARNED))
    prepared = docs.prepared(query, inputs=INPUTS)
    candidates = retrieve(docs.snapshot, prepared)
    ranked = docs.rank(
        query,
        candidates=candidates,
        inputs=INPUTS,
        features=["rawScore(vec)", "itemRawScore(here)", "itemRawScore(learned)", "rawScore(dot)"],
    )
    assert ranked.match_features is not None
    found = dict(zip(ranked.documents.tolist(), ranked.match_features, strict=True))
    assert [found[d]["rawScore(vec)"] for d in range(3)] == pytest.approx([0, 0.5, 0])
    assert [found[d]["itemRawScore(here)"] for d in range(3)] == pytest.approx([0, 0.5, 0])
    assert [found[d]["itemRawScore(learned)"] for d in range(3)] == pytest.approx([4.5, 0, 0])
    assert [found[d]["rawScore(dot)"] for d in range(3)] == [0, 0, 0]
