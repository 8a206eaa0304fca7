"""`export_as`: one encoder into one of the forms, compared with its source."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np

from siftline.errors import ModelError, UsageError
from siftline.model.convert.export import Step, export
from siftline.model.session import open_session
from siftline.train.export import opensearch, sentence_folder
from siftline.train.export.opensearch import Registration, write_opensearch
from siftline.train.export.sentence_folder import write_sentence_folder
from siftline.train.export.source import SAMPLES, TOLERANCE, Source, open_source

Format = Literal["onnx", "sentence-transformers", "opensearch"]
FORMATS: tuple[Format, ...] = ("onnx", "sentence-transformers", "opensearch")


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
    quantize: str | None = None,
    max_length: int | None = None,
    registration: Registration | None = None,
) -> Exported:
    """Write the sparse encoder `name`, a folder or of the catalogue, into the folder `out`.

    quantize: `int8`, of ONNX only. max_length: tokens of a text, of the others. registration: of
    OpenSearch; None takes the name of `out`. Sample texts are encoded by the source and by what
    was written. ModelError where the two differ by more than float32 does, and where the source
    cannot be written so; then `out` is as before. UsageError for options that do not go together.
    """
    if form not in FORMATS:
        raise UsageError(f"unknown format '{form}' (known: {', '.join(FORMATS)})")
    if quantize and form != "onnx":
        raise UsageError(f"--quantize is for the format onnx, not {form}")
    if max_length and form == "onnx":
        raise UsageError("--max-length is not for the format onnx: its embedder sets max-tokens")
    if registration and form != "opensearch":
        raise UsageError(f"a name and a version are for the format opensearch, not {form}")
    source = open_source(name, max_length=max_length)
    queries, documents = source.queries(SAMPLES), source.weights(SAMPLES)
    with _whole(out) as folder:
        if form == "onnx":
            steps = _onnx(source, name, folder, documents, quantize)
        elif form == "sentence-transformers":
            write_sentence_folder(source, folder)
            found = sentence_folder.read_back(source, folder, SAMPLES)
            steps = [
                _step("queries", queries, found[0], folder.rglob("*.safetensors")),
                _step("documents", documents, found[1], folder.rglob("*.safetensors")),
            ]
        else:
            zips = write_opensearch(source, folder, registration or Registration(out.name))
            opensearch.check_registration(folder)
            found_documents = opensearch.read_back(source, zips, SAMPLES)
            steps = [_step("documents", documents, found_documents, zips)]
        written = sorted(path.relative_to(folder) for path in folder.rglob("*") if path.is_file())
    return Exported(out, form, tuple(out / path for path in written), tuple(steps))


def _onnx(
    source: Source, name: str | Path, folder: Path, documents: np.ndarray, quantize: str | None
) -> list[Step]:
    report = export(name, folder, quantize=quantize)
    session = open_session(report.model)
    rows = []
    for text in SAMPLES:
        feeds = {key: value.numpy() for key, value in source.inputs([text]).items()}
        feeds["token_type_ids"] = np.zeros_like(feeds["input_ids"])
        taken = {port.name: feeds[port.name] for port in session.inputs}
        rows.append(session.run(taken, ["weights"])["weights"])
    found = np.concatenate(rows)
    steps = list(report.steps)
    steps.append(_step("documents", documents, found, [report.model], strict=quantize is None))
    return steps


def _step(
    name: str, source: np.ndarray, found: np.ndarray, files: Iterable[Path], *, strict: bool = True
) -> Step:
    """How far weights `(N, V)` are from the source's; ModelError where strict and too far."""
    width = min(source.shape[1], found.shape[1])
    left, right = source[:, :width], found[:, :width]
    difference = float(np.abs(left - right).max(initial=0.0))
    norms = np.linalg.norm(left, axis=1) * np.linalg.norm(right, axis=1)
    cosines = (left * right).sum(axis=1)[norms > 0] / norms[norms > 0]
    if strict and not difference <= TOLERANCE * max(1.0, float(np.abs(left).max(initial=0.0))):
        raise ModelError(f"the export's {name} differ from the source's by {difference:.3g}")
    size = sum(path.stat().st_size for path in files)
    return Step(name, "source", difference, float(cosines.min(initial=1.0)), size)


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
