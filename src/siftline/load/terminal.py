"""What `siftline fbench` shows: the summary, the table of a sweep, progress, failures."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from siftline.load.result import LoadResult
from siftline.load.run import Watch
from siftline.load.sweep import HEADINGS, Sweep

if TYPE_CHECKING:
    from rich.console import Console

#: Reasons of failures that are shown.
REASONS = 5


@contextmanager
def watching(console: Console, seconds: float) -> Iterator[Watch]:
    """A line that tells how far a load test is; nothing where the console is no terminal."""
    from rich.progress import BarColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

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
    from rich.table import Table

    table = Table(box=None, header_style="bold", pad_edge=False, caption_justify="left")
    for heading in HEADINGS:
        table.add_column(heading, justify="right")
    failed = any(result.tally.failed for result in sweep.results)
    if failed:
        table.add_column("failed", justify="right", style="red")
    for row, result in zip(sweep.rows(), sweep.results, strict=True):
        table.add_row(*row, *([f"{result.tally.failed:,}"] if failed else []))
    console.print(table)
