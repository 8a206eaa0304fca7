"""What `siftline sweep` shows: each run's training, then the curve and its knee."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from rich.table import Table

from siftline.errors import MissingExtraError, UsageError
from siftline.experiment.display import print_json, standard_error, standard_output
from siftline.experiment.sparse.compare import SparseComparison
from siftline.experiment.sparse.encoding import ModelChoice
from siftline.experiment.sparse.terminal import evaluate_sparse
from siftline.experiment.training.stages import read_stages
from siftline.experiment.training.sweep import PICTURE, Sweep, draw_sweep, run_sweep, sweep_json
from siftline.experiment.training.terminal import shown_training

if TYPE_CHECKING:
    from siftline.train.recipe import Recipe


def sweep_and_show(
    configs: Sequence[Path],
    weights: Sequence[float],
    data: Sequence[str],
    split: str | None,
    out: Path | None,
    *,
    as_json: bool = False,
) -> None:
    """Train the stages, the last one with every weight, and write what each is worth.

    data: the recipe's `eval_data` where empty; split: its `eval_split` where None. out: a folder
    beside the recipe's output_dir where None.
    """
    *before, recipe = read_stages(configs)
    measured = tuple(data) or recipe.eval_data
    if not measured:
        raise UsageError("a sweep needs judged collections: --data, or eval_data in the recipe")
    folder = out or Path(recipe.output_dir + "-sweep")

    def measure(models: Mapping[str, Path]) -> SparseComparison:
        return evaluate_sparse(
            [ModelChoice(label, str(model)) for label, model in models.items()],
            measured,
            split or recipe.eval_split,
            max_length=recipe.max_seq_length,
        )

    def train(stage: Recipe, beside: Path) -> Path:
        # Ctrl-C means a checkpoint only while a training runs
        with shown_training() as train_shown:
            return train_shown(stage, beside)

    for stage, path in zip(before, configs, strict=False):
        train(stage, path.parent)
    last = partial(train, beside=configs[-1].parent)
    sweep = run_sweep(recipe, weights, folder, train=last, measure=measure)
    _show(sweep, folder, as_json=as_json)


def _show(sweep: Sweep, folder: Path, *, as_json: bool) -> None:
    errors = standard_error()
    try:
        draw_sweep(sweep, folder / PICTURE)
    except MissingExtraError as error:
        errors.print(f"no plot: {error}", markup=False)
    if as_json:
        print_json(sweep_json(sweep))
        return
    table = Table(box=None, header_style="bold", pad_edge=False)
    for name in ("lambda", "nDCG@10", "FLOPS", "document tokens"):
        table.add_column(name, justify="right")
    table.add_column("")
    for point in sweep.points:
        note = "knee" if point.label == sweep.knee else ""
        note = note or ("" if point.label in sweep.front else "another is sparser and as good")
        figures = (f"{point.ndcg:.4f}", f"{point.flops:.2f}", f"{point.document_length:.1f}")
        table.add_row(f"{point.weight:g}", *figures, note)
    console = standard_output()
    console.print(table)
    if sweep.knee is None:
        console.print("The curve has no knee.")
    errors.print(f"written to {folder}", markup=False, soft_wrap=True)
