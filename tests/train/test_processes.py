"""Two processes on one machine train as one process with twice their batch.

Their teachers share the work of scoring and one cache, which the one process uses at the same time.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from siftline.experiment.training.stages import train_stages
from toy_teachers import toy_teacher
from training_material import log_of, material, weights, write_recipe

#: An epsilon this large makes AdamW's steps depend on the size of the gradients.
SETTINGS = {
    "adam_epsilon": 1.0,
    "learning_rate": 0.05,
    "max_grad_norm": 100.0,
    "num_steps": 4,
    "save_steps": 100,
}


def test_two_processes_are_one_with_the_double_batch(tmp_path: Path) -> None:
    material(tmp_path)
    teachers = [{"type": kind, "model": str(tmp_path / kind)} for kind in ("dense", "cross")]
    for teacher in teachers:
        toy_teacher(Path(teacher["model"]), teacher["type"])
    stages = {}
    for name, batch in (("one", 8), ("two", 4)):
        first = write_recipe(
            tmp_path, f"{name}-1.yaml", output_dir=f"{name}-1", batch_size=batch, **SETTINGS
        )
        second = write_recipe(
            tmp_path,
            f"{name}-2.yaml",
            output_dir=f"{name}-2",
            batch_size=batch,
            model_name_or_path="previous",
            idf_path=None,
            use_in_batch_negatives=True,
            vocabulary_sample=20,
            loss_types=["infonce", "kldiv"],
            teachers=teachers,
            teacher_cache="cache",
            **SETTINGS,
        )
        stages[name] = [str(first), str(second)]
    launcher = [sys.executable, "-m", "torch.distributed.run", "--standalone"]
    two = subprocess.Popen(
        [*launcher, "--nproc-per-node", "2", "-m", "siftline", "train", *stages["two"]],
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    train_stages([Path(name) for name in stages["one"]])
    output, _ = two.communicate(timeout=240)
    assert two.returncode == 0, output
    for stage in ("1", "2"):
        alone, together = tmp_path / f"one-{stage}", tmp_path / f"two-{stage}"
        for one, other in zip(log_of(alone), log_of(together), strict=True):
            for value in ("loss", "ranking_loss", "d_flops", "d_active"):
                assert other[value] == pytest.approx(one[value], rel=1e-4), (stage, value)
        found, expected = weights(together / "final_model"), weights(alone / "final_model")
        began = weights(tmp_path / "backbone")
        for name, value in expected.items():
            torch.testing.assert_close(found[name], value, rtol=1e-3, atol=1e-5, msg=name)
        moved = max(float((expected[n] - began[n]).abs().max()) for n in expected if n in began)
        assert moved > 1e-3
