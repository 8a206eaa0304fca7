"""`python -m bench.e5 --data BEIRDIR`: run the experiment and write its report and plots.

What was measured stays in the work folder: interrupted, the same command goes on where it was.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from rich.console import Console
from rich.progress import Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

from bench.e5.material import prepare
from bench.e5.report import write_report
from bench.e5.settings import Results, Settings
from bench.e5.steps import Experiment
from siftline.errors import SiftlineError, UsageError
from siftline.load.result import LoadResult
from siftline.load.run import Watch
from siftline.load.sweep import parse_clients

Say = Callable[[str], None]


def main() -> int:
    parser = argparse.ArgumentParser(prog="bench.e5", description=__doc__)
    parser.add_argument("--data", type=Path, required=True, help="BEIR folder")
    parser.add_argument("--split", default="test")
    parser.add_argument("--language", default="sw", help="of the documents")
    parser.add_argument("--model", default=Settings.model, help="catalogue name or folder")
    parser.add_argument("--limit", type=int, help="documents, the judged ones first; default: all")
    parser.add_argument("--seconds", type=float, default=20.0, help="of each load measurement")
    parser.add_argument("--clients", default="1,2,4,8", help="of the tables of load")
    parser.add_argument("--work", type=Path, default=Settings.work, help="what is measured stays")
    parser.add_argument("--out", type=Path, default=Path("docs"), help="of e5.md and its plots")
    parser.add_argument("--fresh", action="store_true", help="measure everything anew")
    options = parser.parse_args()
    console = Console(stderr=True, highlight=False)
    try:
        settings = Settings(
            options.data, options.split, options.language, options.model, options.limit,
            options.seconds, parse_clients(options.clients), options.work,
        )  # fmt: skip
        results = Results(settings, fresh=options.fresh)
        material = prepare(settings)
        with shown(console) as (say, told, watch):
            Experiment(settings, material, results, say, told, watch).run()
        for path in write_report(results, material, options.out):
            console.print(f"wrote {path}", markup=False)
    except SiftlineError as error:
        console.print(f"bench.e5: {error}", style="red", markup=False, soft_wrap=True)
        return 2 if isinstance(error, UsageError) else 1
    except KeyboardInterrupt:
        console.print("bench.e5: interrupted; the same command goes on from here")
        return 130
    return 0


@contextmanager
def shown(console: Console) -> Iterator[tuple[Say, Say, Watch]]:
    """What is told of the experiment: a line for each step; in a terminal the present one below."""
    columns = (SpinnerColumn(), TextColumn("{task.description}"), TimeElapsedColumn())
    with Progress(
        *columns, console=console, transient=True, disable=not console.is_terminal
    ) as progress:
        task = progress.add_task("preparing")
        step = ""

        def say(what: str) -> None:
            nonlocal step
            step = what
            progress.reset(task, description=what)

        def told(line: str) -> None:
            progress.console.print(line, markup=False)

        def watch(result: LoadResult) -> None:
            now = f"{result.rate:,.1f} queries/s, average {result.average:.1f} ms"
            progress.update(task, description=f"{step}: {now}")

        yield say, told, watch


if __name__ == "__main__":
    sys.exit(main())
