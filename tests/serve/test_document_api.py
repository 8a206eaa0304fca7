"""One document over HTTP: verbs, parameters, bodies and codes of spec 4.2 and 4.3."""

from __future__ import annotations

import gzip
import json
from collections.abc import Iterator
from concurrent.futures import Future
from pathlib import Path
from typing import Any

import pytest
from document_server import IGNORING, serving
from starlette.testclient import TestClient

from siftline.errors import (
    ComponentError,
    DeadlineError,
    FullError,
    OverloadError,
    SiftlineError,
)
from siftline.feed.operation import Operation
from siftline.intake import Outcome
from siftline.serve.options import Limits

ONE = "/document/v1/ns/music/docid/1"
ID = "id:ns:music::1"


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[TestClient]:
    with serving(tmp_path_factory.mktemp("documents")) as (client, _):
        yield client


@pytest.fixture
def client(shared: TestClient) -> TestClient:
    """A client of an application without documents."""
    emptied = shared.delete("/document/v1/", params={"selection": "true", "cluster": "content"})
    assert emptied.status_code == 200
    return shared


def put(client: TestClient, path: str = ONE, query: str = "", **fields: Any) -> Any:
    return client.post(path + query, json={"fields": fields})


def test_put_get_update_remove(client: TestClient) -> None:
    written = put(client, title="Hello", year=1995)
    assert (written.status_code, written.json()) == (200, {"pathId": ONE, "id": ID})
    assert written.headers["content-type"].startswith("application/json")
    found = client.get(ONE)
    assert (found.status_code, found.json()) == (
        200,
        {"pathId": ONE, "id": ID, "fields": {"title": "Hello", "year": 1995}},
    )
    updated = client.put(ONE, json={"fields": {"year": {"increment": 5}}})
    assert (updated.status_code, updated.json()) == (200, {"pathId": ONE, "id": ID})
    assert client.get(ONE).json()["fields"]["year"] == 2000
    removed = client.delete(ONE)
    assert (removed.status_code, removed.json()) == (200, {"pathId": ONE, "id": ID})
    missing = client.get(ONE)
    assert (missing.status_code, missing.json()) == (404, {"pathId": ONE, "id": ID})
    assert client.delete(ONE).status_code == 200


def test_a_put_replaces_the_whole_document(client: TestClient) -> None:
    put(client, title="a", year=1)
    put(client, title="b")
    assert client.get(ONE).json()["fields"] == {"title": "b"}


def test_the_path_wins_over_the_id_in_the_body(client: TestClient) -> None:
    client.post(ONE, json={"put": "id:other:music::9", "fields": {"year": 1}})
    assert client.get(ONE).json()["id"] == ID


def test_an_update_of_nothing_changes_nothing_unless_it_creates(client: TestClient) -> None:
    change = {"fields": {"year": {"assign": 7}}}
    assert client.put(ONE, json=change).status_code == 200
    assert client.get(ONE).status_code == 404
    assert client.put(ONE + "?create=true", json=change).status_code == 200
    assert client.get(ONE).json()["fields"] == {"year": 7}


@pytest.mark.parametrize(
    ("path", "id_"),
    [
        ("/document/v1/ns/music/docid/x/y%20z", "id:ns:music::x/y z"),
        ("/document/v1/ns/music/docid/x%2Fy%20z", "id:ns:music::x/y z"),
        ("/document/v1/ns/music/docid/a%3Fb%23c%25", "id:ns:music::a?b#c%"),
        ("/document/v1/ns/music/docid/%E4%BD%A0", "id:ns:music::你"),
        ("/document/v1/ns/music/number/5/1", "id:ns:music:n=5:1"),
        ("/document/v1/ns/music/group/g%201/1", "id:ns:music:g=g 1:1"),
    ],
)
def test_ids_of_every_kind(client: TestClient, path: str, id_: str) -> None:
    assert put(client, path, year=3).json() == {"pathId": path, "id": id_}
    assert client.get(path).json() == {"pathId": path, "id": id_, "fields": {"year": 3}}


@pytest.mark.parametrize(
    ("field_set", "fields"),
    [
        ("[document]", {"title": "t", "year": 1}),
        ("[all]", {"title": "t", "year": 1}),
        ("music:[document]", {"title": "t", "year": 1}),
        ("music:year", {"year": 1}),
        ("music:year,tags,title", {"title": "t", "year": 1}),
        ("[id]", {}),
        ("[docid]", {}),
        ("[none]", {}),
    ],
)
def test_a_field_set(client: TestClient, field_set: str, fields: dict[str, Any]) -> None:
    put(client, title="t", year=1)
    assert client.get(ONE, params={"fieldSet": field_set}).json()["fields"] == fields


@pytest.mark.parametrize("field_set", ["title", "music:nothing", "film:title", "[other]"])
def test_a_field_set_that_is_none(client: TestClient, field_set: str) -> None:
    answer = client.get(ONE, params={"fieldSet": field_set})
    assert answer.status_code == 400 and "Illegal field set" in answer.json()["message"]


def test_tensors_are_written_in_the_form_asked_for(client: TestClient) -> None:
    put(client, weights={"a": 1.5}, vector=[1, 2])
    short = {
        "weights": {"type": "tensor<float>(x{})", "cells": {"a": 1.5}},
        "vector": {"type": "tensor<float>(x[2])", "values": [1.0, 2.0]},
    }
    assert client.get(ONE).json()["fields"] == short
    values = client.get(ONE + "?format.tensors=short-value").json()["fields"]
    assert values == {"weights": {"a": 1.5}, "vector": [1.0, 2.0]}
    long = client.get(ONE + "?format.tensors=long").json()["fields"]
    assert long["weights"]["cells"] == [{"address": {"x": "a"}, "value": 1.5}]
    wrong = client.get(ONE + "?format.tensors=hex!")
    assert wrong.status_code == 400 and "short, long" in wrong.json()["message"]


def test_conditions(client: TestClient) -> None:
    put(client, year=5)
    for send in (
        lambda text: client.put(ONE, params=text, json={"fields": {"year": {"assign": 6}}}),
        lambda text: put(client, year=6, query="?condition=" + text["condition"]),
        lambda text: client.delete(ONE, params=text),
    ):
        refused = send({"condition": "music.year==4"})
        assert refused.status_code == 412
        message = refused.json()["message"]
        assert "TEST_AND_SET_CONDITION_FAILED" in message
        assert "ondition did not match" in message
        assert refused.json()["pathId"] == ONE
    assert client.get(ONE).json()["fields"] == {"year": 5}
    assert client.delete(ONE, params={"condition": "music.year==5"}).status_code == 200
    assert client.get(ONE).status_code == 404


def test_a_condition_on_a_document_that_is_missing(client: TestClient) -> None:
    change = {"fields": {"year": {"assign": 6}}}
    refused = client.put(ONE, params={"condition": "music.year==5"}, json=change)
    assert refused.status_code == 412
    assert "ocument does not exist" in refused.json()["message"]
    created = client.put(ONE, params={"condition": "music.year==5", "create": "true"}, json=change)
    assert created.status_code == 200
    assert client.get(ONE).json()["fields"] == {"year": 6}


def test_a_condition_in_the_body(client: TestClient) -> None:
    put(client, year=5)
    body = {"condition": "music.year==4", "fields": {"year": {"assign": 6}}}
    assert client.put(ONE, json=body).status_code == 412
    assert client.put(ONE, params={"condition": "music.year==5"}, json=body).status_code == 200


@pytest.mark.parametrize(
    ("query", "part"),
    [
        ("?condition=music.year==", "condition"),
        ("?condition=", "Expected non-empty value for request property 'condition'"),
        ("?timeout=soon", "Failed parsing 'soon'"),
        ("?create=maybe", "expected true or false"),
        ("?tracelevel=x", "whole number"),
        ("?route=elsewhere", "'route': expected one of default, indexing, content"),
    ],
)
def test_a_wrong_parameter(client: TestClient, query: str, part: str) -> None:
    refused = put(client, year=1, query=query)
    assert refused.status_code == 400
    assert part in refused.json()["message"] and refused.json()["pathId"] == ONE
    assert client.get(ONE).status_code == 404


@pytest.mark.parametrize(
    ("body", "part"),
    [
        (b"", "no body"),
        (b"{", "not JSON"),
        (b'{"fields":{"title":"\xff"}}', "not UTF-8"),
        (b"[]", "expected a JSON object with 'fields'"),
        (b"{}", "there is no 'fields'"),
        (b'{"fields":[1]}', "expected an object as fields"),
        (b'{"fields":{"year":"x"}}', "expected a whole number"),
        (b'{"fields":{"nothing":1}}', "No field 'nothing' in the structure of type 'music'"),
        (b'{"fields":{"vector":[1]}}', "needs 2 values, got 1"),
        (b'{"fields":' + b"[" * 100_000 + b"}", "nested too deeply"),
    ],
)
def test_a_wrong_body(client: TestClient, body: bytes, part: str) -> None:
    refused = client.post(ONE, content=body)
    assert refused.status_code == 400 and part in refused.json()["message"]
    assert refused.json()["pathId"] == ONE
    assert client.get(ONE).status_code == 404


def test_a_wrong_update(client: TestClient) -> None:
    put(client, year=1)
    for change in (5, {"invent": 1}, {"increment": "x"}):
        refused = client.put(ONE, json={"fields": {"year": change}})
        assert refused.status_code == 400 and "year" in refused.json()["message"]
    assert client.get(ONE).json()["fields"] == {"year": 1}


def test_an_unknown_document_type(client: TestClient) -> None:
    path = "/document/v1/ns/film/docid/1"
    for answer in (client.get(path), put(client, path, title="x"), client.delete(path)):
        assert answer.status_code == 400
        assert "Document type film does not exist" in answer.json()["message"]


def test_undefined_fields_are_left_out_where_services_say_so(tmp_path: Path) -> None:
    with serving(tmp_path, IGNORING) as (client, _):
        written = put(client, year=1, nothing=2)
        assert written.status_code == 200
        assert written.headers["X-Vespa-Ignored-Fields"] == "true"
        assert client.get(ONE).json()["fields"] == {"year": 1}
        updated = client.put(ONE, json={"fields": {"nothing{a}": {"assign": 1}}})
        assert updated.headers["X-Vespa-Ignored-Fields"] == "true"
        assert "X-Vespa-Ignored-Fields" not in put(client, year=1).headers


def test_a_dry_run_writes_nothing(client: TestClient) -> None:
    dry = put(client, year=1, query="?dryRun=true")
    assert (dry.status_code, dry.json()) == (200, {"pathId": ONE, "id": ID})
    assert client.get(ONE).status_code == 404


def test_a_trace_says_what_happened(client: TestClient) -> None:
    messages = [m["message"] for m in put(client, year=1, query="?tracelevel=3").json()["trace"]]
    assert len(messages) == 2 and messages[1].endswith(f"put of '{ID}': put")
    assert "trace" not in put(client, year=2, query="?tracelevel=0").json()


def test_options_lists_the_methods(client: TestClient) -> None:
    for path, methods in (("/document/v1/", "GET,POST,DELETE"), (ONE, "GET,POST,PUT,DELETE")):
        answer = client.options(path)
        assert (answer.status_code, answer.headers["Allow"]) == (204, methods)
        assert answer.content == b""


def test_another_method_is_not_allowed(client: TestClient) -> None:
    refused = client.patch(ONE)
    assert refused.status_code == 405
    assert refused.json() == {
        "pathId": ONE,
        "message": f"'PATCH' not allowed at '{ONE}'. Allowed methods are: GET, POST, PUT, DELETE",
    }
    refused = client.put("/document/v1/")
    assert refused.json()["message"].endswith("Allowed methods are: GET, POST, DELETE")


def test_an_unknown_path(client: TestClient) -> None:
    missing = client.get("/document/v1/x")
    assert missing.status_code == 404 and list(missing.json()) == ["pathId", "message"]
    assert missing.json()["message"].startswith(
        "Nothing at '/document/v1/x'. Available paths are:\n/document/v1/\n"
    )


def test_a_gzipped_body(client: TestClient) -> None:
    body = gzip.compress(json.dumps({"fields": {"title": "x" * 2000}}).encode())
    sent = client.post(ONE, content=body, headers={"content-encoding": "gzip"})
    assert sent.status_code == 200
    assert client.get(ONE).json()["fields"] == {"title": "x" * 2000}


def test_a_large_body_is_read_aside(client: TestClient) -> None:
    tags = [f"tag {n}" for n in range(20_000)]
    assert put(client, tags=tags).status_code == 200
    assert client.get(ONE).json()["fields"]["tags"] == tags


def test_what_the_cluster_does_not_want_is_said_to_be_ignored(tmp_path: Path) -> None:
    with serving(tmp_path, selection=' selection="music.year &gt; 1999"') as (client, _):
        old = put(client, year=1995)
        assert old.status_code == 200 and old.headers["X-Vespa-Ignored-Operation"] == "true"
        assert client.get(ONE).status_code == 404
        new = put(client, year=2005)
        assert new.status_code == 200 and "X-Vespa-Ignored-Operation" not in new.headers
        assert client.get(ONE).status_code == 200


@pytest.mark.parametrize(
    ("error", "status", "message"),
    [
        (OverloadError("too many"), 429, "Rejecting execution due to overload: too many"),
        (FullError("the disk is full"), 507, "the disk is full"),
        (DeadlineError("late"), 504, "late"),
        (ComponentError("component 'x' raised"), 500, "component 'x' raised"),
    ],
)
@pytest.mark.parametrize("accepted", [False, True])
def test_errors_have_their_codes(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    error: SiftlineError,
    status: int,
    message: str,
    accepted: bool,
) -> None:
    def submit(operation: Operation, timeout: float | None = None) -> Future[Outcome]:
        if not accepted:
            raise error
        future: Future[Outcome] = Future()
        future.set_result(Outcome.failure(error))
        return future

    with serving(tmp_path) as (client, host):
        monkeypatch.setattr(host.intake, "submit", submit)
        for answer in (put(client, year=1), client.delete(ONE)):
            assert answer.status_code == status
            assert answer.json()["message"] == message and answer.json()["pathId"] == ONE


def test_a_write_that_takes_too_long(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    given: list[float | None] = []

    def submit(operation: Operation, timeout: float | None = None) -> Future[Outcome]:
        given.append(timeout)
        return Future()

    with serving(tmp_path) as (client, host):
        monkeypatch.setattr(host.intake, "submit", submit)
        late = put(client, year=1, query="?timeout=20ms")
        assert (late.status_code, late.json()["message"]) == (504, "Timeout after 20ms")
        assert given == [0.02]


def test_a_body_over_the_limit(tmp_path: Path) -> None:
    with serving(tmp_path, limits=Limits(body=1000)) as (client, _):
        assert put(client, title="x" * 500).status_code == 200
        for body in (b"x" * 1001, gzip.compress(b" " * 2000)):
            headers = {"content-encoding": "gzip"} if len(body) < 1000 else {}
            assert client.post(ONE, content=body, headers=headers).status_code == 413
