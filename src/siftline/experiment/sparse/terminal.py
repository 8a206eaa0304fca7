"""What `siftline eval-sparse` shows: how far it is, the tables, the files."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

from siftline.errors import MissingExtraError
from siftline.experiment.display import print_json, standard_error, standard_output, steps
from siftline.experiment.sparse.cache import VectorCache
from siftline.experiment.sparse.compare import SparseComparison, compare_models
from siftline.experiment.sparse.encoding import Encoder, ModelChoice
from siftline.experiment.sparse.judged import judged_set
from siftline.experiment.sparse.models import open_encoder
from siftline.experiment.sparse.report import FIGURES, PICTURE, REPORT, draw, markdown, to_json
from siftline.model.cache import cache_folder
from siftline.model.session import Runtime

#: Where the cache folder keeps vectors that were made for an evaluation.
VECTORS = "sparse-vectors"


def evaluate_sparse(
    choices: Sequence[ModelChoice],
    data: Sequence[str],
    split: str,
    *,
    baseline: str | None = None,
    max_length: int,
    runtime: Runtime = "auto",
    cache: Path | None = None,
) -> SparseComparison:
    """Measure models on collections, with a bar for each on standard error.

    data: `FOLDER` or `FOLDER:SPLIT` each. cache: folder of encoded vectors, None for the one beside
    the downloaded models.
    """
    encoders: list[Encoder] = []
    with steps(standard_error()) as progress:
        for number, choice in enumerate(choices):
            progress("opening models", number, len(choices))
            encoders.append(open_encoder(choice, runtime=runtime, max_length=max_length))
        return compare_models(
            encoders,
            [judged_set(text, split) for text in data],
            baseline=baseline,
            cache=VectorCache(cache or cache_folder() / VECTORS),
            progress=progress,
        )


def show_comparison(
    comparison: SparseComparison, out: Path | None, *, as_json: bool = False
) -> None:
    """Write the tables as Markdown, or everything as JSON; into a folder too, with a picture."""
    if as_json:
        print_json(to_json(comparison))
    else:
        standard_output().print(markdown(comparison), markup=False, soft_wrap=True, end="")
    if out is None:
        return
    out.mkdir(parents=True, exist_ok=True)
    text = json.dumps(to_json(comparison), indent=1, ensure_ascii=False)
    (out / FIGURES).write_text(text + "\n", encoding="utf-8")
    (out / REPORT).write_text(markdown(comparison), encoding="utf-8")
    errors = standard_error()
    try:
        draw(comparison, out / PICTURE)
    except MissingExtraError as error:
        errors.print(f"no plot: {error}", markup=False)
    errors.print(f"written to {out}", markup=False, soft_wrap=True)
