"""A stage on a tiny backbone: it learns, stops and goes on, and fails before the first step."""

from __future__ import annotations

import json
import math
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from transformers import TrainerCallback

from siftline.errors import ModelError, UsageError
from siftline.train.recipe import Recipe, TeacherSpec, make_recipe
from siftline.train.run import CONFIG, FINAL, PLOT, train
from siftline.train.student import Student, open_student
from training_material import WORDS, material


class Overlap:
    """A teacher that counts common words."""

    key = "overlap"

    def scores(self, queries: Sequence[str], documents: Sequence[Sequence[str]]) -> np.ndarray:
        return np.array(
            [
                [len(set(q.split()) & set(d.split())) for d in own]
                for q, own in zip(queries, documents, strict=True)
            ],
            np.float32,
        )


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A backbone, its IDF table and forty questions about documents of words."""
    return material(tmp_path_factory.mktemp("training"), layers=1)


def recipe(place: Path, out: str, **values: Any) -> Recipe:
    return make_recipe(
        {
            "model_name_or_path": "backbone",
            "output_dir": out,
            "train_file": "pairs.jsonl",
            "idf_path": "idf.json",
            "loss_types": ["infonce"],
            "num_hard_negatives": 2,
            "batch_size": 32,
            "num_steps": 16,
            "learning_rate": 2e-3,
            "lambda_flops": 1e-4,
            "flops_d_T": 8,
            "max_seq_length": 16,
            "use_cpu": True,
            "logging_steps": 1,
            "save_steps": 6,
        }
        | values,
        place / "recipe.yaml",
    )


def run(place: Path, out: str, callbacks: Sequence[Any] = (), **values: Any) -> Path:
    return train(
        recipe(place, out, **values),
        find_model=lambda name: place / name,
        open_teacher=lambda spec: Overlap(),
        callbacks=callbacks,
    )


def weights(folder: Path) -> Mapping[str, torch.Tensor]:
    from safetensors.torch import load_file

    found: Mapping[str, torch.Tensor] = load_file(str(folder / "model.safetensors"))
    return found


def losses(out: Path) -> list[float]:
    lines = json.loads((out / "training_log.json").read_text())
    return [line["loss"] for line in lines if "loss" in line]


@pytest.fixture(scope="module")
def uninterrupted(place: Path) -> Path:
    return run(place, "whole")


def test_it_learns_and_leaves_what_the_guide_lists(uninterrupted: Path) -> None:
    out = uninterrupted.parent
    found = losses(out)
    assert len(found) == 16 and np.mean(found[-4:]) < 0.9 * np.mean(found[:4])
    for name in (CONFIG, PLOT, "checkpoint-6", "checkpoint-12", FINAL):
        assert (out / name).exists()
    final = {path.name for path in (out / FINAL).iterdir()}
    assert {"model.safetensors", "config.json", "tokenizer.json", "idf.json"} <= final


class Killed(Exception):
    pass


class KillAt(TrainerCallback):
    def __init__(self, step: int) -> None:
        self.step = step

    def on_step_end(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        if state.global_step == self.step:
            raise Killed


@pytest.mark.parametrize("step", [4, 11])
def test_a_killed_run_ends_with_the_same_weights(
    place: Path, uninterrupted: Path, step: int
) -> None:
    with pytest.raises(Killed):
        run(place, f"killed{step}", [KillAt(step)])
    again = weights(run(place, f"killed{step}"))
    whole = weights(uninterrupted)
    assert again.keys() == whole.keys()
    for name, value in whole.items():
        assert torch.equal(again[name], value), name


def test_a_killed_run_takes_the_same_samples_of_the_vocabulary(place: Path) -> None:
    whole = weights(run(place, "sampled", vocabulary_sample=10))
    with pytest.raises(Killed):
        run(place, "sampled-killed", [KillAt(7)], vocabulary_sample=10)
    again = weights(run(place, "sampled-killed", vocabulary_sample=10))
    for name, value in whole.items():
        assert torch.equal(again[name], value), name


def test_a_run_of_a_backbone_with_old_names_goes_on(place: Path) -> None:
    """Files from TensorFlow call the weight and the bias of a norm gamma and beta."""
    from safetensors.torch import save_file

    old = place / "old-names"
    shutil.copytree(place / "backbone", old)
    named = {
        name.replace("LayerNorm.weight", "LayerNorm.gamma").replace(
            "LayerNorm.bias", "LayerNorm.beta"
        ): value.clone()
        for name, value in weights(old).items()
    }
    assert any(name.endswith("LayerNorm.beta") for name in named)
    save_file(named, str(old / "model.safetensors"), {"format": "pt"})
    with pytest.raises(Killed):
        run(place, "old", [KillAt(7)], model_name_or_path="old-names")
    student = open_student(run(place, "old", model_name_or_path="old-names"), idf=None)
    whole = open_student(run(place, "new"), idf=None).document_weights()
    for name, value in student.document_weights().items():
        assert torch.equal(value, whole[name]), name


def test_the_final_weights_lie_between_those_of_the_start_and_the_trained_ones(
    place: Path, uninterrupted: Path
) -> None:
    between = weights(run(place, "between", weight_interpolation=0.25))
    with pytest.raises(Killed):
        run(place, "between-killed", [KillAt(7)], weight_interpolation=0.25)
    again = weights(run(place, "between-killed", weight_interpolation=0.25))
    start, trained = weights(place / "backbone"), weights(uninterrupted)
    moved = 0
    for name, value in between.items():
        wanted = 0.25 * trained[name] + 0.75 * start[name]
        torch.testing.assert_close(value, wanted, atol=1e-6, rtol=1e-5)
        assert torch.equal(again[name], value), name
        moved += not torch.equal(value, start[name])
    assert moved > 5
    table = place / "between" / FINAL / "idf.json"
    assert table.read_text() == (uninterrupted / "idf.json").read_text()


def test_accumulated_batches_take_the_same_steps(place: Path) -> None:
    out = run(place, "accumulated", batch_size=16, gradient_accumulation_steps=2, num_steps=4)
    assert len(losses(out.parent)) == 4


@pytest.mark.parametrize(("loss", "in_batch"), [("kldiv", False), ("marginmse", True)])
def test_it_distils_an_ensemble(place: Path, loss: str, in_batch: bool) -> None:
    out = run(
        place,
        loss,
        loss_types=[loss],
        teachers=[
            {"type": "dense", "model": "a"},
            {"type": "sparse", "model": "b", "weight": 2},
        ],
        use_in_batch_negatives=in_batch,
        score_scale=5,
    )
    found = losses(out.parent)
    assert np.mean(found[-3:]) < np.mean(found[:3])


def test_bfloat16_checkpointing_and_a_trained_idf(place: Path) -> None:
    out = run(
        place,
        "options",
        bf16=True,
        gradient_checkpointing=True,
        idf_requires_grad=True,
        idf_lr=0.05,
        use_l0=True,
        flops_threshold=3,
    )
    before = json.loads((place / "idf.json").read_text())
    after = json.loads((out / "idf.json").read_text())
    assert before.keys() == after.keys()
    assert max(abs(before[w] - after[w]) for w in WORDS[5:]) > 0.02
    assert all(math.isfinite(value) for value in losses(out.parent))


def test_dropout_is_the_recipes(place: Path) -> None:
    student = open_student(place / "backbone", idf=None, dropout=0.3)
    rates = {m.p for m in student.modules() if isinstance(m, torch.nn.Dropout)}
    assert rates == {0.3}
    for rate in (0.0, 0.5):
        run(place, f"dropout-{rate}", dropout=rate, num_steps=1)
    assert losses(place / "dropout-0.0") != losses(place / "dropout-0.5")


def test_both_sides_are_encoded_without_idf(place: Path) -> None:
    out = run(place, "both", inf_free=False, idf_path=None, flops_q_lambda=1e-3, num_steps=3)
    assert not (out / "idf.json").exists()


def test_it_measures_while_it_trains(place: Path) -> None:
    seen: list[bool] = []

    def measure(student: Student) -> Mapping[str, float]:
        seen.append(student.training)
        return {"ndcg@10": len(seen) / 10}

    train(
        recipe(place, "measured", eval_strategy="steps", eval_steps=5),
        find_model=lambda name: place / name,
        open_teacher=lambda spec: Overlap(),
        measure=measure,
    )
    assert seen == [False] * 4
    lines = json.loads((place / "measured" / "training_log.json").read_text())
    assert [x["eval_ndcg@10"] for x in lines if "eval_ndcg@10" in x] == [0.1, 0.2, 0.3, 0.4]


def test_a_loss_that_is_no_number_keeps_its_batch(place: Path) -> None:
    class Broken(Overlap):
        def scores(self, queries: Sequence[str], documents: Sequence[Sequence[str]]) -> np.ndarray:
            return super().scores(queries, documents) * np.nan

    values = {"loss_types": ["kldiv"], "teachers": [{"type": "dense", "model": "a"}]}
    with pytest.raises(ModelError, match="not a number at step 0"):
        train(
            recipe(place, "nan", **values),
            find_model=lambda name: place / name,
            open_teacher=lambda spec: Broken(),
        )
    rows = json.loads((place / "nan" / "failed-batch-0.json").read_text())
    assert len(rows) == 32 and len(rows[0]["docs"]) == 3


def test_the_folder_of_another_run(place: Path, uninterrupted: Path) -> None:
    with pytest.raises(UsageError, match="holds a run of another recipe"):
        run(place, "whole", num_steps=17)


def test_distillation_needs_scores(place: Path) -> None:
    with pytest.raises(UsageError, match="rows without scores and the recipe has no teachers"):
        run(place, "none", loss_types=["kldiv"])
    assert not (place / "none").exists()


def test_an_idf_table_of_another_tokenizer(place: Path) -> None:
    (place / "other.json").write_text('{"a": 1.0, "b": 2.0}')
    with pytest.raises(UsageError, match="made with another tokenizer"):
        run(place, "other", idf_path="other.json")
    assert not (place / "other").exists()


def test_unknown_arguments_of_the_trainer(place: Path) -> None:
    with pytest.raises(UsageError, match="training arguments do not fit"):
        run(place, "arguments", eval_strategy="sometimes")


def test_teachers_come_from_the_recipe() -> None:
    assert TeacherSpec("dense", "m") == TeacherSpec("dense", "m", 1.0)
