from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from index_fixtures import dense_encoded, dense_schema

from siftline.index.graph.space import Space, longest
from siftline.index.index import Index
from siftline.schema.package import Settings

METRICS = ["euclidean", "angular", "prenormalized-angular", "dotproduct"]
SIZE = 16


def ids(start: int, count: int) -> list[str]:
    return [f"id:t:doc::{n}" for n in range(start, start + count)]


def ranking(metric: str, query: np.ndarray, vectors: np.ndarray) -> np.ndarray:
    """Rows, nearest first, by the definition of the metric."""
    if metric == "euclidean":
        keys = np.linalg.norm(vectors - query, axis=1)
    elif metric == "angular":
        keys = -(vectors @ query) / np.linalg.norm(vectors, axis=1)
    else:
        keys = -(vectors @ query)
    return np.argsort(keys, kind="stable")


@pytest.mark.parametrize("metric", METRICS)
def test_spaces_keep_the_order_of_the_metric(metric: str) -> None:
    random = np.random.default_rng(1)
    vectors = random.standard_normal((50, SIZE)).astype(np.float32)
    query = random.standard_normal(SIZE).astype(np.float32)
    space = Space(metric, SIZE, longest(vectors))
    rows, place = space.documents(vectors), space.query(query)[0]
    assert rows.shape == (50, space.dimensions)
    keys = -(rows @ place) if space.inner_product else np.linalg.norm(rows - place, axis=1)
    np.testing.assert_array_equal(np.argsort(keys), ranking(metric, query, vectors))


def test_a_zero_vector_has_no_direction() -> None:
    rows = Space("angular", 2).documents(np.array([[0, 0], [3, 4]], np.float32))
    np.testing.assert_allclose(rows, np.array([[0, 0], [0.6, 0.8]]), rtol=1e-6)


@pytest.mark.parametrize("metric", METRICS)
def test_the_graph_finds_the_nearest(tmp_path: Path, metric: str) -> None:
    random = np.random.default_rng(2)
    vectors = random.standard_normal((1500, SIZE)).astype(np.float32)
    present = np.arange(1500) % 5 != 0
    schema = dense_schema(metric, SIZE)
    with Index.open(tmp_path, schema, Settings()) as index:
        index.write(dense_encoded(ids(0, 1500), vectors, present=present))
        assert not index.snapshot().segments[0].dense("v").has_graph
        index.commit()
    with Index.open(tmp_path, schema, Settings()) as index:
        reader = index.snapshot().segments[0].dense("v")
        assert reader.has_graph and len(reader.matrix) == 1200
        allowed = present & (random.random(1500) < 0.5)
        hits = 0
        for query in random.standard_normal((20, SIZE)).astype(np.float32):
            best = ranking(metric, query, vectors)
            found = reader.search(query, 10, 90)
            hits += len(np.intersect1d(found, best[present[best]][:10]))
            inside = reader.search(query, 10, 90, allowed)
            assert allowed[inside].all()
            hits += len(np.intersect1d(inside, best[allowed[best]][:10]))
        assert hits >= 0.95 * 400


def test_a_merge_goes_on_with_the_first_graph(tmp_path: Path) -> None:
    random = np.random.default_rng(3)
    vectors = random.standard_normal((1600, SIZE)).astype(np.float32)
    schema = dense_schema("euclidean", SIZE)
    with Index.open(tmp_path, schema, Settings()) as index:
        index.write(dense_encoded(ids(0, 1500), vectors[:1500]))
        index.commit()
        index.write(dense_encoded(ids(1500, 100), vectors[1500:]))
        index.merge()
        graph = index.snapshot().segments[0].dense("v").graph
        assert graph is not None and len(graph) == 1600
        found = [int(graph.search(v, 1, 30)[0]) for v in vectors[1400:]]
        assert np.mean(np.array(found) == np.arange(1400, 1600)) > 0.97
        index.write(dense_encoded(ids(0, 600), vectors[:600]))
        index.merge()
        graph = index.snapshot().segments[0].dense("v").graph
        assert graph is not None and len(graph) == 1600
        assert int(graph.search(vectors[0], 1, 30)[0]) == 1000


def test_a_longer_vector_makes_a_new_graph_for_dot_products(tmp_path: Path) -> None:
    random = np.random.default_rng(4)
    vectors = random.standard_normal((1010, SIZE)).astype(np.float32)
    vectors[1005] *= 9
    with Index.open(tmp_path, dense_schema("dotproduct", SIZE), Settings()) as index:
        index.write(dense_encoded(ids(0, 1000), vectors[:1000]))
        index.commit()
        index.write(dense_encoded(ids(1000, 10), vectors[1000:]))
        index.merge()
        reader = index.snapshot().segments[0].dense("v")
        assert reader.space.longest == pytest.approx(np.linalg.norm(vectors[1005]))
        assert reader.search(vectors[1005], 1, 50).tolist() == [1005]


@pytest.mark.parametrize("cell", ["double", "float", "bfloat16", "int8"])
def test_every_cell_type_comes_back_and_is_searched(tmp_path: Path, cell: str) -> None:
    random = np.random.default_rng(5)
    vectors = random.integers(-100, 100, (1001, 8)).astype(np.float32)
    schema = dense_schema("euclidean", 8, cell)
    with Index.open(tmp_path, schema, Settings()) as index:
        index.write(dense_encoded(ids(0, 1001), vectors, cell))
    with Index.open(tmp_path, schema, Settings()) as index:
        snapshot = index.snapshot()
        batch = snapshot.dense("v", np.array([7, 3]))
        assert batch.values.dtype == batch.type.dtype
        np.testing.assert_array_equal(batch.values, vectors[[7, 3]])
        assert snapshot.segments[0].dense("v").search(vectors[500], 1, 50).tolist() == [500]


def test_no_graph_for_metrics_and_sizes_that_do_without(tmp_path: Path) -> None:
    with Index.open(tmp_path, dense_schema("hamming", 4, "int8"), Settings()) as index:
        index.write(dense_encoded(ids(0, 1200), np.ones((1200, 4)), "int8"))
        index.commit()
        reader = index.snapshot().segments[0].dense("v")
        assert reader.graph is None
        assert reader.search(np.ones(4), 3).tolist() == []
