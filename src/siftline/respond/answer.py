"""Ranked documents to a Result: summaries filled, scores and features attached, phases traced."""

from __future__ import annotations

import math
import time
from typing import TYPE_CHECKING

from siftline.rank.ranked import Ranked
from siftline.rank.statistics import PhaseTrace
from siftline.respond.hits import Coverage, Hit, Result, Timing
from siftline.respond.summary import fill
from siftline.respond.trace import Trace
from siftline.schema.definition import Schema

if TYPE_CHECKING:
    from siftline.index.snapshot import Snapshot
    from siftline.match.prepare import Prepared

_TRUE = ("true", "1", "yes")


def answer(
    snapshot: Snapshot,
    schema: Schema,
    prepared: Prepared,
    ranked: Ranked,
    matching: PhaseTrace,
    started: float,
    *,
    cluster: str = "content",
) -> Result:
    """The answer to a query.

    matching: how many documents were matched, and in what time. started: `time.perf_counter()` when
    the query came in.
    """
    query = prepared.query
    filling = time.perf_counter()
    filled = fill(
        schema,
        snapshot,
        ranked.documents,
        summary=query.summary,
        select=query.select,
        cluster=cluster,
    )
    hits = tuple(
        Hit(
            id=document.id,
            relevance=float(ranked.scores[row]),
            fields=document.fields,
            match_features=ranked.match_features[row] if ranked.match_features else None,
            summary_features=ranked.summary_features[row] if ranked.summary_features else None,
            scores=_scores(ranked, row),
            source=cluster,
        )
        for row, document in enumerate(filled)
    )
    done = time.perf_counter()
    summary = PhaseTrace("summary", len(hits), len(hits), done - filling)
    return Result(
        hits,
        ranked.total,
        _coverage(snapshot.document_count, ranked),
        Trace((matching, *ranked.statistics, summary), level=query.trace_level),
        timing=_timing(query.parameters.get("presentation.timing"), started, filling, done),
        tensors=str(query.parameters.get("presentation.format.tensors", "short")),
    )


def _coverage(documents: int, ranked: Ranked) -> Coverage:
    """Of all documents, those that were got to; an answer without ranking them all is degraded."""
    percent = math.floor(100 * ranked.covered)
    return Coverage(math.floor(documents * ranked.covered), percent, ranked.degraded)


def _scores(ranked: Ranked, row: int) -> dict[str, float]:
    scores = {phase: float(values[row]) for phase, values in ranked.phases.items()}
    return {phase: score for phase, score in scores.items() if not math.isnan(score)}


def _timing(wanted: object, started: float, filling: float, done: float) -> Timing | None:
    if str(wanted).lower() not in _TRUE:
        return None
    return Timing(filling - started, done - filling, done - started)
