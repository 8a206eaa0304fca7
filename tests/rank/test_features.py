"""Features about attributes, query inputs, the clock and single terms, by hand-computed values."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest
from rank_corpus import Corpus, corpus

from siftline.match.query import Or, Term, TermAnnotations
from siftline.tensor.tensor import Tensor
from siftline.tensor.types import TensorType

SCHEMA = """
schema d {
  document d {
    field price type double { indexing: attribute }
    field year type int { indexing: attribute }
    field open type bool { indexing: attribute }
    field tag type string { indexing: attribute }
    field counts type array<int> { indexing: attribute }
    field names type array<string> { indexing: attribute }
    field weights type weightedset<string> { indexing: attribute }
    field time type long { indexing: attribute }
    field vec type tensor<float>(x[2]) { indexing: attribute }
    field mix type tensor<float>(k{},x[2]) { indexing: attribute }
  }
  rank-profile p {
    inputs {
      query(w) double: 0.5
      query(t) tensor<float>(x[2])
      query(m) tensor<float>(k{})
    }
    constants { half: 0.5 }
    function twice(value) { expression: 2 * value }
    function ofField(name) { expression: attribute(name) + 1 }
    function doubled() { expression: twice(twice(attribute(year))) }
    first-phase { expression: 0 }
    rank-properties {
      random.seed: 7
      dotProduct.v: "{a:2,b:0.5,zz:9}"
      dotProduct.list: "[1,10]"
      freshness(time).maxAge: 1000
      freshness(time).halfResponse: 250
    }
  }
}
"""
DOCUMENTS = [
    {
        "price": 2.5,
        "year": 1999,
        "open": True,
        "tag": "Red",
        "counts": [3, 4],
        "names": ["a", "b", "a"],
        "weights": {"a": 3, "b": 4},
        "time": 10**9 - 250,
        "vec": [1, 2],
        "mix": {"k1": [3, 4]},
    },
    {"tag": "blue", "weights": {"c": 1}, "time": 10**9 + 50},
]


@pytest.fixture(scope="module")
def docs() -> Iterator[Corpus]:
    with corpus(SCHEMA, DOCUMENTS) as made:
        yield made


@pytest.mark.parametrize(
    ("feature", "expected"),
    [
        ("attribute(price)", [2.5, np.nan]),
        ("attribute(year)", [1999, np.nan]),
        ("attribute(open)", [1, 0]),
        ('attribute(tag) == "Red"', [1, 0]),
        ("attribute(counts).count", [2, 0]),
        ("attribute(counts,1)", [4, 0]),
        ("attribute(counts,2)", [0, 0]),
        ("attribute(weights).count", [2, 1]),
        ("attribute(weights,b)", [4, 0]),
        ("attribute(weights,b).weight", [4, 0]),
        ("attribute(weights,c).contains", [0, 1]),
        ("sum(attribute(vec))", [3, 0]),
        ("sum(attribute(mix))", [7, 0]),
        ("query(w)", [0.5, 0.5]),
        ("constant(half)", [0.5, 0.5]),
        ("half", [0.5, 0.5]),
        ("twice(attribute(year))", [3998, np.nan]),
        ("ofField(price)", [3.5, np.nan]),
        ("doubled", [7996, np.nan]),
        ("doubled()", [7996, np.nan]),
        ("rankingExpression(doubled)", [7996, np.nan]),
        ("max(attribute(price), half)", [2.5, np.nan]),
        ("sum(max(attribute(mix), x))", [4, 0]),
        ("now", [1e9, 1e9]),
        ("age(time)", [250, 0]),
        ("freshness(time)", [0.75, 1]),
        ("freshness(time).logscale", [0.5, 1]),
        ("num_docs_indexed", [2, 2]),
        ("dotProduct(weights,v)", [8, 0]),
        ("dotProduct(counts,list)", [43, 0]),
        ("dotProduct(weights,none)", [0, 0]),
        ("sum(tensorFromWeightedSet(attribute(weights),k))", [7, 1]),
        ("sum(tensorFromLabels(attribute(names),k))", [2, 0]),
        ("sum(tensorFromLabels(attribute(names)), names)", [2, 0]),
        ("sum(tensorFromWeightedSet(attribute(weights),k) * query(m))", [32, 0]),
        ("queryTermCount", [0, 0]),
        ("term(0).significance", [0, 0]),
        ("term(0).weight", [100, 100]),
        ("matches(tag)", [0, 0]),
        ("secondPhase", [0, 0]),
    ],
)
def test_value(docs: Corpus, feature: str, expected: list[float]) -> None:
    m = Tensor.blocks(TensorType.parse("tensor<float>(k{})"), {"a": 4.0, "b": 5.0})
    found = docs.values(feature, inputs={"m": m})
    found = [float(v) for v in found]
    assert found == pytest.approx(expected, nan_ok=True)


def test_declared_inputs_without_value_are_zero_or_empty(docs: Corpus) -> None:
    assert docs.values("sum(query(t))") == [0, 0]
    assert docs.values("sum(query(m))") == [0, 0]
    assert docs.values("query(w)", inputs={"w": 3.0}) == [3.0, 3.0]
    assert docs.values("query(undeclared)") == [0, 0]


def test_random_depends_on_document_and_seed_only(docs: Corpus) -> None:
    first = docs.values("random")
    assert first == docs.values("random")
    assert first[0] != first[1]
    assert all(0 <= value < 1 for value in first)
    assert first != docs.values("random", rank_properties={"random.seed": "8"})


def test_random_is_even() -> None:
    with corpus(SCHEMA, [{"year": i} for i in range(2000)]) as docs:
        values = np.array(docs.values("random"))
    assert abs(values.mean() - 0.5) < 0.03
    assert np.histogram(values, bins=10, range=(0, 1))[0].min() > 140


def test_attribute_terms_match_values(docs: Corpus) -> None:
    tag = Term("tag", "red")
    names = Term("names", "a", TermAnnotations(weight=200))
    weights = Term("weights", "a", TermAnnotations(weight=50))
    query = Or((tag, names, weights))
    assert docs.values("matches(tag)", query) == [1, 0]
    assert docs.values("matches(names)", query) == [1, 0]
    assert docs.values("matches(names,0)", query) == [0, 0]
    assert docs.values("matches(names,1)", query) == [1, 0]
    assert docs.values("matchCount(names)", query) == [1, 0]
    assert docs.values("queryTermCount", query) == [3, 3]
    start = Term("tag", "BL", TermAnnotations(prefix=True))
    assert docs.values("matches(tag)", start) == [0, 1]
    assert docs.values("term(1).weight", query) == [200, 200]
    # Σ w·aw·v / Σ w·aw·255: single value 1, two matching elements, weight 3
    expected = (100 * 1 + 200 * 2 + 50 * 3) / (350 * 255)
    assert docs.values("nativeAttributeMatch", query) == pytest.approx([expected, 0])
    assert docs.values("nativeRank", query) == pytest.approx([expected * 100 / 225, 0])
    assert docs.values("nativeDotProduct(weights)", query) == [150, 0]
