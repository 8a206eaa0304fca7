"""How far a download is: a function that is called with what, bytes done, bytes in all."""

from __future__ import annotations

from collections.abc import Callable

#: (what is being fetched or built, bytes done, bytes in all or None where unknown)
Progress = Callable[[str, int, int | None], None]


def silent(what: str, done: int, total: int | None) -> None:
    """Say nothing."""
