"""`siftline models export`: every form from the command line, and what does not go together."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from siftline.__main__ import app
from siftline.errors import UsageError
from siftline.experiment.exports import Options, export_model


@pytest.fixture(scope="module")
def final(tmp_path_factory: pytest.TempPathFactory) -> Path:
    pytest.importorskip("torch")
    from toy_sparse import toy_student

    root = tmp_path_factory.mktemp("toy")
    toy_student(root)
    return root / "final"


@pytest.mark.filterwarnings("ignore:`torch.jit:DeprecationWarning")
@pytest.mark.parametrize(
    ("form", "more", "written"),
    [
        ("onnx", ["--quantize", "int8"], "model.onnx"),
        ("onnx", ["--prune-ratio", "0.3"], "model.onnx"),
        ("sentence-transformers", ["--max-length", "20"], "router_config.json"),
        ("opensearch", ["--name", "toy", "--version", "1.2.3"], "toy-1.2.3-torch_script.zip"),
    ],
)
def test_the_command(final: Path, tmp_path: Path, form: str, more: list[str], written: str) -> None:
    command = ["models", "export", str(final), "--out", str(tmp_path / "out"), "--format", form]
    result = CliRunner().invoke(app, [*command, *more])
    assert result.exit_code == 0, result.output
    assert "largest difference" in result.output and "compared with" in result.output
    assert str(tmp_path / "out" / written) in result.output.replace("\n", "")
    assert (tmp_path / "out" / written).is_file()
    if form == "sentence-transformers":
        config = tmp_path / "out" / "document_0_MLMTransformer" / "sentence_bert_config.json"
        assert json.loads(config.read_text())["max_seq_length"] == 20


@pytest.mark.parametrize(
    ("form", "options", "message"),
    [
        ("opensearhc", {}, "unknown format 'opensearhc'; did you mean 'opensearch'"),
        ("onnx", {"max_length": 5}, "not for the format onnx"),
        ("onnx", {"version": "1.0.0"}, "not for the format onnx"),
        ("opensearch", {"quantize": "int8"}, "for the format onnx, not opensearch"),
        ("opensearch", {"prune_ratio": 0.3}, "for the format onnx, not opensearch"),
        ("sentence-transformers", {"name": "a"}, "for the format opensearch"),
    ],
)
def test_what_does_not_go_together(
    tmp_path: Path, form: str, options: dict[str, Any], message: str
) -> None:
    with pytest.raises(UsageError, match=message):
        export_model("splade-tiny", tmp_path / "out", form, Options(**options))
    assert not (tmp_path / "out").exists()
