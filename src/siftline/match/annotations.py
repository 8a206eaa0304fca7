"""The annotations that stand before a YQL operator or term: `{targetHits:100, label:"a"}`."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from lark import Token, Tree

from siftline.errors import Place, QueryError
from siftline.match.query import TermAnnotations

#: Annotation of nearestNeighbor → the rank profile setting that it overrides.
GRAPH_SETTINGS = {
    "hnsw.approximateThreshold": "approximate-threshold",
    "hnsw.postFilterThreshold": "post-filter-threshold",
    "hnsw.targetHitsMaxAdjustmentFactor": "target-hits-max-adjustment-factor",
}


class Annotations:
    """Values by name, with the tree they were written in for errors; unknown names do no harm."""

    def __init__(self, values: Mapping[str, Any], tree: Tree[Token] | None = None) -> None:
        self.values = values
        self.tree = tree

    def joined(self, inner: Annotations) -> Annotations:
        """These with those written nearer to the operator, which win."""
        return Annotations({**self.values, **inner.values}, inner.tree or self.tree)

    def given(self, name: str) -> bool:
        """Whether the annotation is written."""
        return name in self.values

    def text(self, name: str) -> str | None:
        """A string, None where absent."""
        value = self.values.get(name)
        if value is not None and not isinstance(value, str):
            raise self._wrong(name, "a string")
        return value

    def flag(self, name: str, default: bool | None) -> bool | None:
        """True or false, also as text."""
        value = self.values.get(name, default)
        if isinstance(value, str) and value.lower() in ("true", "false"):
            return value.lower() == "true"
        if value is not None and not isinstance(value, bool):
            raise self._wrong(name, "true or false")
        return value

    def number(self, name: str, default: float | None) -> float | None:
        """A number, also as text."""
        value = self.values.get(name, default)
        if value is None:
            return None
        try:
            number = math.nan if isinstance(value, bool) else float(value)
        except (TypeError, ValueError):
            number = math.nan
        if math.isnan(number):
            raise self._wrong(name, "a number")
        return number

    def integer(self, name: str, default: int) -> int:
        """A whole number from 0."""
        number = self.number(name, default)
        if number is None or number < 0 or not number.is_integer():
            raise self._wrong(name, "a whole number from 0")
        return int(number)

    def target_hits(self, default: int | None) -> int | None:
        """targetHits under any of its names, at least 1; `default` where absent."""
        for name in ("targetHits", "totalTargetHits", "targetNumHits"):
            if name in self.values:
                hits = self.integer(name, 0)
                if hits < 1:
                    raise self._wrong(name, "a whole number from 1")
                return hits
        return default

    def graph_settings(self) -> dict[str, float]:
        """The rank profile settings that a nearestNeighbor overrides, by the profile's names."""
        given = {
            setting: self.number(name, None)
            for name, setting in GRAPH_SETTINGS.items()
            if name in self.values
        }
        return {setting: value for setting, value in given.items() if value is not None}

    def _wrong(self, name: str, expected: str) -> QueryError:
        meta = self.tree.meta if self.tree is not None else None
        line, column = getattr(meta, "line", 1), getattr(meta, "column", 1)
        return QueryError(
            f"Could not create query from YQL: query:L{line}:{column} "
            f"annotation '{name}' must be {expected}, not '{self.values.get(name)}'",
            Place(line=line, column=column, field="yql"),
        )


def term_annotations(notes: Annotations) -> TermAnnotations:
    """The annotations that a term understands; QueryError for legal ones it cannot honour."""
    for name in ("substring", "suffix"):
        if notes.flag(name, False):
            raise QueryError(f"the annotation '{name}' needs streaming search and is not supported")
    significance = notes.number("significance", None)
    frequency = notes.values.get("documentFrequency")
    if isinstance(frequency, Mapping) and {"frequency", "count"} <= frequency.keys():
        found, total = float(frequency["frequency"]), float(frequency["count"])
        significance = math.log(1 + (total - found + 0.5) / (found + 0.5))
    if significance is not None and significance < 0:
        raise QueryError(f"the annotation 'significance' must be at least 0, not {significance}")
    return TermAnnotations(
        weight=notes.integer("weight", 100),
        significance=significance,
        ranked=bool(notes.flag("ranked", True)),
        filter=bool(notes.flag("filter", False)),
        stem=bool(notes.flag("stem", True)),
        prefix=bool(notes.flag("prefix", False)),
        label=notes.text("label"),
    )
