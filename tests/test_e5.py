"""The E5 experiment on a model made on the spot: its material, packages, measurements, report."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from bench.e5 import packages, server
from bench.e5.material import TEMPLATES, Material, prepare
from bench.e5.packages import VARIANTS
from bench.e5.report import write_report
from bench.e5.settings import EXAMPLE, Results, Settings
from bench.e5.steps import CLIENTS, EXPLORED, GRAPHS

import siftline
from siftline.errors import SiftlineError, UsageError
from siftline.schema.definition import Hnsw
from siftline.schema.read import read_package

TEXTS = {
    "71#13": ("Mombasa", "bandari kubwa nchini kenya"),
    "2#0": ("Akiolojia", "somo la mabaki ya zamani"),
    "5#1": ("Asia", "bara kubwa lina visiwa vingi"),
    "9#9": ("Ziwa", "ziwa kubwa barani"),
}
QUERIES = {"1": "bandari kubwa iko wapi?", "2": 'Je,bara "Asia" (kubwa) lina visiwa?'}
JUDGMENTS = (("1", "71#13", 1), ("1", "9#9", 0), ("2", "5#1", 1))


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a model of one vector for each word, times a matrix that can be quantised."""
    import onnx
    from onnx import TensorProto, helper, numpy_helper
    from tokenizers import Tokenizer, models, pre_tokenizers

    folder = tmp_path_factory.mktemp("model")
    text = " ".join(f"{title} {body}" for title, body in TEXTS.values()).lower()
    words = ["[UNK]", *dict.fromkeys(text.split())]
    tokenizer = Tokenizer(models.WordLevel({w: i for i, w in enumerate(words)}, "[UNK]"))
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    tokenizer.save(str(folder / "tokenizer.json"))
    table = np.random.default_rng(7).normal(size=(len(words), 384)).astype(np.float32)
    table[0] = 0.01
    arrays = {"table": table, "matrix": np.eye(384, dtype=np.float32)}
    graph = helper.make_graph(
        [
            helper.make_node("Gather", ["table", "input_ids"], ["rows"]),
            helper.make_node("MatMul", ["rows", "matrix"], ["last_hidden_state"]),
        ],
        "words",
        [
            helper.make_tensor_value_info(name, TensorProto.INT64, ["b", "n"])
            for name in ("input_ids", "attention_mask", "token_type_ids")
        ],
        [helper.make_tensor_value_info("last_hidden_state", TensorProto.FLOAT, ["b", "n", 384])],
        [numpy_helper.from_array(array, name) for name, array in arrays.items()],
    )
    made = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=10)
    onnx.save(made, str(folder / "model.onnx"))
    return folder


@pytest.fixture
def settings(tmp_path: Path, model: Path) -> Settings:
    data = tmp_path / "a_part"
    (data / "qrels").mkdir(parents=True)
    rows = [{"_id": i, "title": title, "text": body} for i, (title, body) in TEXTS.items()]
    (data / "corpus.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    rows = [{"_id": i, "text": text} for i, text in QUERIES.items()]
    (data / "queries.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    lines = ["query-id\tcorpus-id\tscore", *("\t".join(map(str, row)) for row in JUDGMENTS)]
    (data / "qrels" / "test.tsv").write_text("\n".join(lines) + "\n")
    return Settings(data, model=str(model), seconds=0.3, clients=(1, 2), work=tmp_path / "work")


def test_documents_are_fed_as_the_published_sample_is(settings: Settings) -> None:
    material = prepare(settings)
    fed = [json.loads(line) for line in material.feed.read_text().splitlines()]
    assert material.documents == len(fed) == 4
    assert fed[1] == {
        "put": "id:a-part:doc::2-0",
        "fields": {
            "title": "Akiolojia",
            "text": "somo la mabaki ya zamani",
            "doc_id": "2#0",
            "language": "sw",
        },
    }


def test_queries_are_the_published_ones_with_other_texts(settings: Settings) -> None:
    material = prepare(settings)
    for scenario, file in TEMPLATES.items():
        path, body = file.read_text().rstrip("\n").split("\n")
        published, ours = json.loads(body), material.requests(scenario)["2"]
        assert path == "/search/"
        assert ours["input.query(q)"] == 'embed(query:Je,bara "Asia" (kubwa) lina visiwa?)'
        assert {**ours, "input.query(q)": 0, "yql": 0} == {
            **published,
            "input.query(q)": 0,
            "yql": 0,
        }
        assert str(ours["yql"]).replace("5#1", "71#13") == published["yql"]
        lines = material.query_file(scenario).read_text().splitlines()
        assert lines[::2] == ["/search/"] * 2
        assert [json.loads(line) for line in lines[1::2]] == list(
            material.requests(scenario).values()
        )


def test_a_part_of_the_collection_keeps_what_is_judged(settings: Settings) -> None:
    material = prepare(replace(settings, limit=3))
    fed = [json.loads(line)["fields"]["doc_id"] for line in material.feed.read_text().splitlines()]
    assert set(fed) == {"71#13", "9#9", "5#1"}
    fewer = prepare(replace(settings, limit=2))
    assert list(fewer.collection.queries) == ["1"]
    with pytest.raises(UsageError, match="raise --limit"):
        prepare(replace(settings, limit=1))


def test_a_package_differs_from_the_example_in_what_is_measured(settings: Settings) -> None:
    int8 = VARIANTS[1]
    folder = packages.write("p", int8, settings, hnsw=Hnsw(32, 500), threads=4)
    written, example = read_package(folder), read_package(EXAMPLE)
    assert written.services.components == example.services.components
    assert written.services.threads_per_search == 4
    assert written.settings.query_encodings == 0
    assert written.settings.runtime == {"name": "onnxruntime"}
    field, plain = (p.schema().fields["embedding"] for p in (written, example))
    assert field.hnsw == Hnsw(32, 500)
    assert "index" in field.indexing.outputs and "index" not in plain.indexing.outputs
    assert replace(field, hnsw=None, indexing=plain.indexing) == plain
    assert (folder / "model" / "model.onnx").read_bytes() != (
        Path(settings.model) / "model.onnx"
    ).read_bytes()
    assert packages.model_bytes(int8, settings) < packages.model_bytes(VARIANTS[0], settings)


def test_the_published_queries_find_what_they_ask_for(settings: Settings) -> None:
    material = prepare(settings)
    package = packages.write("p", VARIANTS[0], settings, hnsw=Hnsw(16, 100))
    with siftline.open(package, settings.work / "index") as app:
        assert app.feed(str(material.feed)).put == 4
        for scenario in TEMPLATES:
            for query, wanted in (("1", "71#13"), ("2", "5#1")):
                body: dict[str, Any] = {**material.requests(scenario)[query], "hits": 10}
                found = [hit.fields["doc_id"] for hit in app.query(**body)]
                # The first scenario looks at one document only, the others at all.
                assert found[0] == wanted
                assert len(found) == (1 if scenario == "embedding" else 4)


def test_measurements_go_through_a_server(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(server, "vespa_client", lambda: None)
    monkeypatch.setattr(server, "WARM_UP", 0.1)
    material = prepare(settings)
    package = packages.write("p", VARIANTS[0], settings)
    work = settings.work
    with server.serving(package, work / "index", work / "server.log") as port:
        with pytest.raises(SiftlineError, match="no query has an answer"):
            server.quality(port, material)
        fed = server.feed(port, material, work)
        assert (fed["client"], fed["documents"], fed["responses"]) == (
            "siftline fbench",
            4,
            {200: 4},
        )
        assert server.quality(port, material) == {"ndcg@10": 1.0, "unanswered": 0}
        assert server.quality(port, material, 100) == {"ndcg@10": 1.0, "unanswered": 0}
        load = server.load(port, material, "embedding", 2, 0.3, lambda result: None)
    assert load["successful"] > 0 and load["failed"] == 0 and load["clients"] == 2


def test_results_are_kept_and_belong_to_their_settings(settings: Settings) -> None:
    asked: list[str] = []

    def measure() -> float:
        asked.append("again")
        return 1.5

    assert Results(settings).take("a", measure) == 1.5
    assert Results(settings).take("a", measure) == 1.5
    assert asked == ["again"]
    with pytest.raises(UsageError, match="--fresh"):
        Results(replace(settings, seconds=9.0))
    assert not Results(replace(settings, seconds=9.0), fresh=True).has("a")


def measured(settings: Settings) -> Results:
    """Results with a value for every step that the report shows."""
    results = Results(settings)
    latency = {"average": 12.5, "p95": 20.25}
    load = {"clients": 1, "queries_per_second": 80.0, "latency_ms": latency}
    feed = {
        "client": "vespa feed",
        "documents": 4,
        "seconds": 0.5,
        "documents_per_second": 8.0,
        "seconds_to_write": 0.5,
    }
    for variant in VARIANTS[:2]:
        results.take(f"{variant.name} size", lambda: 3 << 20)
        results.take(f"{variant.name} feed", lambda: feed)
        results.take(f"{variant.name} quality", lambda: {"ndcg@10": 0.75})
        results.take(f"{variant.name} load", lambda: {**load, "clients": CLIENTS})
    for name in ("embedding", "exact", "exact-4-threads", "hnsw"):
        for count in settings.clients:
            results.take(f"{name} {count}", lambda count=count: {**load, "clients": count})  # type: ignore[misc]
    for graph in GRAPHS:
        name = f"graph {graph.links}, {graph.explore_at_insert}"
        results.take(f"{name} feed", lambda: feed)
        results.take(f"{name} there", lambda: False)
        for explore in EXPLORED:
            results.take(f"{name} explore {explore}", lambda: {"ndcg@10": 0.5})
    return results


def test_the_report_has_the_published_figures_beside_ours(
    settings: Settings, tmp_path: Path
) -> None:
    material: Material = prepare(settings)
    report, *plots = write_report(measured(settings), material, tmp_path / "docs")
    text = report.read_text()
    assert "| float32 | 3 | 0.7500 | 8.0 | 80.0 | 448 | 0.675 | 137 | 340 |" in text
    assert "| bf16: not on this machine |" in text
    assert "| 2 | 12.50 | 20.25 | 80.00 | 19.78 | 21.9 | 101.09 |" in text  # exact
    assert "| 32 | 500 | 300 | 0.5000 | 0.6609 |" in text
    assert "documents were fed at 4.0 a second" in " ".join(text.split())
    assert "few documents get no graph" in text
    assert all(path.read_bytes().startswith(b"\x89PNG") for path in plots)
    assert all(path.name in text for path in plots)
