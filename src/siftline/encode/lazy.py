"""A value made on first use, once, whichever thread asks first."""

from __future__ import annotations

from collections.abc import Callable
from threading import Lock
from typing import Generic, TypeVar

T = TypeVar("T")


class Lazy(Generic[T]):
    """Calls `make` on the first call and keeps what it gave; a failure is not kept."""

    def __init__(self, make: Callable[[], T]) -> None:
        self._make = make
        self._lock = Lock()
        self._kept: list[T] = []

    def __call__(self) -> T:
        """The value."""
        if not self._kept:
            with self._lock:
                if not self._kept:
                    self._kept.append(self._make())
        return self._kept[0]
