"""Commands of training and its experiments; `__main__` registers them."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

idf_app = typer.Typer(help="Tables of inverse document frequencies: build.", no_args_is_help=True)

IDF_EXAMPLE = "Example: siftline idf build nfcorpus --tokenizer splade-tiny --out idf.json"


@idf_app.command("build", epilog=IDF_EXAMPLE)
def idf_build(
    corpus: Annotated[
        Path, typer.Argument(metavar="CORPUS", help="BEIR folder, JSON lines, or text files.")
    ],
    tokenizer: Annotated[
        str, typer.Option(metavar="T", help="Model whose tokens are counted, or tokenizer.json.")
    ],
    out: Annotated[Path, typer.Option(metavar="FILE", help="JSON file to write.")],
) -> None:
    """Count the tokens of a corpus and write their inverse document frequencies."""
    from siftline.experiment.idf_table import build_idf_table
    from siftline.experiment.training_terminal import counting, show_idf

    with counting("documents") as progress:
        table = build_idf_table(corpus, tokenizer, out, progress=progress)
    show_idf(table, out)


@idf_app.callback()
def _idf() -> None:
    """Keep `build` a command of its own name."""


TRAIN_EXAMPLE = "Example: siftline train pretrain.yaml finetune.yaml"


def train(
    configs: Annotated[
        list[Path],
        typer.Argument(metavar="CONFIG…", help="YAML file of each stage, one after the other."),
    ],
) -> None:
    """Train a sparse encoder; a run that was stopped goes on from its last checkpoint."""
    from siftline.experiment.training import train_stages

    for folder in train_stages(configs):
        typer.echo(str(folder))
