"""Transformer inputs from token ids: the specification's example, cuts, shared parts."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from rank_corpus import Corpus, corpus

from siftline.tensor.tensor import Tensor
from siftline.tensor.types import TensorType

SCHEMA = """
schema d {
  document d {
    field b type tensor<float>(d0[3]) { indexing: attribute }
    field n type int { indexing: attribute }
  }
  rank-profile p {
    inputs { query(a) tensor<float>(d0[4]) }
    function c() { expression: attribute(b) * 2 }
    first-phase { expression: attribute(n) }
  }
}
"""
DOCUMENTS: list[dict[str, Any]] = [{"b": [9, 0, 0], "n": 1}, {"b": [5, 6, 7], "n": 2}, {"n": 3}]
A = Tensor.dense(TensorType.parse("tensor<float>(d0[4])"), [7, 8, 0, 0])


@pytest.fixture(scope="module")
def docs() -> Iterator[Corpus]:
    with corpus(SCHEMA, DOCUMENTS) as made:
        yield made


def rows(docs: Corpus, feature: str) -> list[list[int]]:
    found = docs.values(feature, inputs={"a": A})
    assert all(str(t.type).startswith("tensor<float>(d0[1],d1[") for t in found)
    return [np.asarray(t.array[0]).astype(int).tolist() for t in found]


@pytest.mark.parametrize(
    ("feature", "first", "second", "third"),
    [
        (
            "tokenInputIds(10,query(a),attribute(b))",
            [101, 7, 8, 102, 9, 102, 0, 0, 0, 0],
            [101, 7, 8, 102, 5, 6, 7, 102, 0, 0],
            [101, 7, 8, 102, 102, 0, 0, 0, 0, 0],
        ),
        (
            "tokenTypeIds(10,query(a),attribute(b))",
            [0, 0, 0, 0, 1, 1, 0, 0, 0, 0],
            [0, 0, 0, 0, 1, 1, 1, 1, 0, 0],
            [0, 0, 0, 0, 1, 0, 0, 0, 0, 0],
        ),
        (
            "tokenAttentionMask(10,query(a),attribute(b))",
            [1, 1, 1, 1, 1, 1, 0, 0, 0, 0],
            [1, 1, 1, 1, 1, 1, 1, 1, 0, 0],
            [1, 1, 1, 1, 1, 0, 0, 0, 0, 0],
        ),
        (
            "customTokenInputIds(1,2,6,query(a),c)",
            [1, 7, 8, 2, 18, 2],
            [1, 7, 8, 2, 10, 12],
            [1, 7, 8, 2, 2, 0],
        ),
        ("tokenTypeIds(5,attribute(b))", [0] * 5, [0] * 5, [0] * 5),
        ("tokenInputIds(4,query(a))", [101, 7, 8, 102], [101, 7, 8, 102], [101, 7, 8, 102]),
    ],
)
def test_inputs(
    docs: Corpus, feature: str, first: list[int], second: list[int], third: list[int]
) -> None:
    assert rows(docs, feature) == [first, second, third]


def test_a_function_of_the_same_name_disables_the_built_in() -> None:
    schema = SCHEMA.replace(
        "function c()", "function tokenInputIds() { expression: attribute(n) }\nfunction c()"
    )
    with corpus(schema, DOCUMENTS) as docs:
        assert docs.values("tokenInputIds") == [1, 2, 3]
