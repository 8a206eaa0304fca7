"""Index the documentation strings of Python's standard library and ask five questions.

For each question: the best answers, the score that each phase gave them, the time of each phase,
and how the order changed from phase to phase. Run it with `make demo`.
"""

from __future__ import annotations

import sys
from pathlib import Path

from passages import passages
from rich.console import Console
from rich.table import Table
from rich.text import Text

import siftline
from siftline.application import Application
from siftline.experiment.display import standard_output, steps
from siftline.respond.hits import Hit, Result
from siftline.respond.terminal import format_number, trace_table
from siftline.terminal import feed_with_progress, show_feed_report

QUESTIONS = (
    "how do I read a file line by line",
    "run a shell command and return its output",
    "cache the results of a function",
    "find the closest matches of a word in a list",
    "compare two lists of lines and show the differences",
)
MODELS = (
    "siftline-sparse-tiny",
    "bge-small-en-v1.5",
    "answerai-colbert-small-v1-body",
    "ms-marco-MiniLM-L-12-v2",
)
SHOWN = 5
#: Columns of the terminal that everything but the answer takes.
NUMBERS_WIDTH = 48
PACKAGE = Path(__file__).parent


def main() -> int:
    """Fetch, feed, ask; exit status 0 if every question was answered."""
    console = standard_output()
    fetch_models(console)
    with siftline.open(PACKAGE) as app:
        documents = list(passages())
        console.print(
            f"Feeding {len(documents):,} documentation strings of Python "
            f"{sys.version_info.major}.{sys.version_info.minor} …"
        )
        report = feed_with_progress(app, documents, label="passages", total=len(documents))
        if show_feed_report("passages", report):
            return 1
        # the first query loads models and compiles kernels; the five are timed without that
        app.query(query=QUESTIONS[0], ranking="three-phase", timeout=60)
        answered = [ask(app, console, question) for question in QUESTIONS]
    what_next(console)
    return 0 if all(answered) else 1


def fetch_models(console: Console) -> None:
    """Bring the four models into the cache, where they are not there yet."""
    from siftline.model.inventory import list_models, pull

    here = {row.name for row in list_models() if row.folder}
    for name in MODELS:
        if name not in here:
            console.print(f"Fetching {name} …")
            with steps(console) as progress:
                pull(name, progress=progress)


def ask(app: Application, console: Console, question: str) -> bool:
    """One question in three phases; whether it was answered."""
    result = app.query(
        query=question, ranking="three-phase", hits=24, timeout=60, **{"trace.level": 1}
    )
    console.print()
    console.rule(Text(question, style="bold"), align="left")
    console.print(answers(result, console.width))
    console.print(
        "places: after dense, after ColBERT, after the cross-encoder, among the last 24",
        style="dim",
    )
    if result.trace is not None:
        console.print(trace_table(result.trace))
    return len(result) > 0


def answers(result: Result, width: int) -> Table:
    """The best hits: name and text, score of each phase, place after each phase."""
    after_first, after_second = order(result, "first-phase"), order(result, "second-phase")
    table = Table(box=None, header_style="bold", pad_edge=False)
    table.add_column("#", justify="right")
    table.add_column("answer", width=width - NUMBERS_WIDTH, no_wrap=True, overflow="ellipsis")
    for name, style in (("dense", "cyan"), ("ColBERT", "cyan"), ("cross", "green")):
        table.add_column(name, justify="right", style=style, no_wrap=True)
    table.add_column("places", justify="right", no_wrap=True)
    for place, hit in enumerate(result.hits[:SHOWN], 1):
        moves = f"{after_first[hit.id]} → {after_second[hit.id]} → {place}"
        scores = [score(hit, phase) for phase in ("first-phase", "second-phase", "global-phase")]
        table.add_row(str(place), summary(hit), *scores, moves)
    return table


def order(result: Result, phase: str) -> dict[str, int]:
    """The place of each of the last phase's hits among them by the score of an earlier phase."""
    ranked = sorted(result.hits, key=lambda hit: -hit.scores.get(phase, float("-inf")))
    return {hit.id: place for place, hit in enumerate(ranked, 1)}


def score(hit: Hit, phase: str) -> str:
    """The score that a phase gave, or nothing where it did not rank the hit."""
    return format_number(hit.scores[phase]) if phase in hit.scores else ""


def summary(hit: Hit) -> Text:
    """The name and the first words of the documentation."""
    text = Text(str(hit["title"]).partition("(")[0], style="bold")
    text.append("\n" + " ".join(str(hit["text"]).split()), style="not bold dim")
    return text


def what_next(console: Console) -> None:
    """What a newcomer may try now."""
    lines = (
        'siftline query examples/stdlib "parse dates" --ranking three-phase --trace',
        'siftline query examples/stdlib "parse dates" --ranking bm25      (or sparse, dense)',
        "siftline stat examples/stdlib",
        "siftline eval examples/beir --data FOLDER --split test      (any BEIR collection)",
    )
    console.print("\nTry next, with .venv/bin on your PATH:", style="bold")
    for line in lines:
        console.print(f"  {line}", markup=False, soft_wrap=True)


if __name__ == "__main__":
    sys.exit(main())
