"""The segments of an open index: growing in memory, written to files, published, opened again."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import numpy as np

from siftline.errors import StoreError
from siftline.index.arrays import (
    Arrays,
    DamagedError,
    FileWriter,
    MemoryWriter,
    open_arrays,
    write_error,
)
from siftline.index.core import (
    GRAPH_FROM,
    GRAPH_FROM_IN_MEMORY,
    DocumentRows,
    SegmentCore,
    build_segment,
    merge_segments,
)
from siftline.index.layout import Layout
from siftline.index.manifest import Manifest, SegmentEntry, publish, read_manifest, sync_folder
from siftline.index.policy import plan
from siftline.index.slots import Slot, kill_sequences
from siftline.index.store import Store


class SegmentSet:
    """Slots in document order: those on disk first, then those in memory.

    held: files are written and nothing is published or removed until `release`; for segments of
    another layout that are built beside those in use.
    """

    def __init__(self, folder: Path, layout: Layout, store: Store, *, held: bool = False) -> None:
        self.folder = folder
        self.held = held
        self.slots: list[Slot] = []
        self.manifest = Manifest(layout.fingerprint)
        self._layout = layout
        self._labels = store.labels
        self._keep_labels = store.keep_labels

    # -- opening ------------------------------------------------------------------------------

    def load(self, manifest: Manifest) -> None:
        """Map the manifest's segments; DamagedError if one is missing or altered."""
        self.slots = [self._open(entry) for entry in manifest.segments]
        self.manifest = manifest

    def keep_numbering(self, manifest: Manifest) -> None:
        """Go on with an unusable manifest's file numbers, so that no name is used twice."""
        self.manifest = Manifest(self.manifest.fingerprint, 0, manifest.next_file)

    def _open(self, entry: SegmentEntry) -> Slot:
        core = self._core(open_arrays(self.folder / entry.file))
        if core.count != entry.count:
            raise DamagedError(
                f"segment file {entry.file} has {core.count} documents, the manifest says "
                f"{entry.count}"
            )
        slot = Slot.fresh(core, entry)
        if entry.deleted_file is not None:
            slot.kill(open_arrays(self.folder / entry.deleted_file)["documents"])
            slot.dirty = False
        return slot

    def _core(self, arrays: Arrays) -> SegmentCore:
        return SegmentCore(arrays, self._layout, self._labels)

    @property
    def in_memory(self) -> bool:
        """Whether a slot has no file."""
        return any(slot.entry is None for slot in self.slots)

    # -- in memory ----------------------------------------------------------------------------

    def kill(self, sequences: Iterable[int]) -> None:
        """Mark documents as deleted."""
        kill_sequences(self.slots, sequences)

    def grow(self, rows: DocumentRows) -> list[Slot]:
        """The slots with a new one in memory; small ones merge so that sizes at least halve."""
        writer = MemoryWriter()
        build_segment(self._layout, rows, writer, GRAPH_FROM_IN_MEMORY)
        slots = [*self.slots, Slot.fresh(self._core(writer.finish()))]
        while len(slots) > 1 and slots[-2].entry is None:
            if slots[-2].live_count >= 2 * slots[-1].live_count:
                break
            slots[-2:] = self._merged_in_memory(slots[-2:])
        return slots

    def _merged_in_memory(self, slots: Sequence[Slot]) -> list[Slot]:
        if not any(slot.live_count for slot in slots):
            return []
        writer = MemoryWriter()
        pairs = [(slot.core, slot.live) for slot in slots]
        merge_segments(self._layout, pairs, self._labels, writer, GRAPH_FROM_IN_MEMORY)
        return [Slot.fresh(self._core(writer.finish()))]

    # -- to disk ------------------------------------------------------------------------------

    def commit(
        self, covered: int, fresh: DocumentRows | None, *, everything: bool = False
    ) -> list[Slot] | None:
        """Write what is only in memory, merge, publish; the new slots, None if nothing changed.

        fresh: documents behind those of the slots. StoreError leaves the published index and the
        slots as they were.
        """
        written: list[str] = []
        try:
            before = self.slots
            if fresh is not None:
                before = [*before, self._built_in_file(fresh, written)]
            slots = self._written(before, written, everything)
            if not written and len(slots) == len(self.slots):
                if self.held or (self.manifest.covered == covered and read_manifest(self.folder)):
                    return None
            manifest = Manifest(
                self.manifest.fingerprint,
                covered,
                self.manifest.next_file + len(written),
                tuple(slot.entry for slot in slots if slot.entry is not None),
            )
            self._keep_labels()  # merging token vectors can number labels of its own
            if not self.held:
                publish(self.folder, manifest)
        except (StoreError, OSError) as error:
            self._discard(written)
            if isinstance(error, OSError):
                raise write_error(self.folder, error) from error
            raise
        self.manifest = manifest
        if not self.held:
            self._remove_stale()
        return slots

    def publish(self) -> None:
        """Make these segments the index on disk; StoreError leaves what was published before."""
        publish(self.folder, self.manifest)

    def release(self) -> None:
        """Go on as the published segments, which these are now: what others left is removed."""
        self.held = False
        self._remove_stale()

    def _written(self, before: Sequence[Slot], written: list[str], everything: bool) -> list[Slot]:
        """The slots, all with files, after the merges that are due."""
        slots: list[Slot] = []
        at = 0
        for first, last in [*_ranges(before, everything), (len(before), len(before))]:
            slots += [self._with_deletions(slot, written) for slot in before[at:first]]
            slots += self._merged_in_file(before[first:last], written)
            at = last
        return [slot for slot in slots if slot.live_count]

    def _next_name(self, written: list[str], ending: str) -> str:
        name = f"{self.manifest.next_file + len(written):08d}.{ending}"
        written.append(name)
        return name

    def _merged_in_file(self, slots: Sequence[Slot], written: list[str]) -> list[Slot]:
        pairs = [(slot.core, slot.live) for slot in slots if slot.live_count]
        if not pairs:
            return []
        name = self._next_name(written, "segment")
        with _writing(self.folder / name) as writer:
            merge_segments(self._layout, pairs, self._labels, writer, GRAPH_FROM)
        return [self._fresh(name)]

    def _built_in_file(self, rows: DocumentRows, written: list[str]) -> Slot:
        name = self._next_name(written, "segment")
        with _writing(self.folder / name) as writer:
            build_segment(self._layout, rows, writer, GRAPH_FROM)
        return self._fresh(name)

    def _fresh(self, name: str) -> Slot:
        core = self._core(open_arrays(self.folder / name))
        return Slot.fresh(core, SegmentEntry(name, core.count))

    def _with_deletions(self, slot: Slot, written: list[str]) -> Slot:
        if not slot.dirty or slot.entry is None or slot.live_count == 0:
            return slot
        name = self._next_name(written, "deleted")
        dead = np.flatnonzero(~slot.live).astype(np.int32)
        with _writing(self.folder / name) as writer:
            writer.put("documents", dead)
        entry = SegmentEntry(slot.entry.file, slot.entry.count, len(dead), name)
        return Slot(slot.core, slot.live, slot.live_count, entry, shared=slot.shared)

    def _discard(self, written: Sequence[str]) -> None:
        published = read_manifest(self.folder)
        named = published.files if published else set()
        for name in written:
            if name not in named:
                (self.folder / name).unlink(missing_ok=True)

    def _remove_stale(self) -> None:
        """Remove every segment file that these segments are not made of."""
        for path in self.folder.iterdir():
            if path.suffix in (".segment", ".deleted") and path.name not in self.manifest.files:
                _remove(path)


@contextmanager
def _writing(path: Path) -> Iterator[FileWriter]:
    """A writer that finishes its file, or removes it where writing fails."""
    writer = FileWriter(path)
    try:
        yield writer
        writer.finish()
    except BaseException:
        writer.abandon()
        raise


def _ranges(slots: Sequence[Slot], everything: bool) -> list[tuple[int, int]]:
    """What to merge: what is due, and always what is only in memory."""
    count = len(slots)
    if everything:
        clean = count == 1 and slots[0].entry is not None
        if count == 0 or (clean and slots[0].live_count == slots[0].core.count):
            return []
        return [(0, count)]
    on_disk = [slot for slot in slots if slot.entry is not None]
    memory = slots[len(on_disk) :]
    counts = [slot.core.count for slot in on_disk]
    live = [slot.live_count for slot in on_disk]
    if memory:  # what is in memory becomes one segment, with more merged to it or not
        counts.append(sum(slot.core.count for slot in memory))
        live.append(sum(slot.live_count for slot in memory))
    ranges = [(a, count if b > len(on_disk) else b) for a, b in plan(counts, live)]
    if memory and not (ranges and ranges[-1][1] == count):
        ranges.append((len(on_disk), count))
    return ranges


def _remove(path: Path) -> None:
    try:
        os.unlink(path)
    except OSError:  # a system that keeps mapped files: the next commit removes it
        return


def make_folder(folder: Path) -> None:
    """Create a folder and its parents, durably."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        sync_folder(folder.parent)
    except OSError as error:
        raise StoreError(f"cannot create {folder}: {error.strerror or error}") from error
