"""Weights of a linear combination of phase scores, by grid search on judged queries.

The phases score each query's candidates once; after that a weighting costs no inference, and all
weightings of a query are ranked together.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from siftline.errors import UsageError
from siftline.evaluate.judgments import Judgments

CUTOFF = 10
_BLOCK = 1 << 21  # scores held at a time


@dataclass(frozen=True, eq=False)
class PhaseScores:
    """The candidates of one query, and each phase's score of each of them.

    documents: ids, in the order that decides between equal scores. features: name → `(n,)`.
    """

    documents: Sequence[str]
    features: Mapping[str, np.ndarray]


@dataclass(frozen=True, slots=True)
class Tuning:
    """The best weighting of a grid and its figures; `tried` weightings were compared."""

    weights: Mapping[str, float]
    ndcg: float
    mrr: float
    tried: int


def weight_grid(
    features: Sequence[str], *, highest: float = 2.0, step: float = 0.2
) -> dict[str, tuple[float, ...]]:
    """For each feature the weights 0, step, 2·step, … up to `highest`."""
    if step <= 0 or highest < step:
        raise UsageError(f"a grid needs 0 < step <= highest, got step {step}, highest {highest}")
    steps = tuple(round(i * step, 10) for i in range(int(highest / step + 1e-9) + 1))
    return dict.fromkeys(features, steps)


def grid_search(
    scores: Mapping[str, PhaseScores],
    judgments: Judgments,
    grid: Mapping[str, Sequence[float]],
    *,
    measure: str = "ndcg@10",
) -> Tuning:
    """The weighting with the highest mean of the measure (`ndcg@10` or `mrr@10`).

    scores: query → its candidates; a judged query without any counts as 0. grid: feature → its
    weights, every combination is tried but all zeros. Of equals the earliest in grid order wins.
    UsageError where a feature is missing, has another length than the documents, or is no number.
    """
    if measure not in ("ndcg@10", "mrr@10"):
        raise UsageError(f"cannot tune for '{measure}' (known: ndcg@10, mrr@10)")
    if not judgments:
        raise UsageError("there is no judged query to tune on")
    names = list(grid)
    weights = np.array([w for w in itertools.product(*grid.values()) if any(w)], np.float64)
    if not len(weights):
        raise UsageError("the grid holds no weighting but zeros")
    ndcg, mrr = np.zeros(len(weights)), np.zeros(len(weights))
    for query, gains, features in _judged(scores, judgments, names):
        graded = gains.nonzero()[0]
        ideal = _ideal(judgments[query])
        size = max(_BLOCK // max(features.shape[1], 1), 1)
        for start in range(0, len(weights), size):
            part = slice(start, start + size)
            ranks = _ranks(weights[part] @ features, graded)
            found = np.where(ranks < CUTOFF, gains[graded] / np.log2(ranks + 2), 0.0)
            ndcg[part] += found.sum(axis=1) / ideal
            best = ranks.min(axis=1)
            mrr[part] += np.where(best < CUTOFF, 1.0 / (best + 1), 0.0)
    at = int(np.argmax(np.round(ndcg if measure == "ndcg@10" else mrr, 9)))
    return Tuning(
        dict(zip(names, weights[at].tolist(), strict=True)),
        float(ndcg[at] / len(judgments)),
        float(mrr[at] / len(judgments)),
        len(weights),
    )


def linear_run(
    scores: Mapping[str, PhaseScores], weights: Mapping[str, float]
) -> dict[str, list[tuple[str, float]]]:
    """Every query's candidates ordered by one weighting, best first."""
    run = {}
    for query, candidates in scores.items():
        total = np.array(list(weights.values())) @ _features(query, candidates, list(weights))
        order = np.argsort(-total, kind="stable")
        run[query] = [(candidates.documents[i], float(total[i])) for i in order]
    return run


def _judged(
    scores: Mapping[str, PhaseScores], judgments: Judgments, names: Sequence[str]
) -> Iterator[tuple[str, np.ndarray, np.ndarray]]:
    """Query, gain `(n,)` and features `(names, n)` where a candidate is relevant."""
    for query, graded in judgments.items():
        if query not in scores:
            continue
        candidates = scores[query]
        features = _features(query, candidates, names)
        gains = np.array([max(graded.get(d, 0), 0) for d in candidates.documents], np.float64)
        if gains.any():
            yield query, gains, features


def _features(query: str, candidates: PhaseScores, names: Sequence[str]) -> np.ndarray:
    rows = []
    for name in names:
        if name not in candidates.features:
            known = ", ".join(candidates.features) or "none"
            raise UsageError(f"query '{query}' has no scores of '{name}' (it has: {known})")
        row = np.asarray(candidates.features[name], np.float64)
        if row.shape != (len(candidates.documents),):
            raise UsageError(
                f"query '{query}' has {len(candidates.documents)} candidates and scores of shape "
                f"{row.shape} for '{name}'"
            )
        if not np.isfinite(row).all():
            raise UsageError(f"query '{query}' has a score of '{name}' that is not a number")
        rows.append(row)
    return np.array(rows).reshape(len(names), len(candidates.documents))


def _ranks(scores: np.ndarray, documents: np.ndarray) -> np.ndarray:
    """Rank from 0 of each of `documents` in each row of `scores`: `(rows, len(documents))`."""
    ranks = np.empty((len(scores), len(documents)), np.int64)
    for column, document in enumerate(documents):
        own = scores[:, document, None]
        ranks[:, column] = np.count_nonzero(scores > own, axis=1)
        ranks[:, column] += np.count_nonzero(scores[:, :document] == own, axis=1)
    return ranks


def _ideal(graded: Mapping[str, int]) -> float:
    """The discounted gain of the best possible order of all judged documents."""
    gains = sorted((grade for grade in graded.values() if grade > 0), reverse=True)[:CUTOFF]
    return float(sum(gain / np.log2(rank + 2) for rank, gain in enumerate(gains)))
