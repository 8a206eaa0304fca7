"""`python -m bench.ablations RECIPE --data DIR[:SPLIT] … --out OUT`: what each idea is worth.

what: one stage trained again and again, each time with one of its ideas changed: no IDF in the
      score, one teacher instead of the ensemble, no teacher (InfoNCE), the l0 mask off, the l0
      activation on
budget: the same steps, rows, seed and penalty weight for all; `--steps` and `--batch` are fewer
        than the recipe's. What teachers gave is kept, so that only the student is computed again
figures: nDCG@10, FLOPS and lengths on every collection, with significance against the recipe as
         it is; all models answer inference-free. OUT has the runs, `ablations.md` and its JSON
A run that was stopped goes on, and a finished one is only measured.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

from bench.measurement import machine
from siftline.experiment.sparse.encoding import INFERENCE_FREE, ModelChoice
from siftline.experiment.sparse.models import MAX_LENGTH
from siftline.experiment.sparse.report import markdown, to_json
from siftline.experiment.sparse.terminal import evaluate_sparse
from siftline.experiment.training.stages import read_stages
from siftline.experiment.training.terminal import shown_training
from siftline.train.recipe import Recipe

AS_IT_IS = "as it is"


def variants(recipe: Recipe) -> Mapping[str, Recipe]:
    """The recipe and its changes by label; a change that the recipe has already is left out."""
    found = {AS_IT_IS: recipe, "no IDF in the score": replace(recipe, idf_form="none")}
    for teacher in recipe.teachers if len(recipe.teachers) > 1 else ():
        found[f"{teacher.type} teacher only"] = replace(recipe, teachers=(teacher,))
    found["no teacher (InfoNCE)"] = replace(recipe, teachers=(), loss_types=("infonce",))
    found["no l0 mask"] = replace(recipe, flops_threshold=None)
    found["l0 activation"] = replace(recipe, use_l0=True)
    return {label: one for label, one in found.items() if label == AS_IT_IS or one != recipe}


def main() -> None:
    """Train, measure, print and write the table."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("recipe", type=Path, nargs="+", help="stages; the last one is changed")
    parser.add_argument("--data", action="append", required=True, metavar="DIR[:SPLIT]")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--steps", type=int, help="steps of each run (default: the recipe's)")
    parser.add_argument("--batch", type=int, help="queries a step (default: the recipe's)")
    options = parser.parse_args()
    *before, last = read_stages(options.recipe)
    changed = {
        key: value
        for key, value in (
            ("max_steps", options.steps),
            ("per_device_train_batch_size", options.batch),
        )
        if value is not None
    }
    last = replace(last, arguments={**last.arguments, **changed})
    models = {}
    with shown_training() as train:
        for stage, path in zip(before, options.recipe, strict=False):
            train(stage, path.parent)
        for label, one in variants(last).items():
            folder = options.out / "-".join(label.split()).translate({ord("("): "", ord(")"): ""})
            run = replace(one, output_dir=str(folder))
            models[label] = train(run, options.recipe[-1].parent)
    comparison = evaluate_sparse(
        [ModelChoice(label, str(model), INFERENCE_FREE) for label, model in models.items()],
        options.data,
        "test",
        baseline=AS_IT_IS,
        max_length=MAX_LENGTH,
    )
    report = f"{markdown(comparison)}\nMachine: {', '.join(machine().values())}.\n"
    (options.out / "ablations.md").write_text(report, encoding="utf-8")
    figures = json.dumps(to_json(comparison), indent=1, ensure_ascii=False)
    (options.out / "ablations.json").write_text(figures + "\n", encoding="utf-8")
    print(report)


if __name__ == "__main__":
    main()
