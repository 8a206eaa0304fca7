"""A value as an error message shows it."""

from __future__ import annotations

import json
from typing import Any


def shown(value: Any, width: int = 60) -> str:
    """JSON of the value where it has one, on one line, cut to `width` characters."""
    if isinstance(value, int) and value.bit_length() > 256:
        return f"a number of {value.bit_length()} bits"
    try:
        text = json.dumps(value if not isinstance(value, str) else value[: width + 1])
    except (TypeError, ValueError, RecursionError):
        text = f"a Python {type(value).__name__}"
    return text if len(text) <= width else f"{text[: width - 1]}…"
