"""The whole way on a package without models: feed, get, query, update, remove, reopen."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import siftline
from siftline.application import Application
from siftline.errors import DocumentError, PackageError, QueryError, StoreError, UsageError
from small_package import write_package

SCHEMA = """schema fruit {
  document fruit {
    field title type string { indexing: index | summary
      index: enable-bm25
      stemming: none }
    field price type int { indexing: attribute | summary }
    field tags type array<string> { indexing: attribute | summary }
    field vec type tensor<float>(x[2]) {
      indexing: attribute
      attribute { distance-metric: angular }
    }
  }
  field shout type string { indexing: input title . "!" | attribute | summary }
  fieldset default { fields: title }
  rank-profile text { first-phase { expression: bm25(title) } }
  rank-profile phased {
    inputs { query(q) tensor<float>(x[2]) }
    first-phase { expression: closeness(field, vec) }
    second-phase { rerank-count: 2
      expression: 10 + bm25(title) }
    global-phase { rerank-count: 1
      expression: 100 + attribute(price) }
  }
}
"""

FRUIT: list[dict[str, Any]] = [
    {"_id": "1", "title": "red apple", "price": 3, "tags": ["a", "b"], "vec": [1, 0]},
    {"_id": "2", "title": "green apple pie", "price": 5, "vec": [0.6, 0.8]},
    {"_id": "3", "title": "blue sky", "vec": [0, 1]},
]


@pytest.fixture
def package(tmp_path: Path) -> Path:
    return write_package(tmp_path / "fruit", SCHEMA, cluster="fruit")


@pytest.fixture
def app(package: Path) -> Iterator[Application]:
    with siftline.open(package) as application:
        application.feed(FRUIT)
        yield application


def names(result: siftline.Result) -> list[str]:
    return [id_.rpartition(":")[2] for id_ in result.ids]


def test_what_is_fed_comes_back(app: Application) -> None:
    assert app.get("1") == {
        "title": "red apple",
        "price": 3,
        "tags": ["a", "b"],
        "vec": {"type": "tensor<float>(x[2])", "values": [1.0, 0.0]},
    }
    assert app.get("9") is None
    assert [id_ for id_, _ in app.visit()] == [f"id:fruit:fruit::{n}" for n in "123"]


def test_text_is_found_and_ranked_by_bm25(app: Application) -> None:
    result = app.query(query="apple", ranking="text")
    assert names(result) == ["1", "2"]
    assert result[0].relevance == pytest.approx(0.49917627, abs=1e-6)
    assert result[1].relevance == pytest.approx(0.42081720, abs=1e-6)
    assert result[0]["shout"] == "red apple!"


def test_three_phases_each_rank_their_share(app: Application) -> None:
    result = app.query(
        yql="select * from fruit where {targetHits:3}nearestNeighbor(vec, q)",
        ranking="phased",
        **{"input.query(q)": "[1,0]", "trace.level": 1},
    )
    assert names(result) == ["1", "2", "3"]
    assert result[0].scores == pytest.approx(
        {"first-phase": 1.0, "second-phase": 10.0, "global-phase": 103.0}
    )
    assert set(result[1].scores) == {"first-phase", "second-phase"}
    assert set(result[2].scores) == {"first-phase"}
    assert result.trace is not None
    assert [(p.name, p.entered, p.left) for p in result.trace.phases] == [
        ("matching", 3, 3),
        ("first-phase", 3, 3),
        ("second-phase", 2, 2),
        ("global-phase", 1, 1),
        ("summary", 3, 3),
    ]


def test_rerank_count_of_the_request_overrides_the_profile(app: Application) -> None:
    result = app.query(
        yql="select * from fruit where {targetHits:3}nearestNeighbor(vec, q)",
        ranking="phased",
        **{
            "input.query(q)": "[1,0]",
            "ranking.rerankCount": 0,
            "ranking.globalPhase.rerankCount": 0,
        },
    )
    assert [set(hit.scores) for hit in result] == [{"first-phase"}] * 3


def test_feeding_the_same_again_encodes_nothing(app: Application) -> None:
    report = app.feed(FRUIT)
    assert (report.put, report.unchanged) == (0, 3)


def test_an_update_changes_one_field_and_keeps_the_others(app: Application) -> None:
    change: dict[str, Any] = {
        "update": "id:fruit:fruit::1",
        "fields": {"title": {"assign": "yellow pear"}},
    }
    assert app.feed([change]).updated == 1
    assert names(app.query(query="pear", ranking="text")) == ["1"]
    assert names(app.query(query="apple", ranking="text")) == ["2"]
    stored = app.get("1")
    assert stored is not None and stored["price"] == 3
    near = app.query(
        yql="select * from fruit where {targetHits:1}nearestNeighbor(vec, q)",
        ranking="phased",
        **{"input.query(q)": "[1,0]"},
    )
    assert names(near) == ["1"]


def test_an_update_sees_an_earlier_operation_of_its_batch(app: Application) -> None:
    report = app.feed(
        [
            {"_id": "4", "title": "plum", "price": 1},
            {"update": "id:fruit:fruit::4", "fields": {"price": {"increment": 2}}},
        ]
    )
    assert (report.put, report.updated, report.repeated) == (1, 1, [])
    assert app.get("4") == {"title": "plum", "price": 3}


def test_the_last_put_of_an_id_in_a_batch_wins_and_is_said(app: Application) -> None:
    report = app.feed([{"_id": "5", "title": "old"}, {"_id": "5", "title": "new"}])
    assert report.repeated == ["id:fruit:fruit::5"]
    assert app.get("5") == {"title": "new"}


def test_removed_documents_are_gone(app: Application) -> None:
    assert app.remove("1", "9").removed == 2
    assert app.get("1") is None
    assert names(app.query(query="apple", ranking="text")) == ["2"]


def test_a_bad_document_is_reported_and_the_others_go_in(app: Application) -> None:
    report = app.feed(
        [
            {"_id": "6", "title": "good"},
            {"_id": "7", "colour": "red"},
            {"_id": "8", "vec": [1, 2, 3]},
            {"_id": "9", "vec": [float("nan"), 0]},
            {"put": "id:x:vegetable::1", "fields": {}},
            {"_id": "10", "title": "good too"},
        ]
    )
    assert report.put == 2
    assert len(report.errors) == 4
    assert all(isinstance(error, DocumentError) and error.place for error in report.errors)
    text = "\n".join(map(str, report.errors))
    assert "colour" in text and "fruit::8" in text and "fruit::9" in text and "vegetable" in text


def test_a_reopened_index_answers_as_before(package: Path, app: Application) -> None:
    before = app.query(query="apple", ranking="text")
    app.close()
    with siftline.open(package, read_only=True) as again:
        after = again.query(query="apple", ranking="text")
        assert [(h.id, h.relevance) for h in after] == [(h.id, h.relevance) for h in before]


def test_the_result_has_vespas_json_shape(app: Application) -> None:
    root = app.query(query="sky", ranking="text").to_json()["root"]
    assert root["fields"]["totalCount"] == 1
    assert root["coverage"]["documents"] == 3
    assert root["children"][0]["id"] == "id:fruit:fruit::3"
    assert root["children"][0]["fields"]["title"] == "blue sky"


@pytest.mark.parametrize(
    ("parameters", "named"),
    [
        ({"yql": "select * from fruit where title contains"}, "L1"),
        ({"yql": "select * from vegetable where true"}, "vegetable"),
        ({"yql": 'select * from fruit where colour contains "x"'}, "colour"),
        ({"query": "apple", "ranking": "texts"}, "texts"),
        ({"query": "apple", "hits": 401}, "401"),
        (
            {
                "yql": "select * from fruit where {targetHits:3}nearestNeighbor(vec, q)",
                "ranking": "phased",
                "input.query(q)": "[1,0,0]",
            },
            "query(q)",
        ),
    ],
)
def test_a_wrong_query_is_refused_by_name(
    app: Application, parameters: dict[str, object], named: str
) -> None:
    with pytest.raises(QueryError, match=".") as caught:
        app.query(**parameters)
    assert named in str(caught.value)


def test_a_second_writer_is_refused(package: Path, app: Application) -> None:
    with pytest.raises(StoreError, match="fruit"):
        siftline.open(package)


def test_a_broken_schema_names_its_place(package: Path) -> None:
    (package / "schemas" / "fruit.sd").write_text(SCHEMA.replace("bm25(title)", "bm25(titel)"))
    with pytest.raises(PackageError, match="titel"), siftline.open(package) as application:
        application.query(query="x", ranking="text")


def test_unknown_schema_names_those_there_are(app: Application) -> None:
    with pytest.raises(UsageError, match="fruit"):
        app.engine("vegetable")
