"""The real `vespa` command against a server: status, feed, query, documents, visit, test, curl."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from client_server import DOCUMENTS, VECTORS, Server, empty, feed_lines
from vespa_command import Vespa

from siftline.feed.operation import Operation
from siftline.feed.reader import read_operations

NFCORPUS = Path(__file__).parents[2].parent / "shared" / "data" / "nfcorpus"
ONE = "id:doc:doc::1"
RED = ["select * from doc where userQuery()", "query=red", "ranking=bm25"]


@pytest.fixture(scope="module")
def vespa(server: Server, tmp_path_factory: pytest.TempPathFactory) -> Vespa:
    return Vespa(tmp_path_factory.mktemp("home"), server.url)


@pytest.fixture
def fed(server: Server, vespa: Vespa, tmp_path: Path) -> Vespa:
    """The command, and DOCUMENTS on the server, fed by it."""
    empty(server)
    (tmp_path / "feed.jsonl").write_text(feed_lines())
    vespa.ok("feed", str(tmp_path / "feed.jsonl"))
    return vespa


def ids(answer: str) -> set[str]:
    """The user parts of the ids of a result's hits."""
    return {hit["id"].split("::")[1] for hit in json.loads(answer)["root"].get("children", [])}


def assign(stars: int) -> dict[str, Any]:
    """The fields of an update."""
    return {"fields": {"stars": {"assign": stars}}}


def visited(vespa: Vespa, *options: str) -> dict[str, Any]:
    lines = vespa.ok("visit", *options).splitlines()
    return {found["id"]: found["fields"] for found in map(json.loads, lines)}


def test_status(server: Server, vespa: Vespa) -> None:
    for service in ((), ("document",), ("query",)):
        assert f"Container at {server.url} is ready" in vespa.ok("status", *service)
    at_config = Vespa(vespa.home, server.config_url)
    assert f"Deploy API at {server.config_url} is ready" in at_config.ok("status", "deploy")


def test_feed_counts_what_was_fed(server: Server, vespa: Vespa, tmp_path: Path) -> None:
    empty(server)
    (tmp_path / "feed.jsonl").write_text(feed_lines())
    summary = json.loads(vespa.ok("feed", str(tmp_path / "feed.jsonl")))
    assert summary["feeder.operation.count"] == summary["feeder.ok.count"] == len(DOCUMENTS)
    assert summary["feeder.error.count"] == 0
    assert summary["http.response.code.counts"] == {"200": len(DOCUMENTS)}
    assert visited(vespa).keys() == {f"id:doc:doc::{n}" for n in DOCUMENTS}


def test_feed_of_every_operation_from_standard_input(fed: Vespa) -> None:
    operations = [
        {"update": ONE, "fields": {"stars": {"increment": 10}}},
        {"update": "id:doc:doc::new", "create": True, **assign(5)},
        {"remove": "id:doc:doc::2"},
        {
            "update": "id:doc:doc::3",
            "condition": "doc.stars==3",
            "fields": {"stars": {"assign": 9}},
        },
    ]
    summary = json.loads(fed.ok("feed", "-", given="\n".join(map(json.dumps, operations))))
    assert summary["feeder.ok.count"] == 4
    found = visited(fed)
    assert {i.split("::")[1]: fields.get("stars") for i, fields in found.items()} == {
        "1": 11,
        "3": 9,
        "4": 4,
        "new": 5,
    }


@pytest.mark.parametrize(
    ("operation", "message"),
    [
        (
            {"put": ONE, "fields": {"nothing": 1}},
            "No field 'nothing' in the structure of type 'doc'",
        ),
        ({"put": "id:doc:film::1", "fields": {}}, "Document type film does not exist"),
    ],
)
def test_feed_reports_what_is_wrong(fed: Vespa, operation: dict[str, Any], message: str) -> None:
    done = fed("feed", "-", given=json.dumps(operation))
    assert "got status 400" in done.stderr and message in done.stderr
    assert json.loads(done.stdout)["http.response.code.counts"] == {"400": 1}


def test_feed_counts_conditions_that_do_not_hold(fed: Vespa) -> None:
    operation = {"update": ONE, "condition": "doc.stars==99", **assign(7)}
    summary = json.loads(fed("feed", "-", given=json.dumps(operation)).stdout)
    assert summary["http.response.code.counts"] == {"412": 1}
    assert visited(fed)[ONE]["stars"] == 1


def test_feed_with_every_option(fed: Vespa) -> None:
    options = ["--compression", "gzip", "--timeout", "10", "--route", "default", "--trace", "3"]
    done = fed("feed", *options, "-", given=feed_lines())
    assert json.loads(done.stdout)["http.response.code.counts"] == {"200": len(DOCUMENTS)}


def test_feed_of_hundreds_in_flight(server: Server, vespa: Vespa) -> None:
    empty(server)
    lines = [
        json.dumps({"put": f"id:doc:doc::{n}", "fields": {"title": f"number {n}", "stars": n}})
        for n in range(1000)
    ]
    options = ["--connections", "4", "--inflight", "1000"]
    summary = json.loads(vespa.ok("feed", *options, "-", given="\n".join(lines)))
    assert summary["feeder.ok.count"] == 1000 and summary["http.response.error.count"] == 0
    found = visited(vespa, "--field-set", "doc:stars")
    assert sorted(fields["stars"] for fields in found.values()) == list(range(1000))


@pytest.mark.skipif(not NFCORPUS.is_dir(), reason="needs the collection ../shared/data/nfcorpus")
def test_feed_of_nfcorpus(server: Server, vespa: Vespa, tmp_path: Path) -> None:
    empty(server)
    documents = {}
    for operation in read_operations(NFCORPUS, "doc", "doc"):
        assert isinstance(operation, Operation)
        fields = {"title": operation.fields["title"], "content": operation.fields["text"]}
        documents[str(operation.id)] = {name: text for name, text in fields.items() if text}
    lines = [json.dumps({"put": i, "fields": fields}) for i, fields in documents.items()]
    (tmp_path / "nfcorpus.jsonl").write_text("\n".join(lines))
    summary = json.loads(vespa.ok("feed", str(tmp_path / "nfcorpus.jsonl")))
    assert summary["feeder.ok.count"] == len(documents) == 3633
    assert visited(vespa, "--stream") == documents
    found = vespa.ok("query", *RED[:1], "query=statin breast cancer", "ranking=bm25", "hits=5")
    assert len(ids(found)) == 5


def test_query(fed: Vespa) -> None:
    assert ids(fed.ok("query", *RED)) == {"1", "3"}
    assert ids(fed.ok("query", "select * from doc where stars > 2", "hits=1")) <= {"3", "4"}
    fields = json.loads(fed.ok("query", "select title from doc where stars = 4"))
    assert fields["root"]["children"][0]["fields"] == {"title": "taxi"}


def test_query_from_a_file(fed: Vespa, tmp_path: Path) -> None:
    body = {
        "yql": "select * from doc where {targetHits: 2}nearestNeighbor(embedding, query_embedding)",
        "ranking": "semantic",
        "input.query(query_embedding)": VECTORS["1"],
    }
    (tmp_path / "query.json").write_text(json.dumps(body))
    answer = json.loads(fed.ok("query", "--file", str(tmp_path / "query.json")))
    hits = [hit["id"] for hit in answer["root"]["children"]]
    assert hits == ["id:doc:doc::1", "id:doc:doc::2"]


def test_a_query_that_is_wrong(vespa: Vespa) -> None:
    done = vespa("query", "select * from doc where nothing contains 'x'")
    assert done.returncode == 1
    assert "invalid query: 400 Bad Request" in done.stderr and "nothing" in done.stderr


def test_documents(fed: Vespa) -> None:
    other = "id:doc:doc::a/b c"
    assert f"put {other}" in fed.ok("document", "put", other, "-d", '{"fields":{"stars":7}}')
    got = json.loads(fed.ok("document", "get", other))
    assert got["id"] == other and got["fields"] == {"stars": 7}
    update = '{"fields":{"stars":{"increment":1}}}'
    assert f"update {other}" in fed.ok("document", "update", other, "-d", update)
    assert json.loads(fed.ok("document", "get", other))["fields"] == {"stars": 8}
    assert f"remove {other}" in fed.ok("document", "remove", other)
    missing = fed("document", "get", other)
    assert missing.returncode == 1 and "404" in missing.stderr


@pytest.mark.parametrize(
    "id_", ["id:doc:doc:n=12:x", "id:doc:doc:g=group 1:x", "id:doc:doc::æ%2F?"]
)
def test_ids_of_every_kind(fed: Vespa, id_: str) -> None:
    fed.ok("document", "put", id_, "-d", '{"fields":{"stars":1}}')
    assert json.loads(fed.ok("document", "get", id_))["id"] == id_
    assert id_ in visited(fed)


def test_visit(fed: Vespa) -> None:
    found = visited(fed)
    assert {i.split("::")[1]: fields["title"] for i, fields in found.items()} == {
        n: fields["title"] for n, fields in DOCUMENTS.items()
    }
    assert found[ONE]["embedding"] == {"type": "tensor<float>(x[3])", "values": [1.0, 0.0, 0.0]}
    assert visited(fed, "--field-set", "[id]") == {f"id:doc:doc::{n}": {} for n in DOCUMENTS}
    assert visited(fed, "--selection", "doc.stars > 3").keys() == {"id:doc:doc::4"}
    assert visited(fed, "--chunk-count", "1", "--content-cluster", "content").keys() == found.keys()
    slices = [visited(fed, "--slices", "2", "--slice-id", str(n)).keys() for n in range(2)]
    assert slices[0] | slices[1] == found.keys() and not slices[0] & slices[1]
    assert visited(fed, "--stream").keys() == found.keys()


def test_what_is_visited_can_be_fed(server: Server, fed: Vespa) -> None:
    lines = fed.ok("visit")
    array = fed.ok("visit", "--make-feed", "--pretty-json")
    for text in (lines, array):
        empty(server)
        fed.ok("feed", "-", given=text)
        assert sorted(fed.ok("visit").splitlines()) == sorted(lines.splitlines())


def test_a_visit_of_another_cluster(vespa: Vespa) -> None:
    done = vespa("visit", "--content-cluster", "music")
    assert done.returncode == 1
    assert "no content cluster 'music', only 'content'" in done.stderr


def test_a_suite_of_tests(fed: Vespa, tmp_path: Path) -> None:
    steps = [
        {
            "name": "feed",
            "request": {
                "method": "POST",
                "uri": "/document/v1/doc/doc/docid/suite",
                "body": {"fields": {"title": "hello suite"}},
            },
        },
        {
            "name": "query",
            "request": {"uri": "/search/?yql=select+*+from+doc+where+title+contains+'suite'"},
            "response": {
                "body": {
                    "root": {
                        "fields": {"totalCount": 1},
                        "children": [{"fields": {"title": "hello suite"}}],
                    }
                }
            },
        },
    ]
    suite = tmp_path / "suite.json"
    suite.write_text(json.dumps({"name": "found", "steps": steps}))
    assert "Success: 1 test OK" in fed.ok("test", str(suite))
    steps[1]["request"] = {"uri": "/search/?yql=select+*+from+doc+where+title+contains+'nothing'"}
    suite.write_text(json.dumps({"name": "missing", "steps": steps}))
    failed = fed("test", str(suite))
    # the command looks at the expected fields in an order of its own and names the first
    faults = ("Unexpected value at /root/fields/totalCount: 0", "Missing expected field at /root/c")
    assert failed.returncode == 3 and any(fault in failed.stdout for fault in faults)


def test_curl(fed: Vespa) -> None:
    got = json.loads(fed.ok("curl", "/document/v1/doc/doc/docid/1?fieldSet=doc:stars"))
    assert got["fields"] == {"stars": 1}
