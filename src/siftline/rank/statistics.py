"""What one phase of a query did, for traces and tuning."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class PhaseTrace:
    """Documents that entered a phase, documents it left for the next, and its seconds."""

    name: str
    entered: int
    left: int
    seconds: float
