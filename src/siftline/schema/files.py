"""The files that a package's schemas name: constants and expressions."""

from __future__ import annotations

import json
from pathlib import Path

from siftline.errors import PackageError, Place, SiftlineError
from siftline.tensor.json import from_json
from siftline.tensor.tensor import Tensor
from siftline.tensor.types import TensorType


def read_text(path: Path, place: Place | None = None) -> str:
    """The UTF-8 text of a file, PackageError where it cannot be read."""
    try:
        return path.read_text(encoding="utf-8")
    except UnicodeDecodeError as error:
        raise PackageError(
            f"'{path}' is not UTF-8 text: {error}", place or Place(str(path))
        ) from None
    except OSError as error:
        raise PackageError(
            f"cannot read '{path}': {error.strerror}", place or Place(str(path))
        ) from None


class PackageFiles:
    """Reads files by their path in the package; without a folder every read is an error.

    beside: a folder of the package in which a constant's file is looked for first.
    """

    def __init__(
        self,
        folder: Path | None = None,
        schema_folder: Path | None = None,
        *,
        beside: Path | None = None,
    ) -> None:
        self.folder = folder
        self.beside = beside
        self.schema_folder = schema_folder or (folder / "schemas" if folder else None)

    def constant(self, path: str, type_: TensorType, place: Place) -> Tensor:
        """The tensor in a JSON file of the package, of the type declared."""
        if path.endswith(".lz4"):
            raise PackageError(f"compressed constant '{path}' is not supported: unpack it", place)
        near = self.beside is not None and (self.beside / path).is_file()
        file = self._inside(self.beside if near else self.folder, path, place)
        try:
            return from_json(type_, json.loads(read_text(file, place)))
        except json.JSONDecodeError as error:
            raise PackageError(
                f"not JSON: {error.msg}", Place(path, error.lineno, error.colno)
            ) from None
        except RecursionError:
            raise PackageError("values nest too deep", Place(path)) from None
        except PackageError:
            raise
        except SiftlineError as error:
            raise PackageError(error.message, Place(path)) from None

    def expression(self, name: str, place: Place) -> str:
        """The text of `expression: file:NAME`, a file beside the schemas."""
        if "/" in name or "\\" in name:
            raise PackageError(f"expression file '{name}' must be named without a folder", place)
        file = name if name.endswith(".expression") else f"{name}.expression"
        return read_text(self._inside(self.schema_folder, file, place), place)

    def _inside(self, folder: Path | None, path: str, place: Place) -> Path:
        if folder is None:
            raise PackageError(
                f"file '{path}' can only be read with its package: open the folder", place
            )
        file = (folder / path).resolve()
        if not file.is_relative_to(folder.resolve()):
            raise PackageError(f"file '{path}' lies outside the package", place)
        if not file.is_file():
            raise PackageError(f"the package has no file '{path}'", place)
        return file
