"""What a document's vector depends on: the model and its parameters, not how fast it runs."""

from pathlib import Path

import pytest

from siftline.encode.fingerprint import encoder_parts
from siftline.schema.package import Component, ModelReference, Settings


def parts(folder: Path, **parameters: str) -> dict[str, str]:
    (folder / "m.onnx").write_bytes(b"model")
    models = {"transformer-model": ModelReference(path="m.onnx")}
    named = {name.replace("__", "/").replace("_", "-"): v for name, v in parameters.items()}
    component = Component("e", "hugging-face-embedder", models, named)
    return dict(encoder_parts(component, lambda _, ref: folder / str(ref.path), Settings()))


@pytest.mark.parametrize(
    "speed",
    [
        {"batching__max_size": "4"},
        {"batching__max_delay": "5ms"},
        {"onnx_intraop_threads": "2"},
        {"concurrency": "2"},
    ],
)
def test_speed_does_not_count(tmp_path: Path, speed: dict[str, str]) -> None:
    assert parts(tmp_path, **speed) == parts(tmp_path)


def test_what_changes_vectors_does(tmp_path: Path) -> None:
    assert parts(tmp_path, pooling_strategy="cls") != parts(tmp_path)
    assert parts(tmp_path, max_tokens="64") != parts(tmp_path)
