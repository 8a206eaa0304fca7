"""Fills hits: an answer's hits come without fields, so that they can be put in another order first.

A hit remembers the snapshot it was found in; its fields are fetched from there when they are
needed, each at most once.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from siftline.rank.statistics import PhaseTrace
from siftline.respond.hits import Hit, Result, Timing
from siftline.respond.summary import anonymous_id, fetch, shown_fields
from siftline.respond.trace import Trace
from siftline.schema.definition import Schema

if TYPE_CHECKING:
    from siftline.index.snapshot import Snapshot


@dataclass(frozen=True, slots=True, eq=False)
class Found:
    """What the hits of one search have in common.

    shown: name → source of what the query's answer shows. named: whether its summary class has the
    document's id, which is then the hit's id.
    """

    snapshot: Snapshot
    schema: Schema
    cluster: str
    shown: Mapping[str, str]
    named: bool = True


@dataclass(frozen=True, slots=True, eq=False)
class Stored:
    """Where one hit's document is: its number in the snapshot, its id; and what was fetched."""

    search: Found
    document: int
    id: str
    fetched: frozenset[str] = frozenset()


def fill(result: Result, summary: str | None = None) -> Result:
    """The result with the fields of a summary class in its hits; None: what its query shows.

    Hits that no search found, and fields that are there, stay as they are. QueryError: there is no
    such class.
    """
    started = time.perf_counter()
    hits = list(result.hits)
    groups: dict[tuple[int, frozenset[str]], list[int]] = {}
    wanted: dict[int, Mapping[str, str]] = {}
    for row, hit in enumerate(hits):
        if hit.stored is None:
            continue
        search = hit.stored.search
        if id(search) not in wanted:
            wanted[id(search)] = _wanted(search, summary)
        there = hit.stored.fetched.union(hit.fields)
        missing = frozenset(wanted[id(search)]).difference(there)
        if missing:
            groups.setdefault((id(search), missing), []).append(row)
    for (key, missing), rows in groups.items():
        sources = {name: source for name, source in wanted[key].items() if name in missing}
        for row, hit in zip(rows, _fetched([hits[row] for row in rows], sources), strict=True):
            hits[row] = hit
    seconds = time.perf_counter() - started
    return replace(
        result, hits=tuple(hits), trace=_trace(result, seconds), timing=_timing(result, seconds)
    )


def _wanted(search: Found, summary: str | None) -> Mapping[str, str]:
    return search.shown if summary is None else shown_fields(search.schema, summary, None)


def _fetched(hits: Sequence[Hit], sources: Mapping[str, str]) -> list[Hit]:
    """Hits of one search with the values of the sources."""
    stored = [hit.stored for hit in hits if hit.stored is not None]
    search = stored[0].search
    documents = np.array([one.document for one in stored], np.int64)
    ids = [one.id for one in stored]
    rows = fetch(search.schema, search.snapshot, documents, ids, sources)
    return [
        hit.filled(
            {**hit.fields, **fields},
            Stored(search, one.document, one.id, one.fetched.union(sources)),
            hit.id,
        )
        for hit, one, fields in zip(hits, stored, rows, strict=True)
    ]


def _trace(result: Result, seconds: float) -> Trace | None:
    if result.trace is None:
        return None
    count = len(result.hits)
    phase = PhaseTrace("summary", count, count, seconds)
    return replace(result.trace, phases=(*result.trace.phases, phase))


def _timing(result: Result, seconds: float) -> Timing | None:
    timing = result.timing
    if timing is None:
        return None
    return Timing(timing.query, timing.summary + seconds, timing.search + seconds)


def finish(result: Result) -> Result:
    """The result as it is answered: what its query shows is filled, and nothing else is shown.

    Fields that a searcher set itself are shown, too. The hits let go of their snapshot.
    """
    filled = fill(result)
    return replace(filled, hits=tuple(map(_shown, filled.hits)))


def _shown(hit: Hit) -> Hit:
    stored = hit.stored
    if stored is None:
        return hit
    search = stored.search
    fields = {name: hit.fields[name] for name in search.shown if name in hit.fields}
    for name, value in hit.fields.items():
        if name not in fields and name not in stored.fetched:
            fields[name] = value
    anonymous = not search.named and hit.id == stored.id
    id_ = anonymous_id(hit.id, search.cluster) if anonymous else hit.id
    return hit.filled(fields, None, id_)
