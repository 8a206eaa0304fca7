"""Named values of a package, each read with its type checked; unknown names are errors."""

from __future__ import annotations

import difflib
import math
from collections.abc import Iterable, Mapping, Sequence
from typing import TypeVar

from siftline.errors import PackageError, Place

T = TypeVar("T")


class Parameters:
    """Named values of a component or of its options, each read once with its type checked."""

    def __init__(self, values: Mapping[str, object], owner: str, place: Place | None) -> None:
        self._values = values
        self._owner = owner
        self._place = place
        self._known: set[str] = set()

    def text(self, name: str) -> str | None:
        """The value as text, None where it is not given."""
        self._known.add(name)
        value = self._values.get(name)
        return None if value is None else str(value)

    def choice(self, name: str, choices: Sequence[str], default: str) -> str:
        """One of the choices."""
        value = self.text(name)
        if value is None:
            return default
        if value not in choices:
            raise self.wrong(name, f"one of {', '.join(choices)}", choices)
        return value

    def truth(self, name: str, default: bool) -> bool:
        """true or false."""
        value = self.text(name)
        if value is None:
            return default
        if value.strip().lower() not in ("true", "false"):
            raise self.wrong(name, "true or false")
        return value.strip().lower() == "true"

    def integer(self, name: str, default: T, low: int = 0) -> int | T:
        """A whole number of at least `low`."""
        value = self.text(name)
        if value is None:
            return default
        try:
            number = int(value)
        except ValueError:
            raise self.wrong(name, "a whole number") from None
        if number < low:
            raise self.wrong(name, f"at least {low}")
        return number

    def number(self, name: str, default: float, low: float = -math.inf) -> float:
        """A finite number of at least `low`."""
        value = self.text(name)
        if value is None:
            return default
        try:
            number = float(value)
        except ValueError:
            raise self.wrong(name, "a number") from None
        if not math.isfinite(number) or number < low:
            raise self.wrong(name, f"a number, at least {low}")
        return number

    def allow(self, names: Iterable[str]) -> None:
        """Take these names without reading them."""
        self._known.update(names)

    def wrong(
        self, name: str, expected: str, choices: Sequence[str] = (), shown: object = None
    ) -> PackageError:
        """The error for a value that is not what was expected."""
        value = str(self._values.get(name, shown))
        return PackageError(
            f"{name} of {self._owner} is '{value}', expected {expected}{nearest(value, choices)}",
            self._place,
        )

    def finish(self) -> None:
        """PackageError for a name that nothing asked for."""
        for name in self._values:
            if name not in self._known:
                raise PackageError(
                    f"{self._owner} has no parameter '{name}'{nearest(name, self._known)}",
                    self._place,
                )


def nearest(name: str, known: Iterable[str]) -> str:
    """A suggestion to end a message with, empty where no known name is near."""
    near = difflib.get_close_matches(name, sorted(known), n=1)
    return f" (did you mean '{near[0]}'?)" if near else ""
