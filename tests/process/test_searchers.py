"""Searchers through Application.query: what they may do with queries and results."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from packages import NOTES, search_chain, write

import siftline
from siftline.application import Application
from siftline.errors import ComponentError, DeadlineError, QueryError
from siftline.match.deadline import Deadline
from siftline.match.query import All, Query

CODE = """
    from siftline.errors import QueryError
    from siftline.match.query import All, Term
    from siftline.process import Hit, Result, Searcher
    from siftline.respond.hits import Coverage

    class Pass(Searcher):
        def search(self, query, execution):
            return execution.search(query)

    class Vector(Searcher):
        def search(self, query, execution):
            vector = query.properties.get("mine", [1, 0])
            return execution.search(query.with_input("v", vector).with_profile("near"))

    def everything(query, execution):
        return execution.search(query.with_tree(All()) if query.null else query)

    def reverse(query, execution):
        result = execution.search(query)
        assert all(not hit.fields for hit in result)
        return result.with_hits(reversed(result.hits))

    def by_vector(query, execution):
        result = execution.fill(execution.search(query), "vectors")
        hits = [
            hit.with_relevance(float(hit["vector"].array.sum())).with_fields(sum=float(hit["rank"]))
            for hit in result
        ]
        return result.with_hits(sorted(hits, key=lambda hit: -hit.relevance))

    def only_first(query, execution):
        result = execution.search(query)
        return result.with_hits(result.hits[:1])

    def both(query, execution):
        one = execution.search(query)
        two = execution.search(execution.request(query="moon"))
        return one.with_hits([*one, *two], one.total + two.total)

    def itself(query, execution):
        return Result((Hit("mine", 7.0, {"a": 1}),), 1, Coverage(0))

    def broken(query, execution):
        result = execution.search(query)
        return result.nothing

    def refuse(query, execution):
        raise QueryError("not like this")

    def wrong(query, execution):
        return [1]

    def misspelt(query, execution):
        return execution.fill(execution.search(query), "vectrs")

    def bad_input(query, execution):
        return execution.search(query.with_input("v", [1, 2, 3]))

    def slow(query, execution):
        import time

        time.sleep(0.05)
        return execution.search(query)

    def another(query, execution):
        return execution.search(execution.request(query="moon"))

    def tardy(query, execution):
        result = execution.search(query)
        import time
        time.sleep(0.11)
        return result

    def page(query, execution):
        return execution.search(query.with_hits(1, offset=1))
"""


@pytest.fixture
def opened(tmp_path: Path) -> Iterator[Any]:
    apps: list[Application] = []

    def open_(*searchers: str, services: str | None = None) -> Application:
        names = [f"work.{searcher}" for searcher in searchers]
        folder = write(
            tmp_path / str(len(apps)) / "app", services or search_chain(*names), work=CODE
        )
        apps.append(siftline.open(folder))
        apps[-1].feed(NOTES)
        return apps[-1]

    yield open_
    for app in apps:
        app.close()


def names(result: Any) -> list[str]:
    return [hit.id.rpartition(":")[2] for hit in result]


def test_a_searcher_that_passes_on_changes_nothing(opened: Any, tmp_path: Path) -> None:
    app = opened("Pass")
    request = {"query": "sun", "presentation.timing": True, "trace.level": 1}
    through, plain = app.query(**request), app.query(**request, searchChain="vespa")
    assert names(through) == ["b", "a"]
    assert through.hits == plain.hits
    assert [dict(hit.fields) for hit in through] == [dict(hit.fields) for hit in plain]
    phases = [phase.name for phase in through.trace.phases]
    assert phases == [phase.name for phase in plain.trace.phases] and phases[-1] == "summary"
    assert through.timing.search >= through.timing.summary > 0
    assert all(hit.stored is None for hit in through)


def test_a_searcher_sets_inputs_and_the_profile(opened: Any) -> None:
    app = opened("Vector")
    result = app.query(query="sun")
    assert names(result) == ["a", "b"] and [hit.relevance for hit in result] == [1.0, 0.0]
    result = app.query(query="sun", mine="[0.25, 0.5]")
    assert [hit.relevance for hit in result] == [0.5, 0.25]


def test_a_searcher_gives_a_request_without_a_query_one(opened: Any) -> None:
    app = opened("everything")
    assert names(app.query(hits=2)) == ["c", "b"]
    assert names(app.query(query="sun")) == ["b", "a"]
    with pytest.raises(QueryError, match="Null query"):
        app.query(searchChain="vespa")
    assert app.search(Query(All())).total == 3


def test_hits_are_reordered_before_they_are_filled(opened: Any) -> None:
    result = opened("reverse").query(query="sun")
    assert names(result) == ["a", "b"] and result[0]["title"] == "first"


def test_fields_fetched_for_a_searcher_are_not_shown(opened: Any) -> None:
    app = opened("by_vector")
    result = app.query(yql="select title from note where true")
    assert names(result) == ["c", "b", "a"]
    assert [hit.relevance for hit in result] == [2.0, 1.0, 1.0]
    assert [dict(hit.fields) for hit in result] == [
        {"title": "third", "sum": 3.0},
        {"title": "second", "sum": 2.0},
        {"title": "first", "sum": 1.0},
    ]
    fields = app.query(query="moon")[0].fields
    assert set(fields) == {"sddocname", "documentid", "title", "text", "rank", "vector", "sum"}


def test_a_summary_class_without_the_document_id_hides_it(opened: Any) -> None:
    app = opened("by_vector")
    plain = app.query(query="moon", summary="vectors", searchChain="native")
    through = app.query(query="moon", summary="vectors")
    assert through[0].id == plain[0].id and through[0].id.startswith("index:")
    assert set(through[0].fields) == {"vector", "rank", "sum"}


def test_dropping_adding_and_paging(opened: Any) -> None:
    assert names(opened("only_first").query(query="sun")) == ["b"]
    app = opened("both")
    result = app.query(query="sun")
    assert names(result) == ["b", "a", "c"] and result.total == 3
    assert [hit["title"] for hit in result] == ["second", "first", "third"]
    assert names(opened("page").query(yql="select * from note where true")) == ["b"]


def test_a_searcher_answers_itself(opened: Any) -> None:
    result = opened("itself").query(query="x")
    assert result.to_json()["root"]["children"] == [
        {"id": "mine", "relevance": 7.0, "source": "content", "fields": {"a": 1}}
    ]


def test_an_exception_names_component_query_and_line(opened: Any) -> None:
    app = opened("reverse", "broken")
    with pytest.raises(ComponentError) as error:
        app.query(yql="select * from note where title contains 'first'")
    assert str(error.value) == (
        "ext/components/work.py:46: component 'work.broken' failed on query 'select * from note "
        "where title contains 'first'': AttributeError: 'Result' object has no attribute 'nothing'"
    )
    assert names(app.query(query="sun", searchChain="vespa")) == ["b", "a"]


@pytest.mark.parametrize(
    ("searcher", "kind", "message"),
    [
        ("refuse", QueryError, "^not like this$"),
        ("wrong", ComponentError, "it returned list, expected Result"),
        ("misspelt", QueryError, "invalid presentation.summary: 'vectrs'"),
        ("bad_input", QueryError, r"Could not set 'ranking.features.query\(v\)'"),
    ],
)
def test_what_is_wrong_with_the_query_stays_the_querys(
    opened: Any, searcher: str, kind: type[Exception], message: str
) -> None:
    with pytest.raises(kind, match=message):
        opened("Pass", searcher).query(query="sun")


def test_errors_from_behind_a_searcher_pass_it(opened: Any) -> None:
    app = opened("Pass")
    with pytest.raises(QueryError, match="colour") as error:
        app.query(yql="select colour from note where true")
    assert not isinstance(error.value, ComponentError)


@pytest.mark.parametrize("searchers", [("slow", "another"), ("slow", "Pass"), ("slow",)])
def test_a_query_of_a_searcher_has_the_time_of_the_first(opened: Any, searchers: Any) -> None:
    app = opened(*searchers)
    where = "matching" if searchers == ("slow",) else f"searcher 'work.{searchers[1]}'"
    with pytest.raises(DeadlineError, match=f"{where} was not done"):
        app.query(query="sun", timeout="40ms")
    assert app.query(query="sun").total > 0


def test_another_query_is_late_with_the_first(opened: Any) -> None:
    app = opened("another")
    with pytest.raises(DeadlineError, match="searcher"):
        app.query(query="sun", timeout=0)
    late = Deadline(0, clock=iter([-1.0, 1.0]).__next__)
    with pytest.raises(DeadlineError, match="matching"):
        app.search(replace(app.request(query="sun"), deadline=late))


def test_a_chain_that_is_late_behind_the_engine_is_named(opened: Any) -> None:
    app = opened("tardy")
    with pytest.raises(DeadlineError, match="search chain 'default' was not done within"):
        app.query(query="sun", timeout="100ms")
    assert len(app.query(query="sun", timeout="20s")) == 2


def test_chains_by_name(opened: Any) -> None:
    app = opened(
        services="<search><chain id='first' inherits='vespa'><searcher id='work.only_first'/>"
        "</chain><chain id='alone'><searcher id='work.Pass'/></chain></search>"
    )
    assert len(app.query(query="sun")) == 2
    assert len(app.query(query="sun", searchChain="first")) == 1
    with pytest.raises(QueryError, match="No search chain named 'frist' was found; did you mean"):
        app.query(query="sun", searchChain="frist")
    (error,) = app.query(query="sun", searchChain="alone").errors
    assert error.code == 9 and "search chain 'alone' has no source" in error.message


def test_order_in_the_chain_is_the_order_of_calls(opened: Any) -> None:
    assert names(opened("only_first", "reverse").query(query="sun")) == ["a"]
    assert names(opened("reverse", "only_first").query(query="sun")) == ["b"]


def test_a_shared_searcher_is_one_object(opened: Any) -> None:
    app = opened(
        services="<search><searcher id='work.Pass'/>"
        "<chain id='default' inherits='vespa'><searcher idref='work.Pass'/></chain>"
        "<chain id='b' inherits='default'/>"
        "<chain id='c'><searcher id='work.Pass'/></chain></search>"
    )
    found = [
        app.chains.search_chain(Query(All(), parameters={"searchChain": name})).parts[0].target
        for name in ("default", "b", "c")
    ]
    assert found[0] is found[1] and found[0] is not found[2]
