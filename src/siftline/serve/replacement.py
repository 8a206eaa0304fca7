"""A package opened beside the application whose place it is to take."""

from __future__ import annotations

import shutil
from datetime import date
from pathlib import Path
from tempfile import TemporaryDirectory

from siftline.application import Application
from siftline.errors import SiftlineError
from siftline.index.index import Index
from siftline.index.layout import Layout
from siftline.schema.changes import Changes, compare
from siftline.schema.overrides import read_overrides
from siftline.schema.package import Package
from siftline.serve.sessions import OPENING, STORE
from siftline.serve.warm import warm


class Replacement:
    """Opened when made: checked against the current application, its models loaded, all planned.

    `finish` hands the indexes over, `abandon` lets go of everything; until then the current
    application and its data are as they were. Schemas that both have share an index; new ones get
    theirs in `finish`. today: for the validity of overrides. query_cache: as Application.open.
    """

    def __init__(
        self,
        package: Package,
        data: Path,
        current: Application | None,
        today: date,
        query_cache: int | None = None,
    ) -> None:
        self._current = current
        self._data = data
        self._scratch = TemporaryDirectory(prefix=OPENING, dir=data / STORE)
        self._opened: list[Index] = []
        try:
            overrides = read_overrides(package.folder, today)
            layouts = {n: Layout.of(s, package.settings) for n, s in package.schemas.items()}
            indexes = {name: self._index(package, name) for name in package.schemas}
            self._layouts = layouts
            self.application = Application(package, data, query_cache=query_cache, indexes=indexes)
        except BaseException:
            self._close_scratch()
            raise
        try:
            self.changes = self._compare(package)
            self.changes.check(overrides, today)
            self.application.check()
            if not self._rebuilds():
                warm(self.application)
        except BaseException:
            self.abandon()
            raise

    def _index(self, package: Package, name: str) -> Index:
        """The index that the schema has now, or an empty one to open the package with."""
        if self._current is not None and name in self._current.engines:
            return self._current.engines[name].index
        folder = Path(self._scratch.name) / name
        self._opened.append(Index.open(folder, package.schemas[name], package.settings))
        return self._opened[-1]

    def _compare(self, package: Package) -> Changes:
        if self._current is None:
            return Changes(package.services.content_id)
        return compare(
            self._current.package, package, self._current.encoders(), self.application.encoders()
        )

    def _rebuilds(self) -> bool:
        """Whether an index of the current application does not serve the new one as it is."""
        indexes = self.current_indexes.items()
        return any(self._layouts[n].fingerprint != i.layout.fingerprint for n, i in indexes)

    def abandon(self) -> None:
        """Let go of what was opened."""
        try:
            self.application.close()
        finally:
            self._close_scratch()

    def _close_scratch(self) -> None:
        for index in self._opened:
            index.close()
        self._scratch.cleanup()

    def finish(self) -> Application:
        """The new application with the documents; nobody may write to the current one meanwhile.

        Indexes whose layout changed are built again from the store. Where that fails, what was
        there serves on, and the error is raised.
        """
        handover = _Handover(self)
        try:
            handover.build()
        except BaseException:
            handover.undo()
            self.abandon()
            raise
        handover.settle()
        self._close_scratch()
        return self.application

    @property
    def current_indexes(self) -> dict[str, Index]:
        """Schema → index of the current application, for the schemas that both have."""
        if self._current is None:
            return {}
        engines = self._current.engines
        return {n: engines[n].index for n in self.application.engines if n in engines}

    def lend(self) -> None:
        """Have the current application no longer close the indexes that were handed over."""
        if self._current is not None:
            for name in self.current_indexes:
                self._current.engines[name].owns_index = False

    def new_folders(self) -> dict[str, Path]:
        """Schema → folder of its index, for the schemas that the current application lacks."""
        known = self.current_indexes
        return {n: self._data / n for n in self.application.engines if n not in known}

    def layout(self, name: str) -> Layout:
        """The layout that a schema's index is to have."""
        return self._layouts[name]


class _Handover:
    """The indexes on their way from one application to the next."""

    def __init__(self, replacement: Replacement) -> None:
        self._replacement = replacement
        self._package = replacement.application.package
        self._old = replacement.current_indexes
        self._rebuilt: dict[str, Index] = {}
        self._fresh: dict[str, Index] = {}
        self._created: list[Path] = []

    def build(self) -> None:
        """Make every index of the new application; the last steps are those that change data."""
        replacement, changes = self._replacement, self._replacement.changes
        for name, folder in replacement.new_folders().items():
            if not folder.exists():
                self._created.append(folder)
            schema = self._package.schemas[name]
            self._fresh[name] = Index.open(folder, schema, self._package.settings)
        for name, old in self._old.items():
            layout = replacement.layout(name)
            if layout.fingerprint != old.layout.fingerprint:
                forgotten = changes.forgotten.get(name, frozenset())
                self._rebuilt[name] = old.rebuilt(layout, forgotten)
        for index in self._rebuilt.values():
            index.publish()
        for name in changes.stale:
            self._index(name).mark_stale()
        for name, fields in changes.forgotten.items():
            self._index(name).forget(fields)

    def _index(self, name: str) -> Index:
        return self._rebuilt.get(name) or self._fresh.get(name) or self._old[name]

    def undo(self) -> None:
        """Give the old indexes back and remove what was made."""
        for name in self._rebuilt:
            try:
                self._old[name].restore()
            except SiftlineError:
                continue  # what could not be published again is rebuilt when it is opened
        for index in self._fresh.values():
            index.close()
        for folder in self._created:
            shutil.rmtree(folder, ignore_errors=True)

    def settle(self) -> None:
        """Have the new application own every index."""
        for name, index in self._rebuilt.items():
            index.settle(self._old[name])
        for name, engine in self._replacement.application.engines.items():
            engine.use(self._index(name))
        self._replacement.lend()
