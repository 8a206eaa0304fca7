"""The command line: one short function per command, each over a public function."""

from __future__ import annotations

import json
import sys
import traceback
from pathlib import Path
from typing import Annotated, Any

import typer

from siftline.errors import SiftlineError, UsageError
from siftline.experiment.commands import (
    EVAL_SPARSE_EXAMPLE,
    MINE_EXAMPLE,
    SCORE_EXAMPLE,
    SWEEP_EXAMPLE,
    TRAIN_EXAMPLE,
    eval_sparse,
    idf_app,
    mine,
    score,
    sweep,
    train,
)
from siftline.load.command import FBENCH_EXAMPLE, fbench

app = typer.Typer(
    name="siftline",
    help="Neural search in one process: feed documents to a Vespa application package, ask, rank.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)
models_app = typer.Typer(help="Model files: list, pull, show, export.", no_args_is_help=True)
app.add_typer(models_app, name="models")

App = Annotated[Path, typer.Argument(metavar="APP", help="Folder of the application package.")]
Data = Annotated[
    Path | None,
    typer.Option("--data", metavar="DIR", help="Folder of the index (default: APP.siftline)."),
]
SchemaName = Annotated[
    str | None, typer.Option("--schema", help="Document type, where the package has several.")
]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON on standard output.")]


@app.callback()
def _options(
    verbose: Annotated[
        bool, typer.Option("-v", "--verbose", help="Show the traceback of an error.")
    ] = False,
) -> None:
    _Verbosity.traceback = verbose


class _Verbosity:
    traceback = False


@app.command(epilog="Example: siftline feed examples/stdlib documents.jsonl")
def feed(
    package: App,
    files: Annotated[
        list[str],
        typer.Argument(
            metavar="FILE…",
            help="JSON lines, a JSON array or a BEIR folder, also gzipped; - is stdin.",
        ),
    ],
    data: Data = None,
    schema: SchemaName = None,
    namespace: Annotated[
        str | None, typer.Option(help="Namespace of ids that are not written in full.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Put, update and remove documents; bad ones are reported and the others go in."""
    from siftline.application import Application
    from siftline.terminal import feed_with_progress, show_feed_report

    with Application.open(package, data) as application:
        reports = [
            feed_with_progress(application, file, schema=schema, namespace=namespace)
            for file in files
        ]
    failed = False
    for file, report in zip(files, reports, strict=True):
        failed |= show_feed_report(file, report, as_json=as_json)
    if failed:
        raise typer.Exit(1)


@app.command(epilog='Example: siftline query examples/stdlib "read a file line by line" --trace')
def query(
    package: App,
    text: Annotated[str | None, typer.Argument(help="The question.")] = None,
    ranking: Annotated[str | None, typer.Option(help="Query profile or rank profile.")] = None,
    yql: Annotated[str | None, typer.Option(help="The query in YQL.")] = None,
    hits: Annotated[int | None, typer.Option(help="How many hits to show.")] = None,
    parameters: Annotated[
        list[str] | None,
        typer.Option("-p", "--parameter", metavar="NAME=VALUE", help="Any other parameter."),
    ] = None,
    trace: Annotated[bool, typer.Option("--trace", help="Show what each phase did.")] = False,
    as_json: AsJson = False,
    data: Data = None,
) -> None:
    """Ask a question; prints the hits with the score of each phase."""
    from siftline.application import Application
    from siftline.terminal import show_answer

    request: dict[str, Any] = dict(_parameter(p) for p in parameters or [])
    given = {"query": text, "ranking": ranking, "yql": yql, "hits": hits}
    request.update({name: value for name, value in given.items() if value is not None})
    if trace:
        request["trace.level"] = 1
    with Application.open(package, data, read_only=True) as application:
        show_answer(application.query(**request), as_json=as_json)


def _parameter(text: str) -> tuple[str, str]:
    name, equals, value = text.partition("=")
    if not equals or not name:
        raise UsageError(f"not a parameter: '{text}' (expected NAME=VALUE)")
    return name, value


@app.command(epilog="Example: siftline get examples/stdlib id:default:passage::abc.ABC")
def get(
    package: App,
    ids: Annotated[list[str], typer.Argument(metavar="ID…", help="Document ids.")],
    data: Data = None,
    schema: SchemaName = None,
) -> None:
    """Print documents as JSON lines; exit 1 if one is missing."""
    from siftline.application import Application

    missing = []
    with Application.open(package, data, read_only=True) as application:
        for id_ in ids:
            fields = application.get(id_, schema=schema)
            if fields is None:
                missing.append(id_)
            else:
                typer.echo(_document_json(application.full_id(id_, schema), fields))
    if missing:
        raise SiftlineError(f"no document {', '.join(missing)}")


@app.command(epilog="Example: siftline remove examples/stdlib id:default:passage::abc.ABC")
def remove(
    package: App,
    ids: Annotated[list[str], typer.Argument(metavar="ID…", help="Document ids.")],
    data: Data = None,
    schema: SchemaName = None,
) -> None:
    """Remove documents; one that is not there counts as removed."""
    from siftline.application import Application

    with Application.open(package, data) as application:
        report = application.remove(*ids, schema=schema)
    if report.errors:
        raise report.errors[0]
    typer.echo(f"removed {len(ids)}", err=True)


@app.command(epilog="Example: siftline visit examples/stdlib > documents.jsonl")
def visit(package: App, data: Data = None, schema: SchemaName = None) -> None:
    """Print every document as JSON lines that `feed` reads."""
    from siftline.application import Application

    with Application.open(package, data, read_only=True) as application:
        for id_, fields in application.visit(schema=schema):
            sys.stdout.write(_document_json(id_, fields) + "\n")


def _document_json(id_: str, fields: Any) -> str:
    return json.dumps({"put": id_, "fields": fields}, ensure_ascii=False)


@app.command(epilog="Example: siftline stat examples/stdlib")
def stat(package: App, data: Data = None, as_json: AsJson = False) -> None:
    """Show documents, bytes of each structure, and models."""
    from siftline.application import Application
    from siftline.terminal import show_statistics

    with Application.open(package, data, read_only=True) as application:
        show_statistics(application, as_json=as_json)


EVAL_EXAMPLE = "Example: siftline eval examples/beir --data nfcorpus --split test --profile bm25"


@app.command("eval", epilog=EVAL_EXAMPLE)
def evaluate(
    package: App,
    data: Annotated[Path, typer.Option("--data", metavar="BEIRDIR", help="BEIR folder.")],
    split: Annotated[str, typer.Option(help="Name of the qrels file.")] = "test",
    profiles: Annotated[
        list[str] | None,
        typer.Option("--profile", metavar="P", help="Profile to measure; all where none is given."),
    ] = None,
    out: Annotated[
        Path | None, typer.Option(metavar="DIR", help="Folder for run files and the plot.")
    ] = None,
    index: Annotated[
        Path | None,
        typer.Option(metavar="DIR", help="Folder of the index (default: APP.siftline/eval/DATA)."),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Feed a BEIR collection if needed and measure every profile on it."""
    from siftline.experiment.display import standard_error, steps
    from siftline.experiment.profiles import evaluate_package
    from siftline.terminal import draw_evaluation, show_evaluation

    with steps(standard_error()) as progress:
        comparison = evaluate_package(
            package, data, split, profiles=profiles or (), index=index, out=out, progress=progress
        )
    if out is not None:
        draw_evaluation(comparison, out / "quality.png")
    show_evaluation(comparison, as_json=as_json)


@app.command(epilog="Example: siftline tune examples/beir --data nfcorpus --profile linear")
def tune(
    package: App,
    data: Annotated[Path, typer.Option("--data", metavar="BEIRDIR", help="BEIR folder.")],
    profile: Annotated[str, typer.Option("--profile", metavar="P", help="Rank profile.")],
    split: Annotated[str, typer.Option(help="Split whose queries choose the weights.")] = "dev",
    test: Annotated[str, typer.Option(help="Split whose queries judge the choice.")] = "test",
    index: Annotated[
        Path | None,
        typer.Option(metavar="DIR", help="Folder of the index (default: APP.siftline/eval/DATA)."),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Find the best weights of the linear combination that a profile's last phase is."""
    from siftline.experiment.display import standard_error, steps
    from siftline.experiment.profiles import tune_package
    from siftline.terminal import show_tuning

    with steps(standard_error()) as progress:
        tuning = tune_package(package, data, profile, split, test, index=index, progress=progress)
    show_tuning(tuning, as_json=as_json)


app.command(epilog=FBENCH_EXAMPLE)(fbench)
app.command(epilog=TRAIN_EXAMPLE)(train)
app.command(epilog=SCORE_EXAMPLE)(score)
app.add_typer(idf_app, name="idf")
app.command(epilog=MINE_EXAMPLE)(mine)
app.command("eval-sparse", epilog=EVAL_SPARSE_EXAMPLE)(eval_sparse)
app.command(epilog=SWEEP_EXAMPLE)(sweep)


SERVE_EXAMPLE = "Example: siftline serve examples/stdlib --port 8080"


@app.command(epilog=SERVE_EXAMPLE)
def serve(
    package: Annotated[
        Path | None,
        typer.Argument(metavar="[APP]", help="Folder of the package; none: wait for a deployment."),
    ] = None,
    port: Annotated[int, typer.Option(help="Port of queries and documents; 0: any free one.")] = (
        8080
    ),
    config_port: Annotated[int, typer.Option(help="Port of deployments; 0: any free one.")] = 19071,
    host: Annotated[str, typer.Option(help="Address to listen on.")] = "127.0.0.1",
    data: Annotated[
        Path | None,
        typer.Option(metavar="DIR", help="Index and deployed packages (default: APP.siftline)."),
    ] = None,
    allow_components: Annotated[
        bool,
        typer.Option(
            "--allow-components", help="Accept packages with Python components over HTTP."
        ),
    ] = False,
    token: Annotated[
        str | None,
        typer.Option(envvar="SIFTLINE_TOKEN", help="Ask every request for this bearer token."),
    ] = None,
    tls_cert: Annotated[
        Path | None, typer.Option(metavar="PEM", help="Certificate: serve TLS on both ports.")
    ] = None,
    tls_key: Annotated[Path | None, typer.Option(metavar="PEM", help="Its private key.")] = None,
    client_ca: Annotated[
        Path | None,
        typer.Option(metavar="PEM", help="Ask clients for a certificate that this one signed."),
    ] = None,
    no_query_cache: Annotated[
        bool, typer.Option("--no-query-cache", help="Encode every query, also one asked before.")
    ] = False,
    threads: Annotated[
        int | None, typer.Option(min=1, help="Queries answered at once (default: cores).")
    ] = None,
    waiting: Annotated[
        int, typer.Option(min=0, help="Queries that may wait for a thread; more get 503.")
    ] = 1024,
    max_body: Annotated[
        int, typer.Option(metavar="MB", min=1, help="Largest body of a request; more gets 413.")
    ] = 100,
    idle: Annotated[
        float, typer.Option(metavar="SECONDS", min=1, help="Close connections that ask nothing.")
    ] = 60,
    grace: Annotated[
        float, typer.Option(metavar="SECONDS", min=0, help="How long a shutdown waits.")
    ] = 30,
    access_log: Annotated[
        str | None, typer.Option(metavar="FILE", help="JSON lines of requests; - is stderr.")
    ] = None,
) -> None:
    """Serve a package with Vespa's HTTP API until Ctrl-C; without one, wait for `vespa deploy`."""
    from siftline.serve.options import MB, Limits, Options
    from siftline.terminal import serve_package

    limits = Limits(
        body=max_body * MB,
        threads=threads or Limits().threads,
        waiting=waiting,
        idle=idle,
        grace=grace,
    )
    options = Options(
        host=host,
        port=port,
        config_port=config_port,
        token=token,
        tls_cert=tls_cert,
        tls_key=tls_key,
        client_ca=client_ca,
        access_log=access_log,
        allow_components=allow_components,
        data=data,
        query_cache=0 if no_query_cache else None,
        limits=limits,
    )
    serve_package(package, options)


@models_app.command("list", epilog="Example: siftline models list")
def models_list(as_json: AsJson = False) -> None:
    """List the models of the catalogue."""
    from siftline.terminal import show_models

    show_models(as_json=as_json)


@models_app.command("pull", epilog="Example: siftline models pull bge-small-en-v1.5")
def models_pull(
    names: Annotated[list[str], typer.Argument(metavar="NAME…", help="Names of the catalogue.")],
) -> None:
    """Fetch models into the cache, checking their hashes; prints their folders."""
    from siftline.terminal import pull_with_progress

    for name in names:
        typer.echo(str(pull_with_progress(name)))


@models_app.command("show", epilog="Example: siftline models show splade-tiny")
def models_show(
    name: Annotated[str, typer.Argument(metavar="NAME", help="Name of the catalogue.")],
) -> None:
    """Show what the catalogue knows about a model."""
    from siftline.terminal import show_model

    show_model(name)


EXPORT_EXAMPLE = "Example: siftline models export all-MiniLM-L6-v2 --out minilm --quantize int8"


@models_app.command("export", epilog=EXPORT_EXAMPLE)
def models_export(
    source: Annotated[
        str, typer.Argument(metavar="NAME|FOLDER", help="Catalogue name, or folder of a model.")
    ],
    out: Annotated[Path, typer.Option(metavar="DIR", help="Folder to write.")],
    form: Annotated[
        str,
        typer.Option(
            "--format", metavar="FORMAT", help="onnx, sentence-transformers or opensearch."
        ),
    ] = "onnx",
    optimize: Annotated[bool, typer.Option("--optimize", help="Fuse and fold the graph.")] = False,
    quantize: Annotated[
        str | None, typer.Option(metavar="int8", help="Quantise the weights dynamically.")
    ] = None,
    dequantize: Annotated[
        bool, typer.Option("--dequantize", help="int8 ONNX to fp32 weights.")
    ] = False,
    prune_ratio: Annotated[
        float | None,
        typer.Option(metavar="R", help="Leave out weights up to R times a text's largest."),
    ] = None,
    max_length: Annotated[
        int | None, typer.Option(min=3, help="Tokens of a text, for those that keep it.")
    ] = None,
    name: Annotated[str | None, typer.Option(help="Of the OpenSearch model.")] = None,
    version: Annotated[
        str | None, typer.Option(metavar="1.0.0", help="Of the OpenSearch model.")
    ] = None,
) -> None:
    """Convert a model and check the result against its source; the folder stands for the model."""
    from siftline.experiment.exports import Options
    from siftline.terminal import export_and_show

    options = Options(optimize, quantize, dequantize, prune_ratio, max_length, name, version)
    export_and_show(source, out, form, options)


def main() -> None:
    """Run the command line: errors are one line; exit 2 for usage, 1 for failure."""
    try:
        app()
    except SiftlineError as error:
        if _Verbosity.traceback:
            traceback.print_exception(error)
        typer.echo(f"siftline: {error}", err=True)
        sys.exit(2 if isinstance(error, UsageError) else 1)
    except KeyboardInterrupt:
        typer.echo("siftline: interrupted", err=True)
        sys.exit(130)
    except BrokenPipeError:
        sys.stderr.close()
        sys.exit(1)


if __name__ == "__main__":
    main()
