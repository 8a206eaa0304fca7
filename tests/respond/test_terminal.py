"""Tables for the terminal, rendered to text."""

import io
from dataclasses import replace

from rich.console import Console

from siftline.respond.hits import Coverage, Hit, Result
from siftline.respond.problems import SearchError
from siftline.respond.terminal import phase_names, show_result
from siftline.respond.trace import PhaseTrace, Trace

TRACE = Trace((PhaseTrace("match", 1000, 120, 0.001), PhaseTrace("first-phase", 120, 110, 0.003)))


def show(result: Result) -> str:
    stream = io.StringIO()
    show_result(result, Console(file=stream, width=120, no_color=True))
    return stream.getvalue()


def result() -> Result:
    first = Hit(
        "id:a:doc::1",
        2.5,
        {"title": "Apple [red] pie", "text": "x" * 500, "documentid": "id:a:doc::1"},
        {"lex": 0.25},
        scores={"first-phase": 0.125, "second-phase": 2.5},
    )
    second = Hit("id:a:doc::2", 1.5, {"title": "Sky"}, scores={"first-phase": 0.0625})
    return Result((first, second), 42, Coverage(1000), TRACE)


def test_hits_show_every_phase_and_field() -> None:
    text = show(result())
    for part in ("second-phase", "0.125", "0.0625", "Apple [red] pie", "lex: 0.25", "2 of 42 hits"):
        assert part in text
    assert "x" * 200 not in text.replace("\n", "")
    assert text.count("id:a:doc::1") == 1


def test_trace_shows_counts_and_shares_when_asked_for() -> None:
    assert "25%" not in show(result())
    text = show(replace(result(), trace=replace(TRACE, level=1)))
    line = next(line for line in text.splitlines() if line.startswith("match"))
    assert line.split() == ["match", "1,000", "120", "1.00", "25%"]


def test_errors_come_first() -> None:
    text = show(Result((), 0, Coverage(0), errors=(SearchError(4, "no profile [x]"),)))
    assert text.startswith("error 4: no profile [x]")


def test_phases_stand_in_the_order_they_ran() -> None:
    hits = [Hit("a", 1.0, scores={"global-phase": 1.0, "first-phase": 2.0})]
    assert phase_names(hits) == ["first-phase", "global-phase"]
