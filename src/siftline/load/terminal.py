"""What `siftline fbench` shows: the summary, the table of a sweep, progress, failures."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from rich.console import Console
from rich.progress import BarColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn
from rich.table import Table

from siftline.errors import UsageError
from siftline.load.options import LoadOptions
from siftline.load.plot import plot_sweep
from siftline.load.result import LoadResult, summary, to_json
from siftline.load.run import Watch, run_load
from siftline.load.sweep import HEADINGS, Sweep, parse_clients, run_sweep

#: Reasons of failures that are shown.
REASONS = 5


def measure_load(options: LoadOptions, interval: int = 0, *, as_json: bool = False) -> None:
    """Run a load test and write its summary; every `interval` seconds the summary up to then."""
    if interval < 0:
        raise UsageError(f"-p takes a number of seconds from 0, not {interval}")
    with watching(_errors(), options.seconds) as watch:

        def show(result: LoadResult) -> None:
            sys.stdout.write(f"\nRuntime: {result.ran:.0f} sec\n{summary(result)}\n")
            sys.stdout.flush()

        if interval and not as_json:
            result = run_load(options, show, every=interval)
        else:
            result = run_load(options, watch)
    if as_json:
        sys.stdout.write(json.dumps(to_json(result)) + "\n")
    else:
        sys.stdout.write(summary(result) + "\n")
    show_failures(result, _errors())


def measure_sweep(
    options: LoadOptions, clients: str, plot: Path | None, *, as_json: bool = False
) -> None:
    """Run a load test with each number of clients; the table, and the plot where one is asked."""
    errors = _errors()
    with watching(errors, options.seconds) as watch:
        sweep = run_sweep(options, parse_clients(clients), watch=watch)
    if as_json:
        sys.stdout.write(json.dumps(sweep.to_json()) + "\n")
    else:
        show_sweep(sweep, Console(highlight=False))
    for result in sweep.results:
        show_failures(result, errors)
    if plot is not None:
        plot_sweep(sweep, plot)
        errors.print(f"plot: {plot}", markup=False, soft_wrap=True)


def _errors() -> Console:
    """Where progress and failures go, so that the figures can be piped."""
    return Console(stderr=True, highlight=False)


@contextmanager
def watching(console: Console, seconds: float) -> Iterator[Watch]:
    """A line that tells how far a load test is; nothing where the console is no terminal."""
    columns = (SpinnerColumn(), TextColumn("{task.description}"), BarColumn(), TimeElapsedColumn())
    with Progress(
        *columns, console=console, transient=True, disable=not console.is_terminal
    ) as progress:
        total = seconds if seconds > 0 else None
        task = progress.add_task("starting clients", total=total)

        def show(result: LoadResult) -> None:
            failed = f", {result.tally.failed:,} failed" if result.tally.failed else ""
            progress.update(
                task,
                completed=min(result.ran, total or result.ran),
                description=f"{result.options.clients} clients: {result.rate:,.1f} queries/s, "
                f"average {result.average:.2f} ms{failed}",
            )

        yield show


def show_failures(result: LoadResult, console: Console) -> None:
    """Write why requests failed, the most frequent reasons first."""
    tally = result.tally
    for reason, count in tally.failures.most_common(REASONS):
        said = " ".join(tally.examples.get(reason, "").split())
        console.print(
            f"{count:,} failed: {reason}{f', such as: {said}' if said else ''}",
            style="red",
            markup=False,
            soft_wrap=True,
        )
    if len(tally.failures) > REASONS:
        console.print(f"… and {len(tally.failures) - REASONS} more reasons", style="red")


def show_sweep(sweep: Sweep, console: Console) -> None:
    """Write the table of clients, average latency, 95 % latency and queries a second."""
    table = Table(box=None, header_style="bold", pad_edge=False, caption_justify="left")
    for heading in HEADINGS:
        table.add_column(heading, justify="right")
    failed = any(result.tally.failed for result in sweep.results)
    if failed:
        table.add_column("failed", justify="right", style="red")
    for row, result in zip(sweep.rows(), sweep.results, strict=True):
        table.add_row(*row, *([f"{result.tally.failed:,}"] if failed else []))
    console.print(table)
