"""Regular expressions that come from outside: those that could take for ever are refused."""

from __future__ import annotations

import re
from functools import lru_cache

from siftline.errors import UsageError

LONGEST_PATTERN = 1_000
_ESCAPED = re.compile(r"\\.", re.DOTALL)
_CLASS = re.compile(r"\[\^?\]?[^\]]*\]")
_REPEAT = re.compile(r"[*+]|\{\d*,\d*\}|\{\d{2,}\}")


def compiled(pattern: str, *, ignore_case: bool = False) -> re.Pattern[str]:
    """The regular expression; UsageError if it is none, or could take for ever to match."""
    if len(pattern) > LONGEST_PATTERN:
        raise UsageError(f"a regular expression has over {LONGEST_PATTERN} characters")
    return _compiled(pattern, re.IGNORECASE if ignore_case else re.NOFLAG)


@lru_cache(maxsize=256)
def _compiled(pattern: str, flags: re.RegexFlag) -> re.Pattern[str]:
    try:
        found = re.compile(pattern, flags)
    except (re.error, RecursionError, OverflowError) as error:
        raise UsageError(f"not a regular expression: '{pattern}': {error}") from None
    problem = _runaway(pattern)
    if problem:
        raise UsageError(f"the regular expression '{pattern}' has {problem}, which is refused")
    return found


def _runaway(pattern: str) -> str | None:
    """What can make matching take exponential time, None if nothing does."""
    text = _CLASS.sub("x", _ESCAPED.sub("x", pattern))
    if re.search(r"\(\?(?:[=!(]|<[=!]|P=)", text) or re.search(r"\\[1-9]", pattern):
        return "a look-around or a back reference"
    text = text.replace("(?", "(")
    ambiguous = [False]
    closed = False  # a group that holds a choice ends right here
    for place, character in enumerate(text):
        if character == "(":
            ambiguous.append(False)
        elif character == ")" and len(ambiguous) > 1:
            closed = ambiguous.pop()
            ambiguous[-1] = ambiguous[-1] or closed
            continue
        elif closed and _REPEAT.match(text, place):
            return "a choice or repeat inside a repeat"
        elif character in "|?" or _REPEAT.match(text, place):
            ambiguous[-1] = True
        closed = False
    return None
