"""`python -m bench.resume CONFIG [--kills 2] [--seed 0] [--out DIR]`: a training that is killed.

what: `siftline train` on a recipe, once whole, and once killed with SIGKILL at random steps and
      started again; both as processes of their own, the recipe with output folders of its own
figures: at which steps it was killed, from which checkpoint it went on, and the largest difference
      of any weight of the two final models; an exit status of 1 where it is not 0
"""

from __future__ import annotations

import argparse
import json
import random
import re
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import numpy as np

STEP = re.compile(r"step ([\d,]+) of ([\d,]+)")


def write_stage(config: Path, out: Path) -> Path:
    """The recipe with another output folder, and a line on standard error for every step."""
    import yaml

    values = yaml.safe_load(config.read_text(encoding="utf-8"))
    values.update({"output_dir": str(out.resolve()), "logging_steps": 1})
    # beside the original, as its paths are relative to it
    path = config.with_name(f".{config.stem}-{out.name}.yaml")
    path.write_text(json.dumps(values), encoding="utf-8")
    return path


def run(config: Path, kill_at: int | None = None) -> int:
    """Train, and kill the process when it says that it is at a step; how many steps there are."""
    command = [sys.executable, "-m", "siftline", "train", str(config)]
    said: list[str] = []
    total = 0
    with subprocess.Popen(
        command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True
    ) as process:
        if process.stderr is None:
            raise SystemExit("no standard error to read")
        for line in process.stderr:
            said.append(line)
            found = STEP.search(line)
            if found is None:
                continue
            step, total = (int(number.replace(",", "")) for number in found.groups())
            if kill_at is not None and step >= kill_at:
                process.kill()
                break
    status = process.wait()
    if kill_at is None and status != 0:
        raise SystemExit(f"training failed with status {status}:\n{''.join(said[-20:])}")
    return total


def weights(out: Path) -> dict[str, np.ndarray]:
    from safetensors.numpy import load_file

    found: dict[str, np.ndarray] = load_file(out / "final_model" / "model.safetensors")
    return found


def last_checkpoint(out: Path) -> str:
    found = sorted(
        int(path.parent.name.split("-")[1]) for path in out.glob("checkpoint-*/trainer_state.json")
    )
    return f"checkpoint-{found[-1]}" if found else "the beginning"


def compare(config: Path, place: Path, kills: int, seed: int) -> dict[str, Any]:
    """Both trainings; what was killed and how far apart the weights are."""
    whole, killed = place / "whole", place / "killed"
    stages = {out: write_stage(config, out) for out in (whole, killed)}
    try:
        total = run(stages[whole])
        steps = sorted(random.Random(seed).sample(range(2, total), kills))
        went_on = []
        for step in steps:
            run(stages[killed], kill_at=step)
            went_on.append(last_checkpoint(killed))
            print(f"killed at step {step} of {total}, goes on from {went_on[-1]}", flush=True)
        run(stages[killed])
    finally:
        for path in stages.values():
            path.unlink()
    one, other = weights(whole), weights(killed)
    if one.keys() != other.keys():
        raise SystemExit(f"the models differ in {sorted(one.keys() ^ other.keys())}")
    apart = max(float(np.abs(one[name] - other[name]).max()) for name in one)
    return {"steps": total, "killed_at": steps, "went_on_from": went_on, "difference": apart}


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="bench.resume", description=__doc__)
    parser.add_argument("config", type=Path, help="a recipe; it is run with save_steps as it is")
    parser.add_argument("--kills", type=int, default=2)
    parser.add_argument("--seed", type=int, default=0, help="chooses the steps")
    parser.add_argument("--out", type=Path, help="where the trainings go; else a temporary folder")
    options = parser.parse_args(arguments)
    with tempfile.TemporaryDirectory() as temporary:
        place = options.out or Path(temporary)
        found = compare(options.config, place, options.kills, options.seed)
    print(f"largest difference of any weight: {found['difference']:g}")
    return 0 if found["difference"] == 0 else 1


if __name__ == "__main__":
    sys.exit(main())
