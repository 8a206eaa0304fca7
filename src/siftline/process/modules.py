"""Imports the code in a package's `ext/components`, apart from every other package's.

Each open package has its own root module, `siftline_components_N`, and its files are modules below
it. They import each other by the names they have in the folder (`from words import tokens`); such
a name means the file beside it before it means an installed module. Nothing is written into the
folder, and opening a package again reads its files again.
"""

from __future__ import annotations

import builtins
import importlib
import itertools
import sys
from collections.abc import Mapping, Sequence
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec
from importlib.util import spec_from_file_location
from pathlib import Path
from threading import Lock
from types import ModuleType
from typing import Any

PREFIX = "siftline_components_"

_numbers = itertools.count(1)
_lock = Lock()


class ComponentModules:
    """The modules of one `ext/components` folder; `close` forgets them."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        with _lock:
            self.root = f"{PREFIX}{next(_numbers)}"
            _finder.folders[self.root] = folder
            if _finder not in sys.meta_path:
                sys.meta_path.insert(0, _finder)

    def load(self, name: str) -> ModuleType:
        """The module of that name in the folder; whatever its code raises comes out."""
        return importlib.import_module(f"{self.root}.{name}")

    def has(self, name: str) -> bool:
        """Whether the folder has a module of that dotted name."""
        return find(self.folder, name.split(".")) is not None

    @property
    def names(self) -> list[str]:
        """The top modules of the folder."""
        files = {path.stem for path in self.folder.glob("*.py")}
        packages = {path.parent.name for path in self.folder.glob("*/__init__.py")}
        return sorted(files | packages)

    def close(self) -> None:
        """Forget the modules; objects made of them live on."""
        with _lock:
            _finder.folders.pop(self.root, None)
            for name in [*sys.modules]:
                if name == self.root or name.startswith(f"{self.root}."):
                    del sys.modules[name]


def find(folder: Path, parts: Sequence[str]) -> Path | None:
    """The file of a module: `a/b.py` or `a/b/__init__.py`; a folder without one is a package."""
    path = folder.joinpath(*parts)
    for file in (path / "__init__.py", path.with_name(f"{path.name}.py")):
        if file.is_file():
            return file
    return path if path.is_dir() else None


class _Finder(MetaPathFinder):
    """Finds `siftline_components_N.a.b` in the N-th package's folder."""

    def __init__(self) -> None:
        self.folders: dict[str, Path] = {}

    def find_spec(
        self, name: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        root, *parts = name.split(".")
        folder = self.folders.get(root)
        if folder is None:
            return None
        file = folder if not parts else find(folder, parts)
        if file is None:
            return None
        if file.is_dir():
            spec = ModuleSpec(name, _Empty(), is_package=True)
            spec.submodule_search_locations = [str(file)]
            return spec
        places = [str(file.parent)] if file.name == "__init__.py" else None
        return spec_from_file_location(
            name, file, loader=_Source(file, root, folder), submodule_search_locations=places
        )


class _Empty(Loader):
    """A folder that holds modules and says nothing itself."""

    def exec_module(self, module: ModuleType) -> None:
        """Nothing to run."""


class _Source(Loader):
    """Runs a file; its imports look beside it first."""

    def __init__(self, file: Path, root: str, folder: Path) -> None:
        self._file = file
        self._root = root
        self._folder = folder

    def exec_module(self, module: ModuleType) -> None:
        """Compile the file as it is now and run it; no byte code is read or written."""
        code = compile(self._file.read_bytes(), str(self._file), "exec", dont_inherit=True)
        module.__dict__["__builtins__"] = {**vars(builtins), "__import__": self._import}
        exec(code, module.__dict__)

    def _import(
        self,
        name: str,
        globals_: Mapping[str, Any] | None = None,
        locals_: Mapping[str, Any] | None = None,
        fromlist: Sequence[str] | None = (),
        level: int = 0,
    ) -> ModuleType:
        top = name.partition(".")[0]
        if level or find(self._folder, [top]) is None:
            return __import__(name, globals_, locals_, fromlist or (), level)
        found = importlib.import_module(f"{self._root}.{name}")
        if not fromlist:
            return sys.modules[f"{self._root}.{top}"]
        return __import__(found.__name__, globals_, locals_, fromlist, 0)


_finder = _Finder()
