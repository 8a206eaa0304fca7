"""`siftline idf build` and `siftline train`."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from siftline.train.stop import StopBetweenSteps
from training_material import material, write_recipe

Run = Callable[..., tuple[int, str, str]]


@pytest.fixture
def run(siftline_command: Run) -> Run:
    """Run `siftline` with arguments: exit status, standard output, standard error."""
    return siftline_command


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return material(tmp_path_factory.mktemp("commands"))


def test_idf_build_prints_range_and_mean(run: Run, place: Path) -> None:
    texts = place / "texts.jsonl"
    texts.write_text('{"text": "w1 w2 w2"}\n{"title": "w1", "text": "w3"}\n{"text": ""}\n')
    status, out, err = run(
        "idf", "build", texts, "--tokenizer", place / "backbone", "--out", place / "made.json"
    )
    assert status == 0, err
    table = json.loads((place / "made.json").read_text())
    # two documents have tokens: w1 is in both, w2 and w3 in one each
    assert table["w1"] == pytest.approx(math.log(3 / 2.5))
    assert table["w2"] == table["w3"] == pytest.approx(math.log(3 / 1.5))
    assert table["w4"] == table["[CLS]"] == 1.0 and len(table) == 65
    assert "65 tokens of 2 documents" in out
    assert "IDF range: 0.18 ~ 1.00" in out
    mean = (62 + math.log(3 / 2.5) + 2 * math.log(2)) / 65
    assert f"IDF mean: {mean:.2f}" in out
    assert "3 tokens seen: 0.18 ~ 0.69, mean 0.52" in out


def test_idf_build_counts_several_corpora_as_one(run: Run, place: Path) -> None:
    (place / "one.txt").write_text("w1 w2 w2\n")
    (place / "two.txt").write_text("w1 w3\n")
    arguments = ["--tokenizer", place / "backbone", "--out", place / "both.json"]
    status, out, err = run("idf", "build", place / "one.txt", place / "two.txt", *arguments)
    assert status == 0, err
    assert "65 tokens of 2 documents" in out
    assert json.loads((place / "both.json").read_text())["w1"] == pytest.approx(math.log(3 / 2.5))
    status, _, err = run("idf", "build", place / "one.txt", place / "gone", *arguments)
    assert status == 2 and "there is no corpus at" in err


def test_idf_build_without_texts(run: Run, place: Path) -> None:
    (place / "empty.txt").write_text("\n")
    arguments = ["--tokenizer", place / "backbone", "--out", place / "none.json"]
    status, _, err = run("idf", "build", place / "empty.txt", *arguments)
    assert status == 2 and "the corpus has no text" in err
    assert not (place / "none.json").exists()


def test_train_writes_where_the_models_are(run: Run, place: Path) -> None:
    one = write_recipe(place, "a.yaml", output_dir="a", num_steps=1)
    two = write_recipe(place, "b.yaml", output_dir="b", num_steps=1, model_name_or_path="previous")
    status, out, err = run("train", one, two)
    assert status == 0, err
    assert out.splitlines() == [str(place / name / "final_model") for name in "ab"]
    assert "a: step 1 of 1, loss" in err and "b: step 1 of 1, loss" in err


def test_a_stopped_training_says_how_to_go_on(
    run: Run, place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = write_recipe(place, "stopped.yaml", output_dir="stopped")

    def asked(stop: StopBetweenSteps, *_: Any, **__: Any) -> None:
        stop.ask()

    monkeypatch.setattr(StopBetweenSteps, "on_step_begin", asked)
    status, out, err = run("train", path)
    assert status == 130 and not out
    assert "stopped at step 1 of 8, saved as" in err
    assert f"go on with: siftline train {path}" in err
    monkeypatch.undo()
    assert run("train", path)[0] == 0
    assert (place / "stopped" / "final_model" / "model.safetensors").is_file()


def test_a_recipe_with_a_wrong_key(run: Run, place: Path) -> None:
    path = write_recipe(place, "wrong.yaml", output_dir="wrong", learning_rat=1)
    status, _, err = run("train", path)
    assert status == 2 and "learning_rate" in err and "Traceback" not in err
