"""A sweep over weights of the penalty: what is trained, which trade is the knee."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from siftline.errors import UsageError
from siftline.evaluate.measures import Quality
from siftline.evaluate.plot import front
from siftline.experiment.sparse.compare import JudgedSet, ModelSummary, SetFigures, SparseComparison
from siftline.experiment.training.sweep import draw_sweep, knee, parse_weights, run_sweep
from siftline.train.recipe import Recipe

RECIPE = Recipe("backbone", "out", flops_d_lambda=0.5, max_seq_length=64)


def compared(models: Mapping[str, tuple[float, float]]) -> SparseComparison:
    """A comparison of models with the given FLOPS and nDCG@10."""
    sets, summaries = [], []
    for label, (cost, worth) in models.items():
        values = {name: np.array([worth]) for name in ("ndcg@10", "mrr@10", "recall@1000")}
        own = SetFigures(label, Quality(("q",), values, 0), cost, 3.0, cost * 10, 100, 5.0)
        sets.append(own)
        summaries.append(ModelSummary(label, "inference-free", 10, own.figures))
    judged = JudgedSet("toy", "test", 9, tuple(sets))
    return SparseComparison(sets[0].label, tuple(summaries), (judged,))


def test_every_weight_is_trained_in_its_own_folder(tmp_path: Path) -> None:
    trained: list[Recipe] = []

    def train(recipe: Recipe) -> Path:
        trained.append(recipe)
        return Path(recipe.output_dir) / "final_model"

    def measure(models: Mapping[str, Path]) -> SparseComparison:
        assert models["λ=0.01"] == tmp_path / "lambda-0.01" / "final_model"
        return compared({"λ=0.001": (4.0, 0.40), "λ=0.01": (1.0, 0.39), "λ=0.1": (0.5, 0.1)})

    found = run_sweep(RECIPE, [0.001, 0.01, 0.1], tmp_path, train=train, measure=measure)
    assert [recipe.flops_d_lambda for recipe in trained] == [0.001, 0.01, 0.1]
    assert {recipe.max_seq_length for recipe in trained} == {64}
    assert found.front == ("λ=0.1", "λ=0.01", "λ=0.001") and found.knee == "λ=0.01"
    written = json.loads((tmp_path / "sweep.json").read_text())
    assert written["knee"] == 0.01
    assert [p["flops"] for p in written["points"]] == [4, 1, 0.5]
    assert written["measured"]["sets"][0]["data"] == "toy"
    draw_sweep(found, tmp_path / "sweep.png")
    assert (tmp_path / "sweep.png").read_bytes().startswith(b"\x89PNG")


def test_the_knee_by_hand() -> None:
    assert knee([(0, 0), (1, 0.7), (2, 0.9), (10, 1)]) == 2  # 0.6 and 0.7 above the chord
    assert knee([(0, 0), (5, 0.5), (10, 1)]) is None
    assert knee([(0, 0), (5, 0.2), (10, 1)]) is None
    assert knee([(0, 0), (1, 1)]) is None
    assert knee([(3, 1), (3, 1), (3, 1)]) is None


curves = st.lists(
    st.tuples(st.integers(0, 1000), st.integers(0, 1000)), min_size=3, max_size=9, unique=True
)


@given(curves, st.floats(0.01, 100), st.floats(0.01, 100))
def test_the_knee_is_farthest_from_the_chord_in_any_unit(
    points: Sequence[tuple[int, int]], wide: float, high: float
) -> None:
    best = [points[i] for i in front([c for c, _ in points], [w for _, w in points])]
    found = knee(best)
    if found is None:
        return
    (x0, y0), (x1, y1) = best[0], best[-1]
    unit = [((x - x0) / (x1 - x0), (y - y0) / (y1 - y0)) for x, y in best]
    distances = [(y - x) / math.sqrt(2) for x, y in unit]
    assert distances[found] == pytest.approx(max(distances)) and distances[found] > 0
    scaled = [(c * wide, w * high) for c, w in best]
    again = knee(scaled)
    assert again is not None and distances[again] == pytest.approx(max(distances))


def test_weights_of_the_command_line() -> None:
    assert parse_weights("0.02, 1e-3,0.02") == [0.001, 0.02]
    for wrong in ("0.1,x", "-1", "", "nan", "inf"):
        with pytest.raises(UsageError, match="is no weight of a penalty"):
            parse_weights(wrong)
