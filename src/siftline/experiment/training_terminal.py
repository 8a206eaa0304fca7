"""What the training commands show."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from rich.console import Console
from rich.progress import Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

from siftline.train.idf import CorpusIdf


@contextmanager
def counting(what: str) -> Iterator[Callable[[int], None]]:
    """A function that shows how many there are by now, on standard error."""
    console = Console(stderr=True, highlight=False)
    columns = (SpinnerColumn(), TextColumn("{task.completed:,} {task.description}"))
    with Progress(
        *columns,
        TimeElapsedColumn(),
        console=console,
        transient=True,
        disable=not console.is_terminal,
    ) as progress:
        task = progress.add_task(what, total=None)

        def show(count: int) -> None:
            progress.update(task, completed=count)

        yield show


def show_idf(table: CorpusIdf, out: Path) -> None:
    """Write the range and the mean of a table, of all tokens and of those that documents have."""
    weights, seen = list(table.weights.values()), table.seen
    console = Console(highlight=False)
    console.print(
        f"{out}: {len(weights):,} tokens of {table.documents:,} documents", soft_wrap=True
    )
    console.print(f"IDF range: {min(weights):.2f} ~ {max(weights):.2f}")
    console.print(f"IDF mean: {sum(weights) / len(weights):.2f}")
    console.print(
        f"{len(seen):,} tokens seen: {seen.min():.2f} ~ {seen.max():.2f}, mean {seen.mean():.2f}"
    )
