"""What became of one feed operation."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from siftline.errors import SiftlineError

OutcomeKind = Literal["put", "updated", "removed", "unchanged", "missing", "ignored", "failed"]


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of one operation.

    unchanged: a put equal to what was stored. missing: an update of a document that does not
    exist. ignored: the content cluster's selection does not want the document, or a document
    processor dropped it. failed: `error` says why, and nothing was changed.
    """

    kind: OutcomeKind
    error: SiftlineError | None = None

    @staticmethod
    def failure(error: SiftlineError) -> Outcome:
        """The outcome of an operation that changed nothing because of an error."""
        return Outcome("failed", error)
