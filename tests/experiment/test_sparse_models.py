"""Vectors of models and of BM25, against torch, the embedder and the engine."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from toy_retrieval import LENGTH, WORDS, write_backbone, write_collection

import siftline
from siftline.errors import UsageError
from siftline.experiment.sparse.bm25 import bm25_vectors
from siftline.experiment.sparse.cache import VectorCache
from siftline.experiment.sparse.encoding import ModelChoice
from siftline.experiment.sparse.judged import read_documents
from siftline.experiment.sparse.models import SparseModel, open_encoder
from siftline.experiment.sparse.vectors import SparseVectors
from siftline.schema.builder import Application, Field, RankProfile, Schema
from siftline.train.sparse_encoder import SparseEncoder

TEXTS = ["w1 w2 w3", "w4", "w5 w6 w7 w8 w9 w10 w11 w12", " ".join(WORDS[5:]), "w1 w1"]


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("models")
    write_backbone(root / "plain")
    write_collection(root / "beir")
    (root / "idf.json").write_text(json.dumps({w: i / 10 for i, w in enumerate(WORDS)}))
    return root


@pytest.fixture(autouse=True)
def _own_cache(monkeypatch: pytest.MonkeyPatch, root: Path) -> None:
    monkeypatch.setenv("SIFTLINE_CACHE", str(root / "cache"))


def dense(vectors: SparseVectors, size: int = len(WORDS)) -> np.ndarray:
    found = np.zeros((len(vectors), size), np.float32)
    for number in range(len(vectors)):
        tokens, weights = vectors.row(number)
        found[number, tokens] = weights
    return found


def by_torch(folder: Path, texts: list[str], **options: Any) -> np.ndarray:
    from transformers import AutoTokenizer

    encoder = SparseEncoder.open(folder, **options).eval()
    tokenizer = AutoTokenizer.from_pretrained(str(folder))
    rows = []
    for text in texts:
        tokens = tokenizer([text], return_tensors="pt", truncation=True, max_length=LENGTH)
        with torch.no_grad():
            rows.append(encoder(tokens["input_ids"], tokens["attention_mask"])[0].numpy())
    return np.array(rows)


def no_progress(count: int) -> None:
    pass


def test_a_bi_encoder_gives_what_torch_gives(root: Path) -> None:
    model = open_encoder(ModelChoice.parse(str(root / "plain")))
    assert model.label == "plain" and model.mode == "bi-encoder"
    found = model.encode(TEXTS, TEXTS[:2], VectorCache(None), no_progress)
    expected = by_torch(root / "plain", TEXTS)
    assert dense(found.documents) == pytest.approx(expected, abs=1e-5)
    assert dense(found.queries) == pytest.approx(expected[:2], abs=1e-5)
    assert found.documents.seconds > 0
    assert model.parameters is not None and model.parameters > len(WORDS) * 16


def test_the_activation_is_the_folders(root: Path) -> None:
    SparseEncoder.open(root / "plain", activation="l0").save(root / "l0")
    for name in ("tokenizer.json", "tokenizer_config.json"):
        (root / "l0" / name).write_bytes((root / "plain" / name).read_bytes())
    model = SparseModel(ModelChoice.parse(str(root / "l0")))
    found = model.encode(TEXTS, TEXTS[:1], VectorCache(None), no_progress)
    expected = by_torch(root / "plain", TEXTS, activation="l0")
    assert dense(found.documents) == pytest.approx(expected, abs=1e-5)


def test_inference_free_queries_weigh_their_own_tokens_once(root: Path) -> None:
    model = SparseModel(ModelChoice.parse(f"{root / 'plain'}@{root / 'idf.json'}"))
    assert model.label == "plain@idf" and model.mode == "inference-free"
    found = model.encode(TEXTS[:1], ["w1 w3 w1", "[MASK] w0"], VectorCache(None), no_progress)
    expected = np.zeros((2, len(WORDS)))
    expected[0, [6, 8]] = 0.6, 0.8
    expected[1, 5] = 0.5
    assert dense(found.queries) == pytest.approx(expected)


def test_a_table_beside_the_model_is_its_own(root: Path, tmp_path: Path) -> None:
    write_backbone(tmp_path / "run" / "final_model")
    (tmp_path / "run" / "final_model" / "idf.json").write_text(json.dumps({"w1": 2.0}))
    model = SparseModel(ModelChoice.parse(str(tmp_path / "run" / "final_model")))
    assert (model.label, model.mode) == ("run", "inference-free")
    found = model.encode(["w1"], ["w1"], VectorCache(None), no_progress)
    assert found.queries.weights.tolist() == [2.0]


def test_a_table_counted_over_what_is_searched(root: Path) -> None:
    model = SparseModel(ModelChoice.parse(f"{root / 'plain'}@corpus"))
    documents = ["w1 w2", "w2 w2", "w3"]
    found = model.encode(documents, ["w1 w2 w9"], VectorCache(None), no_progress)
    expected = {6: math.log(4 / 1.5), 7: math.log(4 / 2.5), 14: 1.0}
    assert dict(zip(*map(list, found.queries.row(0)), strict=True)) == pytest.approx(expected)


def test_queries_without_a_table(root: Path) -> None:
    with pytest.raises(UsageError, match="has no table of query weights: .* --idf corpus"):
        SparseModel(ModelChoice.parse(str(root / "plain"), "inference-free"))


def test_a_table_of_another_tokenizer(root: Path, tmp_path: Path) -> None:
    (tmp_path / "other.json").write_text(json.dumps({"haus": 1.0, "baum": 2.0, "w1": 1.0}))
    with pytest.raises(UsageError, match="knows 1 of the 3 tokens .* another tokenizer"):
        SparseModel(ModelChoice.parse(f"{root / 'plain'}@{tmp_path / 'other.json'}"))


def test_what_is_known_is_not_encoded_again(
    root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    choice = ModelChoice.parse(str(root / "plain"))
    first = SparseModel(choice).encode(TEXTS, TEXTS, VectorCache(tmp_path), no_progress)
    monkeypatch.setattr(SparseModel, "_encoded", lambda *_: pytest.fail("encoded again"))
    again = SparseModel(choice).encode(TEXTS, TEXTS, VectorCache(tmp_path), no_progress)
    assert again.documents.weights.tolist() == first.documents.weights.tolist()
    assert again.documents.seconds == first.documents.seconds
    shorter = SparseModel(choice, max_length=8)
    with pytest.raises(pytest.fail.Exception, match="encoded again"):
        shorter.encode(TEXTS, TEXTS, VectorCache(tmp_path), no_progress)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("splade-tiny", ModelChoice("splade-tiny", "splade-tiny")),
        ("a=splade-tiny@bi-encoder", ModelChoice("a", "splade-tiny", "bi-encoder")),
        ("m@corpus", ModelChoice("m@corpus", "m", "inference-free", "corpus")),
        ("m@x/y.json", ModelChoice("m@y", "m", "inference-free", "x/y.json")),
        ("owner/m", ModelChoice("owner/m", "owner/m")),
    ],
)
def test_how_models_are_named(text: str, expected: ModelChoice) -> None:
    assert ModelChoice.parse(text) == expected


def test_what_holds_for_models_that_do_not_say(tmp_path: Path) -> None:
    assert ModelChoice.parse("m", None, "i.json").mode == "inference-free"
    assert ModelChoice.parse("m@bi-encoder", None, "i.json").idf is None
    folder = tmp_path / "a=b@c" / "checkpoint-20"
    folder.mkdir(parents=True)
    assert ModelChoice.parse(str(folder)).label == "a=b@c/checkpoint-20"
    with pytest.raises(UsageError, match="unknown mode 'dense'"):
        ModelChoice.parse("m", "dense")
    with pytest.raises(UsageError, match="names no model"):
        ModelChoice.parse("a=@corpus")


def test_bm25_by_hand() -> None:
    found = bm25_vectors(["red apple", "green apple pie", "blue sky"], ["apple apple plum"])
    (token,), (count,) = found.queries.row(0)
    assert count == 2
    weights = {n: dict(zip(*map(list, found.documents.row(n)), strict=True)) for n in range(3)}
    norm = 1.2 * (0.25 + 0.75 * 2 / (7 / 3))
    assert weights[0][token] == pytest.approx(math.log(1.6) * 2.2 / (1 + norm))
    assert token not in weights[2] and len(weights[1]) == 3
    assert found.documents.index_bytes > 0


def test_bm25_is_the_engines(root: Path, tmp_path: Path) -> None:
    documents = read_documents(root / "beir")
    package = Application(
        "words",
        Schema(
            "word",
            Field("text", "string", "index", index="enable-bm25"),
            fieldsets={"default": ["text"]},
            rank_profiles=[RankProfile("bm25", first_phase="bm25(text)")],
        ),
    )
    query = "w3 w8 w21 w8"
    vectors = bm25_vectors(list(documents.values()), [query])
    scores = dense(vectors.documents, 99) @ dense(vectors.queries, 99)[0]
    package.save(tmp_path / "words")
    with siftline.open(tmp_path / "words", tmp_path / "index") as application:
        application.feed([{"id": n, "fields": {"text": t}} for n, t in documents.items()])
        result = application.query(query=query, ranking="bm25", hits=40)
    found = {hit.id.rsplit(":", 1)[1]: hit.relevance for hit in result}
    expected = {n: float(s) for n, s in zip(documents, scores, strict=True) if s > 0}
    assert found == pytest.approx(expected, rel=1e-5) and len(found) > 5


@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::UserWarning")
@pytest.mark.parametrize("form", ["sentence-transformers", "opensearch"])
def test_exported_forms_give_the_same(root: Path, tmp_path: Path, form: Any) -> None:
    from siftline.train.export.formats import export_as

    write_backbone(tmp_path / "final")
    (tmp_path / "final" / "idf.json").write_bytes((root / "idf.json").read_bytes())
    export_as(tmp_path / "final", tmp_path / form, form)
    plain = SparseModel(ModelChoice.parse(str(tmp_path / "final")))
    model = SparseModel(ModelChoice.parse(str(tmp_path / form)))
    assert model.mode == plain.mode == "inference-free"
    expected = plain.encode(TEXTS, TEXTS[:2], VectorCache(None), no_progress)
    found = model.encode(TEXTS, TEXTS[:2], VectorCache(None), no_progress)
    assert dense(found.documents) == pytest.approx(dense(expected.documents), abs=1e-5)
    assert dense(found.queries) == pytest.approx(dense(expected.queries))
