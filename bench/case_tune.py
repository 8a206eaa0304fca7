"""The grid search of phase weights: weightings a second over cached scores."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from bench.measurement import Measurement, best_seconds
from siftline.evaluate.tune import PhaseScores, grid_search, weight_grid

QUERIES, CANDIDATES, RELEVANT = 300, 100, 10
FEATURES = ("cross", "maxsim", "dense")


def run() -> Iterator[Measurement]:
    random = np.random.default_rng(0)
    documents = [f"d{i}" for i in range(CANDIDATES)]
    scores = {
        f"q{query}": PhaseScores(
            documents, {name: random.standard_normal(CANDIDATES) for name in FEATURES}
        )
        for query in range(QUERIES)
    }
    judgments = {
        query: {documents[i]: 1 for i in random.choice(CANDIDATES, RELEVANT, replace=False)}
        for query in scores
    }
    grid = weight_grid(FEATURES)
    count = grid_search(scores, judgments, grid).tried
    seconds = best_seconds(lambda: grid_search(scores, judgments, grid))
    yield Measurement(
        f"{QUERIES} queries of {CANDIDATES} candidates", count / seconds, "weightings/s"
    )
