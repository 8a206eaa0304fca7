"""Where commands write: consoles, JSON, and bars that show how far something is."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    SpinnerColumn,
    TaskID,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)

from siftline.experiment.profiles import Progress as Steps


def standard_output() -> Console:
    """Where answers go; wide where no terminal says how wide."""
    return Console(highlight=False, width=None if sys.stdout.isatty() else 140)


def standard_error() -> Console:
    """Where progress and problems go, so that answers can be piped."""
    return Console(stderr=True, highlight=False)


def print_json(value: Any) -> None:
    """One JSON value on standard output."""
    sys.stdout.write(json.dumps(value, ensure_ascii=False) + "\n")


@contextmanager
def progress_bar(console: Console) -> Iterator[Progress]:
    """A progress display with counts and times; silent where the console is no terminal."""
    columns = (
        SpinnerColumn(),
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
    )
    with Progress(
        *columns, console=console, transient=True, disable=not console.is_terminal
    ) as progress:
        yield progress


@contextmanager
def steps(console: Console) -> Iterator[Steps]:
    """A function (what, done, total) that shows several activities, one line each."""
    with progress_bar(console) as progress:
        tasks: dict[str, TaskID] = {}

        def show(what: str, done: int, total: int | None) -> None:
            if what not in tasks:
                tasks[what] = progress.add_task(what, total=total)
            progress.update(tasks[what], completed=done, total=total)

        yield show
