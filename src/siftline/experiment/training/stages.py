"""Stages of a training from their recipes, with the models of the catalogue."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from siftline.errors import MissingExtraError, Place, UsageError
from siftline.experiment.training.models import find_model
from siftline.model.cache import cache_folder
from siftline.model.progress import Progress, silent

if TYPE_CHECKING:
    from siftline.train.recipe import Recipe, TeacherSpec
    from siftline.train.teachers import Teacher

#: Where the cache folder keeps what teachers gave.
SCORES = "teacher-scores"


def read_stages(configs: Sequence[Path]) -> list[Recipe]:
    """The recipes of stages that follow each other.

    `model_name_or_path: previous` becomes what the stage before leaves behind. UsageError for a
    first stage that says so, and for two stages with one output folder.
    """
    try:
        from siftline.train.recipe import PREVIOUS, read_recipe
        from siftline.train.run import FINAL
    except ModuleNotFoundError as error:
        raise MissingExtraError(f"training ({error.name})", "train") from None
    stages: list[Recipe] = []
    for path in configs:
        recipe = read_recipe(path.resolve())
        if recipe.output_dir in {stage.output_dir for stage in stages}:
            raise UsageError("another stage has this output_dir", Place(str(path)))
        if recipe.model_name_or_path == PREVIOUS:
            if not stages:
                raise UsageError(
                    "the first stage has no previous one: name a model, or give the recipe of the "
                    "stage before too",
                    Place(str(path), field="model_name_or_path"),
                )
            before = Path(stages[-1].output_dir) / FINAL
            recipe = replace(recipe, model_name_or_path=str(before))
        stages.append(recipe)
    return stages


def train_stage(
    recipe: Recipe,
    beside: Path,
    *,
    callbacks: Sequence[Any] = (),
    progress: Progress = silent,
) -> Path:
    """Train one stage; the folder `final_model`.

    beside: folder to which names of models are relative. callbacks: of `transformers.Trainer`.
    progress: of what goes before the first step. What teachers give is kept in the recipe's
    `teacher_cache`, else with the downloaded models, for every other run.
    """
    from siftline.experiment.training.small_set import recipe_measure
    from siftline.train.run import train

    return train(
        recipe,
        find_model=partial(find_model, beside=beside),
        open_teacher=teacher_opener(recipe, beside),
        measure=recipe_measure(recipe),
        callbacks=callbacks,
        progress=progress,
    )


def teacher_opener(recipe: Recipe, beside: Path) -> Callable[[TeacherSpec], Teacher]:
    """Opens teachers of a recipe; what they give is kept as `train_stage` says."""
    from siftline.train.score_cache import ScoreCache
    from siftline.train.teacher_models import open_teacher

    find = partial(find_model, beside=beside)
    folder = Path(recipe.teacher_cache) if recipe.teacher_cache else cache_folder() / SCORES
    return lambda spec: open_teacher(spec, find, cache=ScoreCache.open(folder))


def score_rows(config: Path, out: Path, *, progress: Progress = silent) -> int:
    """Write the rows of a recipe with the scores of its teachers as `kd` rows; how many.

    A training on them needs no teacher. UsageError for a recipe without teachers, or where `out`
    exists.
    """
    (recipe,) = read_stages([config])
    from siftline.train.run import training_sets
    from siftline.train.score_ahead import score_ahead, write_scored
    from siftline.train.teachers import Ensemble

    if not recipe.teachers:
        raise UsageError("the recipe has no teachers", Place(str(config), field="teachers"))
    if out.exists():
        raise UsageError(f"'{out}' exists; name another file, or remove it")
    sets = training_sets(recipe)
    opener = teacher_opener(recipe, config.parent)
    teachers = [opener(spec) for spec in recipe.teachers]
    score_ahead(teachers, sets, progress=progress)
    weights = [spec.weight for spec in recipe.teachers]
    ensemble = Ensemble(teachers, weights, recipe.score_scale)
    return write_scored(sets, ensemble, out, progress=progress)


def train_stages(configs: Sequence[Path], progress: Progress = silent) -> list[Path]:
    """Train the stages of recipes in their order; the folder `final_model` of each."""
    stages = zip(read_stages(configs), configs, strict=True)
    return [train_stage(recipe, path.parent, progress=progress) for recipe, path in stages]
