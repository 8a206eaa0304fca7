"""A stage with teachers that are models: what they say is scored ahead and kept for other runs."""

from __future__ import annotations

import math
from pathlib import Path

import pytest

from siftline.experiment.training.stages import SCORES, read_stages, train_stage
from siftline.train.score_cache import ScoreCache
from toy_teachers import toy_teacher
from training_material import log_of, material, write_recipe

KINDS = ("dense", "sparse", "cross")


def test_teachers_of_a_recipe_score_ahead(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SIFTLINE_CACHE", str(tmp_path / "cache"))
    material(tmp_path)
    for kind in KINDS:
        toy_teacher(tmp_path / kind, kind, onnx=False)
    values = {
        "loss_types": ["kldiv"],
        "teachers": [{"type": kind, "model": kind} for kind in KINDS],
        "use_in_batch_negatives": True,
        "num_steps": 2,
    }
    (first,) = read_stages([write_recipe(tmp_path, "one.yaml", output_dir="one", **values)])
    seen: list[str] = []
    train_stage(first, tmp_path, progress=lambda what, done, total: seen.append(what))
    assert list(dict.fromkeys(seen)) == [f"teacher {kind}" for kind in KINDS]
    assert all(math.isfinite(line["loss"]) for line in log_of(tmp_path / "one"))
    assert (tmp_path / "cache" / SCORES).is_dir()

    # another run finds everything: nothing is written
    def put(*_: object) -> None:
        raise AssertionError("a score was made again")

    monkeypatch.setattr(ScoreCache, "put", put)
    (second,) = read_stages(
        [write_recipe(tmp_path, "two.yaml", output_dir="two", lambda_flops=0.5, **values)]
    )
    train_stage(second, tmp_path)
    assert log_of(tmp_path / "two")[0]["loss"] != log_of(tmp_path / "one")[0]["loss"]
