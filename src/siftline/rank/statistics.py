"""What one phase of a query did, for traces and tuning."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class PhaseTrace:
    """Documents that entered a phase, those it left for the next, and the time it took in seconds."""

    name: str
    entered: int
    left: int
    seconds: float
