"""`export`: a model by name or folder to ONNX, then quantised, dequantised or optimised."""

from __future__ import annotations

import dataclasses
import json
import shutil
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from siftline.errors import ModelError, UsageError
from siftline.model.convert.architecture import Encoder, read_config, read_encoder, supported
from siftline.model.convert.heads import TILE, Head
from siftline.model.convert.make import known_task, read_source, special_tokens, write_checked
from siftline.model.convert.quantize import dequantize_file, optimize_file, quantize_file
from siftline.model.convert.query_weights import write_query_weights
from siftline.model.convert.recipe import HEAD_KEY, Recipe, read_recipe
from siftline.model.convert.samples import largest_difference, sample_inputs
from siftline.model.convert.transformer import MASK
from siftline.model.convert.weights import read_safetensors, read_weights
from siftline.model.fetch import fetch
from siftline.model.session import Port, open_session

MODEL = "model.onnx"
IDF = "idf.json"
#: Files that go along with the model, where the source has them.
COMPANIONS = (
    "tokenizer.json",
    "tokenizer_config.json",
    "special_tokens_map.json",
    "vocab.txt",
    "config.json",
    IDF,
)


@dataclass(frozen=True, slots=True)
class Step:
    """One conversion: what it did, against what its output was compared, and how far apart.

    difference: the largest absolute difference of any output on sample texts, at real tokens.
    similarity: the smallest cosine of any output vector to its source's.
    """

    name: str
    compared_with: str
    difference: float
    similarity: float
    bytes: int


@dataclass(frozen=True, slots=True)
class ExportReport:
    """What `export` wrote: `model` in `folder`, by `steps`; inputs and outputs of the model."""

    folder: Path
    model: Path
    task: str
    steps: tuple[Step, ...]
    inputs: tuple[Port, ...]
    outputs: tuple[Port, ...]


@dataclass(frozen=True, slots=True)
class HeadChoice:
    """What to write after the encoder where it is not what the folder says.

    task: one of `heads.TASKS`; `sparse-logits` gives the plain logits. tile: vocabulary columns per
    step of a sparse head. prune_ratio r: of a sparse head, a weight stays where w > r·max(w).
    """

    task: str | None = None
    tile: int = TILE
    prune_ratio: float | None = None


#: As the folder says.
AS_IT_IS = HeadChoice()


def export(
    source: str | Path,
    out: Path,
    *,
    optimize: bool = False,
    quantize: str | None = None,
    dequantize: bool = False,
    head: HeadChoice = AS_IT_IS,
) -> ExportReport:
    """Write `out/model.onnx` with the tokenizer beside it.

    source: a folder with safetensors or `model.onnx`, an .onnx file, or a catalogue name.
    quantize: `int8`. Every step is compared with what it started from. Raises UsageError for
    options that exclude each other, ModelError where the source is not a model; then `out` is as
    before.
    """
    if quantize not in (None, "int8"):
        raise UsageError(f"unknown quantisation '{quantize}' (known: int8)")
    if quantize and dequantize:
        raise UsageError("--quantize and --dequantize exclude each other")
    if head.prune_ratio is not None and not 0 <= head.prune_ratio < 1:
        raise UsageError(f"--prune-ratio is from 0 to below 1, not {head.prune_ratio}")
    folder, hints = resolve(source)
    out = Path(out)
    with _scratch_inside(out) as scratch:
        work = _Work(scratch, folder)
        kind = work.start(head, hints)
        if dequantize:
            work.step("dequantize", dequantize_file)
        if quantize:
            work.step("quantize int8", quantize_file)
        if optimize:
            work.step("optimize", optimize_file)
        copy_companions((work.texts, work.base), out)
        if head.prune_ratio is not None:
            _say_pruned(out / "config.json", head.prune_ratio)
        if work.queries is not None and not (out / IDF).is_file():
            write_query_weights(work.queries, out / IDF)
        work.current.replace(out / MODEL)
    session = open_session(out / MODEL)
    return ExportReport(out, out / MODEL, kind, tuple(work.steps), session.inputs, session.outputs)


def copy_companions(folders: Sequence[Path], out: Path) -> None:
    """Copy what goes along with a model, each from the first folder that has it."""
    for name in COMPANIONS:
        found = next((f / name for f in folders if (f / name).is_file()), None)
        if found is not None and found.resolve() != (out / name).resolve():
            shutil.copyfile(found, out / name)


def _say_pruned(path: Path, ratio: float) -> None:
    """Write the ratio into a config.json, where there is one."""
    if path.is_file():
        config = json.loads(path.read_text("utf-8"))
        config[HEAD_KEY] = {**config.get(HEAD_KEY, {}), "prune_ratio": ratio}
        path.write_text(json.dumps(config, indent=2) + "\n", encoding="utf-8")


@contextmanager
def _scratch_inside(out: Path) -> Iterator[Path]:
    """A folder for work on the file system of `out`; an `out` that stays empty is removed."""
    created = not out.exists()
    out.mkdir(parents=True, exist_ok=True)
    try:
        with tempfile.TemporaryDirectory(prefix=".export-", dir=out) as scratch:
            yield Path(scratch)
    finally:
        if created and not any(out.iterdir()):
            out.rmdir()


@dataclass(frozen=True, slots=True)
class Hints:
    """What the catalogue knows about a model beyond its files."""

    task: str | None = None
    logarithms: int | None = None
    zero_special_tokens: bool = False
    max_length: int | None = None


def resolve(source: str | Path) -> tuple[Path, Hints]:
    """A folder or .onnx file as it is, else the catalogue's folder of that name."""
    path = Path(source)
    if path.exists():
        return path, Hints()
    if isinstance(source, Path) or path.suffix == ".onnx" or str(source).startswith((".", "/")):
        raise ModelError(f"there is no model folder or file {source}")
    from siftline.model.catalogue import load_catalogue

    entry = load_catalogue().entry(str(source))
    task = next((s.make for s in entry.sources if s.make), entry.role)
    folder = fetch(entry.name)
    return folder, Hints(task, entry.logarithms, entry.zero_special_tokens, entry.max_length)


class _Work:
    """Files of one export, each made from the one before."""

    def __init__(self, scratch: Path, source: Path) -> None:
        self._scratch = scratch
        self._source = source
        self.current = source
        self.base = source if source.is_dir() else source.parent
        #: The folder of the tokenizer, for samples and to be copied along.
        self.texts = self.base
        #: The folder of the weights of inference-free queries.
        self.queries: Path | None = None
        self.steps: list[Step] = []

    def start(self, wanted: HeadChoice, hints: Hints) -> str:
        """Build the model from weights, or take the ONNX file there is; returns the task."""
        source = self._source
        onnx_file = source if source.is_file() else source / MODEL
        if source.is_file() or not _has_weights(source):
            if not onnx_file.is_file():
                raise ModelError(f"{source} has neither safetensors weights nor {MODEL}")
            if wanted.task is not None:
                raise UsageError(f"{onnx_file} is ONNX already: its task cannot be changed")
            if wanted.prune_ratio is not None:
                raise UsageError(f"{onnx_file} is ONNX already: --prune-ratio is for weights")
            self.current = self._scratch / MODEL
            shutil.copyfile(onnx_file, self.current)
            return hints.task or "onnx"
        return self._build(wanted, hints)

    def _build(self, wanted: HeadChoice, hints: Hints) -> str:
        packed = any(self._source.glob("*-q4.bin"))
        recipe = Recipe(self._source, "dense") if packed else read_recipe(self._source)
        if (recipe.transformer / "tokenizer.json").is_file():
            self.texts = recipe.transformer
        self.queries = recipe.queries
        zeroed = hints.zero_special_tokens or recipe.zero_special_tokens
        kind = known_task(wanted.task or hints.task or recipe.task)
        if wanted.prune_ratio is not None and kind != "sparse":
            raise UsageError(f"--prune-ratio is for sparse encoders, and this is made as '{kind}'")
        head = Head(
            kind,
            hints.logarithms or recipe.logarithms,
            special_tokens(self.texts) if zeroed else (),
            wanted.tile,
            recipe.prune_ratio if wanted.prune_ratio is None else wanted.prune_ratio,
        )
        built = self._scratch / "built.onnx"
        if packed or supported(read_config(recipe.transformer)):
            encoder = read_source(self._source) if packed else _encoder(recipe)
            difference = write_checked(encoder, head, self.texts, built)
            against = "numpy reference"
        else:
            from siftline.model.convert.torch_export import export_with_torch

            difference = export_with_torch(recipe.transformer, head, built)
            against = "torch model"
        self.current = built
        self.steps.append(
            Step(f"export {head.task}", against, difference, 1.0, built.stat().st_size)
        )
        return head.task

    def step(self, name: str, convert: Callable[[Path, Path], None]) -> None:
        """Convert the current file and compare the two."""
        target = self._scratch / f"step-{len(self.steps)}-{name.split()[0]}.onnx"
        convert(self.current, target)
        difference, similarity = compare(self.current, target, self.texts)
        self.steps.append(
            Step(name, "the file before", difference, similarity, target.stat().st_size)
        )
        self.current = target


def compare(before: Path, after: Path, folder: Path) -> tuple[float, float]:
    """Largest difference and smallest cosine over all outputs of two ONNX files on sample texts."""
    first, second = open_session(before), open_session(after)
    vocabulary = _vocabulary(before)
    feeds = sample_inputs(folder, first.inputs, vocabulary)
    left, right = first.run(feeds), second.run(feeds)
    mask = feeds.get(MASK)
    difference = max(largest_difference(left[name], right[name], mask) for name in left)
    similarity = min(_smallest_cosine(left[name], right[name], mask) for name in left)
    return difference, similarity


def _vocabulary(path: Path) -> int:
    """Rows of the largest table that token ids look up; 1000 where the graph does not show it."""
    from siftline.model.convert.dequantize import load_onnx

    graph = load_onnx(path).graph
    shapes = {constant.name: list(constant.dims) for constant in graph.initializer}
    tables = [
        shapes[n.input[0]] for n in graph.node if n.op_type == "Gather" and n.input[0] in shapes
    ]
    return max((shape[0] for shape in tables if len(shape) == 2), default=1000)


def _smallest_cosine(left: np.ndarray, right: np.ndarray, mask: np.ndarray | None) -> float:
    if mask is not None and left.ndim == 3 and left.shape[:2] == mask.shape:
        left, right = left[mask > 0], right[mask > 0]
    left, right = (values.reshape(-1, values.shape[-1]) for values in (left, right))
    norms = np.linalg.norm(left, axis=1) * np.linalg.norm(right, axis=1)
    cosines = (left * right).sum(axis=1) / np.maximum(norms, 1e-12)
    return float(cosines[norms > 0].min(initial=1.0))


def _encoder(recipe: Recipe) -> Encoder:
    encoder = read_encoder(read_config(recipe.transformer), read_weights(recipe.transformer))
    if recipe.projection is None:
        return encoder
    projection = read_safetensors(recipe.projection / "model.safetensors")
    extra = {f"projection.{k.rpartition('.')[2]}": v for k, v in projection.items()}
    return dataclasses.replace(encoder, weights={**encoder.weights, **extra})


def _has_weights(folder: Path) -> bool:
    names = ("model.safetensors", "model.safetensors.index.json", "modules.json", "*-q4.bin")
    return any(any(folder.glob(name)) for name in names)
