"""What `siftline mine` shows: how far it is, and what came of it."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path

from siftline.experiment.display import print_json, standard_error, standard_output, steps
from siftline.experiment.mining.mine import mine
from siftline.experiment.mining.passages import write_passages
from siftline.experiment.mining.settings import Mined, Mining

#: Field of Mined → what it counts.
_COUNTED = (
    ("queries", "queries with a positive"),
    ("without_positive", "without a positive in the corpus, left out"),
    ("evaluated_equal", "asked by an evaluation set, left out"),
    ("evaluated_near", "nearly asked by an evaluation set, left out"),
    ("not_chosen", "beyond the number wanted, left out"),
    ("without_negatives", "without a negative, left out"),
    ("fewer", "with fewer negatives than wanted"),
    ("copies", "documents found that are copies of a positive"),
    ("rows", "rows written"),
    ("negatives", "negatives in them"),
)


def cut_passages(texts: Path, data: Path) -> None:
    """Make the texts of a folder the corpus of a BEIR folder, and say how many passages."""
    count = write_passages(texts, data)
    standard_error().print(f"{data}: {count:,} passages of {texts}", markup=False, soft_wrap=True)


def mine_with_progress(
    package: Path | None,
    data: Path,
    out: Path,
    mining: Mining,
    *,
    not_in: list[Path],
    index: Path | None,
    as_json: bool = False,
) -> None:
    """Mine with bars on standard error; the counts on standard output."""
    errors = standard_error()
    try:
        with steps(errors) as progress:
            mined = mine(package, data, out, mining, not_in=not_in, index=index, progress=progress)
    except KeyboardInterrupt:
        errors.print("stopped: the same command goes on from here", markup=False)
        raise
    if as_json:
        print_json(asdict(mined))
    else:
        show_mined(mined, out)


def show_mined(mined: Mined, out: Path) -> None:
    """Write the counts, a line each; those of nothing are left out."""
    console = standard_output()
    console.print(str(out), markup=False, soft_wrap=True)
    for name, what in _COUNTED:
        if count := getattr(mined, name):
            console.print(f"{count:>10,} {what}")
