"""pyvespa against a server: feeding, queries and visits, over HTTP/1.1 and h2c."""

from __future__ import annotations

import asyncio
from typing import Any
from urllib.parse import quote

import pytest
from client_server import DOCUMENTS, VECTORS, Server, empty
from vespa.application import Vespa
from vespa.io import VespaQueryResponse
from vespa.package import ApplicationPackage

RED = {"yql": "select * from doc where userQuery()", "query": "red", "ranking": "bm25"}


@pytest.fixture
def app(server: Server) -> Vespa:
    """A client of a server without documents."""
    empty(server)
    return Vespa(url="http://127.0.0.1", port=server.port)


@pytest.fixture
def fed(app: Vespa) -> Vespa:
    """A client of a server with DOCUMENTS."""
    answers: list[int] = []
    app.feed_iterable(rows(), schema="doc", callback=lambda r, i: answers.append(r.status_code))
    assert answers == [200] * len(DOCUMENTS)
    return app


def rows(count: int = 0) -> list[dict[str, Any]]:
    """DOCUMENTS as pyvespa feeds them, or `count` small ones."""
    if count:
        return [
            {"id": str(n), "fields": {"title": f"number {n}", "stars": n}} for n in range(count)
        ]
    return [
        {"id": id_, "fields": {**fields, "embedding": VECTORS[id_]}}
        for id_, fields in DOCUMENTS.items()
    ]


def ask(app: Vespa, **request: Any) -> VespaQueryResponse:
    """The answer to a query; what is not a parameter of pyvespa's goes to the server."""
    answer = app.query(**request)
    assert isinstance(answer, VespaQueryResponse)
    return answer


def names(hits: list[dict[str, Any]]) -> list[str]:
    return [hit["id"].split("::")[1] for hit in hits]


def visited(app: Vespa, **options: Any) -> list[str]:
    slices = app.visit("content", schema="doc", **options)
    return [d["id"] for pages in slices for page in pages for d in page.documents]


def test_status(app: Vespa) -> None:
    status = app.get_application_status()
    assert status is not None and status.status_code == 200
    app.wait_for_application_up(max_wait=5)


def test_feed_iterable_reports_each_document(app: Vespa) -> None:
    found: dict[str, int] = {}
    documents = [*rows(), {"id": "bad", "fields": {"nothing": 1}}]
    app.feed_iterable(
        documents, schema="doc", callback=lambda r, i: found.__setitem__(i, r.status_code)
    )
    assert found == {**dict.fromkeys(DOCUMENTS, 200), "bad": 400}


def test_feed_async_iterable_speaks_h2c(app: Vespa) -> None:
    codes: list[int] = []
    app.feed_async_iterable(
        rows(300), schema="doc", callback=lambda r, i: codes.append(r.status_code), max_workers=64
    )
    assert codes == [200] * 300
    assert ask(app, yql="select * from doc where true", hits=0).number_documents_retrieved == 300


def test_a_large_document_is_sent_gzipped(app: Vespa) -> None:
    text = "word " * 2_000
    assert app.feed_data_point("doc", "large", {"content": text}).status_code == 200
    assert app.get_data("doc", "large").json["fields"]["content"] == text


@pytest.mark.parametrize("id_", ["a b", "x/y", "x/y z/æ", "100%", "a?b=c&d#e"])
def test_ids_of_every_kind(app: Vespa, id_: str) -> None:
    written = app.feed_data_point("doc", id_, {"stars": 1})
    assert written.status_code == 200 and written.json["id"] == f"id:doc:doc::{id_}"
    assert app.get_data("doc", id_).json["fields"] == {"stars": 1}
    assert app.delete_data("doc", id_).status_code == 200
    assert app.get_data("doc", id_).status_code == 404


def test_groups(app: Vespa) -> None:
    assert app.feed_data_point("doc", "1", {"stars": 1}, groupname="g").status_code == 200
    assert app.get_data("doc", "1", groupname="g").json["id"] == "id:doc:doc:g=g:1"


def test_query(fed: Vespa) -> None:
    answer = ask(fed, body=RED)
    assert answer.is_successful() and answer.number_documents_retrieved == 2
    assert answer.number_documents_indexed == len(DOCUMENTS)
    assert set(names(answer.hits)) == {"1", "3"}
    assert answer.get_json()["root"]["coverage"]["coverage"] == 100
    assert set(names(ask(fed, yql="select * from doc where stars > 2").hits)) == {"3", "4"}


def test_a_query_with_a_vector(fed: Vespa) -> None:
    answer = ask(
        fed,
        body={
            "yql": "select * from doc where "
            "{targetHits: 2}nearestNeighbor(embedding, query_embedding)",
            "ranking": "semantic",
            "input.query(query_embedding)": VECTORS["1"],
        },
    )
    assert names(answer.hits) == ["1", "2"]


def test_a_query_that_is_wrong(fed: Vespa) -> None:
    with pytest.raises(Exception, match="nothing") as caught:
        ask(fed, body={"yql": "select * from doc where nothing contains 'x'"})
    assert type(caught.value).__name__ == "VespaError"


def test_query_many_over_h2c(fed: Vespa) -> None:
    queries = [{"yql": f"select * from doc where stars = {n % 4 + 1}"} for n in range(40)]
    answers = fed.query_many(queries=queries, num_connections=2, max_concurrent=20)
    assert [names(answer.hits) for answer in answers] == [[str(n % 4 + 1)] for n in range(40)]


def test_documents_over_h2c(app: Vespa) -> None:
    async def several() -> list[Any]:
        async with app.asyncio(connections=2) as session:
            await session.feed_data_point("doc", "1", {"stars": 1})
            await session.update_data("doc", "1", {"stars": 2})
            found = await session.get_data("doc", "1")
            await session.delete_data("doc", "1")
            return [found.json["fields"], (await session.get_data("doc", "1")).status_code]

    assert asyncio.run(several()) == [{"stars": 2}, 404]


def test_updates(fed: Vespa) -> None:
    assert fed.update_data("doc", "1", {"stars": 9}).status_code == 200
    increment = {"stars": {"increment": 1}}
    assert fed.update_data("doc", "1", increment, auto_assign=False).status_code == 200
    assert fed.get_data("doc", "1").json["fields"]["stars"] == 10
    fed.update_data("doc", "new", {"stars": 1})
    assert fed.get_data("doc", "new").status_code == 404
    fed.update_data("doc", "new", {"stars": 1}, create=True)
    assert fed.get_data("doc", "new").json["fields"] == {"stars": 1}


def test_updates_and_removals_of_many(fed: Vespa) -> None:
    changes = [{"id": id_, "fields": {"stars": 0}} for id_ in DOCUMENTS]
    fed.feed_iterable(changes, schema="doc", operation_type="update")
    zero = ask(fed, yql="select * from doc where stars = 0")
    assert zero.number_documents_retrieved == len(DOCUMENTS)
    gone = [{"id": "1"}, {"id": "2"}]
    fed.feed_iterable(gone, schema="doc", operation_type="delete")
    assert sorted(visited(fed)) == ["id:doc:doc::3", "id:doc:doc::4"]


@pytest.mark.parametrize("slices", [1, 3])
def test_visit(app: Vespa, slices: int) -> None:
    app.feed_async_iterable(rows(50), schema="doc")
    found = visited(app, slices=slices, wanted_document_count=7)
    assert sorted(found) == sorted(f"id:doc:doc::{n}" for n in range(50))
    some = visited(app, slices=slices, selection="doc.stars < 5")
    assert sorted(some) == [f"id:doc:doc::{n}" for n in range(5)]
    assert len(visited(app, slices=slices, slice_id=0)) <= 50


def test_delete_all_documents(app: Vespa) -> None:
    app.feed_async_iterable(rows(50), schema="doc")
    app.delete_all_docs("content", "doc", slices=2)
    assert visited(app) == []


class _Doubling:
    """What pyvespa knows of a model: how its input is written and its answer read."""

    def create_url_encoded_tokens(self, x: list[float]) -> str:
        return f"x={quote(str(x))}"

    def parse_vespa_prediction(self, answer: dict[str, Any]) -> list[float]:
        return list(answer["values"])


def test_models(server: Server) -> None:
    package = ApplicationPackage("models")
    package.models["double"] = _Doubling()
    app = Vespa(url="http://127.0.0.1", port=server.port, application_package=package)
    models: Any = app.get_model_endpoint()
    assert models == {"double": f"http://127.0.0.1:{server.port}/model-evaluation/v1/double"}
    described: Any = app.get_model_endpoint("double")
    assert described["model"] == "double"
    doubled = app.predict([1.0, 2.0, 3.5], "double", "y")  # type: ignore[no-untyped-call]
    assert doubled == [2.0, 4.0, 7.0]
    missing: Any = app.get_model_endpoint("nothing")
    assert missing["status_code"] == 404
