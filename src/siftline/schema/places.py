"""Offsets of a text as lines and columns of the file it stands in."""

from __future__ import annotations

import re
from bisect import bisect_right

from siftline.errors import Place


class Places:
    """Where each offset of `text` stands; `start` is where the text begins in its file."""

    def __init__(self, text: str, file: str | None, start: Place | None = None) -> None:
        self._file = file
        self._starts = [0, *(found.end() for found in re.finditer("\n", text))]
        self._line = (start.line if start else None) or 1
        self._column = (start.column if start else None) or 1

    def at(self, offset: int) -> Place:
        """The line and column of an offset, both from 1."""
        line = bisect_right(self._starts, offset)
        column = offset - self._starts[line - 1] + 1
        first = self._column - 1 if line == 1 else 0
        return Place(self._file, self._line + line - 1, column + first)
