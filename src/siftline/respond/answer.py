"""Ranked documents to a Result: scores and features attached, phases traced."""

from __future__ import annotations

import math
import time
from typing import TYPE_CHECKING

from siftline.rank.ranked import Ranked
from siftline.rank.statistics import PhaseTrace
from siftline.respond.filling import Found, Stored
from siftline.respond.hits import Coverage, Hit, Result, Timing
from siftline.respond.summary import has_id, shown_fields
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
    """The answer to a query; hits have no fields yet, but know where they are (`filling`).

    matching: how many documents were matched, and in what time. started: `time.perf_counter()` when
    the query came in.
    """
    query = prepared.query
    search = Found(
        snapshot,
        schema,
        cluster,
        shown_fields(schema, query.summary, query.select),
        named=has_id(schema, query.summary),
    )
    ids = snapshot.ids(ranked.documents)
    hits = tuple(
        Hit(
            id=id_,
            relevance=float(ranked.scores[row]),
            match_features=ranked.match_features[row] if ranked.match_features else None,
            summary_features=ranked.summary_features[row] if ranked.summary_features else None,
            scores=_scores(ranked, row),
            source=cluster,
            stored=Stored(search, int(ranked.documents[row]), id_),
        )
        for row, id_ in enumerate(ids)
    )
    seconds = time.perf_counter() - started
    timed = str(query.parameters.get("presentation.timing")).lower() in _TRUE
    return Result(
        hits,
        ranked.total,
        _coverage(snapshot.document_count, ranked),
        Trace((matching, *ranked.statistics), level=query.trace_level),
        timing=Timing(seconds, 0.0, seconds) if timed else None,
        tensors=str(query.parameters.get("presentation.format.tensors", "short")),
    )


def _coverage(documents: int, ranked: Ranked) -> Coverage:
    """Of all documents, those that were got to; an answer without ranking them all is degraded."""
    percent = math.floor(100 * ranked.covered)
    return Coverage(math.floor(documents * ranked.covered), percent, ranked.degraded)


def _scores(ranked: Ranked, row: int) -> dict[str, float]:
    scores = {phase: float(values[row]) for phase, values in ranked.phases.items()}
    return {phase: score for phase, score in scores.items() if not math.isnan(score)}
