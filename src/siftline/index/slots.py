"""The segments of an open index, with the deletions that change while the segments do not."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from siftline.index.core import SegmentCore
from siftline.index.manifest import SegmentEntry
from siftline.index.segment import Segment


@dataclass
class Slot:
    """A segment and its live documents (bool, copied before a change once a snapshot holds it).

    entry: its files, None while it is only in memory. dirty: deletions that no file lists yet.
    """

    core: SegmentCore
    live: np.ndarray
    live_count: int
    entry: SegmentEntry | None = None
    dirty: bool = False
    shared: bool = False

    @staticmethod
    def fresh(core: SegmentCore, entry: SegmentEntry | None = None) -> Slot:
        """A segment without deletions."""
        return Slot(core, np.ones(core.count, bool), core.count, entry)

    def kill(self, locals_: np.ndarray) -> None:
        """Mark documents (numbers within the segment) as deleted."""
        if self.shared:
            self.live, self.shared = self.live.copy(), False
        before = self.live_count
        self.live[locals_] = False
        self.live_count = int(np.count_nonzero(self.live))
        self.dirty = self.dirty or self.live_count != before


def kill_sequences(slots: Sequence[Slot], sequences: Iterable[int]) -> None:
    """Mark the documents of these sequence numbers as deleted, where a slot has them."""
    wanted = np.array(sorted(sequences), np.int64)
    for slot in slots:
        first, last = slot.core.sequences[0], slot.core.sequences[-1]
        own = wanted[np.searchsorted(wanted, first) : np.searchsorted(wanted, last, "right")]
        if len(own):
            place = np.searchsorted(slot.core.sequences, own)
            slot.kill(place[slot.core.sequences[place] == own])


def as_segments(slots: Sequence[Slot]) -> tuple[Segment, ...]:
    """The slots as a snapshot sees them now."""
    segments, base = [], 0
    for slot in slots:
        slot.shared = True
        segments.append(Segment(slot.core, base, slot.live, slot.live_count))
        base += slot.core.count
    return tuple(segments)
