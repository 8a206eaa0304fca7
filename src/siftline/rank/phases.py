"""First, second and global phase over a query's candidates (spec 7).

Past the query's soft deadline a phase that has not begun is left out, the global phase too, and
the first phase stops where it is; past the hard one there is no answer.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from siftline.match.candidates import Candidates
from siftline.rank.features.columns import Column
from siftline.rank.features.ranks import LARGEST_DOUBLE, per_hit
from siftline.rank.features.source import HitFeatures, Run
from siftline.rank.order import best, clean, rescale
from siftline.rank.plan import ListedFeature, PhasePlan, Plan
from siftline.rank.portions import score, score_in_time
from siftline.rank.ranked import FeatureValue, Ranked
from siftline.rank.sorting import sort_positions, sorts_by_attribute
from siftline.rank.statistics import PhaseTrace
from siftline.rank.values import Value
from siftline.tensor.tensor import Tensor

if TYPE_CHECKING:
    from siftline.index.snapshot import Snapshot
    from siftline.match.prepare import Prepared

#: The reason for an answer that time ran out on (spec 3.11).
TIMEOUT = "timeout"

FIRST, SECOND, GLOBAL = "first-phase", "second-phase", "global-phase"


@dataclass(eq=False)
class Standing:
    """The hits in their present order, best first, and what each phase gave them.

    rows: positions among the candidates, int64. scores: float64. phases: phase → the scores it
    gave. total counts hits that are not among `rows` too. late: something was left out for want of
    time. covered: the share of the documents that was scored.
    """

    rows: np.ndarray
    scores: np.ndarray
    total: int
    phases: dict[str, Column] = field(default_factory=dict)
    statistics: list[PhaseTrace] = field(default_factory=list)
    late: bool = False
    covered: float = 1.0


def rank(
    plan: Plan,
    snapshot: Snapshot,
    prepared: Prepared,
    candidates: Candidates,
    *,
    features: Sequence[ListedFeature] = (),
) -> Ranked:
    """Rank the candidates as the plan's profile says and return the page that the query asks for.

    features: listed with the profile's match-features for this query only. DeadlineError where
    the query's time is over before the phases are done.
    """
    run = Run(plan, snapshot, prepared, candidates.documents)
    everything = run.everything()
    for name, column in candidates.columns.items():
        run.columns.put(name, everything.rows, column)
    limits = Limits.of(run)
    standing = _first_phase(run, everything, limits)
    if plan.second is not None and _begins(run, standing, plan.second, limits.second):
        _set_ranks(run, standing.rows[: limits.second])
        _rerank(run, standing, plan.second, limits.second)
    run.columns.put("secondPhase", standing.rows, standing.scores)
    if plan.global_ is not None and _begins(run, standing, plan.global_, limits.global_):
        _rerank(run, standing, plan.global_, limits.global_)
    return _page(run, standing, (*plan.match_features, *features), limits)


@dataclass(frozen=True, slots=True)
class Limits:
    """How many hits each phase ranks, the page, and how deep the order must be known."""

    second: int
    global_: int
    start: int
    end: int
    depth: int
    sorted: bool

    @staticmethod
    def of(run: Run) -> Limits:
        """The limits of a run's profile and query; QueryError for sorting with a global phase."""
        plan, query = run.plan, run.prepared.query
        second = _count(plan.second, query.rerank_count)
        global_ = _count(plan.global_, query.global_rerank_count)
        start, end = query.offset, query.offset + query.hits
        sorts = sorts_by_attribute(query.order_by, bool(global_))
        whole = sorts or (plan.second is not None and plan.second.drop_limit is not None)
        depth = len(run.documents) if whole else max(second, global_, end)
        return Limits(second, global_, start, end, depth, sorts)


def _count(phase: PhasePlan | None, override: int | None) -> int:
    if phase is None:
        return 0
    return phase.count if override is None else override


def _begins(run: Run, standing: Standing, phase: PhasePlan, count: int) -> bool:
    """Whether a phase after the first runs: it has hits to rank, and there is time left."""
    if not count:
        return False
    deadline = run.prepared.query.deadline
    deadline.check(phase.name)
    if len(standing.rows) and deadline.soft_passed:
        standing.late = True
        return False
    return True


def _first_phase(run: Run, source: HitFeatures, limits: Limits) -> Standing:
    phase = run.plan.first
    started = time.perf_counter()
    scores = clean(score_in_time(phase, source, partial=True))
    scored = source.rows if len(scores) == source.count else source.rows[: len(scores)]
    run.columns.put("firstPhase", scored, scores)
    run.columns.put("firstPhaseMax", scored, Tensor.scalar(scores.max(initial=-np.inf)))
    kept = scored
    if phase.drop_limit is not None:
        kept = kept[scores > phase.drop_limit]
    top = kept[best(scores[kept], min(phase.count, limits.depth))]
    standing = Standing(top, scores[top], len(kept))
    standing.phases[FIRST] = Column(scored, scores)
    if len(scored) < source.count:
        standing.late = True
        standing.covered = (int(source.documents[len(scored) - 1]) + 1) / run.snapshot.limit
    if limits.depth > phase.count:
        _append_unkept(standing, kept, limits.depth)
    seconds = time.perf_counter() - started
    standing.statistics.append(PhaseTrace(FIRST, source.count, len(kept), seconds))
    return standing


def _append_unkept(standing: Standing, kept: np.ndarray, depth: int) -> None:
    """Hits beyond keep-rank-count follow in document order with the score -inf."""
    unkept = np.setdiff1d(kept, standing.rows, assume_unique=True)[: depth - len(standing.rows)]
    standing.rows = np.concatenate([standing.rows, unkept])
    standing.scores = np.concatenate([standing.scores, np.full(len(unkept), -np.inf)])


def _set_ranks(run: Run, rows: np.ndarray) -> None:
    run.columns.put("firstPhaseRank", rows, np.arange(1, len(rows) + 1, dtype=np.float64))


def _rerank(run: Run, standing: Standing, phase: PhasePlan, count: int) -> None:
    """Rank the best `count` hits anew, rescale the others, drop what the limit drops."""
    started = time.perf_counter()
    rows, before = standing.rows[:count], standing.scores[:count]
    # The last phase may compare its hits with one another, so they stay together.
    scoring = score if phase.name == GLOBAL else score_in_time
    scores = clean(scoring(phase, HitFeatures(run, rows, arriving=before)))
    rest = rescale(standing.scores[count:], before, scores)
    standing.phases[phase.name] = Column.of(rows, scores)
    everything = np.concatenate([scores, rest])
    order = np.lexsort((standing.rows, -everything))
    standing.rows, standing.scores = standing.rows[order], everything[order]
    left = len(rows)
    if phase.drop_limit is not None:
        keep = standing.scores > phase.drop_limit
        left = int(np.sum(scores > phase.drop_limit))
        standing.total -= int(np.sum(~keep))
        standing.rows, standing.scores = standing.rows[keep], standing.scores[keep]
    seconds = time.perf_counter() - started
    standing.statistics.append(PhaseTrace(phase.name, len(rows), left, seconds))


def _page(
    run: Run, standing: Standing, features: Sequence[ListedFeature], limits: Limits
) -> Ranked:
    started = time.perf_counter()
    run.prepared.query.deadline.check("the page")
    positions = np.arange(len(standing.rows))
    if limits.sorted:
        positions = sort_positions(run, standing.rows, standing.scores)
    positions = positions[limits.start : limits.end]
    rows, scores = standing.rows[positions], standing.scores[positions]
    source = HitFeatures(run, rows)
    match = evaluate_listed(source, features) if features else None
    summary = _summary_features(run, rows)
    if features or summary:
        seconds = time.perf_counter() - started
        standing.statistics.append(PhaseTrace("features", len(rows), len(rows), seconds))
    phases = {name: _phase_scores(scored, rows) for name, scored in standing.phases.items()}
    return Ranked(
        run.documents[rows],
        scores,
        phases,
        standing.total,
        tuple(standing.statistics),
        match,
        summary,
        frozenset({TIMEOUT}) if standing.late else frozenset(),
        standing.covered,
    )


def _phase_scores(scored: Column, rows: np.ndarray) -> np.ndarray:
    """The scores of `rows` in a phase; NaN for those that it did not score."""
    scores = np.full(len(rows), np.nan)
    known = ~scored.missing(rows)
    scores[known] = per_hit(scored.at(rows[known]), int(known.sum()))
    return scores


def _summary_features(run: Run, rows: np.ndarray) -> tuple[Mapping[str, FeatureValue], ...] | None:
    """Summary features see the first phase only (spec 7.6)."""
    plan = run.plan
    if not plan.summary_features:
        return None
    columns = run.columns.copy(without=lambda name: name.partition("(")[0] in plan.late)
    own = Run(plan, run.snapshot, run.prepared, run.documents, columns, run.started)
    source = HitFeatures(own, rows)
    columns.put(
        "secondPhase", rows, per_hit(run.columns.get("firstPhase", rows, _absent), len(rows))
    )
    columns.put("firstPhaseRank", rows, np.full(len(rows), LARGEST_DOUBLE))
    return evaluate_listed(source, plan.summary_features)


def _absent(rows: np.ndarray) -> Value:
    return np.full(len(rows), -np.inf)


def evaluate_listed(
    source: HitFeatures, features: Sequence[ListedFeature]
) -> tuple[Mapping[str, FeatureValue], ...]:
    """The values of the listed features, one mapping for each hit."""
    if not source.count:
        return ()
    listed = [
        (feature.name, _per_hit_values(feature.program(source), source)) for feature in features
    ]
    return tuple({name: values[i] for name, values in listed} for i in range(source.count))


def _per_hit_values(value: Value, source: HitFeatures) -> Sequence[FeatureValue]:
    if isinstance(value, np.ndarray):
        return [float(v) for v in value]
    if isinstance(value, Tensor):
        return [float(value) if value.is_scalar else value] * source.count
    tensors = [value.tensor(i) or Tensor.empty(value.type) for i in range(source.count)]
    return [float(tensor) if tensor.is_scalar else tensor for tensor in tensors]
