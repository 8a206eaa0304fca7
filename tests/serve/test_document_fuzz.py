"""No request to `/document/v1` is answered with a 500, whatever it is made of."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest
from document_server import serving
from hypothesis import given
from hypothesis import strategies as st
from starlette.testclient import TestClient

PARTS = ["document", "v1", "ns", "music", "film", "docid", "group", "number", "1", "", "%2F", "%FF"]
NAMES = (
    "condition create cluster bucketSpace concurrency continuation fieldSet selection slices"
    " sliceId stream wantedDocumentCount timeout timeChunk tracelevel route format.tensors"
    " fromTimestamp includeRemoves dryRun destinationCluster"
).split()
VALUES = ["true", "false", "content", "music.year==1", "1", "0", "-1", "9" * 30, "[all]", "(", "5s"]
LEAVES = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5)
JSON = st.recursive(
    LEAVES, lambda of: st.lists(of, max_size=3) | st.dictionaries(st.text(), of, max_size=3)
)
FIELDS = st.dictionaries(
    st.sampled_from(["title", "year", "tags", "tags[0]", "weights", "vector", "x{y}"]),
    JSON | st.dictionaries(st.sampled_from(["assign", "add", "remove", "modify"]), JSON),
)
BODIES = (
    st.binary(max_size=20)
    | JSON.map(lambda value: json.dumps(value).encode())
    | FIELDS.map(lambda fields: json.dumps({"fields": fields}).encode())
)
PATHS = st.lists(st.sampled_from(PARTS) | st.text("a/%:?#æ ", max_size=5), max_size=6)


@pytest.fixture(scope="module")
def client(tmp_path_factory: pytest.TempPathFactory) -> Iterator[TestClient]:
    with serving(tmp_path_factory.mktemp("fuzz")) as (client, _):
        yield client


@given(
    st.sampled_from(["GET", "POST", "PUT", "DELETE", "OPTIONS", "PATCH", "HEAD"]),
    st.just(["ns", "music", "docid", "1"]) | st.just(["ns", "music", "docid", ""]) | PATHS,
    st.dictionaries(st.sampled_from(NAMES), st.sampled_from(VALUES) | st.text(max_size=5)),
    BODIES,
)
def test_any_request(
    client: TestClient, method: str, parts: list[str], query: dict[str, str], body: bytes
) -> None:
    # a wait that a parameter asks for is not what is looked for
    query = {**query, "timeout": "2s"} if "timeout" not in query else query
    answer = client.request(method, "/document/v1/" + "/".join(parts), params=query, content=body)
    assert answer.status_code in (200, 204, 400, 404, 405, 412, 504)
    if method != "HEAD" and answer.status_code >= 400:
        assert answer.json()["pathId"].startswith("/document/v1")
