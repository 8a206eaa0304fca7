"""Sparse vectors without an index: cost by hand, search against a plain product, files."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from siftline.errors import UsageError
from siftline.experiment.sparse.vectors import ImpactIndex, SparseVectors, flops


def vectors(rows: np.ndarray) -> SparseVectors:
    tokens = [np.flatnonzero(row) for row in rows]
    return SparseVectors.of(tokens, [row[t] for row, t in zip(rows, tokens, strict=True)])


def test_cost_by_hand() -> None:
    documents = vectors(np.array([[1, 0, 2, 0], [0, 0, 3, 0], [0, 1, 1, 0], [0, 0, 0, 0]], float))
    queries = vectors(np.array([[5, 0, 1, 1], [0, 0, 7, 0]], float))
    assert documents.length == 5 / 4 and queries.length == 2
    # tokens 0, 1, 2, 3: a half of the queries has 0 and 3, all have 2
    assert flops(queries, documents) == pytest.approx(1 / 2 * 1 / 4 + 1 * 3 / 4)


def test_nothing_costs_nothing() -> None:
    empty = SparseVectors.of([], [])
    assert len(empty) == 0 and empty.length == 0
    assert flops(empty, vectors(np.eye(3))) == 0
    assert len(ImpactIndex(empty).search(np.array([1]), np.array([1.0]), 5)) == 0


def test_weights_of_zero_are_left_out() -> None:
    found = SparseVectors.of([np.array([3, 5])], [np.array([0.0, 2.0])])
    assert found.tokens.tolist() == [5] and found.indptr.tolist() == [0, 1]


matrices = arrays.arrays(
    np.float32,
    st.tuples(st.integers(1, 30), st.just(7)),
    elements=st.sampled_from([0.0, 0.0, 0.5, 1.0, 2.25]),
)


@given(matrices, st.lists(st.sampled_from([0.0, 0.5, 3.0]), min_size=7, max_size=7))
def test_search_is_the_product_in_order(rows: np.ndarray, query: list[float]) -> None:
    weights = np.array(query)
    found = ImpactIndex(vectors(rows)).search(np.flatnonzero(weights), weights[weights > 0], 10)
    scores = rows.astype(float) @ weights
    order = [int(n) for n in np.argsort(-scores, kind="stable") if scores[n] > 0][:10]
    assert found.documents.tolist() == order
    assert found.scores == pytest.approx(scores[order])


def test_the_index_has_bytes_for_every_weight() -> None:
    few, many = ImpactIndex(vectors(np.eye(4))), ImpactIndex(vectors(np.ones((40, 4))))
    assert few.bytes > 4 * 13 and many.bytes > few.bytes + 150 * 13


def test_what_is_saved_is_loaded(tmp_path: Path) -> None:
    rows = vectors(np.array([[0, 1.5], [2, 0]]))
    rows.save(tmp_path / "deep" / "rows.npz")
    again = SparseVectors.load(tmp_path / "deep" / "rows.npz")
    assert again.indptr.tolist() == [0, 1, 2] and again.tokens.tolist() == [1, 0]
    assert again.weights.tolist() == [1.5, 2] and again.tokens.dtype == np.int32
    assert [path.name for path in (tmp_path / "deep").iterdir()] == ["rows.npz"]


def test_a_file_of_something_else(tmp_path: Path) -> None:
    (tmp_path / "rows.npz").write_bytes(b"nothing")
    with pytest.raises(UsageError, match="holds no sparse vectors"):
        SparseVectors.load(tmp_path / "rows.npz")
