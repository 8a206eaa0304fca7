"""Where expressions get their features: one query's candidates, and selections of them."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np

from siftline.index.snapshot import Snapshot
from siftline.match.bm25 import ScoredTerm, scored_terms
from siftline.match.prepare import Prepared
from siftline.rank.features.columns import Columns
from siftline.rank.features.names import canonical
from siftline.rank.features.table import find_feature
from siftline.rank.nodes import Reference
from siftline.rank.values import Value
from siftline.schema.definition import Schema

if TYPE_CHECKING:
    from siftline.rank.plan import Plan

T = TypeVar("T")


@dataclass(eq=False)
class Run:
    """One query on one snapshot: what every phase of it shares.

    documents: all candidates, int64 `(n,)` ascending; a row is a position in it. columns: the
    feature values known so far. started: the query's time, seconds since the epoch.
    significances: of terms without their own, by the term's identity.
    """

    plan: Plan
    snapshot: Snapshot
    prepared: Prepared
    documents: np.ndarray
    columns: Columns = field(default_factory=Columns)
    started: float = field(default_factory=time.time)
    significances: dict[int, float] = field(default_factory=dict)

    @cached_property
    def scored_terms(self) -> list[ScoredTerm]:
        """The query's ranked terms in each of their text fields, with their part of bm25."""
        ranked = [term for term in self.prepared.terms if term.ranked]
        return scored_terms(self.snapshot, self.prepared, ranked)

    @property
    def schema(self) -> Schema:
        """The schema that is searched."""
        return self.plan.scope.schema

    def rank_property(self, name: str) -> str | None:
        """A rank property: the query's, else the profile's, else None."""
        own = self.prepared.query.rank_properties.get(name)
        return own if own is not None else self.plan.scope.profile.rank_properties.get(name)

    def number_property(self, name: str, default: float) -> float:
        """A rank property as a number."""
        text = self.rank_property(name)
        return default if text is None else float(text)

    def everything(self) -> HitFeatures:
        """A source over all candidates."""
        return HitFeatures(self, np.arange(len(self.documents), dtype=np.int64))


class HitFeatures:
    """The features of some candidates of a run, in the order of `rows`.

    A feature or function without parameters is computed once for each hit, whichever selection
    asks first, and found again by row. Values that depend on the set of hits (`volatile` names of
    the plan: normalisers, relevanceScore) live as long as this selection.
    """

    def __init__(self, run: Run, rows: np.ndarray, arriving: np.ndarray | None = None) -> None:
        self.run = run
        self.rows = rows
        self.documents = run.documents[rows]
        self.count = len(rows)
        self.arriving = arriving
        self._own: dict[str, Value] = {}
        self._kept: dict[str, Any] = {}

    def feature(self, reference: Reference) -> Value:
        """The values of a feature or function for every hit of the selection."""
        name = canonical(reference)
        if reference.name in self.run.plan.volatile:
            if name not in self._own:
                self._own[name] = self._compute(reference)
            return self._own[name]
        return self.keep(name, lambda hits: hits._compute(reference))

    def keep(self, name: str, compute: Callable[[HitFeatures], Value]) -> Value:
        """The column of that name, computed for the hits of the selection that lack it."""
        return self.run.columns.get(name, self.rows, lambda rows: compute(self._of(rows)))

    def once(self, name: str, compute: Callable[[], T]) -> T:
        """What `compute` gives, kept as long as this selection; for values that are no columns."""
        if name not in self._kept:
            self._kept[name] = compute()
        found: T = self._kept[name]
        return found

    def take(self, positions: np.ndarray) -> HitFeatures:
        """The hits at the given positions of this selection, in that order."""
        return HitFeatures(self.run, self.rows[positions])

    def part(self, start: int, end: int) -> HitFeatures:
        """The hits from position `start` up to `end`, with the scores they arrived with."""
        arriving = None if self.arriving is None else self.arriving[start:end]
        return HitFeatures(self.run, self.rows[start:end], arriving)

    def _of(self, rows: np.ndarray) -> HitFeatures:
        return self if rows is self.rows else HitFeatures(self.run, rows)

    def _compute(self, reference: Reference) -> Value:
        function = self.run.plan.functions.get(reference.name)
        if function is not None and reference.bare:
            return function(self)
        return find_feature(reference.name).compute(self, reference)
