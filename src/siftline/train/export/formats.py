"""`export_as`: one encoder into one of the forms, compared with its source."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, get_args

import numpy as np

from siftline.errors import ModelError, UsageError
from siftline.model.convert.export import Step
from siftline.train.export import opensearch, sentence_folder
from siftline.train.export.opensearch import Registration, write_opensearch
from siftline.train.export.sentence_folder import write_sentence_folder
from siftline.train.export.source import SAMPLES, TOLERANCE, open_source

Format = Literal["sentence-transformers", "opensearch"]
FORMATS: tuple[str, ...] = get_args(Format)


@dataclass(frozen=True, slots=True)
class Exported:
    """What was written into `folder`: its files, and how far each step is from its source."""

    folder: Path
    format: Format
    files: tuple[Path, ...]
    steps: tuple[Step, ...]


def export_as(
    name: str | Path,
    out: Path,
    form: Format,
    *,
    max_length: int | None = None,
    registration: Registration | None = None,
) -> Exported:
    """Write the sparse encoder `name`, a folder or of the catalogue, into the folder `out`.

    max_length: tokens of a text. registration: of OpenSearch; None takes the name of `out`. Sample
    texts are encoded by the source and by what was written. ModelError where the two differ by
    more than float32 does, and where the source cannot be written so; then `out` is as before.
    UsageError for options that do not go together.
    """
    if form not in FORMATS:
        raise UsageError(f"unknown format '{form}' (known: {', '.join(FORMATS)})")
    if registration and form != "opensearch":
        raise UsageError(f"a name and a version are for the format opensearch, not {form}")
    source = open_source(name, max_length=max_length)
    queries, documents = source.queries(SAMPLES), source.weights(SAMPLES)
    with _whole(out) as folder:
        if form == "opensearch":
            zips = write_opensearch(source, folder, registration or Registration(out.name))
            opensearch.check_registration(folder)
            found = opensearch.read_back(source, zips, SAMPLES)
            steps = [_step("documents", documents, found, zips)]
        else:
            write_sentence_folder(source, folder)
            both = sentence_folder.read_back(source, folder, SAMPLES)
            files = list(folder.rglob("*.safetensors"))
            steps = [
                _step("queries", queries, both[0], files),
                _step("documents", documents, both[1], files),
            ]
        written = sorted(path.relative_to(folder) for path in folder.rglob("*") if path.is_file())
    return Exported(out, form, tuple(out / path for path in written), tuple(steps))


def _step(name: str, source: np.ndarray, found: np.ndarray, files: Iterable[Path]) -> Step:
    """How far weights `(N, V)` are from the source's; ModelError where it is too far."""
    width = min(source.shape[1], found.shape[1])
    left, right = source[:, :width], found[:, :width]
    difference = float(np.abs(left - right).max(initial=0.0))
    if not difference <= TOLERANCE * max(1.0, float(np.abs(left).max(initial=0.0))):
        raise ModelError(f"the export's {name} differ from the source's by {difference:.3g}")
    norms = np.linalg.norm(left, axis=1) * np.linalg.norm(right, axis=1)
    cosines = (left * right).sum(axis=1)[norms > 0] / norms[norms > 0]
    size = sum(path.stat().st_size for path in files)
    return Step(name, "the source", difference, float(cosines.min(initial=1.0)), size)


@contextmanager
def _whole(out: Path) -> Iterator[Path]:
    """An empty folder that becomes `out` at the end; an `out` that exists gets its files."""
    out.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=f".{out.name}-", dir=out.parent) as scratch:
        yield Path(scratch)
        for path in sorted(Path(scratch).rglob("*")):
            target = out / path.relative_to(scratch)
            if path.is_dir():
                target.mkdir(parents=True, exist_ok=True)
            else:
                target.parent.mkdir(parents=True, exist_ok=True)
                shutil.move(path, target)
