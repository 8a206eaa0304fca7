"""The nearest known name for an unknown one, for error messages."""

from __future__ import annotations

import difflib
from collections.abc import Iterable


def nearest(name: str, known: Iterable[str]) -> str:
    """`; did you mean 'x'?`, or all there is where nothing is near and the list is short."""
    names = list(dict.fromkeys(known))
    close = difflib.get_close_matches(name.lower(), [n.lower() for n in names], n=1)
    if close:
        found = next(n for n in names if n.lower() == close[0])
        return f"; did you mean '{found}'?"
    return f" (known: {', '.join(names)})" if 0 < len(names) <= 24 else ""
