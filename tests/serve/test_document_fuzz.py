"""No request to `/document/v1` is answered with a 500, whatever it is made of."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from bench.fuzz_server import documents
from document_server import serving
from hypothesis import given
from starlette.testclient import TestClient


@pytest.fixture(scope="module")
def client(tmp_path_factory: pytest.TempPathFactory) -> Iterator[TestClient]:
    with serving(tmp_path_factory.mktemp("fuzz")) as (client, _):
        yield client


@given(documents.METHODS, documents.PATHS, documents.QUERIES, documents.BODIES)
def test_any_request(
    client: TestClient, method: str, parts: list[str], query: dict[str, str], body: bytes
) -> None:
    path, asked = "/document/v1/" + "/".join(parts), documents.waiting_little(query)
    answer = client.request(method, path, params=asked, content=body)
    assert answer.status_code in documents.STATUSES
    if method != "HEAD" and answer.status_code >= 400:
        assert answer.json()["pathId"].startswith("/document/v1")
