"""The nearest known name for an unknown one, for error messages."""

from __future__ import annotations

import difflib
from collections.abc import Iterable


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """` (did you mean 'x'?)`, or what there is where nothing is near, or nothing where it is empty."""
    names = sorted(set(known))
    lowered = {known_name.lower(): known_name for known_name in names}
    near = difflib.get_close_matches(name.lower(), lowered, n=1)
    if near:
        return f" (did you mean '{lowered[near[0]]}'?)"
    shown = ", ".join(names[:12]) + (", …" if len(names) > 12 else "")
    return f" (there is: {shown})" if names else ""
