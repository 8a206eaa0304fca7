"""Stages of a training from their recipes, with the models of the catalogue."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from siftline.errors import MissingExtraError, Place, UsageError
from siftline.experiment.models import find_model

if TYPE_CHECKING:
    from siftline.train.recipe import Recipe

#: Called with step and loss of a masked-language-model step before a stage.
Told = Callable[[int, float], None]


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
    recipe: Recipe, beside: Path, *, callbacks: Sequence[Any] = (), told: Told | None = None
) -> Path:
    """Train one stage; the folder `final_model`.

    beside: folder to which names of models are relative. callbacks: of `transformers.Trainer`.
    """
    from siftline.experiment.small_set import recipe_measure
    from siftline.train.run import train

    return train(
        recipe,
        find_model=partial(find_model, beside=beside),
        open_teacher=_no_teacher,
        measure=recipe_measure(recipe),
        callbacks=callbacks,
        told=told,
    )


def train_stages(configs: Sequence[Path]) -> list[Path]:
    """Train the stages of recipes in their order; the folder `final_model` of each."""
    stages = read_stages(configs)
    return [train_stage(recipe, path.parent) for recipe, path in zip(stages, configs, strict=True)]


def _no_teacher(spec: Any) -> Any:
    raise UsageError(f"the teacher '{spec.model}' cannot be opened")
