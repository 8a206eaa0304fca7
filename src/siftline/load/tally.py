"""What clients count: requests by outcome and the time of the successful ones."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from siftline.load.histogram import Histogram

_COUNTS = ("clients", "succeeded", "failed", "skipped", "not_held", "zero_hits", "reused")


@dataclass(slots=True)
class Tally:
    """Counts of one or more clients.

    seconds: time that the clients ran, summed over them, without results that are not counted.
    times: of the successful requests. statuses: of every answer, the uncounted too. failures:
    reason → how often. examples: reason → what the server said the first time.
    """

    clients: int = 0
    succeeded: int = 0
    failed: int = 0
    skipped: int = 0
    not_held: int = 0
    zero_hits: int = 0
    reused: int = 0
    seconds: float = 0.0
    times: Histogram = field(default_factory=Histogram)
    statuses: Counter[int] = field(default_factory=Counter)
    failures: Counter[str] = field(default_factory=Counter)
    examples: dict[str, str] = field(default_factory=dict)

    def merge(self, other: Tally) -> None:
        """Take in what another has counted."""
        for name in _COUNTS:
            setattr(self, name, getattr(self, name) + getattr(other, name))
        self.seconds += other.seconds
        self.times.merge(other.times)
        self.statuses += other.statuses
        self.failures += other.failures
        self.examples = {**other.examples, **self.examples}

    def to_json(self) -> dict[str, Any]:
        """A form that `from_json` reads back."""
        return {
            **{name: getattr(self, name) for name in _COUNTS},
            "seconds": self.seconds,
            "times": self.times.to_json(),
            "statuses": {str(status): count for status, count in self.statuses.items()},
            "failures": dict(self.failures),
            "examples": self.examples,
        }

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Tally:
        """What `to_json` gave."""
        return cls(
            **{name: int(data[name]) for name in _COUNTS},
            seconds=float(data["seconds"]),
            times=Histogram.from_json(data["times"]),
            statuses=Counter({int(status): n for status, n in data["statuses"].items()}),
            failures=Counter(data["failures"]),
            examples=dict(data["examples"]),
        )
