"""The grid search against the measures themselves, one weighting at a time."""

from __future__ import annotations

import itertools
import time

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from siftline.errors import UsageError
from siftline.evaluate.measures import measure
from siftline.evaluate.tune import PhaseScores, grid_search, linear_run, weight_grid

Judged = dict[str, dict[str, int]]


def problem(
    seed: int, queries: int = 6, candidates: int = 30
) -> tuple[dict[str, PhaseScores], Judged]:
    """Random candidates with coarse scores, so that ties are frequent."""
    random = np.random.default_rng(seed)
    scores: dict[str, PhaseScores] = {}
    judgments: Judged = {}
    for number in range(queries):
        documents = [f"d{i}" for i in range(candidates)]
        graded = random.integers(0, 3, candidates)
        judged = {
            d: int(g) for d, g in zip(documents, graded, strict=True) if random.random() < 0.3
        }
        judgments[f"q{number}"] = {**judged, "elsewhere": 1}
        scores[f"q{number}"] = PhaseScores(
            documents,
            {
                "cross": graded + random.integers(-3, 3, candidates).astype(float),
                "maxsim": graded + random.integers(-2, 2, candidates).astype(float),
                "dense": random.integers(0, 4, candidates).astype(float),
            },
        )
    return scores, judgments


@given(st.integers(0, 10_000), st.sampled_from(["ndcg@10", "mrr@10"]))
def test_the_best_weighting_is_the_one_the_measures_call_best(seed: int, by: str) -> None:
    scores, judgments = problem(seed)
    del scores["q3"]  # a query without candidates counts as 0
    grid = {"cross": (0.0, 0.5, 1.0), "maxsim": (0.0, 1.0), "dense": (0.0, 0.25)}
    found = grid_search(scores, judgments, grid, measure=by)
    every = []
    for combination in itertools.product(*grid.values()):
        if any(combination):
            weights = dict(zip(grid, combination, strict=True))
            every.append(measure(judgments, linear_run(scores, weights)).means)
    assert found.tried == len(every) == 11
    ours = measure(judgments, linear_run(scores, found.weights)).means
    assert found.ndcg == pytest.approx(ours["ndcg@10"])
    assert found.mrr == pytest.approx(ours["mrr@10"])
    assert ours[by] == pytest.approx(max(means[by] for means in every))


def test_it_finds_the_feature_that_orders() -> None:
    documents = ["a", "b", "c"]
    features = {"good": np.array([0.0, 2.0, 1.0]), "bad": np.array([2.0, 0.0, 1.0])}
    scores = {"q": PhaseScores(documents, features)}
    found = grid_search(scores, {"q": {"b": 1}}, {"bad": (0.0, 1.0), "good": (0.0, 1.0)})
    assert found.weights == {"bad": 0.0, "good": 1.0}
    assert found.ndcg == found.mrr == 1
    assert linear_run(scores, {"good": 2.0})["q"] == [("b", 4.0), ("c", 2.0), ("a", 0.0)]


def test_equal_scores_keep_the_order_of_the_documents() -> None:
    scores = {"q": PhaseScores(["a", "b", "c"], {"x": np.zeros(3)})}
    assert grid_search(scores, {"q": {"c": 1}}, {"x": (1.0,)}).mrr == pytest.approx(1 / 3)
    assert [document for document, _ in linear_run(scores, {"x": 1.0})["q"]] == ["a", "b", "c"]


def test_a_thousand_weightings_take_seconds() -> None:
    scores, judgments = problem(0, queries=100, candidates=100)
    grid = weight_grid(["cross", "maxsim", "dense"])
    before = time.perf_counter()
    assert grid_search(scores, judgments, grid).tried == 11**3 - 1
    assert time.perf_counter() - before < 30


def test_the_grid_counts_in_steps() -> None:
    assert weight_grid(["x"], highest=1.0, step=0.25) == {"x": (0.0, 0.25, 0.5, 0.75, 1.0)}
    assert weight_grid(["x"], highest=0.3, step=0.1)["x"][-1] == 0.3
    with pytest.raises(UsageError, match="0 < step"):
        weight_grid(["x"], step=0)


@pytest.mark.parametrize(
    ("features", "grid", "says"),
    [
        ({"x": np.zeros(2)}, {"y": (1.0,)}, r"no scores of 'y' \(it has: x\)"),
        ({"x": np.zeros(3)}, {"x": (1.0,)}, r"2 candidates and scores of shape \(3,\)"),
        ({"x": np.array([1, np.nan])}, {"x": (1.0,)}, "not a number"),
        ({"x": np.zeros(2)}, {"x": (0.0,)}, "no weighting but zeros"),
    ],
)
def test_wrong_scores_are_told(
    features: dict[str, np.ndarray], grid: dict[str, tuple[float, ...]], says: str
) -> None:
    with pytest.raises(UsageError, match=says):
        grid_search({"q": PhaseScores(["a", "b"], features)}, {"q": {"a": 1}}, grid)


def test_wrong_use_is_told() -> None:
    scores, judgments = problem(0)
    with pytest.raises(UsageError, match="cannot tune for 'map'"):
        grid_search(scores, judgments, {"dense": (1.0,)}, measure="map")
    with pytest.raises(UsageError, match="no judged query"):
        grid_search(scores, {}, {"dense": (1.0,)})
