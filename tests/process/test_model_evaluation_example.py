"""examples/model-evaluation: each component by itself, then all of them through Application."""

from __future__ import annotations

import json
import runpy
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import numpy_helper
from typer.testing import CliRunner

import siftline
from siftline.__main__ import app as command_line
from siftline.application import Application
from siftline.errors import QueryError
from siftline.feed.operation import DocumentId, Operation
from siftline.match.query import All, NearestNeighbor, Query
from siftline.model.locate import ModelFiles
from siftline.process import Hit, ModelsEvaluator, Request, Result, Tensor, TensorType
from siftline.process.modules import ComponentModules
from siftline.respond.hits import Coverage
from siftline.schema.read import read_package
from siftline.stateless.models import open_models

EXAMPLE = Path(__file__).parents[2] / "examples" / "model-evaluation"
EMBEDDING = TensorType.parse("tensor<float>(x[16])")


@pytest.fixture(scope="module")
def models() -> ModelsEvaluator:
    package = read_package(EXAMPLE)
    return open_models(package, ModelFiles(package))


@pytest.fixture(scope="module")
def code() -> Iterator[Any]:
    modules = ComponentModules(EXAMPLE / "ext" / "components")

    def load(name: str) -> ModuleType:
        return modules.load(name)

    yield load
    modules.close()


def constants(model: str) -> dict[str, np.ndarray]:
    graph = onnx.load(EXAMPLE / "models" / f"{model}.onnx").graph
    return {tensor.name: numpy_helper.to_array(tensor) for tensor in graph.initializer}


def transformed(ids: list[int]) -> np.ndarray:
    """What the transformer gives for token ids, in numpy: `(n, 16)`."""
    c = constants("transformer")
    words = c["embeddings"][ids]
    seen = (words @ c["query"]) @ (words @ c["key"]).T / 4 + np.where(np.array(ids) == 0, -1e4, 0)
    shares = np.exp(seen - seen.max(axis=1, keepdims=True))
    shares /= shares.sum(axis=1, keepdims=True)
    together = words + shares @ (words @ c["value"])
    return np.asarray(together + np.maximum(together @ c["up"], 0) @ c["down"])


def embedded(ids: list[int]) -> np.ndarray:
    total = transformed(ids)[np.array(ids) != 0].sum(axis=0)
    return np.asarray(total / np.linalg.norm(total))


def preferred(left: np.ndarray, right: np.ndarray) -> np.ndarray:
    c = constants("pairwise_ranker")
    scores = [np.tanh(side @ c["up"]) @ c["down"] for side in (left, right)]
    return np.asarray(1 / (1 + np.exp(scores[1] - scores[0])))[:, 0]


def test_the_script_makes_the_models_that_are_there() -> None:
    made = runpy.run_path(str(EXAMPLE / "make_models.py"))
    for name in ("transformer", "pairwise_ranker"):
        model, there = made[name](), onnx.load(EXAMPLE / "models" / f"{name}.onnx")
        assert model.graph.node == there.graph.node
        assert model.graph.input == there.graph.input and model.graph.output == there.graph.output
        for one, other in zip(model.graph.initializer, there.graph.initializer, strict=True):
            assert one.name == other.name
            np.testing.assert_allclose(numpy_helper.to_array(one), numpy_helper.to_array(other))


# each by itself


def test_the_handler_answers_with_an_embedding(code: Any, models: ModelsEvaluator) -> None:
    handler = code("handlers").Embed(models)
    answer = handler.handle(Request("GET", "/models/embed", {"input": "[2,3]"}))
    body = json.loads(answer.content)
    assert answer.status == 200 and body["type"] == "tensor<float>(x[16])"
    np.testing.assert_allclose(body["values"], embedded([2, 3]), atol=1e-5)
    same = handler.handle(Request("GET", "/models/embed", {"text": "Tomato, soup!"}))
    np.testing.assert_allclose(json.loads(same.content)["values"], body["values"], atol=1e-6)


@pytest.mark.parametrize(
    ("properties", "message"),
    [({}, "say what to embed"), ({"input": "[2,"}, "unexpected end"), ({"input": "[300]"}, "-128")],
)
def test_the_handler_refuses_what_it_cannot_embed(
    code: Any, models: ModelsEvaluator, properties: dict[str, str], message: str
) -> None:
    answer = code("handlers").Embed(models).handle(Request("GET", "/models/embed", properties))
    assert answer.status == 400 and message in json.loads(answer.content)["error"]


def put(**fields: Any) -> Operation:
    return Operation("put", DocumentId("recipes", "recipe", "", "1"), fields)


def test_the_first_processor_makes_tokens_of_the_title(code: Any) -> None:
    tokenize = code("processors").tokenize
    assert tokenize(put(title="Tomato soup, with capers")).fields["tokens"] == [
        2, 3, 4, 1, 0, 0, 0, 0, 0, 0,
    ]  # fmt: skip
    own = put(title="x", tokens=[7] * 10)
    assert tokenize(own) is own
    removal = Operation("remove", own.id)
    assert tokenize(removal) is removal


def test_the_second_processor_writes_the_embedding(code: Any, models: ModelsEvaluator) -> None:
    processor = code("processors").Embedding(models)
    tokens = [2, 3, 4, 0, 0, 0, 0, 0, 0, 0]
    embedding = processor.process(put(tokens=tokens)).fields["embedding"]
    assert embedding.type == EMBEDDING
    np.testing.assert_allclose(embedding.array, embedded(tokens), atol=1e-5)
    # padding is not looked at
    np.testing.assert_allclose(embedding.array, embedded([2, 3, 4]), atol=1e-5)
    empty = processor.process(put(tokens=[0] * 10)).fields["embedding"]
    assert not empty.array.any()
    update = Operation("update", put().id, {"title": {"assign": "x"}})
    assert processor.process(update) is update


@dataclass
class Behind:
    """What stands behind a searcher under test: hits with embeddings, and the queries it saw."""

    embeddings: list[np.ndarray] = field(default_factory=list)
    seen: list[Query] = field(default_factory=list)
    filled: list[str | None] = field(default_factory=list)

    def search(self, query: Query) -> Result:
        self.seen.append(query)
        hits = [Hit(str(n), 1.0 / (n + 1)) for n in range(len(self.embeddings))]
        return Result(tuple(hits[query.offset : query.offset + query.hits]), 99, Coverage(99))

    def fill(self, result: Result, summary: str | None = None) -> Result:
        self.filled.append(summary)
        tensors = [Tensor.dense(EMBEDDING, row) for row in self.embeddings]
        return result.with_hits(hit.with_fields(embedding=tensors[int(hit.id)]) for hit in result)


def test_the_first_searcher_sets_the_query_embedding(code: Any, models: ModelsEvaluator) -> None:
    searcher, behind = code("searchers").QueryEmbedding(models), Behind()
    searcher.search(Query(All(), parameters={"input": "[2,3]"}, hits=3, offset=2), behind)
    searcher.search(Query(All(), parameters={"query": "tomato soup", "yql": "…"}), behind)
    first, second = behind.seen
    assert first.root == NearestNeighbor("embedding", "embedding", 5) and second.root == All()
    for query in behind.seen:
        embedding: Any = query.inputs["embedding"]
        np.testing.assert_allclose(embedding.array, embedded([2, 3]), atol=1e-5)
    with pytest.raises(QueryError, match=r"'input' must be token ids like \[2,3\]"):
        searcher.search(Query(All(), parameters={"input": "soup"}), behind)


def test_the_second_searcher_ranks_hits_pairwise(code: Any, models: ModelsEvaluator) -> None:
    rows = list(np.random.default_rng(5).normal(size=(4, 16)).astype(np.float32))
    behind = Behind(rows)
    module = code("searchers")
    searcher = module.PairwiseRanking(models, module.Pairwise(depth=3))
    result = searcher.search(Query(All(), hits=10), behind)
    best = np.stack(rows[:3])
    expected = {
        str(i): np.mean([preferred(best[[i]], best[[j]])[0] for j in range(3) if j != i])
        for i in range(3)
    }
    assert [hit.id for hit in result] == [*sorted(expected, key=lambda n: -expected[n]), "3"]
    for hit in result.hits[:3]:
        assert hit.relevance == pytest.approx(expected[hit.id], abs=1e-5)
    # one preference and the other way round are 1 together
    assert sum(hit.relevance for hit in result.hits[:3]) == pytest.approx(1.5, abs=1e-5)
    assert behind.filled == ["embeddings"] and result.total == 99


def test_the_second_searcher_pages_behind_its_ranking(code: Any, models: ModelsEvaluator) -> None:
    rows = list(np.random.default_rng(6).normal(size=(5, 16)).astype(np.float32))
    module = code("searchers")
    searcher = module.PairwiseRanking(models, module.Pairwise(depth=4))

    def ids(hits: int, offset: int) -> list[str]:
        query = Query(All(), hits=hits, offset=offset)
        return [hit.id for hit in searcher.search(query, Behind(rows))]

    whole = ids(5, 0)
    assert sorted(whole) == ["0", "1", "2", "3", "4"] and whole[4] == "4"
    assert ids(2, 0) + ids(2, 2) + ids(2, 4) == whole
    alone = searcher.search(Query(All()), Behind(rows[:1]))
    assert [hit.relevance for hit in alone] == [1.0]


# together


@pytest.fixture(scope="module")
def recipes(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Application]:
    with siftline.open(EXAMPLE, tmp_path_factory.mktemp("recipes")) as app:
        report = app.feed(EXAMPLE / "documents.jsonl")
        assert report.put == 12 and report.errors == []
        yield app


def titles(result: Result) -> list[str]:
    return [hit["title"] for hit in result]


def test_documents_are_stored_with_tokens_and_embedding(recipes: Application) -> None:
    stored = recipes.get("id:recipes:recipe::1")
    assert stored is not None and stored["tokens"]["values"] == [2, 3, 4, 5, 0, 0, 0, 0, 0, 0]
    np.testing.assert_allclose(stored["embedding"]["values"], embedded([2, 3, 4, 5]), atol=1e-5)
    own = recipes.get("id:recipes:recipe::12")
    assert own is not None and own["tokens"]["values"] == [2, 3, 0, 0, 0, 0, 0, 0, 0, 0]


def test_retrieval_by_the_query_embedding(recipes: Application) -> None:
    request = {"query": "tomato soup", "hits": 3, "searchChain": "retrieval", "summary": "titles"}
    result = recipes.query(**request)
    assert titles(result) == [
        "soup of the day", "tomato soup with basil", "pasta with tomato and basil",
    ]  # fmt: skip
    assert result[0].relevance == pytest.approx(1.0, abs=1e-5)
    expected = float(embedded([2, 3]) @ embedded([2, 3, 4, 5]))
    assert result[1].relevance == pytest.approx(expected, abs=1e-5)
    assert titles(recipes.query(**{**request, "query": "", "input": "[2,3]"})) == titles(result)


def test_all_searchers_together(recipes: Application) -> None:
    retrieved = recipes.query(query="tomato soup", hits=5, searchChain="retrieval")
    result = recipes.query(query="tomato soup", hits=5, summary="titles")
    assert set(titles(result)) == set(titles(retrieved)) and titles(result) != titles(retrieved)
    assert sum(hit.relevance for hit in result) == pytest.approx(2.5, abs=1e-4)
    # fetched for ranking, not asked for
    assert set(result[0].fields) == {"documentid", "title"}
    own = recipes.query(yql="select title from recipe where title contains 'apple'")
    assert titles(own) and all("apple" in title for title in titles(own))


def test_the_handler_is_bound(recipes: Application) -> None:
    answer = recipes.handlers.handle(Request("GET", "/models/embed", {"text": "soup"}))
    assert answer is not None and answer.status == 200
    assert recipes.handlers.handle(Request("GET", "/other")) is None


def test_the_command_line_feeds_and_asks(tmp_path: Path) -> None:
    data = ["--data", str(tmp_path / "index")]
    fed = CliRunner().invoke(
        command_line, ["feed", str(EXAMPLE), str(EXAMPLE / "documents.jsonl"), *data]
    )
    assert fed.exit_code == 0 and "12 put" in fed.output
    asked = CliRunner().invoke(
        command_line,
        ["query", str(EXAMPLE), "tomato soup", "--json", "-p", "summary=titles", *data],
    )
    hits = json.loads(asked.stdout)["root"]["children"]
    best = {hit["fields"]["title"] for hit in hits[:5]}
    assert len(hits) == 10 and best > {"soup of the day", "tomato soup with basil"}
