"""Commands of training and its experiments; `__main__` registers them."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import Annotated

import typer

idf_app = typer.Typer(help="Tables of inverse document frequencies: build.", no_args_is_help=True)

IDF_EXAMPLE = "Example: siftline idf build nfcorpus --tokenizer splade-tiny --out idf.json"


@idf_app.command("build", epilog=IDF_EXAMPLE)
def idf_build(
    corpora: Annotated[
        list[Path],
        typer.Argument(metavar="CORPUS…", help="BEIR folders, JSON lines, or text files."),
    ],
    tokenizer: Annotated[
        str, typer.Option(metavar="T", help="Model whose tokens are counted, or tokenizer.json.")
    ],
    out: Annotated[Path, typer.Option(metavar="FILE", help="JSON file to write.")],
) -> None:
    """Count the tokens of corpora and write their inverse document frequencies."""
    from siftline.experiment.display import standard_error, steps
    from siftline.experiment.training.idf_table import build_idf_table
    from siftline.experiment.training.terminal import show_idf

    with steps(standard_error()) as progress:
        table = build_idf_table(
            corpora, tokenizer, out, progress=lambda count: progress("documents", count, None)
        )
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
    from siftline.experiment.training.terminal import train_and_show

    try:
        train_and_show(configs)
    except KeyboardInterrupt as stopped:
        again = shlex.join(["siftline", "train", *map(str, configs)])
        typer.echo(f"siftline: {stopped or 'interrupted'}; go on with: {again}", err=True)
        raise typer.Exit(130) from None


SCORE_EXAMPLE = "Example: siftline score finetune.yaml --out scored.jsonl.gz"


def score(
    config: Annotated[Path, typer.Argument(metavar="CONFIG", help="YAML file of a stage.")],
    *,
    out: Annotated[Path, typer.Option(metavar="FILE", help="JSON lines; .gz is gzipped.")],
) -> None:
    """Write training rows with the scores of a recipe's teachers, for data_type: kd."""
    from siftline.experiment.display import standard_error, steps
    from siftline.experiment.training.stages import score_rows

    with steps(standard_error()) as progress:
        count = score_rows(config, out, progress=progress)
    typer.echo(f"{out}: {count:,} rows")


MINE_EXAMPLE = (
    "Example: siftline mine examples/beir --data squad_train --profile sparse --out train.jsonl.gz "
    "--not-in squad_dev --not-in nfcorpus"
)


def mine(  # noqa: PLR0913  an option of a command is an argument
    package: Annotated[
        Path | None,
        typer.Argument(
            metavar="[APP]", help="Package whose profile ranks; none: BM25 over title and text."
        ),
    ] = None,
    *,
    data: Annotated[Path, typer.Option(metavar="BEIRDIR", help="BEIR folder to mine in.")],
    out: Annotated[Path, typer.Option(metavar="FILE", help="JSON lines; .gz is gzipped.")],
    split: Annotated[str, typer.Option(help="Split whose queries and positives are taken.")] = (
        "train"
    ),
    from_pairs: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help='Take queries from JSON lines {"query", "pos"} instead.'),
    ] = None,
    titles: Annotated[
        bool,
        typer.Option(
            "--titles",
            help="Take titles, and first sentences cut off their passages, as queries instead.",
        ),
    ] = False,
    passages: Annotated[
        Path | None,
        typer.Option(
            metavar="TEXTDIR", help="First cut these .txt and .md files into BEIRDIR's corpus."
        ),
    ] = None,
    queries: Annotated[
        int | None, typer.Option(metavar="N", help="Take at most N of the queries, at random.")
    ] = None,
    profile: Annotated[str, typer.Option(metavar="P", help="Profile that ranks.")] = "bm25",
    depth: Annotated[int, typer.Option(help="Hits of a query that are looked at.")] = 100,
    skip_top: Annotated[
        int, typer.Option(help="Leave out so many of the best that are not positive.")
    ] = 0,
    negatives: Annotated[int, typer.Option(help="Negatives of a query.")] = 15,
    sample: Annotated[str, typer.Option(help="Which negatives: top, or random ones.")] = "top",
    seed: Annotated[int, typer.Option(help="Of random queries and negatives.")] = 0,
    format: Annotated[
        str, typer.Option(help="posnegs: a row for a positive; kd-ids: one for a query.")
    ] = "posnegs",
    not_in: Annotated[
        list[Path] | None,
        typer.Option(
            metavar="BEIRDIR",
            help="Evaluation set whose queries are left out: all splits but train, or a "
            "BEIRDIR/qrels/SPLIT.tsv.",
        ),
    ] = None,
    overlap: Annotated[
        float, typer.Option(help="Share of common words that makes a copy of a positive.")
    ] = 0.8,
    query_overlap: Annotated[
        float, typer.Option(help="Share of common words that makes a query one of --not-in.")
    ] = 0.8,
    index: Annotated[
        Path | None,
        typer.Option(
            metavar="DIR",
            help="Folder of an index of the whole package (default: that of eval where there is "
            "one, else APP.siftline/mine/P/DATA with what P needs).",
        ),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON on standard output.")] = False,
) -> None:
    """Mine hard negatives for training queries with the engine; a stopped mining goes on."""
    from siftline.experiment.mining.settings import Mining
    from siftline.experiment.mining.terminal import cut_passages, mine_with_progress

    mining = Mining(
        profile=profile,
        split=split,
        pairs=from_pairs,
        titles=titles,
        queries=queries,
        depth=depth,
        skip_top=skip_top,
        negatives=negatives,
        sample=sample,  # type: ignore[arg-type]  # checked there
        seed=seed,
        format=format,  # type: ignore[arg-type]
        overlap=overlap,
        query_overlap=query_overlap,
    )
    if passages is not None:
        cut_passages(passages, data)
    mine_with_progress(
        package,
        data,
        out,
        mining,
        not_in=not_in or [],
        index=index,
        as_json=as_json,
    )


EVAL_SPARSE_EXAMPLE = (
    "Example: siftline eval-sparse bm25 splade-tiny splade-tiny@corpus ours=out/final_model "
    "--data nfcorpus --data medquad:dev --out report"
)


def eval_sparse(  # noqa: PLR0913  an option of a command is an argument
    models: Annotated[
        list[str],
        typer.Argument(
            metavar="[LABEL=]MODEL[@QUERIES]…",
            help="Name of the catalogue, model folder or bm25; QUERIES: bi-encoder, "
            "inference-free, corpus, or a file of token weights.",
        ),
    ],
    *,
    data: Annotated[
        list[str],
        typer.Option(metavar="BEIRDIR[:SPLIT]", help="BEIR folder; again for more of them."),
    ],
    split: Annotated[str, typer.Option(help="Split of folders that name none.")] = "test",
    mode: Annotated[
        str | None,
        typer.Option(help="inference-free or bi-encoder, for models that do not say."),
    ] = None,
    idf: Annotated[
        str | None,
        typer.Option(
            metavar="corpus|FILE", help="Token weights of queries, for models that do not say."
        ),
    ] = None,
    baseline: Annotated[
        str | None,
        typer.Option(metavar="LABEL", help="Whom the others are tested against (default: first)."),
    ] = None,
    max_length: Annotated[int, typer.Option(help="Tokens of a text that are read.")] = 512,
    runtime: Annotated[str, typer.Option(help="auto, onnxruntime or openvino.")] = "auto",
    cache: Annotated[
        Path | None,
        typer.Option(metavar="DIR", help="Folder of vectors (default: beside the models)."),
    ] = None,
    out: Annotated[
        Path | None, typer.Option(metavar="DIR", help="Folder for the report and its plot.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON on standard output.")] = False,
) -> None:
    """Measure sparse models on judged collections: relevance, FLOPS, sizes, encoding rate."""
    from siftline.experiment.sparse.encoding import ModelChoice
    from siftline.experiment.sparse.terminal import evaluate_sparse, show_comparison

    comparison = evaluate_sparse(
        [ModelChoice.parse(text, mode, idf) for text in models],
        data,
        split,
        baseline=baseline,
        max_length=max_length,
        runtime=runtime,  # type: ignore[arg-type]  # checked where it is opened
        cache=cache,
    )
    show_comparison(comparison, out, as_json=as_json)


SWEEP_EXAMPLE = (
    "Example: siftline sweep finetune.yaml --lambda 0.005,0.01,0.02,0.05,0.1 --data nfcorpus"
)


def sweep(
    configs: Annotated[
        list[Path],
        typer.Argument(metavar="CONFIG…", help="YAML file of each stage; the last one is swept."),
    ],
    *,
    weights: Annotated[
        str, typer.Option("--lambda", metavar="W,W,…", help="Weights of the FLOPS penalty.")
    ],
    data: Annotated[
        list[str] | None,
        typer.Option(
            metavar="BEIRDIR[:SPLIT]",
            help="Folder to measure on (default: the recipe's eval_data).",
        ),
    ] = None,
    split: Annotated[
        str | None, typer.Option(help="Split of folders that name none (default: the recipe's).")
    ] = None,
    out: Annotated[
        Path | None, typer.Option(metavar="DIR", help="Folder (default: OUTPUT_DIR-sweep).")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON on standard output.")] = False,
) -> None:
    """Train with several weights of the FLOPS penalty, measure each, draw worth over cost."""
    from siftline.experiment.training.sweep import parse_weights
    from siftline.experiment.training.sweep_terminal import sweep_and_show

    chosen = parse_weights(weights)
    try:
        sweep_and_show(configs, chosen, data or [], split, out, as_json=as_json)
    except KeyboardInterrupt as stopped:
        typer.echo(
            f"siftline: {stopped or 'interrupted'}; the same command goes on from here", err=True
        )
        raise typer.Exit(130) from None
