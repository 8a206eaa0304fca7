"""Values of a model file's objects, checked."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from siftline.errors import ModelError


def field(node: Mapping[str, Any], key: str) -> Any:
    """The value of a key that must be there, and be a number or a text."""
    if key not in node:
        raise ModelError(f"a node lacks '{key}': {_shown(node)}")
    value = node[key]
    if not isinstance(value, (str, int, float)):
        raise ModelError(f"'{key}' is {_shown(value)}, which is no number and no text")
    return value


def number(node: Mapping[str, Any], key: str) -> float:
    """The finite number of a key that must be there."""
    value = field(node, key)
    try:
        found = float(value)
    except (ValueError, OverflowError):
        found = math.nan
    if not math.isfinite(found):
        raise ModelError(f"'{key}' is {_shown(value)}, expected a number")
    return found


def _shown(value: object) -> str:
    text = str(value)
    return text if len(text) <= 60 else text[:57] + "..."
