"""Many documents over HTTP: visits, and changes of all that a selection means (spec 4.2)."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from document_server import serving
from starlette.testclient import TestClient

from siftline.feed.operation import DocumentId, Operation
from siftline.serve.host import Host

MUSIC = "/document/v1/ns/music/docid/"
ROOT = "/document/v1/"
IDS = {f"id:ns:music::{n}" for n in range(30)}


def feed(host: Host) -> None:
    """30 documents of the namespace `ns`, and one each of other kinds."""
    operations = [
        Operation("put", DocumentId("ns", "music", "", str(n)), {"title": f"t {n}", "year": n})
        for n in range(30)
    ]
    others = ["id:other:music::1", "id:ns:book::1", "id:ns:music:n=7:1", "id:ns:music:g=g:1"]
    operations += [Operation("put", DocumentId.parse(i), {"title": "o"}) for i in others]
    for future in [host.intake.submit(operation) for operation in operations]:
        assert future.result().error is None


@pytest.fixture(scope="module")
def client(tmp_path_factory: pytest.TempPathFactory) -> Iterator[TestClient]:
    """Documents that are only read."""
    with serving(tmp_path_factory.mktemp("read")) as (client, host):
        feed(host)
        yield client


@pytest.fixture
def changing(tmp_path: Path) -> Iterator[TestClient]:
    """Documents of one test alone."""
    with serving(tmp_path) as (client, host):
        feed(host)
        yield client


def pages(client: TestClient, path: str, **query: Any) -> list[dict[str, Any]]:
    """Every page of a visit."""
    found = []
    while True:
        answer = client.get(path, params=query)
        assert answer.status_code == 200, answer.text
        page = answer.json()
        assert page["pathId"] == path and page["documentCount"] == len(page["documents"])
        found.append(page)
        if "continuation" not in page:
            return found
        query["continuation"] = page["continuation"]


def visited(client: TestClient, path: str, **query: Any) -> list[str]:
    return [d["id"] for page in pages(client, path, **query) for d in page["documents"]]


@pytest.mark.parametrize("wanted", [1, 7, 29, 30, 31, 5000])
def test_every_document_comes_once(client: TestClient, wanted: int) -> None:
    ids = visited(client, MUSIC, wantedDocumentCount=wanted)
    assert sorted(ids) == sorted({*IDS, "id:ns:music:n=7:1", "id:ns:music:g=g:1"})


def test_a_page_has_one_document_unless_more_are_wanted(client: TestClient) -> None:
    page = client.get(MUSIC).json()
    assert list(page) == ["pathId", "documents", "continuation", "documentCount"]
    assert page["documentCount"] == 1
    assert set(page["documents"][0]) == {"id", "fields"}


@pytest.mark.parametrize(
    ("path", "query", "ids"),
    [
        (ROOT, {"cluster": "content", "selection": "music.year < 2"}, {"0", "1"}),
        (MUSIC, {"selection": "music.year == 3 or music.year == 4"}, {"3", "4"}),
        (MUSIC, {"selection": "true", "cluster": "content"}, {f"{n}" for n in range(30)} | {"g7"}),
        ("/document/v1/ns/music/number/7/", {}, {"n"}),
        ("/document/v1/ns/music/group/g/", {}, {"g"}),
        ("/document/v1/other/music/docid/", {}, {"o"}),
        ("/document/v1/ns/book/docid/", {}, {"b"}),
        (ROOT, {"cluster": "content", "bucketSpace": "global"}, set()),
    ],
)
def test_path_and_selection(
    client: TestClient, path: str, query: dict[str, str], ids: set[str]
) -> None:
    special = {
        "n": ["id:ns:music:n=7:1"],
        "g": ["id:ns:music:g=g:1"],
        "g7": ["id:ns:music:n=7:1", "id:ns:music:g=g:1"],
        "o": ["id:other:music::1"],
        "b": ["id:ns:book::1"],
    }
    expected = [full for i in ids for full in special.get(i, [f"id:ns:music::{i}"])]
    assert sorted(visited(client, path, wantedDocumentCount=100, **query)) == sorted(expected)


def test_slices_share_out_the_documents(client: TestClient) -> None:
    slices = [
        visited(client, MUSIC, slices=3, sliceId=i, selection="music.year >= 0") for i in range(3)
    ]
    assert sorted(i for part in slices for i in part) == sorted(IDS)


def test_fields_and_tensors_as_asked_for(client: TestClient) -> None:
    page = client.get(MUSIC, params={"fieldSet": "music:year", "selection": "music.year==1"})
    assert page.json()["documents"] == [{"id": "id:ns:music::1", "fields": {"year": 1}}]
    page = client.get(ROOT, params={"cluster": "content", "fieldSet": "[id]"})
    assert page.json()["documents"][0]["fields"] == {}


@pytest.mark.parametrize(
    ("path", "query", "message"),
    [
        (ROOT, "", "Must set 'cluster' parameter to a valid content cluster id"),
        (
            ROOT,
            "?cluster=*&wantedDocumentCount=1000&stream=false",
            "Your Vespa deployment has no content cluster '*', only 'content'",
        ),
        (ROOT, "?cluster=content&bucketSpace=x", "is not a known bucket space; expected one of"),
        (MUSIC, "?wantedDocumentCount=0", "wantedDocumentCount must be positive"),
        (MUSIC, "?concurrency=0", "concurrency must be positive"),
        (MUSIC, "?slices=2", "slices and sliceId must be given together"),
        (MUSIC, "?slices=2&sliceId=2", "sliceId must be in [0, 2)"),
        (MUSIC, "?selection=music.year%20==", "selection"),
        (MUSIC, "?selection=music.nothing==1", "No field 'nothing'"),
        (MUSIC, "?continuation=nonsense", "continuation"),
        (MUSIC, "?stream=true&continuation=nonsense", "continuation"),
        (MUSIC, "?fromTimestamp=5", "fromTimestamp is not supported"),
        (MUSIC, "?includeRemoves=true", "includeRemoves is not supported"),
        (MUSIC, "?fieldSet=music:nothing", "No such field 'nothing'"),
        ("/document/v1/ns/film/docid/", "", "Document type 'film' in cluster 'content'"),
    ],
)
def test_a_visit_that_is_wrong(client: TestClient, path: str, query: str, message: str) -> None:
    answer = client.get(path + query)
    assert answer.status_code == 400
    assert message in answer.json()["message"] and answer.json()["pathId"] == path


def test_a_stream_of_json_is_one_object(client: TestClient) -> None:
    whole = client.get(MUSIC, params={"stream": "true"})
    page = whole.json()
    assert page["documentCount"] == len(page["documents"]) == 32 and "continuation" not in page
    some = client.get(MUSIC, params={"stream": "true", "wantedDocumentCount": 5}).json()
    assert some["documentCount"] == 5 and some["continuation"]
    none = client.get(MUSIC, params={"stream": "true", "selection": "music.year==99"}).json()
    assert none == {"pathId": MUSIC, "documents": [], "documentCount": 0}


def test_a_stream_of_json_lines(client: TestClient) -> None:
    query = {"stream": "true", "selection": "music.year == 1 or music.year == 2"}
    answer = client.get(MUSIC, params=query, headers={"accept": "application/jsonl"})
    assert answer.headers["content-type"] == "application/jsonl; charset=UTF-8"
    lines = [json.loads(line) for line in answer.text.splitlines()]
    puts = [line for line in lines if "put" in line]
    assert sorted(p["put"] for p in puts) == ["id:ns:music::1", "id:ns:music::2"]
    assert all(p["fields"]["title"] == "t " + p["put"][-1] for p in puts)
    assert lines[-2:] == [
        {"continuation": {"percentFinished": 100.0}},
        {"sessionStats": {"documentCount": 2}},
    ]


def test_json_lines_say_where_to_go_on(client: TestClient) -> None:
    query: dict[str, Any] = {"stream": "true", "wantedDocumentCount": 10}
    found: list[str] = []
    for _ in range(4):
        answer = client.get(MUSIC, params=query, headers={"accept": "application/jsonl"})
        lines = [json.loads(line) for line in answer.text.splitlines()]
        found += [line["put"] for line in lines if "put" in line]
        last = lines[-2]["continuation"]
        if "token" not in last:
            break
        assert 0 < last["percentFinished"] < 100
        query["continuation"] = last["token"]
    assert len(found) == len(set(found)) == 32


def test_remove_where(changing: TestClient) -> None:
    query = {"selection": "music.year >= 10", "cluster": "content"}
    answer = changing.delete(MUSIC, params=query)
    assert (answer.status_code, answer.json()) == (200, {"pathId": MUSIC, "documentCount": 20})
    left = visited(changing, MUSIC, selection="music.year >= 0", wantedDocumentCount=100)
    assert len(left) == 10
    assert changing.delete(MUSIC, params=query).json()["documentCount"] == 0


def test_remove_where_at_the_root(changing: TestClient) -> None:
    query = {"selection": "true", "cluster": "content"}
    assert changing.delete(ROOT, params=query).json()["documentCount"] == 34
    assert visited(changing, ROOT, cluster="content") == []


def test_update_where(changing: TestClient) -> None:
    query = {"selection": "music.year < 3", "cluster": "content"}
    change = {"fields": {"title": {"assign": "changed"}}}
    answer = changing.put(MUSIC[:-1], params=query, json=change)
    assert (answer.status_code, answer.json()) == (
        200,
        {"pathId": MUSIC[:-1], "documentCount": 3},
    )
    changed = visited(changing, MUSIC, selection='music.title == "changed"', wantedDocumentCount=9)
    assert sorted(changed) == [f"id:ns:music::{n}" for n in range(3)]


def test_an_update_that_does_not_fit_says_so(client: TestClient) -> None:
    query = {"selection": "music.year < 3", "cluster": "content"}
    answer = client.put(MUSIC, params=query, json={"fields": {"year": {"assign": "x"}}})
    assert answer.status_code == 400 and "expected a whole number" in answer.json()["message"]
    assert answer.json()["documentCount"] == 0


def test_a_copy_to_the_only_cluster_counts(client: TestClient) -> None:
    query = {"selection": "music.year < 3", "cluster": "content", "destinationCluster": "content"}
    answer = client.post(MUSIC, params=query)
    assert (answer.status_code, answer.json()["documentCount"]) == (200, 3)
    answer = client.post(MUSIC, params={**query, "destinationCluster": "other"})
    assert answer.status_code == 400 and "no content cluster 'other'" in answer.json()["message"]


@pytest.mark.parametrize(
    ("query", "message"),
    [
        ("", f"Must specify 'selection' at '{MUSIC}'"),
        ("?selection=true", f"Must specify 'cluster' at '{MUSIC}'"),
        ("?selection=true&cluster=content&route=x", f"May not specify 'route' at '{MUSIC}'"),
        ("?selection=true&cluster=x", "no content cluster 'x'"),
    ],
)
def test_a_change_of_many_that_is_wrong(client: TestClient, query: str, message: str) -> None:
    answer = client.delete(MUSIC + query)
    assert answer.status_code == 400 and message in answer.json()["message"]


def test_a_change_of_many_goes_on_where_it_ended(
    changing: TestClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("siftline.serve.vespa.document_many.STEP", 4)
    query = {"selection": "music.year >= 0", "cluster": "content", "timeChunk": "1us"}
    total = 0
    for _ in range(60):
        answer = changing.delete(MUSIC, params=query).json()
        total += answer["documentCount"]
        if "continuation" not in answer:
            break
        query["continuation"] = answer["continuation"]
    assert total == 30
    assert visited(changing, MUSIC, selection="music.year >= 0") == []


def test_visits_are_packed_where_the_client_takes_it(client: TestClient) -> None:
    packed = client.get(MUSIC + "?wantedDocumentCount=100", headers={"accept-encoding": "gzip"})
    assert packed.headers["content-encoding"] == "gzip"
    assert packed.json()["documentCount"] == 32
