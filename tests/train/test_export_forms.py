"""Every exported form gives what the trained encoder gives: weights, queries and scores."""

from __future__ import annotations

import hashlib
import io
import json
import shutil
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal, get_args

import numpy as np
import pytest
import torch
from bench import exports
from tokenizers import Tokenizer
from transformers import BertModel

from siftline.encode.idf import IdfTable
from siftline.encode.open import open_embedder
from siftline.encode.sparse import SparseEmbedder
from siftline.errors import ModelError, UsageError
from siftline.model.convert.export import ExportReport, export
from siftline.model.locate import ModelFiles
from siftline.schema.package import Component, ModelReference, Package, Settings, SparseQuery
from siftline.schema.read import read_package
from siftline.tensor.types import TensorType
from siftline.train.export import opensearch
from siftline.train.export.formats import Exported, export_as
from siftline.train.export.opensearch import Registration
from siftline.train.sparse_encoder import SparseEncoder
from siftline.train.student import Student, open_student
from toy_sparse import WORDS, other_backbone, toy_backbone, toy_student, toy_texts

TOKEN = TensorType.parse("tensor<float>(token{})")
Form = Literal["onnx", "sentence-transformers", "opensearch"]
TEXTS = toy_texts()

pytestmark = [
    pytest.mark.filterwarnings("ignore:Sparse CSR tensor support:UserWarning"),
    pytest.mark.filterwarnings("ignore:`torch.jit:DeprecationWarning"),
]


class Toy:
    """A student, what it gives for TEXTS, and its exports by format."""

    def __init__(self, root: Path, **options: Any) -> None:
        self.root = root
        self.student = toy_student(root, **options)
        self.exports: dict[str, Exported | ExportReport] = {}

    def export(self, form: Form) -> Exported | ExportReport:
        if form not in self.exports:
            source, out = self.root / "final", self.root / form
            made = export(source, out) if form == "onnx" else export_as(source, out, form)
            self.exports[form] = made
        return self.exports[form]

    def documents(self) -> np.ndarray:
        return given(self.student, "documents")

    def queries(self) -> np.ndarray:
        return given(self.student, "queries")


def given(student: Student, side: str) -> np.ndarray:
    """By the student's own forward pass, as in training."""
    module = student.documents if side == "documents" else student.queries or student.documents
    batch = student.tokenizer(
        TEXTS, padding=True, truncation=True, max_length=48, return_tensors="pt"
    )
    with torch.no_grad():
        return np.asarray(module(batch["input_ids"], batch["attention_mask"]).numpy())


@pytest.fixture(scope="module")
def toy(tmp_path_factory: pytest.TempPathFactory) -> Toy:
    return Toy(tmp_path_factory.mktemp("toy"), activation="l0")


@pytest.fixture(scope="module")
def bi_encoder(tmp_path_factory: pytest.TempPathFactory) -> Toy:
    return Toy(tmp_path_factory.mktemp("both"), inference_free=False)


def in_sentence_transformers(folder: Path) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    library = pytest.importorskip("sentence_transformers")
    model = library.SparseEncoder(str(folder), device="cpu")
    queries = model.encode_query(TEXTS, show_progress_bar=False)
    documents = model.encode_document(TEXTS, show_progress_bar=False)
    scores = model.similarity(queries, documents)
    return tuple(  # type: ignore[return-value]
        np.asarray((part.to_dense() if part.is_sparse else part).numpy())
        for part in (queries, documents, scores)
    )


@pytest.mark.parametrize("name", ["toy", "bi_encoder"])
def test_it_opens_in_sentence_transformers(name: str, request: pytest.FixtureRequest) -> None:
    one: Toy = request.getfixturevalue(name)
    report = one.export("sentence-transformers")
    queries, documents, scores = in_sentence_transformers(report.folder)
    wanted = one.queries(), one.documents()
    assert (wanted[0] > 0).sum() > 40 and (wanted[1] > 0).sum() > 200
    np.testing.assert_allclose(queries, wanted[0], atol=1e-5)
    np.testing.assert_allclose(documents, wanted[1], atol=1e-5)
    np.testing.assert_allclose(scores, wanted[0] @ wanted[1].T, atol=1e-3)
    assert (report.folder / "router_config.json").is_file() == (name == "toy")
    assert max(step.difference for step in report.steps) < 1e-5


def test_a_sentence_transformers_folder_is_trained_and_exported_on(
    toy: Toy, tmp_path: Path
) -> None:
    folder = toy.export("sentence-transformers").folder
    encoder = SparseEncoder.open(folder)
    assert encoder.activation == "l0"
    table = IdfTable.from_file(folder / "idf.json")
    np.testing.assert_allclose(
        given(open_student(folder, idf=table).eval(), "documents"), toy.documents(), atol=1e-5
    )
    (folder / "idf.json").rename(tmp_path / "table.json")
    try:
        export(folder, tmp_path / "again")
    finally:
        (tmp_path / "table.json").rename(folder / "idf.json")
    again = json.loads((tmp_path / "again" / "idf.json").read_text())
    assert again == pytest.approx(dict(table.weights)) and set(again) == set(WORDS)
    assert again["w3"] == 0.0


def test_rows_that_belong_to_no_token_are_left_out(tmp_path: Path) -> None:
    one = Toy(tmp_path, vocabulary=128)
    _, documents, _ = in_sentence_transformers(one.export("sentence-transformers").folder)
    assert documents.shape == (len(TEXTS), len(WORDS))
    np.testing.assert_allclose(documents, one.documents()[:, : len(WORDS)], atol=1e-5)


def zipped(path: Path) -> Mapping[str, bytes]:
    with zipfile.ZipFile(path) as file:
        return {name: file.read(name) for name in file.namelist()}


def test_the_opensearch_zip_opens_in_torch_alone(toy: Toy) -> None:
    folder = toy.export("opensearch").folder
    files = zipped(folder / "opensearch-1.0.0-torch_script.zip")
    assert set(files) == {"opensearch.pt", "tokenizer.json"}
    assert b"site-packages" not in files["opensearch.pt"]
    module = torch.jit.load(io.BytesIO(files["opensearch.pt"]))
    cells = sum(parameter.numel() for parameter in toy.student.documents.model.parameters())
    assert 4 * cells < len(files["opensearch.pt"]) < 5 * cells + 100_000
    assert "scaled_dot_product_attention" not in str(module.inlined_graph)
    tokenizer = Tokenizer.from_str(files["tokenizer.json"].decode())
    assert (tokenizer.truncation or {})["max_length"] == 48 and tokenizer.padding is None
    wanted = toy.documents()
    for text, row in zip(TEXTS, wanted, strict=True):
        encoded = tokenizer.encode(text)
        ids, mask = torch.tensor([encoded.ids]), torch.tensor([encoded.attention_mask])
        found = module({"input_ids": ids, "attention_mask": mask})
        assert list(found) == ["output"]
        np.testing.assert_allclose(found["output"][0].numpy(), row, atol=1e-5)
    tokenizer.enable_padding()
    batch = tokenizer.encode_batch(TEXTS)
    ids = torch.tensor([row.ids for row in batch])
    mask = torch.tensor([row.attention_mask for row in batch])
    found = module({"input_ids": ids, "attention_mask": mask})["output"]
    np.testing.assert_allclose(found.numpy(), wanted, atol=1e-5)


@pytest.mark.parametrize(
    ("config", "archive", "function"),
    [
        ("ml-commons_model_config.json", "opensearch-1.0.0-torch_script.zip", "SPARSE_ENCODING"),
        ("ml-commons_tokenizer_config.json", "opensearch-tokenizer-1.0.0.zip", "SPARSE_TOKENIZE"),
    ],
)
def test_the_registration_fits_the_zip(toy: Toy, config: str, archive: str, function: str) -> None:
    folder = toy.export("opensearch").folder
    content = (folder / archive).read_bytes()
    found = json.loads((folder / config).read_text())
    assert found.pop("description")
    assert found == {
        "name": "opensearch" + ("-tokenizer" if "tokenizer" in config else ""),
        "version": "1.0.0",
        "model_format": "TORCH_SCRIPT",
        "function_name": function,
        "model_content_size_in_bytes": len(content),
        "model_content_hash_value": hashlib.sha256(content).hexdigest(),
    }


def test_query_weights_for_opensearch(toy: Toy) -> None:
    files = zipped(toy.export("opensearch").folder / "opensearch-tokenizer-1.0.0.zip")
    table = json.loads(files["idf.json"])
    assert list(table) == WORDS
    assert table["w3"] == 0.0 and table["w4"] > 0.5


def test_a_bi_encoder_has_no_tokenizer_model(bi_encoder: Toy) -> None:
    folder = bi_encoder.export("opensearch").folder
    assert sorted(path.name for path in folder.iterdir()) == [
        "ml-commons_model_config.json",
        "opensearch-1.0.0-torch_script.zip",
    ]


def test_name_version_licence_and_length(toy: Toy, tmp_path: Path) -> None:
    (toy.root / "final" / "LICENSE").write_text("Apache-2.0")
    try:
        registration = Registration("mine", "2.1.0", "Of my corpus")
        export_as(
            toy.root / "final",
            tmp_path / "out",
            "opensearch",
            registration=registration,
            max_length=9,
        )
    finally:
        (toy.root / "final" / "LICENSE").unlink()
    files = zipped(tmp_path / "out" / "mine-2.1.0-torch_script.zip")
    assert files["LICENSE"] == b"Apache-2.0"
    assert json.loads(files["tokenizer.json"])["truncation"]["max_length"] == 9
    config = json.loads((tmp_path / "out" / "ml-commons_model_config.json").read_text())
    assert config["description"] == "Of my corpus"


def package(folder: Path) -> Package:
    """A package without schemas, for what lies in it."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "services.xml").write_text('<services version="1.0"/>')
    return read_package(folder)


def embedder(folder: Path, model: str) -> SparseEmbedder:
    """The splade-embedder whose elements all name one model folder of the package."""
    named = ModelReference(path=model)
    component = Component(
        "e", "splade-embedder", {"transformer-model": named, "tokenizer-model": named}
    )
    settings = Settings(sparse_queries={"e": SparseQuery("idf", idf=model)})
    files = ModelFiles(package(folder))
    found = open_embedder(component, files.reference, settings)
    assert isinstance(found, SparseEmbedder)
    return found


def dense(rows: Any) -> np.ndarray:
    found = np.zeros((len(TEXTS), len(WORDS)), np.float32)
    for number in range(len(TEXTS)):
        tensor = rows(number)
        for (token,), weight in zip(tensor.labels, tensor.cells, strict=True):
            found[number, WORDS.index(token)] = weight
    return found


@pytest.mark.parametrize("form", ["final", *get_args(Form)])
def test_every_form_is_a_model_folder_of_a_package(
    toy: Toy, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, form: Any
) -> None:
    monkeypatch.setenv("SIFTLINE_CACHE", str(tmp_path / "cache"))
    folder = toy.root / "final" if form == "final" else toy.export(form).folder
    app = tmp_path / "app"
    app.mkdir()
    (app / "models").symlink_to(toy.root, target_is_directory=True)
    with pytest.raises(Exception, match="lies outside the package"):
        embedder(app, f"models/{folder.name}")
    (app / "models").unlink()
    shutil.copytree(folder, app / "models" / folder.name)
    one = embedder(app, f"models/{folder.name}")
    documents = one.documents(TEXTS, TOKEN)
    np.testing.assert_allclose(dense(documents.tensor), toy.documents(), atol=1e-5)
    queries = dense(lambda number: one.query(TEXTS[number], TOKEN))
    np.testing.assert_allclose(queries, toy.queries(), atol=1e-5)


@pytest.mark.parametrize("architecture", ["DistilBert", "Roberta"])
def test_other_backbones(tmp_path: Path, architecture: str) -> None:
    other_backbone(tmp_path / "backbone", architecture)
    student = open_student(tmp_path / "backbone", idf=None, activation="l0").eval()
    student.save(tmp_path / "final")
    wanted = given(student, "documents")
    assert (wanted > 0).sum() > 200
    report = export_as(tmp_path / "final", tmp_path / "os", "opensearch")
    assert report.steps[-1].difference < 1e-5
    folder = export_as(tmp_path / "final", tmp_path / "st", "sentence-transformers").folder
    _, documents, _ = in_sentence_transformers(folder)
    np.testing.assert_allclose(documents, wanted, atol=1e-5)
    assert export(folder, tmp_path / "onnx").steps[0].difference < 1e-5


def test_a_saved_tokenizer_does_not_cut_texts_to_the_length_of_the_training(tmp_path: Path) -> None:
    toy_backbone(tmp_path / "backbone")
    student = open_student(tmp_path / "backbone", idf=None)
    student.tokenizer(TEXTS, padding=True, truncation=True, max_length=4)
    student.save(tmp_path / "final")
    saved = Tokenizer.from_file(str(tmp_path / "final" / "tokenizer.json"))
    assert saved.truncation is None and saved.padding is None
    again = student.tokenizer(TEXTS, padding=True, truncation=True, max_length=4)
    assert {len(row) for row in again["input_ids"]} == {4}


def test_a_head_tied_to_the_embeddings(tmp_path: Path) -> None:
    toy_backbone(tmp_path / "masked")
    bare = BertModel.from_pretrained(tmp_path / "masked", add_pooling_layer=False)
    bare.save_pretrained(tmp_path / "bare")
    for name in ("tokenizer.json", "tokenizer_config.json"):
        shutil.copyfile(tmp_path / "masked" / name, tmp_path / "bare" / name)
    student = open_student(tmp_path / "bare", idf=None).eval()
    student.save(tmp_path / "final")
    for form in ("sentence-transformers", "opensearch"):
        report = export_as(tmp_path / "final", tmp_path / form, form)
        assert report.steps[-1].difference < 1e-5
    assert export(tmp_path / "final", tmp_path / "onnx").steps[0].difference < 1e-5


def test_the_bench_compares_them(toy: Toy, tmp_path: Path) -> None:
    found = {
        one.form: one
        for one in exports.compare(str(toy.root / "final"), tmp_path, TEXTS[:4], TEXTS)
    }
    assert list(found) == ["onnx", "onnx int8", "sentence-transformers", "opensearch"]
    wanted = float((toy.queries()[:4] @ toy.documents().T).max())
    for form in exports.FLOAT_FORMS:
        assert found[form].score < exports.LIMIT and found[form].weight < 1e-5
        assert found[form].largest_score == pytest.approx(wanted, rel=1e-5)
    assert found["onnx int8"].score > exports.LIMIT


def test_int8_is_near_its_source(toy: Toy, tmp_path: Path) -> None:
    report = export(toy.root / "final", tmp_path / "int8", quantize="int8")
    assert [step.name for step in report.steps] == ["export sparse", "quantize int8"]
    assert report.steps[0].difference < 1e-5
    assert 1e-4 < report.steps[1].difference < 0.5 and report.steps[1].similarity > 0.99
    names = {path.name for path in (tmp_path / "int8").iterdir()}
    assert {"model.onnx", "idf.json", "tokenizer.json"} <= names


def test_pruning_goes_along_where_it_can(tmp_path: Path) -> None:
    one = Toy(tmp_path, prune_ratio=0.4)
    whole = SparseEncoder.open(tmp_path / "final", prune_ratio=0.0).eval()
    every = given(Student(whole, None, one.student.tokenizer), "documents")
    assert 0 < (one.documents() > 0).sum() < 0.9 * (every > 0).sum()
    assert one.export("onnx").steps[-1].difference < 1e-5
    assert one.export("opensearch").steps[-1].difference < 1e-5
    with pytest.raises(ModelError, match=r"above 0\.4 of the largest"):
        one.export("sentence-transformers")
    assert not (tmp_path / "sentence-transformers").exists()


def test_an_export_that_differs_is_not_kept(
    toy: Toy, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def wrong(*arguments: Any) -> np.ndarray:
        return real(*arguments) + 0.01

    real = opensearch.read_back
    monkeypatch.setattr(opensearch, "read_back", wrong)
    with pytest.raises(ModelError, match="the export's documents differ"):
        export_as(toy.root / "final", tmp_path / "out", "opensearch")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"form": "onyx"}, "unknown format 'onyx' .known: sentence-transformers, opensearch"),
        (
            {"form": "sentence-transformers", "registration": Registration("a")},
            "for the format opensearch",
        ),
    ],
)
def test_options_that_do_not_go_together(
    tmp_path: Path, options: dict[str, Any], message: str
) -> None:
    with pytest.raises(UsageError, match=message):
        export_as(tmp_path, tmp_path / "out", **options)


@pytest.mark.parametrize(("name", "version"), [("a/b", "1.0.0"), ("a", "1.0"), ("", "1.0.0")])
def test_names_and_versions(name: str, version: str) -> None:
    with pytest.raises(UsageError, match=r"like 1\.0\.0|has letters"):
        Registration(name, version)


def test_a_model_that_is_no_sparse_encoder(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text(json.dumps({"architectures": ["BertModel"]}))
    with pytest.raises(ModelError, match="is a dense model, not a sparse encoder"):
        export_as(tmp_path, tmp_path / "out", "opensearch")
