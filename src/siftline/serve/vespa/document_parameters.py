"""Parameters of `/document/v1` requests (spec 4.2)."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import NoReturn

from siftline.errors import UsageError

#: Seconds that a request may take unless it says otherwise, and the most it may ask for.
DEFAULT_TIMEOUT = 180.0
_LONGEST = 1e6

_DURATION = re.compile(r"([0-9]+(?:\.[0-9]*)?|\.[0-9]+)\s*(ks|s|ms|µs|us)?")
_UNITS = {"ks": 1e3, "s": 1.0, "ms": 1e-3, "µs": 1e-6, "us": 1e-6}
_WHOLE = re.compile(r"[+-]?[0-9]{1,19}")


class Parameters:
    """The query string of a request; the last of several values counts.

    raw: the path, which messages name. Every method raises UsageError for a value that is empty or
    wrong; parameters that nothing asks for are passed over.
    """

    def __init__(self, values: Mapping[str, str], raw: str) -> None:
        self._values = values
        self._raw = raw

    def text(self, name: str) -> str | None:
        """The value, None where it is not given."""
        value = self._values.get(name)
        if value == "":
            raise UsageError(f"Expected non-empty value for request property '{name}'")
        return value

    def required(self, name: str) -> str:
        """The value, which must be given."""
        value = self.text(name)
        if value is None:
            raise UsageError(f"Must specify '{name}' at '{self._raw}'")
        return value

    def forbid(self, *names: str) -> None:
        """Refuse parameters that mean nothing here."""
        for name in names:
            if name in self._values:
                raise UsageError(f"May not specify '{name}' at '{self._raw}'")

    def flag(self, name: str) -> bool | None:
        """True or false, None where it is not given."""
        value = self.text(name)
        if value is None:
            return None
        if value.lower() not in ("true", "false"):
            _fail(name, value, "true or false")
        return value.lower() == "true"

    def number(self, name: str, least: int = 0) -> int | None:
        """A whole number of `least` or more, None where it is not given."""
        value = self.text(name)
        if value is None:
            return None
        if not _WHOLE.fullmatch(value):
            _fail(name, value, "a whole number")
        if int(value) < least:
            what = "positive" if least == 1 else f"at least {least}"
            raise UsageError(f"{name} must be {what}, got {value}")
        return int(value)

    def choice(self, name: str, known: Sequence[str], default: str) -> str:
        """One of the known values."""
        value = self.text(name)
        if value is None:
            return default
        if value not in known:
            _fail(name, value, f"one of {', '.join(known)}")
        return value

    def seconds(self, name: str, default: float) -> float:
        """A duration: a number of seconds, or with one of the units ks, s, ms, µs (us)."""
        value = self.text(name)
        if value is None:
            return default
        found = _DURATION.fullmatch(value.strip())
        if not found:
            _fail(name, value, "a duration like 5s, 500ms or 2ks")
        return min(float(found[1]) * _UNITS[found[2] or "s"], _LONGEST)

    @property
    def timeout(self) -> float:
        """Seconds the request may take."""
        return self.seconds("timeout", DEFAULT_TIMEOUT)


def _fail(name: str, value: str, expected: str) -> NoReturn:
    raise UsageError(f"Failed parsing '{value}' for parameter '{name}': expected {expected}")
