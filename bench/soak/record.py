"""What happened in a soak: requests of each kind with their latencies, retries, faults."""

from __future__ import annotations

import time
from collections import Counter
from dataclasses import dataclass, field

import numpy as np

#: Kinds of requests, in the order in which they are shown.
KINDS = ("put", "update", "remove", "get", "bm25", "nearest", "embed", "filter", "visit")
#: Faults that are kept with their words; the rest is counted.
KEPT = 20


@dataclass
class Record:
    """Answers in the order in which they came; `at` and `seconds` belong together.

    at: seconds since the start. retries: status → how often a client was told to come again.
    """

    started: float = field(default_factory=time.monotonic)
    kinds: list[int] = field(default_factory=list)
    at: list[float] = field(default_factory=list)
    seconds: list[float] = field(default_factory=list)
    memory: list[float] = field(default_factory=list)
    retries: Counter[int] = field(default_factory=Counter)
    checked: Counter[str] = field(default_factory=Counter)
    faults: list[str] = field(default_factory=list)
    fault_count: int = 0

    def add(self, kind: str, seconds: float) -> None:
        """An answer, however it was."""
        self.kinds.append(KINDS.index(kind))
        self.at.append(time.monotonic() - self.started)
        self.seconds.append(seconds)

    def fault(self, what: str) -> None:
        """Something that must not be: a failed request, a wrong answer, a lost document."""
        self.fault_count += 1
        if len(self.faults) < KEPT:
            self.faults.append(f"after {time.monotonic() - self.started:.1f} s: {what}")

    def arrays(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Kind numbers, seconds since the start, latencies in seconds."""
        return np.array(self.kinds, np.int8), np.array(self.at), np.array(self.seconds)
