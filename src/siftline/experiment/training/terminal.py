"""What the training commands show."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from siftline.experiment.display import standard_error, standard_output
from siftline.experiment.training.stages import read_stages, train_stage
from siftline.train.idf import CorpusIdf

if TYPE_CHECKING:
    from siftline.train.recipe import Recipe


def show_idf(table: CorpusIdf, out: Path) -> None:
    """Write the range and the mean of a table, of all tokens and of those that documents have."""
    weights, seen = list(table.weights.values()), table.seen
    console = standard_output()
    console.print(
        f"{out}: {len(weights):,} tokens of {table.documents:,} documents", soft_wrap=True
    )
    console.print(f"IDF range: {min(weights):.2f} ~ {max(weights):.2f}")
    console.print(f"IDF mean: {sum(weights) / len(weights):.2f}")
    if len(seen):
        low, high, mean = seen.min(), seen.max(), seen.mean()
        console.print(f"{len(seen):,} tokens seen: {low:.2f} ~ {high:.2f}, mean {mean:.2f}")


def train_and_show(configs: Sequence[Path]) -> None:
    """Train stages one after the other with a bar for each; writes the folder of each model.

    Ctrl-C ends with a checkpoint and KeyboardInterrupt, whose text says where it stopped.
    """
    stages = read_stages(configs)
    from siftline.train.objective import process

    with shown_training() as train:
        for recipe, path in zip(stages, configs, strict=True):
            final = train(recipe, path.parent)
            if process() == 0:
                standard_output().print(str(final), markup=False, soft_wrap=True)


@contextmanager
def shown_training() -> Iterator[Callable[[Recipe, Path], Path]]:
    """A function that trains a recipe as `train_stage` does, with a bar on standard error.

    Within, Ctrl-C ends a training with a checkpoint and KeyboardInterrupt.
    """
    from transformers.utils import logging

    from siftline.train.progress import ShowProgress
    from siftline.train.stop import stopping_between_steps

    logging.set_verbosity_error()
    logging.disable_progress_bar()
    console = standard_error()
    with stopping_between_steps() as stop:

        def train(recipe: Recipe, beside: Path) -> Path:
            show = ShowProgress(console, Path(recipe.output_dir).name)

            def progress(what: str, done: int, total: int | None) -> None:
                show.activity(what, done, total)
                if stop.asked:
                    raise KeyboardInterrupt(f"stopped: {what}, {done} of {total or 'all'}")

            try:
                return train_stage(recipe, beside, callbacks=[show, stop], progress=progress)
            finally:
                show.close()

        yield train
