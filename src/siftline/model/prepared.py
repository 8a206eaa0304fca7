"""Folders of trained and exported models, and OpenSearch zips, as the files that encoders open.

A folder with `model.onnx` is taken as it is. From weights, of transformers or of
sentence-transformers, `model.onnx` is built; TorchScript is unpacked to `model.pt`. What is made is
kept in the cache under the hash of what it was made from.
"""

from __future__ import annotations

import hashlib
import shutil
import zipfile
from collections.abc import Iterator
from pathlib import Path, PurePosixPath

from siftline.errors import ModelError
from siftline.model.cache import (
    cache_folder,
    is_complete,
    locked,
    partial_folder,
    publish,
    sha256_of,
)
from siftline.model.catalogue import GRAPHS

MODEL, TORCH_MODEL, TOKENIZER, IDF = "model.onnx", "model.pt", "tokenizer.json", "idf.json"
_ENCODERS = {".pt": TORCH_MODEL, ".pth": TORCH_MODEL, ".onnx": MODEL}
_WEIGHTS = ("model.safetensors", "model.safetensors.index.json", "modules.json")


def is_model_folder(path: Path) -> bool:
    """Whether `prepared` may take it: a folder or a zip."""
    return path.is_dir() or (path.suffix == ".zip" and path.is_file())


def prepared(path: Path, *, cache: Path | None = None) -> Path:
    """The folder with `model.onnx` or `model.pt`, the tokenizer and the query weights of a model.

    path: a folder or an OpenSearch zip. cache: as for `fetch`. ModelError for what is no model.
    """
    if (path / MODEL).is_file():
        return path
    archives = [path] if path.is_file() else sorted(path.glob("*.zip"))
    if not archives and not any((path / name).is_file() for name in _WEIGHTS):
        raise ModelError(f"{path} is no model folder: it has no {MODEL}, weights or OpenSearch zip")
    root = cache_folder(cache)
    key = _key(archives or sorted(p for p in path.rglob("*") if _decides(p)), path)
    folder = root / "built" / key
    if is_complete(folder):
        return folder
    try:
        with locked(root, f"built-{key}"):
            if not is_complete(folder):
                with partial_folder(root, f"built-{key}") as partial:
                    _unpack(archives, partial) if archives else _build(path, partial)
                    if (path / IDF).is_file() and not (partial / IDF).is_file():
                        shutil.copyfile(path / IDF, partial / IDF)
                    publish(partial, folder, {"source": str(path)})
    except OSError as error:
        raise ModelError(f"cannot keep what is made of {path} in {root}: {error}") from None
    return folder


def model_file(folder: Path, name: str) -> Path:
    """A file of a model's folder; `model.pt` stands for a `model.onnx` that is not there."""
    path = folder / name
    if name == MODEL and not path.is_file() and (folder / TORCH_MODEL).is_file():
        return folder / TORCH_MODEL
    return path


def _decides(path: Path) -> bool:
    return path.is_file() and path.suffix in (".safetensors", ".json")


def _key(files: list[Path], base: Path) -> str:
    digest = hashlib.sha256(f"{GRAPHS}".encode())
    for file in files:
        name = file.relative_to(base).as_posix() if base.is_dir() else file.suffix
        digest.update(f"{name} {sha256_of(file)}\n".encode())
    return digest.hexdigest()[:16]


def _build(path: Path, target: Path) -> None:
    from siftline.model.convert.export import export

    export(path, target)


def _unpack(archives: list[Path], target: Path) -> None:
    """The encoder with its tokenizer, and query weights from the zip of a tokenizer model."""
    found: list[Path] = []
    for archive in archives:
        try:
            with zipfile.ZipFile(archive) as file:
                wanted = dict(_members(file))
                if encoders := [n for n in wanted if wanted[n] in (MODEL, TORCH_MODEL)]:
                    found.append(archive)
                    if len(encoders) > 1 or TOKENIZER not in wanted.values():
                        raise ModelError(f"{archive} is not one model with its {TOKENIZER}")
                else:
                    wanted = {n: name for n, name in wanted.items() if name == IDF}
                for member, name in wanted.items():
                    with file.open(member) as source, (target / name).open("wb") as out:
                        shutil.copyfileobj(source, out)
        except zipfile.BadZipFile as error:
            raise ModelError(f"{archive} is not a zip, or it is damaged: {error}") from None
    if len(found) != 1:
        names = ", ".join(str(path) for path in found or archives)
        raise ModelError(f"exactly one zip with a model is needed, there are {len(found)}: {names}")


def _members(file: zipfile.ZipFile) -> Iterator[tuple[str, str]]:
    """Members that are needed, with the names they get; folders inside a zip do not count."""
    for member in file.namelist():
        inside = PurePosixPath(member)
        if inside.suffix in _ENCODERS:
            yield member, _ENCODERS[inside.suffix]
        elif inside.name in (TOKENIZER, IDF):
            yield member, inside.name
