"""Architectures that only torch can export: ModernBERT, random and tiny."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from small_models import VOCABULARY, feeds

from siftline.errors import ModelError
from siftline.model.convert.export import HeadChoice, export
from siftline.model.session import open_session

pytest.importorskip("onnxscript")

CONFIG: dict[str, Any] = {
    "vocab_size": VOCABULARY,
    "hidden_size": 16,
    "intermediate_size": 32,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "max_position_embeddings": 64,
    "pad_token_id": 0,
    "bos_token_id": 1,
    "eos_token_id": 2,
    "cls_token_id": 1,
    "sep_token_id": 2,
}


def save(folder: Path, architecture: str) -> Any:
    torch = pytest.importorskip("torch")
    transformers = pytest.importorskip("transformers")
    torch.manual_seed(0)
    model = getattr(transformers, architecture)(transformers.ModernBertConfig(**CONFIG)).eval()
    model.save_pretrained(str(folder))
    return model


@pytest.mark.parametrize("architecture", ["ModernBertModel", "ModernBertForMaskedLM"])
def test_another_architecture(tmp_path: Path, architecture: str) -> None:
    import torch

    model = save(tmp_path / "in", architecture)
    report = export(tmp_path / "in", tmp_path / "out", head=HeadChoice(tile=16))
    assert report.steps[0].compared_with == "torch model"
    assert report.steps[0].difference < 1e-4
    inputs = {name: feeds(2, 13)[name] for name in ("input_ids", "attention_mask")}
    (output,) = open_session(report.model).run(inputs).values()
    with torch.no_grad():
        result = model(**{name: torch.from_numpy(value) for name, value in inputs.items()})
    mask = inputs["attention_mask"] > 0
    if report.task == "dense":
        expected = result.last_hidden_state.numpy()
        np.testing.assert_allclose(output[mask], expected[mask], atol=1e-4)
    else:
        logits = np.where(mask[:, :, None], result.logits.numpy(), -np.inf)
        expected = np.log1p(np.maximum(logits.max(axis=1), 0))
        np.testing.assert_allclose(output, expected, atol=1e-4)


def test_a_task_without_a_torch_class(tmp_path: Path) -> None:
    save(tmp_path / "in", "ModernBertModel")
    with pytest.raises(ModelError, match="'late-interaction' cannot be exported"):
        export(tmp_path / "in", tmp_path / "out", head=HeadChoice("late-interaction"))
