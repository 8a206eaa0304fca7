"""Runs: what a system answered to each query, and the files that other tools read.

TREC        query Q0 document rank score name
MS MARCO    query document rank          (tab separated, ranks from 1)
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from siftline.errors import Place, UsageError
from siftline.lines import read_lines

#: query id → `(document id, score)`, best first
Run = Mapping[str, Sequence[tuple[str, float]]]


def check_run(run: Run) -> None:
    """UsageError where a ranking names a document twice or a score rises or is not a number.

    A document that counted twice, or an order that other tools would not see, would make figures
    that nobody can reproduce.
    """
    for query, ranking in run.items():
        if len({document for document, _ in ranking}) != len(ranking):
            raise UsageError(f"the ranking of query '{query}' names a document twice")
        scores = [score for _, score in ranking]
        if any(math.isnan(score) for score in scores):
            raise UsageError(f"the ranking of query '{query}' holds a score that is NaN")
        if any(before < after for before, after in zip(scores, scores[1:], strict=False)):
            raise UsageError(f"the scores of query '{query}' do not fall from best to last")


def write_trec(run: Run, path: str | Path, name: str) -> None:
    """The run as a TREC file; `name` is its last column. Scores keep every digit.

    Tools that sort a TREC file by score alone may order ties in another way than the ranks.
    """
    check_run(run)
    _write(
        path,
        (
            f"{_word(query)} Q0 {_word(document)} {rank} {score!r} {_word(name)}"
            for query, ranking in run.items()
            for rank, (document, score) in enumerate(_plain(ranking), 1)
        ),
    )


def write_msmarco(run: Run, path: str | Path) -> None:
    """The run as an MS MARCO file, which has ranks and no scores."""
    check_run(run)
    _write(
        path,
        (
            f"{_word(query)}\t{_word(document)}\t{rank}"
            for query, ranking in run.items()
            for rank, (document, _) in enumerate(ranking, 1)
        ),
    )


def read_run(path: str | Path) -> dict[str, list[tuple[str, float]]]:
    """A TREC or MS MARCO run file, known by its columns; rankings by score, then rank.

    MS MARCO ranks become the scores 1/rank. UsageError with the line where a column is missing or
    is no number, or where a document stands twice.
    """
    found: dict[str, list[tuple[float, int, str]]] = {}
    for place, line in read_lines(Path(path)):
        columns = line.split()
        if len(columns) == 6:
            query, _, document, rank, score, _ = columns
        elif len(columns) == 3:
            query, document, rank = columns
            score = ""
        else:
            raise UsageError(
                f"expected 6 columns (TREC) or 3 (MS MARCO), got {len(columns)}", place
            )
        number = int(_number(rank, place))
        value = _number(score, place) if score else 1.0 / max(number, 1)
        found.setdefault(query, []).append((-value, number, document))
    run = {
        query: [(document, -value) for value, _, document in sorted(rows)]
        for query, rows in found.items()
    }
    check_run(run)
    return run


def _plain(ranking: Sequence[tuple[str, float]]) -> Iterable[tuple[str, float]]:
    return ((document, float(score)) for document, score in ranking)


def _word(text: str) -> str:
    if not text or text.split() != [text]:
        raise UsageError(f"a run file cannot hold '{text}': its columns are parted by white space")
    return text


def _write(path: str | Path, lines: Iterable[str]) -> None:
    with Path(path).open("w", encoding="utf-8") as file:
        for line in lines:
            file.write(f"{line}\n")


def _number(text: str, place: Place) -> float:
    try:
        return float(text)
    except ValueError:
        raise UsageError(f"expected a number, got '{text}'", place) from None
