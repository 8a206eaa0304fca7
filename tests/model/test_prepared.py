"""Model folders and OpenSearch zips become files that the embedders open, once and whole."""

from __future__ import annotations

import hashlib
import io
import json
import shutil
import zipfile
from pathlib import Path

import numpy as np
import pytest
from small_models import bert_encoder, feeds, write_bert, write_bert_onnx

from siftline.errors import ModelError, UsageError
from siftline.model import packaged
from siftline.model.catalogue import parse_catalogue
from siftline.model.convert.heads import Head
from siftline.model.convert.reference import evaluate
from siftline.model.fetch import fetch
from siftline.model.prepared import model_file, prepared
from siftline.model.session import open_session

TOKENIZER = json.dumps(
    {
        "version": "1.0",
        "added_tokens": [],
        "model": {"type": "WordLevel", "vocab": {"a": 0, "b": 1}, "unk_token": "a"},
    }
)


@pytest.fixture
def bert(tmp_path: Path) -> Path:
    folder = write_bert(tmp_path / "bert")
    (folder / "idf.json").write_text('{"a": 1.5}')
    (folder / "tokenizer.json").write_text(TOKENIZER)
    return folder


def weights(folder: Path) -> np.ndarray:
    session = open_session(model_file(folder, "model.onnx"))
    taken = {port.name: feeds()[port.name] for port in session.inputs}
    return session.run(taken)["weights"]


def test_a_folder_with_a_graph_is_taken_as_it_is(tmp_path: Path) -> None:
    write_bert_onnx(tmp_path / "model.onnx")
    assert prepared(tmp_path, cache=tmp_path / "cache") == tmp_path
    assert not (tmp_path / "cache").exists()


def test_weights_are_built_once(bert: Path, tmp_path: Path) -> None:
    folder = prepared(bert, cache=tmp_path / "cache")
    wanted = evaluate(bert_encoder(), Head("sparse"), feeds())
    np.testing.assert_allclose(weights(folder), wanted, atol=3e-5)
    names = {path.name for path in folder.iterdir()}
    assert names == {"model.onnx", "config.json", "tokenizer.json", "idf.json", "fetched.json"}
    made = (folder / "model.onnx").stat().st_mtime_ns
    shutil.move(bert, tmp_path / "elsewhere")
    assert prepared(tmp_path / "elsewhere", cache=tmp_path / "cache") == folder
    assert (folder / "model.onnx").stat().st_mtime_ns == made


def test_other_weights_are_another_model(bert: Path, tmp_path: Path) -> None:
    first = prepared(bert, cache=tmp_path / "cache")
    write_bert(bert, seed=1)
    second = prepared(bert, cache=tmp_path / "cache")
    assert first != second
    assert not np.allclose(weights(first), weights(second))


def script() -> bytes:
    """A module of ml-commons' form: the weight of token t is how often t stands in the text."""
    torch = pytest.importorskip("torch")

    class Count(torch.nn.Module):  # type: ignore[misc,name-defined]
        def forward(self, inputs):  # type: ignore[no-untyped-def]
            ids, mask = inputs["input_ids"], inputs["attention_mask"]
            empty = torch.zeros(ids.shape[0], 50)
            return {"output": empty.scatter_add(1, ids, mask.float())}

    ids = torch.tensor([[1, 2, 3], [4, 5, 6]])
    sample = {"input_ids": ids, "attention_mask": torch.ones_like(ids)}
    buffer = io.BytesIO()
    traced = torch.jit.trace(Count(), (sample,), strict=False, check_trace=False)
    torch.jit.save(traced, buffer)
    return buffer.getvalue()


def archive(path: Path, **files: bytes) -> Path:
    with zipfile.ZipFile(path, "w") as file:
        for name, content in files.items():
            file.writestr(name.replace("__", "."), content)
    return path


pytestmark = pytest.mark.filterwarnings("ignore:`torch.jit:DeprecationWarning")


@pytest.fixture
def zips(tmp_path: Path) -> Path:
    folder = tmp_path / "opensearch"
    folder.mkdir()
    archive(folder / "model.zip", inside__pt=script(), tokenizer__json=TOKENIZER.encode())
    archive(folder / "queries.zip", idf__json=b'{"a": 2.5}', tokenizer__json=b"not taken")
    return folder


def test_zips_are_unpacked(zips: Path, tmp_path: Path) -> None:
    folder = prepared(zips, cache=tmp_path / "cache")
    assert model_file(folder, "model.onnx") == folder / "model.pt"
    assert (folder / "idf.json").read_text() == '{"a": 2.5}'
    assert (folder / "tokenizer.json").read_text() == TOKENIZER
    alone = prepared(zips / "model.zip", cache=tmp_path / "cache")
    assert not (alone / "idf.json").exists()


def test_models_that_are_shipped(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("SIFTLINE_MODELS", raising=False)
    content = b"weights"
    entry = (
        '[[models]]\nname = "own"\nrole = "sparse"\nlicence = "MIT"\ndimensions = 5\n'
        'max_length = 8\npooling = "max"\noutput = "weights"\n'
        '[[models.sources]]\nkind = "package"\nformat = "int8 ONNX"\n'
        'files = [{ name = "model.onnx", path = "own/model.onnx", sha256 = "HASH" }]\n'
    )
    right = entry.replace("HASH", hashlib.sha256(content).hexdigest())
    shipped = tmp_path / "shipped"
    monkeypatch.setattr(packaged, "shipped", lambda: shipped)
    with pytest.raises(ModelError, match=r"this installation has no models/own/model\.onnx"):
        fetch("own", cache=tmp_path / "cache", catalogue=parse_catalogue(right))
    (shipped / "own").mkdir(parents=True)
    (shipped / "own" / "model.onnx").write_bytes(content)
    folder = fetch("own", cache=tmp_path / "cache", catalogue=parse_catalogue(right))
    assert (folder / "model.onnx").read_bytes() == content
    wrong = parse_catalogue(entry.replace("HASH", "0" * 64))
    with pytest.raises(ModelError, match="'model.onnx' from this package is not the file"):
        fetch("own", cache=tmp_path / "other", catalogue=wrong)
    with pytest.raises(ModelError, match="'model.onnx' of the package needs its sha256"):
        parse_catalogue(entry.replace(', sha256 = "HASH"', ""))


def test_a_torchscript_session(zips: Path, tmp_path: Path) -> None:
    session = open_session(prepared(zips, cache=tmp_path / "cache") / "model.pt")
    assert [port.name for port in session.inputs] == ["input_ids", "attention_mask"]
    (output,) = session.outputs
    assert (output.name, output.shape) == ("weights", ("batch", 50))
    assert output.dtype == np.dtype(np.float32)
    ids, mask = np.array([[7, 7, 9, 0]], np.int32), np.array([[1, 1, 1, 0]], np.int32)
    (found,) = session.run({"input_ids": ids, "attention_mask": mask}, ["weights"]).values()
    assert found.shape == (1, 50)
    assert {int(t): found[0, t] for t in np.flatnonzero(found[0])} == {7: 2.0, 9: 1.0}
    with pytest.raises(ModelError, match="input 'attention_mask' is missing"):
        session.run({"input_ids": ids})
    with pytest.raises(ModelError, match=r"model\.pt failed: .*out of bounds"):
        session.run({"input_ids": ids + 50, "attention_mask": mask})


def test_damaged_torchscript(tmp_path: Path) -> None:
    pytest.importorskip("torch")
    (tmp_path / "model.pt").write_bytes(b"no script")
    with pytest.raises(ModelError, match="is not TorchScript, or it is damaged"):
        open_session(tmp_path / "model.pt")


def test_what_is_no_model(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    with pytest.raises(ModelError, match=r"it has no model\.onnx, weights or OpenSearch zip"):
        prepared(tmp_path / "empty", cache=tmp_path / "cache")
    (tmp_path / "bad.zip").write_bytes(b"no zip")
    with pytest.raises(ModelError, match="is not a zip, or it is damaged"):
        prepared(tmp_path / "bad.zip", cache=tmp_path / "cache")
    archive(tmp_path / "none.zip", tokenizer__json=b"{}")
    with pytest.raises(ModelError, match="exactly one zip with a model is needed, there are 0"):
        prepared(tmp_path / "none.zip", cache=tmp_path / "cache")
    archive(tmp_path / "bare.zip", model__pt=b"")
    with pytest.raises(ModelError, match=r"is not one model with its tokenizer\.json"):
        prepared(tmp_path / "bare.zip", cache=tmp_path / "cache")
    assert not (tmp_path / "cache" / "built").exists()


def test_a_name_of_ones_own(bert: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SIFTLINE_MODELS", str(tmp_path))
    folder = fetch("bert", cache=tmp_path / "cache")
    assert (folder / "model.onnx").is_file() and (folder / "idf.json").is_file()
    monkeypatch.setenv("SIFTLINE_MODELS", str(bert))
    write_bert(tmp_path / "other")
    with pytest.raises(UsageError, match="has no model '../other'"):
        fetch("../other", cache=tmp_path / "cache")


def test_torch_runs_torchscript_whatever_the_runtime(zips: Path, tmp_path: Path) -> None:
    path = prepared(zips, cache=tmp_path / "cache") / "model.pt"
    assert open_session(path, runtime="openvino").runtime == "torchscript"
    with pytest.raises(UsageError, match="needs the runtime openvino and an ONNX file"):
        open_session(path, precision="bf16")
