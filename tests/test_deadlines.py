"""The timeout of a query through an application: who sets it, and what it does."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import replace
from itertools import count
from typing import Any

import pytest

import siftline
from siftline.application import Application
from siftline.errors import DeadlineError
from siftline.match.deadline import Deadline
from siftline.match.query import Query
from siftline.tensor.tensor import Tensor
from siftline.tensor.types import TensorType
from small_package import write_package

SCHEMA = """schema item {
  document item {
    field title type string { indexing: index | summary
      index: enable-bm25 }
    field price type int { indexing: attribute | summary }
    field kind type string { indexing: attribute }
    field vec type tensor<float>(x[2]) { indexing: attribute }
    field words type tensor<float>(w{}) { indexing: attribute }
  }
  fieldset default { fields: title }
  rank-profile phased {
    inputs {
      query(q) tensor<float>(x[2])
      query(w) tensor<float>(w{})
    }
    first-phase { expression: attribute(price) }
    second-phase { expression: attribute(price) * 10 }
  }
}
"""

PATIENT = """<query-profile id="patient"><field name="timeout">{}</field></query-profile>"""
SETTINGS = '[schemas.item]\nsparse-index = ["words"]\n'
EVERY = "select * from item where true"


@pytest.fixture(scope="module")
def app(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Application]:
    folder = tmp_path_factory.mktemp("packages") / "shop"
    write_package(folder, SCHEMA)
    for name in ("search/query-profiles", "ext"):
        (folder / name).mkdir(parents=True)
    (folder / "ext/siftline.toml").write_text(SETTINGS)
    for id_, timeout in (("patient", "10s"), ("hasty", "0ms")):
        text = PATIENT.replace("patient", id_).format(timeout)
        (folder / f"search/query-profiles/{id_}.xml").write_text(text)
    with siftline.open(folder) as application:
        for part in range(3):
            application.feed(_item(part * 10 + i) for i in range(10))
        yield application


def _item(number: int) -> dict[str, Any]:
    return {
        "_id": str(number),
        "title": f"item {number} of many",
        "price": number,
        "kind": "even" if number % 2 == 0 else "odd",
        "vec": [1, number],
        "words": {"a": 1.0, f"b{number}": 2.0},
    }


def test_a_query_without_a_timeout_takes_its_time(
    app: Application, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(time, "monotonic", count(0, 1000).__next__)
    result = app.query(yql=EVERY, ranking="phased")
    assert result.total == 30 and result.coverage.full


def test_a_stated_timeout_is_kept(app: Application) -> None:
    with pytest.raises(DeadlineError, match="Timed out: matching .* timeout of 0 ms"):
        app.query(yql=EVERY, ranking="phased", timeout="0ms")
    with pytest.raises(DeadlineError):
        app.query(yql=f"{EVERY} timeout 0", ranking="phased")
    assert app.query(yql=EVERY, ranking="phased", timeout=100).coverage.full


def test_a_query_profile_states_one_too(app: Application) -> None:
    with pytest.raises(DeadlineError):
        app.query(yql=EVERY, ranking="phased", queryProfile="hasty")
    assert len(app.query(yql=EVERY, ranking="phased", queryProfile="patient")) == 10


def test_a_built_query_has_its_time_from_when_it_is_searched(app: Application) -> None:
    query = app.request(yql=EVERY, ranking="phased", timeout="0.05")
    time.sleep(0.06)
    assert app.search(query).total == 30
    with pytest.raises(DeadlineError):
        app.search(replace(query, timeout=0.0))


def test_encoding_the_query_counts(app: Application, monkeypatch: pytest.MonkeyPatch) -> None:
    def slow(embedder: str | None, text: str, target: TensorType) -> Tensor:
        time.sleep(0.05)
        return Tensor.dense(target, [1, 0])

    def request(**parameters: Any) -> Query:
        slow(None, "", TensorType.parse("tensor<float>(x[2])"))
        return Application.request(app, **parameters)

    monkeypatch.setattr(app, "request", request)
    with pytest.raises(DeadlineError):
        app.query(yql=EVERY, ranking="phased", timeout="20ms")


def test_soft_timeout_degrades_the_answer(app: Application) -> None:
    query = app.request(yql=EVERY, ranking="phased", timeout=1000)
    result = app.search(replace(query, deadline=Deadline.after(1000, soft_factor=0)))
    assert result[0].scores == {"first-phase": 29.0}
    assert result.coverage.degraded == {"timeout"} and not result.coverage.full
    coverage = result.to_json()["root"]["coverage"]
    assert coverage == {
        "coverage": 100,
        "documents": 30,
        "full": False,
        "nodes": 1,
        "results": 1,
        "resultsFull": 0,
        "degraded": {
            "match-phase": False,
            "timeout": True,
            "adaptive-timeout": False,
            "non-ideal-state": False,
        },
    }


def test_soft_timeout_can_be_switched_off_or_moved(app: Application) -> None:
    parameters = {"yql": EVERY, "ranking": "phased", "timeout": 100}
    for name, value, degraded in (("factor", 0, True), ("enable", "false", False)):
        off = {"ranking.softtimeout.factor": 0, f"ranking.softtimeout.{name}": value}
        result = app.query(**parameters, **off)
        assert bool(result.coverage.degraded) == degraded


@pytest.mark.parametrize(
    "where",
    [
        "true",
        "title contains 'many'",
        "title contains 'many' or title contains phrase('item', '3')",
        "{targetHits:5}weakAnd(title contains 'item', title contains '3')",
        "price > 3 and kind contains 'even'",
        "price in (1, 2, 3)",
        "kind matches 'ev.n'",
        "!(kind contains 'odd')",
        "rank(title contains 'many', {targetHits:5}nearestNeighbor(vec, q))",
        "{targetHits:5}nearestNeighbor(vec, q)",
        "{targetHits:5}nearestNeighbor(words, w)",
        "dotProduct(words, {'a':1, 'b3':2})",
        "{targetHits:5}wand(words, {'a':1, 'b3':2})",
    ],
)
@pytest.mark.parametrize("exhaustive", [False, True])
def test_matching_is_looked_at_for_every_segment(
    app: Application, where: str, exhaustive: bool
) -> None:
    query = app.request(
        yql=f"select * from item where {where}",
        ranking="phased",
        hits=30,
        **{
            "input.query(q)": [1, 2],
            "input.query(w)": {"a": 1.0, "b7": 0.5},
            "ranking.matching.exhaustive": exhaustive,
        },
    )
    whole = app.search(query)
    assert len(whole) > 0
    stopped = 0
    for hard in range(200):
        ticks = count()
        deadline = Deadline(hard, clock=lambda ticks=ticks: float(next(ticks)))  # type: ignore[misc]
        try:
            result = app.search(replace(query, deadline=deadline))
        except DeadlineError as error:
            stopped += "matching" in str(error)
        else:
            break
    assert result.ids == whole.ids
    assert stopped >= (1 if where == "true" else 2)
