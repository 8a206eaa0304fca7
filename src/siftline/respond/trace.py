"""What happened while a query was answered, phase by phase."""

from __future__ import annotations

from dataclasses import dataclass

from siftline.rank.statistics import PhaseTrace

__all__ = ["PhaseTrace", "Trace"]


@dataclass(frozen=True, slots=True)
class Trace:
    """The phases in the order they ran, matching first, and free messages.

    level: the query's trace level; from 1 on the trace is part of the rendered answer.
    """

    phases: tuple[PhaseTrace, ...] = ()
    messages: tuple[str, ...] = ()
    level: int = 0

    @property
    def seconds(self) -> float:
        """The time of all phases together."""
        return sum(phase.seconds for phase in self.phases)

    def phase(self, name: str) -> PhaseTrace | None:
        """The phase of that name; None if it did not run."""
        return next((phase for phase in self.phases if phase.name == name), None)

    def lines(self) -> tuple[str, ...]:
        """One line for each phase, then the messages."""
        phases = tuple(
            f"{p.name}: {p.entered} in, {p.left} out, {p.seconds * 1000:.3f} ms"
            for p in self.phases
        )
        return phases + self.messages
