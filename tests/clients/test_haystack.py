"""The Vespa document store of Haystack against a server."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from client_server import DOCUMENTS, VECTORS, Server, empty
from haystack import Document
from haystack.document_stores.errors import DuplicateDocumentError
from haystack.document_stores.types import DuplicatePolicy
from haystack_integrations.components.retrievers.vespa import (
    VespaEmbeddingRetriever,
    VespaKeywordRetriever,
)
from haystack_integrations.document_stores.vespa import VespaDocumentStore

FRUIT = {"field": "meta.category", "operator": "==", "value": "fruit"}


@pytest.fixture
def store(server: Server) -> Iterator[VespaDocumentStore]:
    """A store with DOCUMENTS."""
    empty(server)
    store = VespaDocumentStore(
        url="http://127.0.0.1",
        port=server.port,
        schema="doc",
        metadata_fields=["title", "category", "stars"],
    )
    documents = [
        Document(
            id=id_,
            content=fields["content"],
            embedding=[float(value) for value in VECTORS[id_]],
            meta={name: fields[name] for name in ("title", "category", "stars")},
        )
        for id_, fields in DOCUMENTS.items()
    ]
    assert store.write_documents(documents, DuplicatePolicy.OVERWRITE) == len(DOCUMENTS)
    yield store


def names(documents: list[Document]) -> list[str]:
    return [document.id for document in documents]


def test_what_is_written_is_counted_and_read(store: VespaDocumentStore) -> None:
    assert store.count_documents() == len(DOCUMENTS)
    assert store.count_documents_by_filter(FRUIT) == 2
    found = store.get_documents_by_id(["3", "missing"])
    assert names(found) == ["3"] and found[0].content == "a red car"
    assert sorted(names(store.filter_documents(FRUIT))) == ["1", "2"]


def test_policies_of_duplicates(store: VespaDocumentStore) -> None:
    again = [Document(id="1", content="other")]
    with pytest.raises(DuplicateDocumentError):
        store.write_documents(again)
    assert store.write_documents(again, DuplicatePolicy.SKIP) == 0
    assert store.write_documents(again, DuplicatePolicy.OVERWRITE) == 1


def test_retrieval_by_keyword(store: VespaDocumentStore) -> None:
    retriever = VespaKeywordRetriever(document_store=store, top_k=3)
    assert set(names(retriever.run(query="red")["documents"])) == {"1", "3"}
    assert names(retriever.run(query="red", filters=FRUIT)["documents"]) == ["1"]


def test_retrieval_by_vector(store: VespaDocumentStore) -> None:
    retriever = VespaEmbeddingRetriever(document_store=store, top_k=2)
    found = retriever.run(query_embedding=[1.0, 0.0, 0.0])["documents"]
    assert names(found) == ["1", "2"]
    assert found[0].score == pytest.approx(1.0) and found[0].meta["title"] == "red apple"


def test_changes_by_filter(store: VespaDocumentStore) -> None:
    assert store.update_by_filter(FRUIT, {"stars": 9}) == 2
    assert {d.meta["stars"] for d in store.filter_documents(FRUIT)} == {9}
    assert store.delete_by_filter(FRUIT) == 2
    assert sorted(names(store.filter_documents())) == ["3", "4"]
    store.delete_all_documents()
    assert store.count_documents() == 0
