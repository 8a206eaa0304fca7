"""Searchers and document processors behind the server: what HTTP says when they fail."""

from __future__ import annotations

from pathlib import Path
from textwrap import dedent

from serving import clients_of, fruit_package, host_of

CODE = """
    from siftline.process import Progress

    def search(query, execution):
        if query.properties.get("query") == "boom":
            raise RuntimeError("no such fruit")
        return execution.search(query)

    def process(operation):
        price = operation.fields.get("price")
        if price == 13:
            raise LookupError("unlucky")
        if price == 0:
            return Progress.FAILED.with_reason("nothing is free")
        return operation.with_fields(title=operation.fields["title"] + " ripe")
"""

CHAINS = (
    '<search><chain id="default" inherits="vespa"><searcher id="work.search"/></chain></search>'
    '<document-processing><chain id="default"><documentprocessor id="work.process"/></chain>'
    "</document-processing>"
)


def package(folder: Path) -> Path:
    fruit_package(folder)
    (folder / "ext" / "components").mkdir(parents=True)
    (folder / "ext" / "components" / "work.py").write_text(dedent(CODE))
    services = (folder / "services.xml").read_text()
    (folder / "services.xml").write_text(services.replace("<search/>", CHAINS))
    return folder


def test_a_failing_component_fails_only_what_it_was_given(tmp_path: Path) -> None:
    with host_of(package(tmp_path / "app")) as host, clients_of(host) as (client, _):

        def put(name: str, price: int) -> tuple[int, str]:
            fields = {"title": f"{name} apple", "price": price}
            answer = client.post(f"/document/v1/t/fruit/docid/{name}", json={"fields": fields})
            return answer.status_code, answer.json().get("message", "")

        assert put("red", 3) == (200, "")
        status, message = put("black", 13)
        assert status == 500
        assert "component 'work.process' failed on put of document 'id:t:fruit::black'" in message
        assert "LookupError: unlucky" in message
        status, message = put("free", 0)
        assert status == 400 and "nothing is free" in message
        assert put("green", 4) == (200, "")

        found = client.get("/search/?query=ripe").json()["root"]
        assert found["fields"]["totalCount"] == 2
        boom = client.get("/search/?query=boom")
        (error,) = boom.json()["root"]["errors"]
        assert boom.status_code == 500 and error["code"] == 6
        assert error["summary"] == "Error in plugin Searcher"
        assert "component 'work.search' failed on query 'boom': RuntimeError" in error["message"]
        assert client.get("/search/?query=ripe").status_code == 200
        unknown = client.get("/search/?query=ripe&searchChain=nowhere")
        assert unknown.status_code == 400
        assert unknown.json()["root"]["errors"][0]["code"] == 4
