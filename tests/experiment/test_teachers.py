"""Trainings whose teachers are models: scored ahead, kept for the next one, written out."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from siftline.errors import ModelError, UsageError
from siftline.experiment.training.stages import read_stages, score_rows, train_stage
from siftline.train.data import read_training_set
from siftline.train.score_cache import ScoreCache
from toy_teachers import toy_teacher
from training_material import material, weights, write_recipe

TEACHERS = [
    {"type": "dense", "model": "dense"},
    {"type": "sparse", "model": "sparse"},
    {"type": "cross", "model": "cross", "weight": 2},
]


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = material(tmp_path_factory.mktemp("distilled"))
    for kind in ("dense", "sparse", "cross"):
        toy_teacher(root / kind, kind)
    return root


def distilled(place: Path, out: str, **values: Any) -> Path:
    values = {"teachers": TEACHERS, "loss_types": ["kldiv"], "teacher_cache": "cache", **values}
    return write_recipe(place, f"{out}.yaml", output_dir=out, num_steps=3, **values)


def trained(path: Path) -> Path:
    (recipe,) = read_stages([path])
    return train_stage(recipe, path.parent)


def test_the_next_training_needs_no_teacher(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first = weights(trained(distilled(place, "first")))
    held = len(ScoreCache.open(place / "cache"))
    assert held > 3 * 8 * 3

    def refuse(*_: Any, **__: Any) -> None:
        raise ModelError("loaded")

    monkeypatch.setattr("siftline.train.teacher_models.open_session", refuse)
    second = weights(trained(distilled(place, "second", lambda_flops=1e-4)))
    assert all(torch.equal(second[name], value) for name, value in first.items())
    assert len(ScoreCache.open(place / "cache")) == held
    with pytest.raises(ModelError, match="loaded"):
        trained(distilled(place, "third", teacher_cache="empty"))


def test_scored_rows_train_without_teachers(
    place: Path, siftline_command: Callable[..., tuple[int, str, str]]
) -> None:
    out = place / "scored.jsonl.gz"
    status, said, _ = siftline_command("score", distilled(place, "online"), "--out", out)
    assert (status, said) == (0, f"{out}: 40 rows\n")
    rows = read_training_set(out, "kd").rows
    source = [json.loads(line) for line in (place / "pairs.jsonl").read_text().splitlines()]
    for row, given in zip(rows, source, strict=True):
        assert row.documents == (given["pos"], *given["negs"])
        assert row.scores is not None and 0 <= min(row.scores) < max(row.scores) <= 30
    given = {"train_file": out.name, "data_type": "kd", "teachers": None}
    assert (trained(distilled(place, "offline", **given)) / "model.safetensors").is_file()


def test_nothing_is_scored_in_vain(place: Path) -> None:
    path = distilled(place, "vain", teacher_cache="unused")
    (place / "old.jsonl").touch()
    with pytest.raises(UsageError, match=r"old.jsonl' exists; name another file"):
        score_rows(path, place / "old.jsonl")
    assert not (place / "unused").exists()
    with pytest.raises(UsageError, match=r"vain2.yaml \(teachers\): the recipe has no teachers"):
        score_rows(distilled(place, "vain2", teachers=None), place / "new.jsonl")
