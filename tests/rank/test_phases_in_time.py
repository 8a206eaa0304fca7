"""Phases under a deadline: what is left out, where they stop, and that nothing else changes."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import count
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from rank_corpus import Corpus, corpus
from small_onnx import write_sequence_model
from test_onnx_feature import SEQUENCE, Models, Q, documents

from siftline.errors import DeadlineError
from siftline.match.deadline import Deadline
from siftline.rank import portions
from siftline.rank.features.source import HitFeatures
from siftline.rank.plan import PhasePlan

SCHEMA = """
schema d {
  document d {
    field n type int { indexing: attribute }
    field text type string { indexing: index  index: enable-bm25 }
  }
  rank-profile p {
    function twice() { expression: attribute(n) * 2 }
    first-phase { expression: twice }
    second-phase { rerank-count: 8 expression: firstPhase + 100 + twice / 1000 }
    global-phase { rerank-count: 3
      expression: normalize_linear(secondPhase) + 1000 }
    match-features: twice firstPhase secondPhase
  }
  rank-profile dropping inherits p {
    first-phase { keep-rank-count: 5 rank-score-drop-limit: 4 expression: twice }
  }
  rank-profile constant { first-phase { expression: 1 } }
}
"""
ROWS = 40
HITS: dict[str, Any] = {"hits": 50}


class Ticking:
    """A clock that goes on by a second whenever it is read."""

    def __init__(self) -> None:
        self._seconds = count()

    def __call__(self) -> float:
        return float(next(self._seconds))


def ticks(hard: float = np.inf, soft: float = np.inf) -> Deadline:
    return Deadline(hard, soft, hard, Ticking())


@pytest.fixture(scope="module")
def rows() -> Iterator[Corpus]:
    fed = [{"n": (i * 7) % ROWS, "text": f"word{i % 3}"} for i in range(ROWS)]
    with corpus(SCHEMA, fed, batches=2) as made:
        yield made


@pytest.fixture
def small_portions(monkeypatch: pytest.MonkeyPatch) -> None:
    """Four hits at first, and never more; a ticking clock makes every portion slow."""
    monkeypatch.setattr(portions, "FIRST_PORTION", 4)
    monkeypatch.setattr(portions, "LEAST", 4)


def test_a_phase_that_has_not_begun_by_the_soft_moment_is_left_out(rows: Corpus) -> None:
    phases = []
    for soft in range(4):
        ranked = rows.rank(deadline=ticks(soft=soft), **HITS)
        phases.append([p.name for p in ranked.statistics if p.name != "features"])
        assert ranked.degraded == (frozenset({"timeout"}) if len(phases[-1]) < 3 else frozenset())
        assert ranked.covered == 1.0 and ranked.total == ROWS
    assert phases == [
        ["first-phase"],
        ["first-phase", "second-phase"],
        ["first-phase", "second-phase", "global-phase"],
        ["first-phase", "second-phase", "global-phase"],
    ]


def test_phases_left_out_leave_the_order_of_those_before(rows: Corpus) -> None:
    ranked = rows.rank(deadline=ticks(soft=0), hits=3)
    assert ranked.scores.tolist() == [78, 76, 74]
    assert ranked.match_features is not None
    assert dict(ranked.match_features[0]) == {"twice": 78, "firstPhase": 78, "secondPhase": 78}


def test_a_phase_that_is_off_is_not_missed(rows: Corpus) -> None:
    ranked = rows.rank(deadline=ticks(soft=0), rerank_count=0, global_rerank_count=0, **HITS)
    assert not ranked.degraded


def test_past_the_hard_moment_there_is_no_answer(rows: Corpus) -> None:
    stages = []
    for hard in range(20):
        try:
            rows.rank(deadline=ticks(hard=hard), **HITS)
        except DeadlineError as error:
            stages.append(str(error).split(" was not done")[0].removeprefix("Timed out: "))
        else:
            break
    assert list(dict.fromkeys(stages)) == [
        "first-phase",
        "second-phase",
        "global-phase",
        "the page",
    ]


@pytest.mark.usefixtures("small_portions")
@pytest.mark.parametrize("profile", ["p", "dropping", "constant"])
def test_portions_give_what_all_at_once_gives(rows: Corpus, profile: str) -> None:
    whole = rows.rank(profile=profile, **HITS)
    parts = rows.rank(profile=profile, deadline=ticks(hard=1e9), **HITS)
    assert parts.documents.tolist() == whole.documents.tolist()
    assert parts.scores.tolist() == whole.scores.tolist()
    assert parts.total == whole.total and parts.covered == 1.0
    assert parts.match_features == whole.match_features


@pytest.mark.usefixtures("small_portions")
def test_the_first_phase_stops_at_the_soft_moment(rows: Corpus) -> None:
    ranked = rows.rank(deadline=ticks(soft=5), **HITS)
    scored = ranked.total
    assert 4 < scored < ROWS and scored % 4 == 0
    assert sorted(ranked.documents.tolist()) == list(range(scored))
    assert ranked.scores.tolist() == sorted(
        ((i * 7) % ROWS * 2 for i in range(scored)), reverse=True
    )
    assert ranked.degraded == {"timeout"} and ranked.covered == scored / ROWS


@pytest.mark.usefixtures("small_portions")
def test_the_first_portion_is_scored_however_late(rows: Corpus) -> None:
    ranked = rows.rank(deadline=ticks(soft=0), **HITS)
    assert ranked.total == 4 and ranked.covered == 0.1


@pytest.mark.usefixtures("small_portions")
def test_long_phases_are_looked_at_between_portions(rows: Corpus) -> None:
    clock = Ticking()
    rows.rank(deadline=Deadline(1e9, 1e9, 1e9, clock), **HITS)
    # ten portions of the first phase and two of the second, each timed from begin to end
    assert clock() > 3 * 10 + 3 * 2


def test_portions_grow_while_they_are_quick(rows: Corpus, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(portions, "FIRST_PORTION", 4)
    sizes: list[int] = []
    score = portions.score

    def noted(phase: PhasePlan, source: HitFeatures) -> np.ndarray:
        sizes.append(source.count)
        return score(phase, source)

    monkeypatch.setattr(portions, "score", noted)
    rows.rank(deadline=Deadline(1e9, 1e9, 1e9, lambda: 0.0), profile="constant", **HITS)
    assert sizes == [4, 8, 16, 12]


def test_a_model_is_stopped_between_its_batches(tmp_path: Path) -> None:
    models = Models(write_sequence_model(tmp_path / "m.onnx"))
    with corpus(SEQUENCE, documents(), models=models) as docs:
        docs.rank(inputs={"q": Q})
        assert len(models.runs) == 2
        ran = []
        for hard in range(20):
            before = len(models.runs)
            try:
                docs.rank(inputs={"q": Q}, deadline=ticks(hard=hard))
            except DeadlineError as error:
                if "onnx-model 'ranker'" in str(error):
                    ran.append(len(models.runs) - before)
        assert ran == [0, 1, 2]
