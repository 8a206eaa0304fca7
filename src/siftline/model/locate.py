"""Which file on this machine a model reference of an application package means.

In order: the file in the package, which may be in a model folder or an OpenSearch zip there; the
catalogue entry that `[models]` of ext/siftline.toml names for it; the catalogue entry that its
model-id names. A url is not fetched by itself.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from siftline.errors import ModelError, PackageError, Place
from siftline.model.fetch import fetch
from siftline.model.prepared import is_model_folder, model_file, prepared
from siftline.schema.package import ModelReference, Package

#: What the element that refers to a model wants of a catalogue entry's folder.
ELEMENT_FILES = {
    "transformer-model": "model.onnx",
    "tokenizer-model": "tokenizer.json",
    "tokenizer-vocab": "vocab.txt",
    "model": "tokenizer.json",
    "idf": "idf.json",
}

#: The file of a catalogue entry that a file of the package of that kind stands for.
_SUFFIX_FILES = {".onnx": "model.onnx", ".json": "tokenizer.json", ".txt": "vocab.txt"}


class ModelFiles:
    """The model files of one package; `fetcher` gives a catalogue entry's folder."""

    def __init__(self, package: Package, fetcher: Callable[[str], Path] = fetch) -> None:
        self._folder = package.folder
        self._sources = package.settings.models
        self._fetch = fetcher

    def path(self, file: str, part: str | None = None) -> Path:
        """The file that the package calls `file`; PackageError tells how to provide it.

        part: the file that is wanted where `file` is a whole model.
        """
        inside = self._inside(file)
        if inside is not None and part is not None and is_model_folder(inside):
            return self._of_folder(file, prepared(inside), part)
        if inside is not None and inside.is_file():
            return inside
        for prefix, name in self._sources.items():
            rest = file.removeprefix(prefix)
            if rest == file or not (rest.startswith("/") or (not rest and _kind(file))):
                continue
            return self._of_catalogue(name, rest.lstrip("/") or _SUFFIX_FILES[Path(file).suffix])
        raise PackageError(
            f"model file '{file}' is not in the package; put it there, or name a catalogue entry "
            f'for it under [models] in ext/siftline.toml: "{Path(file).parent}" = "NAME"',
            Place(file=str(inside)) if inside else None,
        )

    def reference(self, element: str, reference: ModelReference) -> Path:
        """The file that an element of services.xml refers to."""
        if reference.path is not None:
            return self.path(reference.path, ELEMENT_FILES.get(element))
        if reference.model_id is not None:
            return self._of_catalogue(reference.model_id, ELEMENT_FILES.get(element, "model.onnx"))
        raise PackageError(
            f"<{element}> names only the url '{reference.url}', which is not fetched by itself; "
            "put the file in the package and add path=, or use model-id= of the catalogue"
        )

    def _inside(self, file: str) -> Path | None:
        if self._folder is None:
            return None
        path = (self._folder / file).resolve()
        if not path.is_relative_to(self._folder.resolve()):
            raise PackageError(f"model file '{file}' lies outside the package")
        return path

    def _of_catalogue(self, name: str, file: str) -> Path:
        return self._of_folder(name, self._fetch(name), file)

    def _of_folder(self, name: str, folder: Path, file: str) -> Path:
        path = model_file(folder, file)
        if not path.is_file():
            raise ModelError(f"model '{name}' has no file '{file}' (looked for {path})")
        return path


def _kind(file: str) -> bool:
    return Path(file).suffix in _SUFFIX_FILES
