"""Evaluation while training: when it happens, and when it ends a training."""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import BertConfig, BertForMaskedLM, BertTokenizerFast, TrainerCallback

from siftline.errors import UsageError
from siftline.train.evaluation import evaluation_settings
from siftline.train.recipe import Recipe, make_recipe
from siftline.train.run import train
from siftline.train.student import Student

WORDS = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *(f"w{n}" for n in range(20))]


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tiny backbone and eight questions."""
    root = tmp_path_factory.mktemp("evaluation")
    torch.manual_seed(0)
    config = BertConfig(
        vocab_size=len(WORDS),
        hidden_size=8,
        num_hidden_layers=1,
        num_attention_heads=1,
        intermediate_size=8,
        max_position_embeddings=16,
    )
    BertForMaskedLM(config).save_pretrained(root / "backbone")
    vocabulary = {word: number for number, word in enumerate(WORDS)}
    BertTokenizerFast(vocab=vocabulary).save_pretrained(root / "backbone")
    rows = [
        {"query": f"w{i}", "pos": f"w{i} w{i + 1}", "negs": [f"w{i + 5}", f"w{i + 7}"]}
        for i in range(8)
    ]
    (root / "rows.jsonl").write_text("\n".join(map(json.dumps, rows)))
    return root


def recipe(place: Path, out: str, **values: Any) -> Recipe:
    return make_recipe(
        {
            "model_name_or_path": "backbone",
            "output_dir": out,
            "train_file": "rows.jsonl",
            "idf_form": "none",
            "loss_types": ["infonce"],
            "batch_size": 4,
            "num_steps": 20,
            "save_steps": 2,
            "use_cpu": True,
        }
        | values,
        place / "recipe.yaml",
    )


def run(
    recipe: Recipe, place: Path, worth: Sequence[float], callbacks: Sequence[Any] = ()
) -> tuple[list[int], Path]:
    """The steps at which it was measured: worth[i] at step 2·(i + 1)."""
    steps: list[int] = []

    class Clock(TrainerCallback):  # type: ignore[misc]
        def on_step_end(self, args: Any, state: Any, control: Any, **_: Any) -> None:
            self.step = state.global_step

    clock = Clock()

    def measure(student: Student) -> Mapping[str, float]:
        steps.append(clock.step)
        return {"ndcg@10": worth[clock.step // 2 - 1]}

    final = train(
        recipe,
        find_model=lambda name: place / name,
        open_teacher=lambda spec: pytest.fail("no teacher is asked for"),
        measure=measure,
        callbacks=[clock, *callbacks],
    )
    return steps, final


#: The best is at step 4; what follows is no better.
WORTH = [0.1, 0.5, 0.4, 0.5, 0.3, 0.6, 0.7, 0.8, 0.9, 1.0]


def test_settings_that_follow_from_the_recipe(place: Path) -> None:
    assert evaluation_settings(recipe(place, "none")) == {}
    found = evaluation_settings(recipe(place, "some", eval_data="beir", save_steps=50))
    assert found == {"eval_strategy": "steps", "eval_steps": 50}
    found = evaluation_settings(recipe(place, "some", eval_data="beir", save_strategy="no"))
    assert found == {"eval_strategy": "steps", "eval_steps": 2}
    stopping = evaluation_settings(recipe(place, "stop", early_stopping_patience=3, eval_steps=4))
    assert stopping["save_steps"] == 4
    assert stopping["load_best_model_at_end"] and stopping["metric_for_best_model"] == "ndcg@10"


def test_a_training_that_gets_no_better_ends_with_its_best(place: Path) -> None:
    steps, final = run(recipe(place, "early", early_stopping_patience=3), place, WORTH)
    assert steps == [2, 4, 6, 8, 10]
    best = (final.parent / "checkpoint-4" / "model.safetensors").read_bytes()
    last = (final.parent / "checkpoint-10" / "model.safetensors").read_bytes()
    assert (final / "model.safetensors").read_bytes() == best != last


class Killed(Exception):
    pass


class KillAt(TrainerCallback):  # type: ignore[misc]
    def on_step_end(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        if state.global_step == 9:
            raise Killed


def test_patience_is_remembered_by_a_run_that_goes_on(place: Path) -> None:
    stopping = recipe(place, "killed", early_stopping_patience=3)
    with pytest.raises(Killed):
        run(stopping, place, WORTH, [KillAt()])
    steps, final = run(stopping, place, WORTH)
    assert steps == [10]
    best = (final.parent / "checkpoint-4" / "model.safetensors").read_bytes()
    assert (final / "model.safetensors").read_bytes() == best


def test_a_run_that_had_ended_ends_again(place: Path) -> None:
    stopping = recipe(place, "again", early_stopping_patience=3)
    _, final = run(stopping, place, WORTH)
    best = (final / "model.safetensors").read_bytes()
    shutil.rmtree(final)
    steps, final = run(stopping, place, WORTH)
    assert steps == [] and (final / "model.safetensors").read_bytes() == best


class Interrupt(TrainerCallback):  # type: ignore[misc]
    """Ends a run at step 5 as Ctrl-C does, with a checkpoint."""

    def on_step_end(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        if state.global_step == 5:
            control.should_save = control.should_training_stop = True

    def on_train_end(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        if state.global_step == 5:
            raise Killed


def test_an_interrupted_run_goes_on_with_its_patience(place: Path) -> None:
    stopping = recipe(place, "interrupted", early_stopping_patience=3)
    with pytest.raises(Killed):
        run(stopping, place, WORTH, [Interrupt()])
    steps, _ = run(stopping, place, WORTH, [Interrupt()])
    assert steps == [6, 8, 10]


def test_stopping_early_needs_something_to_measure(place: Path) -> None:
    with pytest.raises(UsageError, match="early_stopping_patience needs eval_data"):
        train(
            recipe(place, "blind", early_stopping_patience=1),
            find_model=lambda name: place / name,
            open_teacher=lambda spec: pytest.fail("no teacher is asked for"),
        )
    assert not (place / "blind").exists()
