"""The order of the rooms, and what every module keeps to."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

import siftline

PACKAGE = Path(siftline.__file__).parent
ROOT = PACKAGE.parent.parent

#: A room imports from those before it and from itself.
LAYERS = (
    "errors",
    "lines",
    "tensor",
    "schema",
    "feed",
    "model",
    "encode",
    "index",
    "match",
    "rank",
    "respond",
    "engine",
    "stateless",
    "process",
    "application",
    "intake",
    "serve",
    "cluster",
    "experiment",
    "terminal",
    "__main__",
)

#: Rooms beside the order: what each may import.
BRANCHES = {
    "train": {"errors", "lines", "model", "encode"},
    "evaluate": {"errors", "lines"},
    "load": {"errors"},
}

#: Where the engine and the branches meet.
JOINTS = {"experiment", "terminal", "__main__"}

LONGEST = 500

MODULES = sorted(PACKAGE.rglob("*.py"))
TESTS = sorted((ROOT / "tests").rglob("*.py"))


def room(path: Path) -> str:
    """The room a module stands in; "" for the package's own `__init__`."""
    first = path.relative_to(PACKAGE).parts[0].removesuffix(".py")
    return "" if first == "__init__" else first


def imports(path: Path) -> Iterator[tuple[int, str]]:
    """Line and module of every import, those inside functions too."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield node.lineno, alias.name
        elif isinstance(node, ast.ImportFrom):
            yield node.lineno, "." * node.level + (node.module or "")
            if node.module == "siftline":
                for alias in node.names:
                    yield node.lineno, f"siftline.{alias.name}"


def allowed(name: str) -> set[str]:
    """The rooms that a room may import."""
    if name in BRANCHES:
        return BRANCHES[name] | {name}
    before = set(LAYERS[: LAYERS.index(name) + 1])
    return before | set(BRANCHES) if name in JOINTS else before


def name_of(path: Path) -> str:
    return str(path.relative_to(ROOT))


@pytest.mark.parametrize("path", [path for path in MODULES if room(path)], ids=name_of)
def test_a_module_imports_only_rooms_before_its_own(path: Path) -> None:
    own = room(path)
    assert own in LAYERS or own in BRANCHES, f"{own} has no place in the order of the rooms"
    wrong = []
    for line, module in imports(path):
        other = module.split(".")[1] if module.startswith("siftline.") else own
        if other in {*LAYERS, *BRANCHES} - allowed(own):
            wrong.append(f"line {line}: {own} imports {other}")
    assert not wrong


@pytest.mark.parametrize("path", [*MODULES, *TESTS], ids=name_of)
def test_imports_are_absolute(path: Path) -> None:
    assert not [line for line, module in imports(path) if module.startswith(".")]


@pytest.mark.parametrize("path", [*MODULES, *TESTS], ids=name_of)
def test_a_file_can_be_read_in_one_sitting(path: Path) -> None:
    assert len(path.read_text().splitlines()) <= LONGEST


@pytest.mark.parametrize("path", MODULES, ids=name_of)
def test_a_module_says_what_it_is(path: Path) -> None:
    assert ast.get_docstring(ast.parse(path.read_text()))
