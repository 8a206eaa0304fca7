"""Which files of a package are models, under which names (spec 5.1, 5.8)."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from siftline.errors import PackageError, Place
from siftline.model.trees.read import TreeKind, tree_kind
from siftline.schema.package import Package

FOLDER = "models"
Kind = Literal["onnx", "expressions"] | TreeKind


@dataclass(frozen=True, slots=True)
class ModelFile:
    """A model: its name, its path in the package, and what it holds."""

    name: str
    file: str
    kind: Kind


def model_name(file: str) -> str:
    """The name of a file under `models/`: its path without extension, `/` and `.` become `_`."""
    inside = file.removeprefix(f"{FOLDER}/")
    stem = inside[: len(inside) - len(Path(inside).suffix)]
    return stem.replace("/", "_").replace(".", "_")


def find_models(package: Package) -> dict[str, ModelFile]:
    """The models of a package by name, in the order of names.

    Those in its folder, and ONNX files that `[models]` of ext/siftline.toml provides. PackageError
    where two files have one name or a file lies outside; ModelError for what no reader takes.
    """
    found: dict[str, ModelFile] = {}
    for file, kind in sorted({*_in_folder(package.folder), *_provided(package.settings.models)}):
        name = model_name(file)
        if name in found:
            raise PackageError(f"'{file}' and '{found[name].file}' would both be model '{name}'")
        found[name] = ModelFile(name, file, kind)
    return dict(sorted(found.items()))


def _in_folder(folder: Path | None) -> Iterator[tuple[str, Kind]]:
    if folder is None or not (folder / FOLDER).is_dir():
        return
    for path in sorted((folder / FOLDER).rglob("*")):
        file = path.relative_to(folder).as_posix()
        if any(part.startswith(".") for part in Path(file).parts) or not path.is_file():
            continue
        kind = _kind(path, file)
        if kind is None:
            continue
        if not path.resolve().is_relative_to(folder.resolve()):
            raise PackageError(f"model file '{file}' lies outside the package", Place(file))
        yield file, kind


def _kind(path: Path, file: str) -> Kind | None:
    if path.name == "saved_model.pb":
        raise PackageError(
            "TensorFlow models are not supported: convert it to ONNX (python -m tf2onnx.convert)",
            Place(file),
        )
    if path.suffix == ".onnx":
        return "onnx"
    return "expressions" if path.suffix == ".model" else tree_kind(path)


def _provided(sources: Iterable[str]) -> Iterator[tuple[str, Kind]]:
    for file in sources:
        if file.startswith(f"{FOLDER}/") and file.endswith(".onnx"):
            yield file, "onnx"
