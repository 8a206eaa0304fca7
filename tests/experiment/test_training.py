"""Stages one after the other, what they show, and what a recipe asks for around its steps."""

from __future__ import annotations

import io
import json
import math
import re
from pathlib import Path
from typing import Any

import pytest
import torch
from rich.console import Console

from siftline.errors import MissingExtraError, UsageError
from siftline.experiment.training.stages import read_stages, train_stage, train_stages
from siftline.train.progress import ShowProgress
from training_material import log_of, material, weights, write_recipe

#: AdamW's steps depend on the size of gradients, which are not clipped.
EXACT = {"adam_epsilon": 1.0, "max_grad_norm": 100.0, "learning_rate": 0.05, "save_steps": 100}


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return material(tmp_path_factory.mktemp("stages"))


def train_one(place: Path, name: str, **values: Any) -> Path:
    (final,) = train_stages([write_recipe(place, f"{name}.yaml", output_dir=name, **values)])
    return final


def same(found: Path, expected: Path, **tolerance: float) -> None:
    one, other = weights(found), weights(expected)
    assert one.keys() == other.keys()
    for name, value in other.items():
        torch.testing.assert_close(one[name], value, **tolerance, msg=name)


def test_the_second_stage_begins_where_the_first_ends(place: Path) -> None:
    first = write_recipe(place, "first.yaml", output_dir="first", num_steps=2)
    second = write_recipe(
        place,
        "second.yaml",
        output_dir="second",
        num_steps=1,
        learning_rate=1e-12,
        model_name_or_path="previous",
        idf_path=None,  # the first stage's table goes along
    )
    before, after = train_stages([first, second])
    same(after, before, rtol=0, atol=1e-8)
    assert (after / "idf.json").read_text() == (before / "idf.json").read_text()
    # both are finished: nothing is trained again
    changed = (before / "model.safetensors").stat().st_mtime_ns
    assert train_stages([first, second]) == [before, after]
    assert (before / "model.safetensors").stat().st_mtime_ns == changed


def test_stages_that_do_not_follow_each_other(place: Path) -> None:
    lost = write_recipe(place, "lost.yaml", model_name_or_path="previous", output_dir="lost")
    with pytest.raises(UsageError, match="first stage has no previous one"):
        read_stages([lost])
    same_out = write_recipe(place, "same.yaml", output_dir="lost")
    with pytest.raises(UsageError, match="another stage has this output_dir"):
        read_stages([same_out, same_out])


def test_lines_of_progress_where_there_is_no_terminal(place: Path) -> None:
    text = io.StringIO()
    show = ShowProgress(Console(file=text, width=200), "stage")
    path = write_recipe(place, "lines.yaml", output_dir="lines", num_steps=3)
    train_stage(read_stages([path])[0], place, callbacks=[show])
    lines = text.getvalue().splitlines()
    form = r"stage: step (\d) of 3, loss [\d.e-]+, flops [\d.e-]+, active \d+"
    assert [re.match(form, line).group(1) for line in lines] == ["1", "2", "3"]  # type: ignore[union-attr]
    assert lines[-1].endswith("steps/s")
    logged = log_of(place / "lines")[0]["ranking_loss"]
    assert f"loss {logged:.4g}," in lines[0]


def test_a_bar_in_a_terminal(place: Path) -> None:
    text = io.StringIO()
    show = ShowProgress(Console(file=text, width=200, force_terminal=True), "stage")
    show.activity("scoring", 1, 2)
    show.activity("scoring", 2, 2)
    path = write_recipe(place, "bar.yaml", output_dir="bar", num_steps=3)
    train_stage(read_stages([path])[0], place, callbacks=[show])
    assert "scoring" in text.getvalue() and "2/2" in text.getvalue()
    assert "3/3" in text.getvalue() and "steps/s" in text.getvalue()


def test_a_head_is_warmed_up_once(tmp_path: Path) -> None:
    material(tmp_path, headless=True)
    path = write_recipe(
        tmp_path, "warm.yaml", mlm_steps=5, mlm_corpus="corpus.txt", mlm_batch_size=8, num_steps=2
    )
    (recipe,) = read_stages([path])
    seen: list[tuple[str, int, int | None]] = []
    final = train_stage(recipe, tmp_path, progress=lambda *told: seen.append(told))
    assert seen == [("masked-language-model steps", n, 5) for n in range(1, 6)]
    warm = tmp_path / "out" / "warm_up"
    assert len(json.loads((warm / "losses.json").read_text())) == 5
    name = "cls.predictions.transform.dense.weight"
    identity = torch.eye(32)
    assert 0 < float((weights(warm)[name] - identity).abs().max()) < 0.1
    # a run that goes on before its first checkpoint takes the head as it was
    expected = weights(final)
    for left in ("final_model", "training_log.json", "checkpoint-2"):
        target = tmp_path / "out" / left
        if target.exists():
            target.rename(tmp_path / f"moved-{left}")
    seen.clear()
    again = weights(train_stage(recipe, tmp_path, progress=lambda *told: seen.append(told)))
    assert not seen
    assert all(torch.equal(again[key], value) for key, value in expected.items())


def test_a_calibrated_head_is_what_the_steps_begin_with(tmp_path: Path) -> None:
    material(tmp_path, headless=True)
    path = write_recipe(
        tmp_path,
        "calibrated.yaml",
        head_density=0.25,
        num_steps=1,
        learning_rate=0,
        max_seq_length=32,
    )
    (recipe,) = read_stages([path])
    seen: list[tuple[str, int, int | None]] = []
    final = train_stage(recipe, tmp_path, progress=lambda *told: seen.append(told))
    assert seen[-1][0] == "texts for the head's bias" and seen[-1][1] == seen[-1][2]
    warm = tmp_path / "out" / "warm_up"
    assert json.loads((warm / "losses.json").read_text()) == []
    name = "cls.predictions.bias"
    assert float(weights(warm)[name][5:].abs().min()) > 0
    assert torch.equal(weights(warm)[name], weights(final)[name])
    active = log_of(tmp_path / "out")[0]["d_active"]
    assert 0.15 < active / 65 < 0.35


@pytest.mark.parametrize("density", [0, 1, -0.5])
def test_a_density_that_is_no_part(place: Path, density: float) -> None:
    with pytest.raises(UsageError, match="head_density is above 0 and below 1"):
        read_stages([write_recipe(place, "dense.yaml", head_density=density)])


def test_warm_up_needs_texts(place: Path) -> None:
    with pytest.raises(UsageError, match="mlm_steps needs 'mlm_corpus'"):
        read_stages([write_recipe(place, "no-texts.yaml", mlm_steps=5)])


def test_accumulated_gradients_are_those_of_the_whole_batch(place: Path) -> None:
    # forty rows give eighty lists: both take all of them in each step, in whatever order
    whole = train_one(place, "at-once", batch_size=80, num_steps=3, lambda_flops=0, **EXACT)
    parts = train_one(
        place,
        "in-parts",
        batch_size=20,
        gradient_accumulation_steps=4,
        num_steps=3,
        lambda_flops=0,
        **EXACT,
    )
    same(parts, whole, rtol=1e-3, atol=1e-5)


def test_activations_computed_again_give_the_same_weights(place: Path) -> None:
    plain = train_one(place, "plain", num_steps=3, **EXACT)
    again = train_one(place, "again", num_steps=3, gradient_checkpointing=True, **EXACT)
    same(again, plain, rtol=1e-4, atol=1e-6)


def test_bfloat16_comes_close(place: Path) -> None:
    exact = train_one(place, "float32", num_steps=3)
    # use_cpu left out: bf16 also runs where there is only the processor
    rough = train_one(place, "bfloat16", num_steps=3, bf16=True, use_cpu=None)
    one, other = log_of(exact.parent)[0]["loss"], log_of(rough.parent)[0]["loss"]
    assert other == pytest.approx(one, rel=0.1) and other != one
    assert all(math.isfinite(line["loss"]) for line in log_of(rough.parent))


@pytest.mark.filterwarnings("ignore:.*:UserWarning", "ignore:.*:DeprecationWarning")
def test_a_compiled_student_takes_the_same_steps(place: Path) -> None:
    plain = train_one(place, "interpreted", num_steps=2, **EXACT)
    compiled = train_one(
        place,
        "compiled",
        num_steps=2,
        torch_compile=True,
        torch_compile_backend="eager",
        **EXACT,
    )
    same(compiled, plain, rtol=1e-3, atol=1e-5)


def test_tensorboard(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    final = train_one(place, "board", num_steps=1, report_to="tensorboard")
    assert list(final.parent.rglob("events.out.tfevents*"))
    monkeypatch.setattr("siftline.train.run.find_spec", lambda name: None)
    with pytest.raises(MissingExtraError, match="report_to: tensorboard needs an extra"):
        train_one(place, "boardless", num_steps=1, report_to="tensorboard")
