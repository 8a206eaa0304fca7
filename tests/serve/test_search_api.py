"""`/search/`: how parameters come in, what goes out, and every error's code (spec 3)."""

from __future__ import annotations

import gzip
import json
import threading
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import cbor2
import pytest
from hypothesis import given
from hypothesis import strategies as st
from serving import clients_of, fed_package, host_of
from starlette.testclient import TestClient

from siftline.errors import (
    ComponentError,
    DeadlineError,
    ModelError,
    OverloadError,
    PackageError,
    QueryError,
    SiftlineError,
    StoreError,
    UnavailableError,
    UnknownNameError,
)
from siftline.serve.host import Host
from siftline.serve.options import Limits, Options
from siftline.serve.vespa.problems import search_error
from siftline.serve.vespa.result import accepted

APPLES = "select * from fruit where title contains 'apple'"
JSON_TYPE = "application/json;charset=utf-8"


@pytest.fixture(scope="module")
def host(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Host]:
    folder = fed_package(tmp_path_factory.mktemp("search") / "fruit")
    with host_of(folder, Options(limits=Limits(body=100_000))) as opened:
        yield opened


@pytest.fixture(scope="module")
def client(host: Host) -> Iterator[TestClient]:
    with clients_of(host) as (container, _):
        yield container


def ids(answer: dict[str, Any]) -> list[str]:
    return [child["id"].rpartition("::")[2] for child in answer["root"].get("children", [])]


def only_error(answer: dict[str, Any]) -> dict[str, Any]:
    root = answer["root"]
    assert (root["id"], root["relevance"]) == ("toplevel", 1.0)
    assert root["fields"] == {"totalCount": 0}
    assert "children" not in root and "coverage" not in root
    (error,) = root["errors"]
    assert isinstance(error, dict)
    return error


@pytest.mark.parametrize("path", ["/search/", "/search"])
def test_get(client: TestClient, path: str) -> None:
    response = client.get(path, params={"yql": APPLES})
    assert response.status_code == 200
    assert response.headers["content-type"] == JSON_TYPE
    root = response.json()["root"]
    assert root["fields"] == {"totalCount": 2}
    assert root["coverage"]["documents"] == 3
    # two words instead of three: the shorter title is the better match
    assert ids(response.json()) == ["1", "2"]
    assert root["children"][0]["fields"]["title"] == "red apple"
    assert root["children"][0]["source"] == "fruits"


def test_post_json_nested_objects_are_flattened(client: TestClient) -> None:
    body = {
        "yql": "select * from fruit where true",
        "ranking": {"profile": "near"},
        "input.query(q)": [0.0, 1.0],
        "hits": 1,
    }
    answer = client.post("/search/", json=body).json()
    assert ids(answer) == ["3"]
    assert answer["root"]["children"][0]["relevance"] == 1.0
    features = answer["root"]["children"][0]["fields"]["matchfeatures"]
    assert features["attribute(vec)"] == {"type": "tensor<float>(x[2])", "values": [0.0, 1.0]}


def test_post_form(client: TestClient) -> None:
    answer = client.post("/search/", data={"yql": APPLES, "hits": "1"})
    assert answer.status_code == 200
    assert ids(answer.json()) == ["1"], answer.text


def test_post_with_an_empty_body_reads_the_query_string(client: TestClient) -> None:
    answer = client.post("/search/", params={"query": "sky", "type": "all"})
    assert ids(answer.json()) == ["3"]


def test_the_body_beats_the_query_string(client: TestClient) -> None:
    answer = client.post("/search/?hits=2&query=apple", json={"hits": 1})
    assert ids(answer.json()) == ["1"], answer.text


def test_of_a_parameter_that_comes_twice_the_last_counts(client: TestClient) -> None:
    assert ids(client.get("/search/?query=sky&query=apple&hits=1").json()) == ["1"]


def test_no_hits_and_hits_0(client: TestClient) -> None:
    nothing = client.get("/search/?query=zebra").json()["root"]
    assert nothing["fields"] == {"totalCount": 0} and "children" not in nothing
    none = client.get("/search/?query=apple&hits=0").json()["root"]
    assert none["fields"] == {"totalCount": 2} and "children" not in none


def test_timing_and_trace_where_asked(client: TestClient) -> None:
    answer = client.get("/search/?query=apple&timing=true&tracelevel=1").json()
    assert set(answer["timing"]) == {"querytime", "summaryfetchtime", "searchtime"}
    assert answer["timing"]["searchtime"] > 0
    assert "matching" in answer["trace"]["children"][0]["message"]
    assert {"timing", "trace"}.isdisjoint(client.get("/search/?query=apple").json())


@pytest.mark.parametrize(
    ("accept", "format_", "kind"),
    [
        ("", None, JSON_TYPE),
        ("*/*", None, JSON_TYPE),
        ("text/html", None, JSON_TYPE),
        ("application/cbor", None, "application/cbor"),
        ("application/cbor, application/json;q=0.9", None, "application/cbor"),
        ("application/cbor;q=0.5, application/json", None, JSON_TYPE),
        ("application/cbor", "json", JSON_TYPE),
        ("*/*", "cbor", "application/cbor"),
    ],
)
def test_the_client_chooses_the_format(
    client: TestClient, accept: str, format_: str | None, kind: str
) -> None:
    parameters = {"query": "apple", **({"format": format_} if format_ else {})}
    response = client.get("/search/", params=parameters, headers={"accept": accept})
    assert response.headers["content-type"] == kind
    read = cbor2.loads if kind == "application/cbor" else json.loads
    assert ids(read(response.content)) == ["1", "2"]


def test_an_error_is_in_the_format_asked_for(client: TestClient) -> None:
    response = client.get("/search/?yql=x", headers={"accept": "application/cbor"})
    assert response.status_code == 400
    assert only_error(cbor2.loads(response.content))["code"] == 4


def test_the_answer_as_events(client: TestClient) -> None:
    with client.stream("GET", "/search/?query=apple&format=sse") as response:
        assert response.headers["content-type"] == "text/event-stream"
        events = response.read().decode().strip().split("\n\n")
    assert [event.split("\n")[0] for event in events] == ["event: hit", "event: hit", "event: end"]
    values = [json.loads(event.partition("data: ")[2]) for event in events]
    assert [value["id"][-1] for value in values[:2]] == ["1", "2"]
    assert values[2]["root"]["fields"] == {"totalCount": 2}
    assert "children" not in values[2]["root"]


@pytest.mark.parametrize(
    ("parameters", "code", "message"),
    [
        ({}, 1, "Null query"),
        ({"query": ""}, 1, "Null query"),
        ({"query": "apple", "hits": "401"}, 3, "401 hits requested, configured limit: 400."),
        ({"query": "apple", "offset": "1001"}, 3, "1001 offset requested"),
        ({"query": "apple", "maxHits": "5"}, 4, "maxHits must be specified in a query profile"),
        ({"yql": "select"}, 4, "Could not create query from YQL: query:L1:"),
        ({"yql": "select * from nowhere where true"}, 4, "nowhere"),
        (
            {"query": "apple", "ranking": "x"},
            4,
            "schema 'fruit' does not contain requested rank profile 'x'",
        ),
        ({"query": "apple", "queryProfile": "x"}, 4, "there is no query profile 'x'"),
        ({"query": "apple", "timeout": "soon"}, 4, "'timeout' must be a duration"),
        ({"query": "apple", "hits": "-1"}, 4, "'hits' must be a whole number"),
        ({"query": "apple", "ranking": "near", "input.query(q)": "[1,2,3]"}, 4, "query(q)"),
        ({"query": "apple", "ranking": "near", "input.query(q)": "embed(a)"}, 4, "embed"),
        ({"query": "apple", "format": "xml"}, 4, "no renderer for format 'xml'"),
        ({"query": "apple", "summary": "tiny"}, 4, "tiny"),
    ],
)
def test_what_is_wrong_with_a_query(
    client: TestClient, parameters: dict[str, str], code: int, message: str
) -> None:
    response = client.get("/search/", params=parameters)
    error = only_error(response.json())
    assert error["code"] == code
    assert message in error["message"]
    assert response.status_code == 400


@pytest.mark.parametrize(
    ("body", "kind", "status", "message"),
    [
        (b"{", "application/json", 400, "not valid JSON"),
        (b"[1]", "application/json", 400, "must be a JSON object"),
        (b"[" * 100_000, "application/json", 400, "nests too deep"),
        (b'{"hits": NaN}', "application/json", 400, "NaN"),
        (b'{"hits": ' + b"9" * 5000 + b"}", "application/json", 400, "not valid JSON"),
        (b'{"query": "\xff"}', "application/json", 400, "not valid JSON"),
        (b'{"yql": "x"}', "application/x-www-form-urlencoded", 400, "content type says"),
        (b"<query/>", "text/xml", 415, "content type 'text/xml' is not supported"),
    ],
)
def test_bodies_that_are_no_query(
    client: TestClient, body: bytes, kind: str, status: int, message: str
) -> None:
    response = client.post("/search/", content=body, headers={"content-type": kind})
    assert response.status_code == status
    assert message in only_error(response.json())["message"]


def test_a_packed_body_is_unpacked(client: TestClient) -> None:
    body = gzip.compress(json.dumps({"query": "sky"}).encode())
    headers = {"content-type": "application/json", "content-encoding": "gzip"}
    assert ids(client.post("/search/", content=body, headers=headers).json()) == ["3"]


def test_a_body_over_the_limit_is_413_in_the_shape_of_a_result(client: TestClient) -> None:
    response = client.post("/search/", json={"query": "x" * 100_001})
    assert response.status_code == 413
    bomb = gzip.compress(b'{"query":"' + b"x" * 1_000_000 + b'"}')
    headers = {"content-type": "application/json", "content-encoding": "gzip"}
    response = client.post("/search/", content=bomb, headers=headers)
    assert response.status_code == 413
    assert "100,000 bytes" in only_error(response.json())["message"]


def test_a_load_tool_gets_its_figures_in_headers(client: TestClient) -> None:
    name = "x-yahoo-vespa-"
    asked = {f"{name}benchmarkdata": "true", f"{name}benchmarkdata-coverage": "true"}
    found = client.get("/search/?query=apple&hits=1", headers=asked).headers
    assert (found[f"{name}numhits"], found[f"{name}totalhitcount"]) == ("1", "2")
    assert (found[f"{name}docssearched"], found[f"{name}fullcoverage"]) == ("3", "1")
    assert float(found[f"{name}searchtime"]) > 0
    failed = client.get("/search/?yql=x", headers=asked).headers
    assert (failed[f"{name}numerrors"], failed[f"{name}totalhitcount"]) == ("1", "0")
    assert not [n for n in client.get("/search/?query=apple").headers if n.startswith(name)]


def test_other_methods_and_paths(client: TestClient) -> None:
    response = client.put("/search/", json={})
    assert response.status_code == 405
    assert response.json()["message"] == (
        "'PUT' not allowed at '/search/'. Allowed methods are: GET, HEAD, POST"
    )
    response = client.get("/searching")
    assert (response.status_code, response.json()["error-code"]) == (404, "NOT_FOUND")


@pytest.mark.parametrize(
    ("error", "code", "status", "transient"),
    [
        (QueryError("x"), 4, 400, False),
        (QueryError("x", code=3), 3, 400, False),
        (UnknownNameError("x"), 4, 400, False),
        (ComponentError("x"), 6, 500, False),
        (OverloadError("x"), 0, 503, True),
        (UnavailableError("x"), 0, 503, True),
        (DeadlineError("x"), 12, 504, True),
        (ModelError("x"), 9, 500, False),
        (PackageError("x"), 9, 500, False),
        (StoreError("x"), 10, 503, True),
        (SiftlineError("x"), 5, 500, False),
    ],
)
def test_codes_of_errors(error: SiftlineError, code: int, status: int, transient: bool) -> None:
    problem = search_error(error)
    assert (problem.code, problem.kind.status, problem.transient) == (code, status, transient)


def test_a_query_that_gets_no_thread_in_time_is_504(host: Host, client: TestClient) -> None:
    response = client.get("/search/?query=apple&timeout=0ms")
    assert response.status_code == 504
    error = only_error(response.json())
    assert (error["code"], error["summary"]) == (12, "Timed out")


def test_too_many_waiting_queries_are_refused(tmp_path: Path) -> None:
    options = Options(limits=replace(Limits(), threads=1, waiting=0))
    with host_of(fed_package(tmp_path / "fruit"), options) as host, clients_of(host) as (client, _):
        entered, leave = threading.Event(), threading.Event()

        def block() -> None:
            entered.set()
            leave.wait(10)

        # the only thread is busy with something
        async def occupy() -> None:
            await host.pool.run(block)

        portal = client.portal
        assert portal is not None
        busy = portal.start_task_soon(occupy)
        assert entered.wait(5)
        response = client.get("/search/?query=apple")
        leave.set()
        busy.result(5)
        assert response.status_code == 503
        error = only_error(response.json())
        assert (error["code"], error["transient"]) == (0, True)
        assert client.get("/search/?query=apple").status_code == 200


def test_without_a_package_a_query_is_503() -> None:
    with host_of(None) as host, clients_of(host) as (client, config):
        response = client.get("/search/?query=apple")
        assert response.status_code == 503
        assert "no application package is deployed" in only_error(response.json())["message"]
        assert client.get("/status.html").status_code == 503
        assert config.get("/status.html").status_code == 200


@given(
    st.dictionaries(
        st.sampled_from(
            ["yql", "query", "hits", "ranking", "timeout", "type", "input.query(q)", "select"]
        )
        | st.text(max_size=8),
        st.text(max_size=20)
        | st.integers()
        | st.floats(allow_nan=False, allow_infinity=False)
        | st.booleans()
        | st.none()
        | st.lists(st.integers(), max_size=3)
        | st.dictionaries(st.text(max_size=5), st.integers(), max_size=2),
        max_size=5,
    )
)
def test_whatever_is_asked_the_answer_is_a_result(
    client: TestClient, parameters: dict[str, Any]
) -> None:
    response = client.post("/search/", json=parameters)
    assert response.status_code in (200, 400, 504)
    assert response.json()["root"]["id"] == "toplevel"


@given(st.text(max_size=80))
def test_any_accept_header_is_understood(header: str) -> None:
    assert accepted(header) in (JSON_TYPE, "application/cbor", "text/event-stream")
