"""What the command line shows: progress, tables, JSON. Everything here writes; nothing decides."""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from rich.markup import escape
from rich.table import Table

from siftline.application import Application
from siftline.engine import FeedReport
from siftline.errors import MissingExtraError
from siftline.evaluate.compare import HEADINGS, Comparison, notes, rows, to_json
from siftline.evaluate.plot import plot_quality
from siftline.experiment.display import (
    print_json,
    progress_bar,
    standard_error,
    standard_output,
    steps,
)
from siftline.experiment.exports import Options as ExportOptions
from siftline.experiment.exports import export_model
from siftline.experiment.profiles import WeightTuning
from siftline.model.inventory import describe, list_models, pull
from siftline.respond.hits import Result
from siftline.respond.terminal import show_result
from siftline.serve.options import Options

#: Errors of a feed that are shown; the rest is counted.
ERRORS_SHOWN = 20


def feed_with_progress(
    application: Application,
    documents: Any,
    *,
    label: str | None = None,
    total: int | None = None,
    schema: str | None = None,
    namespace: str | None = None,
) -> FeedReport:
    """Feed with a progress bar on standard error; total: how many operations, None if unknown."""
    with progress_bar(standard_error()) as progress:
        task = progress.add_task(label or f"feeding {documents}", total=total)
        return application.feed(
            documents,
            schema=schema,
            namespace=namespace,
            progress=lambda report: progress.update(task, completed=report.operations),
        )


def show_feed_report(name: str, report: FeedReport, *, as_json: bool = False) -> bool:
    """Write what became of a feed; True if there were errors."""
    errors = standard_error()
    for error in report.errors[:ERRORS_SHOWN]:
        errors.print(str(error), style="red", markup=False, soft_wrap=True)
    if len(report.errors) > ERRORS_SHOWN:
        errors.print(f"… and {len(report.errors) - ERRORS_SHOWN:,} more errors", style="red")
    for id_ in report.repeated[:ERRORS_SHOWN]:
        errors.print(f"{id_}: more than once in a batch, the last one wins", markup=False)
    counts = {
        "put": report.put,
        "updated": report.updated,
        "removed": report.removed,
        "unchanged": report.unchanged,
        "missing": report.missing,
        "repeated": len(report.repeated),
        "errors": len(report.errors),
    }
    if as_json:
        print_json({"file": name, **counts, "seconds": round(report.seconds, 3)})
    else:
        shown = ", ".join(f"{count:,} {what}" for what, count in counts.items() if count)
        rate = report.operations / report.seconds if report.seconds else 0.0
        standard_output().print(
            f"{name}: {shown or 'nothing'} in {report.seconds:.1f} s ({rate:,.0f}/s)",
            markup=False,
        )
    return bool(report.errors)


def show_answer(result: Result, *, as_json: bool = False) -> None:
    """Write the hits, as tables or as Vespa's JSON."""
    if as_json:
        print_json(result.to_json())
    else:
        show_result(result, standard_output())


def show_statistics(application: Application, *, as_json: bool = False) -> None:
    """Write documents and bytes of each structure of every schema, and the models in use."""
    facts = {
        name: asdict(engine.index.statistics()) for name, engine in application.engines.items()
    }
    models = {
        id_: component.type for id_, component in application.package.services.components.items()
    }
    if as_json:
        print_json({"data": str(application.data), "schemas": facts, "models": models})
        return
    console = standard_output()
    for name, fact in facts.items():
        console.print(
            f"{name}: {fact['documents']:,} documents, {fact['segments']} segments in "
            f"{application.data}",
            markup=False,
            soft_wrap=True,
        )
        table = _table("structure", "field", right=("bytes",))
        table.add_row("store", "", f"{fact['store_bytes']:,}")
        for structure, fields in fact["bytes"].items():
            for field, size in fields.items():
                table.add_row(structure, field, f"{size:,}")
        console.print(table)
    for id_, type_ in models.items():
        console.print(f"{id_}: {type_}", style="dim", markup=False)


def show_models(*, as_json: bool = False) -> None:
    """Write the catalogue: a line for each model, and what of it is in the cache."""
    rows = list_models()
    if as_json:
        print_json([{**asdict(row), "folder": row.folder and str(row.folder)} for row in rows])
        return
    table = _table("name", "role", "licence", right=("dimensions", "tokens", "MB here"))
    for row in rows:
        size = f"{row.bytes / 1e6:.1f}" if row.folder else ""
        table.add_row(
            row.name, row.role, row.licence, str(row.dimensions), str(row.max_length), size
        )
    standard_output().print(table)


def show_model(name: str) -> None:
    """Write everything the catalogue says about a model, as indented JSON."""
    sys.stdout.write(json.dumps(describe(name), indent=2, ensure_ascii=False) + "\n")


def pull_with_progress(name: str) -> Path:
    """Fetch a model with a progress bar on standard error; its folder."""
    with steps(standard_error()) as progress:
        return pull(name, progress=progress)


def export_and_show(source: str, out: Path, form: str, options: ExportOptions) -> None:
    """Convert a model; write how far the result is from its source, and what is there now."""
    table = _table("step", "compared with", right=("largest difference", "least cosine", "MB"))
    for step in export_model(source, out, form, options):
        table.add_row(
            step.name,
            step.compared_with,
            f"{step.difference:.2g}",
            f"{step.similarity:.6f}",
            f"{step.bytes / 1e6:.1f}",
        )
    console = standard_output()
    console.print(table)
    for path in sorted(path for path in out.rglob("*") if path.is_file()):
        console.print(str(path), markup=False, soft_wrap=True)


def show_evaluation(comparison: Comparison, *, as_json: bool = False) -> None:
    """Write the figures of every profile, as a table or as one JSON value."""
    if as_json:
        print_json(to_json(comparison))
        return
    console = standard_output()
    table = _table(HEADINGS[0], right=HEADINGS[1:])
    for row in rows(comparison):
        table.add_row(*row)
    console.print(table)
    for note in notes(comparison):
        console.print(note, style="dim", markup=False)


def draw_evaluation(comparison: Comparison, path: Path) -> None:
    """Draw quality against latency; says on standard error where it is, or what it lacks."""
    try:
        plot_quality(comparison, path)
    except MissingExtraError as error:
        standard_error().print(f"no plot: {error}", markup=False)
    else:
        standard_error().print(f"plot: {path}", markup=False, soft_wrap=True)


def serve_package(package: Path | None, options: Options) -> None:
    """Serve until a signal; says on standard output where, and what is served."""
    from siftline.serve.run import serve

    console = standard_output()

    def listening(container: str, config: str, name: str | None) -> None:
        what = f"package '{name}'" if name else "no package yet: deploy one to the config port"
        console.print(f"[bold]Siftline[/bold] serves {escape(what)}")
        console.print(f"  search and documents  {container}", markup=False)
        console.print(f"  config and deploy     {config}", markup=False)
        console.print("Ctrl-C stops it.", style="dim")
        sys.stdout.flush()

    serve(package, options, listening)


def show_tuning(tuning: WeightTuning, *, as_json: bool = False) -> None:
    """Write the weights before and after, and the figures of both on every split."""
    if as_json:
        print_json(asdict(tuning))
        return
    console = standard_output()
    table = _table("term", right=("written", "tuned"))
    for term, weight in tuning.tuned.items():
        table.add_row(term, f"{tuning.written[term]:g}", f"{weight:g}")
    console.print(table)
    for split, (before, after) in tuning.figures.items():
        console.print(f"{split}: nDCG@10 {before:.4f} as written, {after:.4f} tuned", markup=False)
    console.print(f"{tuning.tried:,} weightings tried. Best: {tuning.expression}", markup=False)


def _table(*left: str, right: Sequence[str] = ()) -> Table:
    table = Table(box=None, header_style="bold", pad_edge=False)
    for name in left:
        table.add_column(name, overflow="fold")
    for name in right:
        table.add_column(name, justify="right")
    return table
