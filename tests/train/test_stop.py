"""A training that is asked to stop, or killed, goes on as if nothing had been."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import TrainerCallback

from siftline.experiment.training.stages import read_stages, train_stage, train_stages
from siftline.train.run import FINAL
from siftline.train.stop import StopBetweenSteps
from training_material import material, weights, write_recipe


class At(TrainerCallback):  # type: ignore[misc]  # torch is not followed
    """Does something behind a step."""

    def __init__(self, step: int, what: Any) -> None:
        self.step, self.what = step, what

    def on_step_begin(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        if state.global_step == self.step - 1:
            self.what()


@pytest.fixture(scope="module", autouse=True)
def one_thread() -> Iterator[None]:
    """As in the forks: sums of another number of threads are other sums."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return material(tmp_path_factory.mktemp("stop"), dropout=0.1)


@pytest.fixture(scope="module")
def uninterrupted(place: Path) -> Path:
    (final,) = train_stages([write_recipe(place, "whole.yaml", output_dir="whole")])
    return final


def same_weights(found: Path, expected: Path) -> None:
    one, other = weights(found), weights(expected)
    assert one.keys() == other.keys()
    for name, value in other.items():
        assert torch.equal(one[name], value), name


def test_it_stops_behind_the_step_with_a_checkpoint(place: Path, uninterrupted: Path) -> None:
    path = write_recipe(place, "asked.yaml", output_dir="asked")
    (recipe,) = read_stages([path])
    stop = StopBetweenSteps()
    with pytest.raises(
        KeyboardInterrupt, match=r"stopped at step 3 of 8, saved as .*/checkpoint-3"
    ):
        train_stage(recipe, place, callbacks=[At(3, stop.ask), stop])
    out = place / "asked"
    assert (out / "checkpoint-3" / "trainer_state.json").is_file()
    assert not (out / FINAL).exists()
    # a checkpoint that a kill tore is none
    (out / "checkpoint-5").mkdir()
    (out / "checkpoint-5" / "trainer_state.json").write_text('{"global_step": 5, "log')
    same_weights(train_stage(recipe, place), uninterrupted)


def test_asked_at_the_last_step_it_ends_by_itself(place: Path, uninterrupted: Path) -> None:
    path = write_recipe(place, "last.yaml", output_dir="last")
    (recipe,) = read_stages([path])
    stop = StopBetweenSteps()
    same_weights(train_stage(recipe, place, callbacks=[At(8, stop.ask), stop]), uninterrupted)


#: In a process of its own, whose handlers of signals nothing else has changed.
SIGNALLED = """
import signal
from siftline.train.stop import stopping_between_steps

for number in (signal.SIGINT, signal.SIGTERM):
    before = signal.getsignal(number)
    with stopping_between_steps() as stop:
        signal.raise_signal(number)
        assert stop.asked
        try:
            signal.raise_signal(number)
        except KeyboardInterrupt:
            print("ended at once")
    assert signal.getsignal(number) is before
"""


def test_signals_ask_and_a_second_one_ends_at_once() -> None:
    found = subprocess.run(
        [sys.executable, "-c", SIGNALLED], capture_output=True, text=True, check=False, timeout=120
    )
    assert found.returncode == 0, found.stderr
    assert found.stdout.splitlines() == ["ended at once"] * 2


#: Each argument is a run that is killed in the middle of that step; forks share the imports.
KILLED = """
import os, signal, sys
from pathlib import Path
import torch
from siftline.experiment.training.stages import read_stages, train_stage
from siftline.train.run import train
from siftline.train.trainer import SparseTrainer

path = Path(sys.argv[1])
for step in map(int, sys.argv[2:]):
    if os.fork() == 0:
        torch.set_num_threads(1)
        whole = SparseTrainer.compute_loss

        def killed(self, *arguments, **named):
            loss = whole(self, *arguments, **named)
            if self.state.global_step == step - 1:
                os.kill(os.getpid(), signal.SIGKILL)
            return loss

        SparseTrainer.compute_loss = killed
        train_stage(read_stages([path])[0], path.parent)
        os._exit(0)
    assert os.waitstatus_to_exitcode(os.wait()[1]) == -signal.SIGKILL
"""


def test_killed_twice_it_ends_with_the_same_weights(place: Path, uninterrupted: Path) -> None:
    path = write_recipe(place, "killed.yaml", output_dir="killed", save_steps=2)
    expected = write_recipe(place, "often.yaml", output_dir="often", save_steps=2)
    command = [sys.executable, "-c", KILLED, str(path), "4", "7"]
    found = subprocess.run(
        command,
        capture_output=True,
        text=True,
        check=False,
        timeout=240,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
    )
    assert found.returncode == 0, found.stderr
    out = place / "killed"
    assert {p.name for p in out.glob("checkpoint-*")} == {f"checkpoint-{n}" for n in (2, 4, 6)}
    (final,) = train_stages([path])
    same_weights(final, uninterrupted)
    (often,) = train_stages([expected])
    same_weights(often, uninterrupted)
