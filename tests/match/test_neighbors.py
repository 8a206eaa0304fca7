"""Nearest neighbours: the scan is exact, graphs meet their recall, strategies follow the spec."""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from match_corpus import PROFILE, SCHEMA, dense, field, fill, names

from siftline.encode.encoded import Encoded
from siftline.errors import QueryError
from siftline.index.index import Index
from siftline.index.snapshot import Snapshot
from siftline.match import exhaustive
from siftline.match import neighbors as neighbors_module
from siftline.match.distance import (
    closeness,
    distance,
    inner_products,
    squared_distances,
    squared_lengths,
    worst_closeness,
)
from siftline.match.neighbors import nearest, scan
from siftline.match.prepare import prepare
from siftline.match.query import NearestNeighbor, Query
from siftline.match.sets import mask_of
from siftline.schema.definition import Hnsw, Input, RankProfile, Schema
from siftline.schema.package import Settings
from siftline.tensor.batch import DenseBatch
from siftline.tensor.tensor import Tensor, to_cells
from siftline.tensor.types import TensorType

METRICS = ("euclidean", "angular", "prenormalized-angular", "dotproduct")


@pytest.mark.parametrize(
    ("metric", "query", "vector", "expected", "close"),
    [
        ("euclidean", [0, 0], [3, 4], 5.0, 1 / 6),
        ("angular", [1, 0], [0.6, 0.8], 0.92729522, 0.51886187),
        ("angular", [1, 0], [0, 2], math.pi / 2, 0.38898453),
        ("angular", [2, 0], [-3, 0], math.pi, 1 / (1 + math.pi)),
        ("prenormalized-angular", [2, 0], [1, 1], 0.5, 2 / 3),
        ("prenormalized-angular", [1, 0], [3, 0], 0.0, 1.0),
        ("dotproduct", [1, 2], [3, -1], -1.0, 1.0),
        ("hamming", [1, -1], [2, -1], 2.0, 1 / 3),
        ("geodegrees", [0, 0], [0, 90], 6371.0088 * math.pi / 2, 1 / (1 + 6371.0088 * math.pi / 2)),
    ],
)  # fmt: skip
def test_metrics(
    metric: str, query: list[float], vector: list[float], expected: float, close: float
) -> None:
    cells = np.int8 if metric == "hamming" else np.float32
    found = distance(metric, np.array(query, np.float64), np.array([vector], cells))
    assert found == pytest.approx([expected], rel=1e-7)
    assert closeness(metric, found) == pytest.approx([close], rel=1e-7)


def test_zero_vectors_have_a_distance() -> None:
    zero = np.zeros((1, 2), np.float32)
    assert distance("angular", np.array([1.0, 0]), zero) == pytest.approx([math.pi / 2])
    assert distance("angular", np.zeros(2), zero) == pytest.approx([math.pi / 2])
    assert distance("prenormalized-angular", np.zeros(2), zero).tolist() == [1.0]
    assert worst_closeness("euclidean") == 0.0
    assert worst_closeness("dotproduct") < -1e300


def test_an_unknown_metric_names_the_nearest() -> None:
    with pytest.raises(QueryError, match="did you mean 'euclidean'"):
        distance("euclidian", np.zeros(2), np.zeros((1, 2), np.float32))


cells = st.one_of(st.sampled_from([0.0, 1.0]), st.floats(-100, 100, width=32))


@given(st.integers(0, 20), st.integers(0, 4), st.sampled_from([np.float32, np.int8]), st.data())
def test_kernels_equal_their_twins(size: int, count: int, kind: Any, data: st.DataObject) -> None:
    elements = cells if kind is np.float32 else st.integers(-128, 127)
    rows = data.draw(arrays.arrays(kind, (count, size), elements=elements))
    query = data.draw(arrays.arrays(np.float64, size, elements=cells))
    wide = rows.astype(np.float64)
    assert inner_products(rows, query) == pytest.approx(wide @ query, rel=1e-12, abs=1e-9)
    differences = ((wide - query) ** 2).sum(axis=1)
    assert squared_distances(rows, query) == pytest.approx(differences, rel=1e-12, abs=1e-9)
    squares = (wide**2).sum(axis=1)
    assert squared_lengths(rows) == pytest.approx(squares, rel=1e-12, abs=1e-9)


def test_a_row_measures_the_same_wherever_it_lies() -> None:
    """Equal vectors tie exactly, whatever block they are in."""
    random = np.random.default_rng(0)
    rows = random.normal(size=(100, 37)).astype(np.float32)
    query = random.normal(size=37)
    for metric in METRICS:
        together = distance(metric, query, rows)
        alone = [distance(metric, query, rows[i : i + 1])[0] for i in range(100)]
        assert together.tolist() == alone
        assert distance(metric, query, rows[::-1])[::-1].tolist() == alone


def vector_schema(metric: str, kind: str, graph: bool) -> Schema:
    outputs = "attribute index" if graph else "attribute"
    own = field("v", kind, outputs, distance_metric=metric, hnsw=Hnsw(16, 100))
    return Schema("doc", {"v": own, "year": field("year", "int", "attribute")})


def vector_index(
    folder: Path, metric: str, batches: list[np.ndarray], kind: str, graph: bool = True
) -> Index:
    """A segment for each batch; every fifth document has no vector; some are deleted."""
    schema = vector_schema(metric, kind, graph)
    type_ = TensorType.parse(kind)
    index = Index.open(folder, schema, Settings())
    number = 0
    for values in batches:
        ids = [f"id:n:doc::{number + i}" for i in range(len(values))]
        present = np.arange(number, number + len(values)) % 5 != 4
        number += len(values)
        batch = DenseBatch(type_, to_cells(type_, values) * present[:, None], present)
        index.write(Encoded(ids, [{} for _ in ids], {"year": [None] * len(ids)}, {"v": batch}))
        index.commit()
    dead = [f"id:n:doc::{i}" for i in range(0, number, 9)]
    nothing = DenseBatch(type_, np.zeros((0, *type_.shape), type_.dtype), np.zeros(0, bool))
    index.write(Encoded([], [], {"year": []}, {"v": nothing}), dead)
    return index


def search(
    snapshot: Snapshot,
    metric: str,
    query: np.ndarray,
    allowed: np.ndarray | None = None,
    kind: str = "tensor<float>(x[16])",
    **node: Any,
) -> tuple[list[int], np.ndarray]:
    schema = vector_schema(metric, kind, True)
    type_ = TensorType.parse(kind)
    profile = RankProfile("default", inputs={"q": Input("q", type_)})
    operator = NearestNeighbor("v", "q", node.pop("k", 10), **node)
    inputs = {"q": Tensor.dense(type_, query)}
    made = prepare(Query(operator, inputs=inputs), schema, Settings(), profile)
    top = nearest(snapshot, made, operator, allowed)
    return top.documents.tolist(), top.scores


@pytest.mark.parametrize("metric", METRICS)
def test_the_scan_equals_exhaustive(tmp_path: Path, metric: str) -> None:
    random = np.random.default_rng(3)
    batches = [random.normal(size=(n, 16)) for n in (40, 700, 5)]
    batches[1][100:200] = batches[0][:1]
    with vector_index(tmp_path, metric, batches, "tensor<bfloat16>(x[16])", graph=False) as index:
        snapshot = index.snapshot()
        for seed in range(4):
            query = random.normal(size=16)
            every = exhaustive.distances(snapshot, "v", query)
            allowed = None if seed < 2 else random.random(snapshot.limit) < 0.2
            expected = exhaustive.Scores(-every.scores, every.matched).best(30, allowed)
            top = scan(snapshot, "v", query, 30, allowed)
            assert top.documents.tolist() == expected.documents.tolist()
            assert top.scores.tolist() == expected.scores.tolist()


def test_hamming(tmp_path: Path) -> None:
    random = np.random.default_rng(3)
    values = random.integers(-128, 128, (300, 4))
    kind = "tensor<int8>(x[4])"
    with vector_index(tmp_path, "hamming", [values], kind) as index:
        snapshot = index.snapshot()
        query = values[7].astype(np.float64)
        found, scores = search(snapshot, "hamming", query, kind=kind, k=5)
        every = exhaustive.distances(snapshot, "v", query)
        expected = exhaustive.Scores(-every.scores, every.matched).best(5)
        assert found == expected.documents.tolist()
        assert found[0] == 7 and scores[0] == 1.0


@pytest.fixture(scope="module", params=METRICS)
def graph_index(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Any:
    """Two segments of 2,500 clustered vectors each, both with graphs."""
    random = np.random.default_rng(11)
    centers = random.normal(size=(60, 16))
    batches = [
        centers[random.integers(0, 60, 2500)] + 0.4 * random.normal(size=(2500, 16))
        for _ in range(2)
    ]
    folder = tmp_path_factory.mktemp("graph")
    with vector_index(folder, request.param, batches, "tensor<float>(x[16])") as index:
        snapshot = index.snapshot()
        assert all(segment.dense("v").has_graph for segment in snapshot.segments)
        yield request.param, snapshot


@pytest.mark.parametrize("share", [None, 0.5, 0.1])
def test_recall_of_the_graph(graph_index: tuple[str, Snapshot], share: float | None) -> None:
    metric, snapshot = graph_index
    random = np.random.default_rng(12)
    allowed = None if share is None else random.random(snapshot.limit) < share
    hits = 0
    for _ in range(50):
        query = random.normal(size=16)
        approximate, _ = search(snapshot, metric, query, allowed, explore=90, approximate=True)
        exact, scores = search(snapshot, metric, query, allowed, approximate=False)
        hits += len(set(approximate) & set(exact))
        assert len(approximate) == 10
        assert (np.diff(scores) <= 0).all()
        live = snapshot.live(np.array(approximate))
        assert live.all() and (allowed is None or allowed[approximate].all())
    assert hits / 500 >= 0.95


@pytest.mark.parametrize(
    ("beam", "approximate", "graphs"),
    [
        ((10, 0), None, 2),  # 10 · 32 neighbours of about 2,000 vectors
        ((10, 30), None, 2),
        ((40, 60), None, 0),
        ((100, 0), None, 0),
        ((100, 0), True, 2),
        ((10, 0), False, 0),
    ],
)
def test_a_graph_that_would_measure_as_many_is_not_walked(
    graph_index: tuple[str, Snapshot],
    monkeypatch: pytest.MonkeyPatch,
    beam: tuple[int, int],
    approximate: bool | None,
    graphs: int,
) -> None:
    metric, snapshot = graph_index
    walked = []
    reader = type(snapshot.segments[0].dense("v"))
    walk = reader.search

    def counted(self: Any, *arguments: Any) -> Any:
        walked.append(self)
        return walk(self, *arguments)

    monkeypatch.setattr(reader, "search", counted)
    query = np.random.default_rng(5).normal(size=16)
    count, explore = beam
    found, _ = search(snapshot, metric, query, k=count, explore=explore, approximate=approximate)
    assert len(walked) == graphs and len(found) == count
    if not graphs:
        assert found == search(snapshot, metric, query, k=count, approximate=False)[0]


def test_found_documents_are_measured_exactly(graph_index: tuple[str, Snapshot]) -> None:
    metric, snapshot = graph_index
    query = np.random.default_rng(1).normal(size=16).astype(np.float32).astype(np.float64)
    documents, scores = search(snapshot, metric, query)
    every = exhaustive.distances(snapshot, "v", query).scores
    assert scores.tolist() == closeness(metric, every[documents]).tolist()


def test_distance_threshold(graph_index: tuple[str, Snapshot]) -> None:
    metric, snapshot = graph_index
    query = np.random.default_rng(1).normal(size=16).astype(np.float32).astype(np.float64)
    documents, _ = search(snapshot, metric, query)
    distances = exhaustive.distances(snapshot, "v", query).scores[documents]
    threshold = float(distances[3])
    near, _ = search(snapshot, metric, query, distance_threshold=threshold)
    assert near == [d for d, far in zip(documents, distances, strict=True) if far <= threshold]


@pytest.fixture(scope="module")
def tagged(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """Appendix A.7: nine documents at x = 10 … 90; tag t is held by documents 1 … t."""
    batch = {f"id:n:doc::{i}": {"vec": [10.0 * i, 0.0]} for i in range(1, 10)}
    with fill(tmp_path_factory.mktemp("tagged"), [batch]) as index:
        yield index.snapshot()


@pytest.mark.parametrize(
    ("x", "tag", "settings", "expected", "way"),
    [
        (62, None, {}, "6 7 5", "graph"),
        (62, 5, {}, "5 4 3", "filtered graph"),
        (62, 5, {"approximate-threshold": 0.51}, "5 4 3", "scan"),
        (62, 5, {"approximate-threshold": 0.5}, "5 4 3", "filtered graph"),
        (82, 7, {"post-filter-threshold": 0.69}, "7 6", "graph of 4"),
        (82, 7, {"post-filter-threshold": 0.70}, "7 6 5", "filtered graph"),
        (82, 6, {"post-filter-threshold": 0.59}, "6 5", "graph of 5"),
        (82, 8, {"post-filter-threshold": 0.79}, "8 7", "graph"),
        (82, 9, {"post-filter-threshold": 0.89}, "8 9 7", "graph"),
    ],
)
def test_strategies_of_the_specification(
    tagged: Snapshot,
    monkeypatch: pytest.MonkeyPatch,
    x: float,
    tag: int | None,
    settings: Mapping[str, float],
    expected: str,
    way: str,
) -> None:
    """Nine documents get no graph, so an exact one stands in; the scan exposes only k."""
    ways = []

    def graphs(
        snapshot: Snapshot, node: Any, query: Any, count: int, allowed: Any, deadline: Any
    ) -> Any:
        size = "" if count == node.target_hits else f" of {count}"
        ways.append("filtered graph" if allowed is not None else f"graph{size}")
        return scan(snapshot, node.field, query, count, allowed)

    reader = type(tagged.segments[0].dense("vec"))
    monkeypatch.setattr(reader, "has_graph", property(lambda self: True))
    monkeypatch.setattr(neighbors_module, "_search_graphs", graphs)
    profile = RankProfile(
        "default", inputs=PROFILE.inputs, settings={k: str(v) for k, v in settings.items()}
    )
    allowed = None if tag is None else mask_of(np.arange(tag), tagged.limit)
    node = NearestNeighbor("vec", "q", 3)
    made = prepare(Query(node, inputs={"q": dense(x, 0)}), SCHEMA, Settings(), profile)
    top = nearest(tagged, made, node, allowed)
    assert names(tagged, top.documents) == expected.split()
    assert (ways or ["scan"]) == [way]
    own = NearestNeighbor("vec", "q", 3, settings=settings)
    plain = prepare(Query(own, inputs={"q": dense(x, 0)}), SCHEMA, Settings(), PROFILE)
    assert nearest(tagged, plain, own, allowed).documents.tolist() == top.documents.tolist()
    parameters = {
        "approximate-threshold": "ranking.matching.approximateThreshold",
        "post-filter-threshold": "ranking.matching.postFilterThreshold",
    }
    asked = {parameters[name]: str(value) for name, value in settings.items()}
    query = Query(node, inputs={"q": dense(x, 0)}, parameters=asked)
    by_request = prepare(query, SCHEMA, Settings(), PROFILE)
    assert nearest(tagged, by_request, node, allowed).documents.tolist() == top.documents.tolist()
