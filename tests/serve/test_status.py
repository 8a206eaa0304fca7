"""Health, metrics, configuration and the interface's own description."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from prometheus_client.parser import text_string_to_metric_families
from serving import clients_of, fed_package, host_of
from starlette.routing import Route
from starlette.testclient import TestClient

from siftline.serve.access_log import AccessLog
from siftline.serve.app import container_app
from siftline.serve.host import Host
from siftline.serve.openapi import document
from siftline.serve.vespa import search, status


@pytest.fixture(scope="module")
def host(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Host]:
    with host_of(fed_package(tmp_path_factory.mktemp("status") / "fruit")) as opened:
        yield opened


@pytest.fixture(scope="module")
def both(host: Host) -> Iterator[tuple[TestClient, TestClient]]:
    with clients_of(host) as clients:
        yield clients


@pytest.fixture(params=["container", "config"])
def client(request: pytest.FixtureRequest, both: tuple[TestClient, TestClient]) -> TestClient:
    return both[request.param == "config"]


def samples(client: TestClient) -> dict[tuple[str, tuple[str, ...]], float]:
    text = client.get("/metrics").text
    return {
        (sample.name, tuple(sorted(sample.labels.values()))): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


def test_the_paths_that_clients_poll(client: TestClient) -> None:
    assert client.get("/").status_code == 200
    assert client.get("/status.html").status_code == 200
    answer = client.get("/ApplicationStatus").json()
    assert {
        "application",
        "abstractComponents",
        "handlers",
        "client",
        "server",
        "request-filters",
        "response-filters",
    } == set(answer)
    assert answer["application"]["meta"] == {"generation": 1, "name": "fruit"}


def test_state(client: TestClient) -> None:
    urls = [entry["url"] for entry in client.get("/state/v1/").json()["resources"]]
    assert [url.rpartition("/")[2] for url in urls] == ["config", "health", "metrics", "version"]
    for url in urls:
        assert client.get(url).status_code == 200
    health = client.get("/state/v1/health").json()
    assert health["status"] == {"code": "up"} and health["time"] > 1.6e12
    config = client.get("/state/v1/config").json()
    assert config == {"config": {"generation": 1, "container": {"generation": 1}}}


def test_metrics_count_what_happened(both: tuple[TestClient, TestClient]) -> None:
    client = both[0]
    before = samples(client)
    client.get("/search/?query=apple")
    client.get("/search/?yql=wrong")
    client.get("/nowhere")
    after = samples(client)

    def more(name: str, *labels: str) -> float:
        key = (name, tuple(sorted(labels)))
        return after[key] - before.get(key, 0.0)

    assert more("siftline_queries_total", "200") == 1
    assert more("siftline_queries_total", "400") == 1
    assert more("siftline_hits_total") == 2
    assert more("siftline_query_seconds_count") == 2
    assert more("siftline_requests_total", "search", "GET", "200") == 1
    assert more("siftline_requests_total", "other", "GET", "404") == 1
    assert after["siftline_documents", ("fruit",)] == 3
    assert after["siftline_store_bytes", ("fruit",)] > 0
    assert after["siftline_memory_bytes", ()] > 1e6
    assert after["siftline_generation", ()] == 1


def test_metrics_count_operations_on_documents(tmp_path: Path) -> None:
    with host_of(fed_package(tmp_path / "fruit")) as host, clients_of(host) as (client, _):
        path = "/document/v1/a/fruit/docid/9"
        assert client.post(path, json={"fields": {"title": "pear"}}).status_code == 200
        assert client.post(path, json={"fields": {"title": "pear"}}).status_code == 200
        refused = client.delete(path, params={"condition": "fruit.title == 'plum'"})
        assert refused.status_code == 412
        counted = samples(client)
        assert counted["siftline_feed_operations_total", ("put", "put")] == 1
        assert counted["siftline_feed_operations_total", ("put", "unchanged")] == 1
        assert counted["siftline_feed_operations_total", ("ConditionError", "remove")] == 1
        assert counted["siftline_intake_done", ()] + counted["siftline_intake_errors", ()] == 3


def test_metrics_as_vespa_lists_them(client: TestClient) -> None:
    answer = client.get("/state/v1/metrics").json()
    assert answer["status"] == {"code": "up"}
    values = {value["name"]: value for value in answer["metrics"]["values"]}
    assert values["siftline_documents"]["values"] == {"last": 3.0}
    assert values["siftline_documents"]["dimensions"] == {"schema": "fruit"}


def test_before_a_deployment_only_the_config_port_is_up() -> None:
    with host_of(None) as host, clients_of(host) as (container, config):
        for path in ("/", "/status.html", "/ApplicationStatus"):
            assert container.get(path).status_code == 503
            assert config.get(path).status_code == 200
        assert container.get("/state/v1/health").json()["status"] == {"code": "initializing"}
        assert config.get("/state/v1/health").json()["status"] == {"code": "up"}
        assert "siftline_memory_bytes" in container.get("/metrics").text


def test_request_ids_go_in_and_out(client: TestClient) -> None:
    given = client.get("/", headers={"x-request-id": "abc-1.2"})
    assert given.headers["x-request-id"] == "abc-1.2"
    fresh = {client.get("/").headers["x-request-id"] for _ in range(3)}
    assert len(fresh) == 3
    # what could break a log or a header is not repeated
    assert client.get("/", headers={"x-request-id": 'a"b'}).headers["x-request-id"] != 'a"b'


def test_the_access_log_has_a_line_for_each_request(host: Host, tmp_path: Path) -> None:
    file = tmp_path / "access.log"
    log = AccessLog(str(file))
    client = TestClient(container_app(host, log), raise_server_exceptions=False)
    client.get("/search/?query=apple", headers={"x-request-id": "one"})
    client.get("/nowhere")
    log.close()
    first, second = map(json.loads, file.read_text().splitlines())
    assert (first["id"], first["method"], first["path"]) == ("one", "GET", "/search/")
    assert (first["query"], first["status"], second["status"]) == ("query=apple", 200, 404)
    assert first["bytes"] > 100 and 0 < first["seconds"] < 30


def test_each_request_is_a_span_where_the_tracing_package_is_there(
    host: Host, monkeypatch: pytest.MonkeyPatch
) -> None:
    spans: list[tuple[str, Any, Any]] = []

    @contextmanager
    def span(name: str, *, context: Any, kind: Any, attributes: Any) -> Iterator[None]:
        spans.append((name, context, attributes))
        yield

    tracer = SimpleNamespace(start_as_current_span=span)
    trace = SimpleNamespace(
        get_tracer=lambda name: tracer, SpanKind=SimpleNamespace(SERVER="server")
    )
    propagate = SimpleNamespace(extract=lambda carrier: carrier.get("traceparent"))
    monkeypatch.setitem(sys.modules, "opentelemetry.trace", trace)
    monkeypatch.setitem(sys.modules, "opentelemetry.propagate", propagate)
    monkeypatch.setitem(sys.modules, "opentelemetry", SimpleNamespace())
    client = TestClient(container_app(host))
    client.get("/status.html", headers={"traceparent": "parent"})
    attributes = {"http.request.method": "GET", "url.path": "/status.html"}
    assert spans == [("GET /status.html", "parent", attributes)]


def test_what_breaks_is_a_500_without_details(
    host: Host, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    async def broken(self: Any, request: Any) -> None:
        raise ZeroDivisionError("the secret of the house")

    monkeypatch.setattr(search.Search, "respond", broken)
    client = TestClient(container_app(host), raise_server_exceptions=False)
    response = client.get("/search/", headers={"x-request-id": "bad-one"})
    assert response.status_code == 500
    assert response.json()["error-code"] == "INTERNAL_SERVER_ERROR"
    assert "secret" not in response.text
    assert "bad-one" in caplog.text and "the secret of the house" in caplog.text


def test_long_answers_are_packed_where_the_client_takes_it(client: TestClient) -> None:
    packed = client.get("/openapi.json", headers={"accept-encoding": "gzip"})
    assert packed.headers["content-encoding"] == "gzip"
    plain = client.get("/openapi.json", headers={"accept-encoding": "identity"})
    assert "content-encoding" not in plain.headers
    assert packed.json() == plain.json()


@pytest.mark.parametrize("config", [False, True])
def test_the_description_is_openapi(config: bool) -> None:
    schema = document(config=config)
    assert schema["openapi"].startswith("3.1.")
    for path, methods in schema["paths"].items():
        for method, operation in methods.items():
            declared = [p["name"] for p in operation["parameters"] if p["in"] == "path"]
            assert sorted(declared) == sorted(
                part[1:-1] for part in path.split("/") if part.startswith("{")
            ), f"{method} {path}"


def test_the_description_has_every_path_about_the_server(host: Host) -> None:
    described = set(document()["paths"])
    served = {route.path for route in status.routes(host) if isinstance(route, Route)}
    assert served - described == {"/state/v1"}  # the same as with a slash
