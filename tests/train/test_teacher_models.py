"""Teachers that are models, against transformers and against each other's runtimes."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from transformers import AutoTokenizer

from siftline.encode.idf import IdfTable
from siftline.errors import ModelError
from siftline.train.export.formats import export_as
from siftline.train.recipe import TeacherSpec
from siftline.train.score_cache import ScoreCache
from siftline.train.student import open_student
from siftline.train.teacher_models import Runtime, open_teacher
from siftline.train.teacher_scores import ModelTeacher
from toy_sparse import toy_student
from toy_teachers import CLASSES, WORDS, toy_teacher

QUERIES = ["w1 w2", "w7", "w1 w2"]
LONG = " ".join(WORDS[5:45])
DOCUMENTS = [["w1 w2 w3", "w9 w9"], ["w9 w9", LONG], ["w1 w2 w3 w4 w5 w6 w7 w8", ""]]


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("teachers")
    for kind in CLASSES:
        toy_teacher(root / kind, kind)
    return root


def opened(place: Path, kind: str, **options: Any) -> ModelTeacher:
    spec = TeacherSpec(kind, kind)  # type: ignore[arg-type]
    return open_teacher(spec, lambda name: place / name, **options)


def outputs(place: Path, kind: str, *texts: str) -> Any:
    """What transformers gives for one text or pair."""
    model = CLASSES[kind].from_pretrained(place / kind).eval()
    tokenizer = AutoTokenizer.from_pretrained(place / kind)
    feeds = tokenizer(
        *([text] for text in texts), truncation=True, max_length=32, return_tensors="pt"
    )
    with torch.no_grad():
        return model(**feeds)


def dense(place: Path, text: str) -> np.ndarray:
    hidden = outputs(place, "dense", text).last_hidden_state[0].mean(dim=0).numpy()
    return np.asarray(hidden / np.linalg.norm(hidden))


def sparse(place: Path, text: str) -> np.ndarray:
    weights = torch.log1p(torch.relu(outputs(place, "sparse", text).logits[0].amax(dim=0)))
    weights[:5] = 0
    return np.asarray(weights.numpy())


def expected(place: Path, kind: str, query: str, document: str) -> float:
    if kind == "cross":
        return float(outputs(place, kind, query, document).logits[0, 0])
    encode = dense if kind == "dense" else sparse
    return float(encode(place, query) @ encode(place, document))


@pytest.mark.parametrize("runtime", ["onnx", "torch"])
@pytest.mark.parametrize("kind", ["dense", "sparse", "cross"])
def test_scores_are_those_of_transformers(place: Path, kind: str, runtime: Runtime) -> None:
    found = opened(place, kind, runtime=runtime).scores(QUERIES, DOCUMENTS)
    wanted = [
        [expected(place, kind, query, text) for text in own]
        for query, own in zip(QUERIES, DOCUMENTS, strict=True)
    ]
    assert found.dtype == np.float32 and found.shape == (3, 2)
    # float16 is kept of vectors, one part in 2048 of a component
    near = 1e-5 if kind == "cross" else 2e-3 * max(1.0, float(np.abs(wanted).max()))
    assert np.allclose(found, wanted, atol=near)


@pytest.mark.parametrize("kind", ["dense", "sparse", "cross"])
def test_the_cache_gives_the_same_and_needs_no_model(
    place: Path, tmp_path: Path, kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    without = opened(place, kind).scores(QUERIES, DOCUMENTS)
    cache = ScoreCache.open(tmp_path)
    first = opened(place, kind, cache=cache).scores(QUERIES, DOCUMENTS)
    texts = len({*QUERIES, *(text for own in DOCUMENTS for text in own)})
    assert len(cache) == (6 if kind == "cross" else texts)

    def refuse(*_: Any, **__: Any) -> None:
        raise ModelError("loaded")

    monkeypatch.setattr("siftline.train.teacher_models.open_session", refuse)
    again = opened(place, kind, cache=cache).scores(QUERIES, DOCUMENTS)
    assert np.array_equal(first, again) and np.allclose(without, first, atol=1e-3)
    with pytest.raises(ModelError, match="loaded"):
        opened(place, kind, cache=cache).scores(["w30"], [["w1"]])


def test_a_key_says_what_a_record_depends_on(place: Path, tmp_path: Path) -> None:
    same = opened(place, "dense").key
    assert opened(place, "dense").key == same
    assert opened(place, "dense", runtime="torch").key != same
    assert opened(place, "dense", precision="fp32").key != same
    assert opened(place, "sparse").key != same
    other = toy_teacher(tmp_path / "dense", "dense", seed=1)
    assert opened(other.parent, "dense").key != same


def sentence_transformers_folder(folder: Path) -> Path:
    toy_teacher(folder, "dense")
    modules = [("Transformer", ""), ("Pooling", "1_Pooling")]
    listed = [
        {"idx": i, "name": str(i), "path": path, "type": f"sentence_transformers.models.{kind}"}
        for i, (kind, path) in enumerate(modules)
    ]
    (folder / "modules.json").write_text(json.dumps(listed))
    (folder / "1_Pooling").mkdir()
    (folder / "1_Pooling" / "config.json").write_text('{"pooling_mode_cls_token": true}')
    own = {"prompts": {"query": "ask : ", "document": ""}, "similarity_fn_name": "dot"}
    (folder / "config_sentence_transformers.json").write_text(json.dumps(own))
    (folder / "sentence_bert_config.json").write_text('{"max_seq_length": 6}')
    return folder


@pytest.mark.parametrize("runtime", ["onnx", "torch"])
def test_a_folder_says_how_it_is_used(tmp_path: Path, runtime: Runtime) -> None:
    """The first token, no norm, a prefix for queries and six tokens."""
    sentence_transformers_folder(tmp_path / "dense")
    document = "w5 w6 w7 w8 w9 w10 w11"
    found = opened(tmp_path, "dense", runtime=runtime).scores(["w5"], [[document]])
    query = outputs(tmp_path, "dense", "ask : w5").last_hidden_state[0, 0]
    cut = outputs(tmp_path, "dense", "w5 w6 w7 w8").last_hidden_state[0, 0]
    assert math.isclose(found[0, 0], float(query @ cut), rel_tol=5e-3)


def test_a_recipe_can_shorten_texts(place: Path) -> None:
    spec = TeacherSpec("cross", "cross", max_length=8)
    found = open_teacher(spec, lambda name: place / name).scores(["w1"], [[LONG, "w5"]])
    assert math.isclose(
        found[0, 0], expected(place, "cross", "w1", " ".join(LONG.split()[:4])), rel_tol=1e-4
    )
    assert math.isclose(found[0, 1], expected(place, "cross", "w1", "w5"), rel_tol=1e-4)


def test_queries_of_an_inference_free_model(tmp_path: Path) -> None:
    folder = toy_teacher(tmp_path / "sparse", "sparse")
    table = {word: 0.25 * number for number, word in enumerate(WORDS) if word != "w3"}
    (folder / "idf.json").write_text(json.dumps({**table, "w9": -2.0}))
    cache = ScoreCache.open(tmp_path / "cache")
    teacher = opened(tmp_path, "sparse", cache=cache)
    found = teacher.scores(["w1 w3 w1 w9 unknown"], [["w1 w2", "w4"]])
    for score, text in zip(found[0], ["w1 w2", "w4"], strict=True):
        weights = sparse(tmp_path, text)
        by_hand = 0.25 * WORDS.index("w1") * weights[WORDS.index("w1")] + weights[WORDS.index("w3")]
        assert math.isclose(score, by_hand, rel_tol=2e-3)
    assert len(cache) == 2


def test_two_logarithms(tmp_path: Path) -> None:
    folder = toy_teacher(tmp_path / "sparse", "sparse")
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps({**config, "sparse_head": {"activation": "l0"}}))
    found = opened(tmp_path, "sparse", runtime="torch").scores(["w1 w2"], [["w3 w4"]])
    query, document = (np.log1p(sparse(tmp_path, text)) for text in ("w1 w2", "w3 w4"))
    assert math.isclose(found[0, 0], float(query @ document), rel_tol=5e-3)


def test_a_folder_without_onnx_gets_it_in_the_cache(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SIFTLINE_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    folder = toy_teacher(tmp_path / "cross", "cross", onnx=False)
    found = opened(tmp_path, "cross").scores(["w1"], [["w2"]])
    assert len(list((tmp_path / "cache" / "built").glob("*/model.onnx"))) == 1
    assert not (folder / "model.onnx").exists()
    assert math.isclose(found[0, 0], expected(tmp_path, "cross", "w1", "w2"), rel_tol=1e-4)


@pytest.mark.parametrize(
    ("form", "runtime"),
    [("sentence-transformers", "onnx"), ("sentence-transformers", "torch"), ("opensearch", "onnx")],
)
def test_exported_students_are_teachers(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, form: Any, runtime: Runtime
) -> None:
    """Two logarithms, pruning and query weights go along."""
    monkeypatch.setenv("SIFTLINE_CACHE", str(tmp_path / "cache"))
    ratio = 0.2 if form == "opensearch" else 0.0  # sentence-transformers prunes nothing
    toy_student(tmp_path, activation="l0", prune_ratio=ratio)
    export_as(tmp_path / "final", tmp_path / "sparse", form)
    (tmp_path / "sparse" / "idf.json").unlink(missing_ok=True)
    found = opened(tmp_path, "sparse", runtime=runtime).scores(["w1 w3 city"], [["w1 city w7"]])
    table = IdfTable.from_file(tmp_path / "final" / "idf.json")
    student = open_student(tmp_path / "final", idf=table).eval()
    texts = [student.tokenizer(t, return_tensors="pt") for t in ("w1 w3 city", "w1 city w7")]
    with torch.no_grad():
        query, document = student(texts[0], texts[1], 1)
    wanted = float(query[0] @ document[0, 0])
    assert wanted > 0 and math.isclose(found[0, 0], wanted, rel_tol=2e-3)


def test_what_no_teacher_can_be(place: Path, tmp_path: Path) -> None:
    (tmp_path / "dense").mkdir()
    with pytest.raises(ModelError, match=r"holds no model: neither model\.onnx nor model"):
        opened(tmp_path, "dense")
    (toy_teacher(tmp_path / "sparse", "sparse") / "tokenizer.json").unlink()
    with pytest.raises(ModelError, match=r"has no tokenizer\.json"):
        opened(tmp_path, "sparse")
    spec = TeacherSpec("cross", "dense")
    masked = open_teacher(spec, lambda name: place / name, runtime="torch")
    with pytest.raises(ModelError, match=r"is no cross-encoder: it has no classifier"):
        masked.scores(["w1"], [["w2"]])
    for name in ("model.safetensors", "config.json"):
        (toy_teacher(tmp_path / "cross", "cross") / name).unlink()
    with pytest.raises(ModelError, match="no weights for transformers; use the runtime onnx"):
        opened(tmp_path, "cross", runtime="torch")


def test_a_model_of_the_wrong_kind(tmp_path: Path) -> None:
    """A folder that was fetched by name is used as the catalogue says."""
    folder = toy_teacher(tmp_path / "dense", "dense")
    (folder / "fetched.json").write_text('{"name": "splade-tiny"}')
    with pytest.raises(ModelError, match="'splade-tiny' is a sparse model, which is no teacher of"):
        opened(tmp_path, "dense")


def test_no_number_names_its_text(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    teacher = opened(place, "dense")
    monkeypatch.setattr(
        "siftline.train.teacher_scores.pool",
        lambda hidden, _: np.full((len(hidden.rows), 2), np.nan),
    )
    with pytest.raises(ModelError, match="the teacher 'dense' gives no number for 'w1 w2 w3'"):
        teacher.scores(["w1 w2 w3"], [["w1 w2 w3"]])
