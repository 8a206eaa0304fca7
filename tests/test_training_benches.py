"""The measurements of training: both trainers do the same work, and a killed run is judged."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from bench import resume, train_speed
from safetensors.numpy import save_file

from training_material import material, write_recipe


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("loss", ["infonce", "kldiv"])
def test_both_trainers_take_the_same_steps(tmp_path: Path, loss: str) -> None:
    material(tmp_path)
    options = train_speed.options_of(
        ["--data", str(tmp_path / "pairs.jsonl"), "--model", str(tmp_path / "backbone")]
        + ["--loss", loss, "--batch", "4", "--length", "16", "--steps", "2", "--rounds", "1"]
    )
    speed = train_speed.measure(options)
    assert speed.difference < 2e-3
    assert speed.siftline > 0 and speed.sentence_transformers > 0


@pytest.mark.parametrize(("moved", "status"), [(0.0, 0), (1e-6, 1)])
def test_a_killed_training_is_compared_with_a_whole_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, moved: float, status: int
) -> None:
    config = write_recipe(tmp_path, "recipe.yaml")
    kills: list[int | None] = []

    def trained(path: Path, kill_at: int | None = None) -> int:
        kills.append(kill_at)
        values = json.loads(path.read_text())
        assert values["logging_steps"] == 1
        out = Path(values["output_dir"])
        (out / "final_model").mkdir(parents=True, exist_ok=True)
        weight = np.full(3, 1.0 if out.name == "whole" else 1.0 + moved)
        save_file({"w": weight}, out / "final_model" / "model.safetensors")
        return 50

    monkeypatch.setattr(resume, "run", trained)
    found = resume.main([str(config), "--kills", "3", "--out", str(tmp_path / "out")])
    assert found == status
    assert kills[0] is None and kills[-1] is None and None not in kills[1:-1]
    assert len(kills) == 5 and kills[1:-1] == sorted(set(kills[1:-1]))  # type: ignore[type-var]
    assert list(tmp_path.glob(".*.yaml")) == []
