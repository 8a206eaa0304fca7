"""How often each response time was seen, in a fixed number of cells that processes can add up."""

from __future__ import annotations

import math
from collections.abc import Mapping

#: A cell is this much wider than the one before it: the relative error of a percentile.
RESOLUTION = 0.001
#: The least and the longest response time told apart, in milliseconds.
LEAST, LONGEST = 0.001, 1_000_000.0

_STEP = math.log1p(RESOLUTION)
_CELLS = math.ceil(math.log(LONGEST / LEAST) / _STEP) + 1


class Histogram:
    """Counts of times in milliseconds; percentiles are right to 0.1 %."""

    __slots__ = ("cells", "count", "least", "most", "total")

    def __init__(self) -> None:
        self.cells: dict[int, int] = {}
        self.count = 0
        self.total = 0.0
        self.least = math.inf
        self.most = 0.0

    def add(self, milliseconds: float) -> None:
        """Count one time."""
        cell = int(math.log(milliseconds / LEAST) / _STEP) if milliseconds > LEAST else 0
        if cell >= _CELLS:
            cell = _CELLS - 1
        self.cells[cell] = self.cells.get(cell, 0) + 1
        self.count += 1
        self.total += milliseconds
        if milliseconds < self.least:
            self.least = milliseconds
        if milliseconds > self.most:
            self.most = milliseconds

    def merge(self, other: Histogram) -> None:
        """Take in what another has counted."""
        for cell, count in other.cells.items():
            self.cells[cell] = self.cells.get(cell, 0) + count
        self.count += other.count
        self.total += other.total
        self.least = min(self.least, other.least)
        self.most = max(self.most, other.most)

    @property
    def average(self) -> float:
        """The mean in milliseconds; 0 where nothing was counted."""
        return self.total / self.count if self.count else 0.0

    def percentile(self, percent: float) -> float:
        """The least time that this share of the counted ones did not exceed; 0 where none was."""
        if not self.count:
            return 0.0
        wanted = max(1, math.ceil(self.count * percent / 100 - 1e-9))
        seen = 0
        for cell in sorted(self.cells):
            seen += self.cells[cell]
            if seen >= wanted:
                break
        middle = LEAST * math.exp((cell + 0.5) * _STEP)
        return min(max(middle, self.least), self.most)

    @staticmethod
    def approximate(milliseconds: float) -> bool:
        """Whether a time is beyond what the cells tell apart."""
        return milliseconds > LONGEST

    def to_json(self) -> dict[str, object]:
        """A form that `from_json` reads back."""
        return {
            "cells": {str(cell): count for cell, count in self.cells.items()},
            "total": self.total,
            "least": self.least if self.count else None,
            "most": self.most,
        }

    @classmethod
    def from_json(cls, data: Mapping[str, object]) -> Histogram:
        """What `to_json` gave."""
        made = cls()
        cells = data["cells"]
        if isinstance(cells, dict):
            made.cells = {int(cell): int(count) for cell, count in cells.items()}
        made.count = sum(made.cells.values())
        made.total = float(str(data["total"]))
        made.least = math.inf if data["least"] is None else float(str(data["least"]))
        made.most = float(str(data["most"]))
        return made
