"""Stages of a training from their recipes, with the models of the catalogue."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from siftline.errors import MissingExtraError, UsageError
from siftline.experiment.models import find_model


def train_stages(configs: Sequence[Path]) -> list[Path]:
    """Train the stages of recipes in their order; the folder `final_model` of each."""
    try:
        from siftline.experiment.small_set import recipe_measure
        from siftline.train.recipe import TeacherSpec, read_recipe
        from siftline.train.run import train
        from siftline.train.teachers import Teacher
    except ModuleNotFoundError as error:
        raise MissingExtraError(f"training ({error.name})", "train") from None

    def no_teacher(spec: TeacherSpec) -> Teacher:
        raise UsageError(f"the teacher '{spec.model}' cannot be opened")

    finals = []
    for path in configs:

        def find(name: str, beside: Path = path.parent) -> Path:
            return find_model(name, beside)

        recipe = read_recipe(path)
        final = train(
            recipe, find_model=find, open_teacher=no_teacher, measure=recipe_measure(recipe)
        )
        finals.append(final)
    return finals
