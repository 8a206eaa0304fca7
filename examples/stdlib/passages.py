"""The documentation strings of Python's own standard library, as documents to feed.

Python modules are read as text and parsed, never imported. Modules written in C have no text to
read; those compiled into the interpreter are asked for their docstrings.
"""

from __future__ import annotations

import ast
import importlib
import inspect
import sys
import sysconfig
from collections.abc import Iterator
from pathlib import Path

#: packages of tests, tools with windows, and generated tables
SKIPPED = {
    "test", "tests", "idlelib", "lib2to3", "turtledemo", "site-packages", "dist-packages",
    "pydoc_data", "encodings", "ensurepip", "__phello__", "_pyrepl",
}  # fmt: skip
SHORTEST = 60
LONGEST = 1500


def passages() -> Iterator[dict[str, str]]:
    """Documents with `id` (the qualified name), `title` (name and arguments) and `text`."""
    seen: set[str] = set()
    for name, title, text in [*_from_source(), *_from_builtins()]:
        text = inspect.cleandoc(text)[:LONGEST]
        if len(text) >= SHORTEST and not {name, text} & seen:
            seen |= {name, text}
            yield {"id": name, "title": title, "text": text}


def _from_source() -> Iterator[tuple[str, str, str]]:
    root = Path(sysconfig.get_path("stdlib"))
    for path in sorted(root.rglob("*.py")):
        parts = path.relative_to(root).with_suffix("").parts
        if SKIPPED & set(parts) or any(
            part.startswith("_") and part != "__init__" for part in parts
        ):
            continue
        module = ".".join(part for part in parts if part != "__init__")
        try:
            tree = ast.parse(path.read_bytes())
        except (SyntaxError, ValueError):
            continue
        if text := ast.get_docstring(tree):
            yield module, f"module {module}", text
        yield from _members(tree, module)


def _members(node: ast.AST, prefix: str) -> Iterator[tuple[str, str, str]]:
    for child in ast.iter_child_nodes(node):
        if not isinstance(child, ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            continue
        if child.name.startswith("_"):
            continue
        name = f"{prefix}.{child.name}"
        if text := ast.get_docstring(child):
            arguments = "" if isinstance(child, ast.ClassDef) else f"({ast.unparse(child.args)})"
            yield name, name + arguments, text
        if isinstance(child, ast.ClassDef):
            yield from _members(child, name)


def _from_builtins() -> Iterator[tuple[str, str, str]]:
    for module in sorted({*sys.builtin_module_names, "math", "_json", "_csv", "_bisect", "_heapq"}):
        try:
            members = vars(importlib.import_module(module))
        except ImportError:
            continue
        shown = module.removeprefix("_")
        for name, value in sorted(members.items()):
            if name.startswith("_") or not callable(value) or inspect.ismodule(value):
                continue
            full = name if module == "builtins" else f"{shown}.{name}"
            yield full, full, _doc(value)
            if isinstance(value, type) and value.__module__ in (module, shown):
                for method, function in sorted(vars(value).items()):
                    if not method.startswith("_"):
                        yield f"{full}.{method}", f"{full}.{method}", _doc(function)


def _doc(value: object) -> str:
    text = getattr(value, "__doc__", None)
    return text if isinstance(text, str) else ""
