"""The model's variants, and the application packages that use them."""

from __future__ import annotations

import os
import shutil
from dataclasses import dataclass, replace
from pathlib import Path

from bench.e5.settings import EXAMPLE, Settings
from siftline.errors import MissingExtraError
from siftline.model.convert.quantize import quantize_file
from siftline.model.fetch import fetch
from siftline.model.openvino_session import openvino_core
from siftline.schema.builder import Field
from siftline.schema.definition import Hnsw, Schema
from siftline.schema.format_script import format_script
from siftline.schema.read import read_package
from siftline.schema.write import save_package


@dataclass(frozen=True)
class Variant:
    """A form of the model and what runs it; `quantized`: its weights are int8."""

    name: str
    quantized: bool
    runtime: str
    precision: str | None = None

    @property
    def file(self) -> str:
        """The name of the model's folder."""
        return "int8" if self.quantized else "float"


VARIANTS = (
    Variant("float32", quantized=False, runtime="onnxruntime"),
    Variant("int8", quantized=True, runtime="onnxruntime"),
    Variant("bf16", quantized=False, runtime="openvino", precision="bf16"),
)


def runs_here(variant: Variant) -> bool:
    """Whether this machine has what runs a variant."""
    if variant.runtime != "openvino":
        return True
    try:
        core = openvino_core()
    except MissingExtraError:
        return False
    capabilities = core.get_property("CPU", "OPTIMIZATION_CAPABILITIES")
    return variant.precision != "bf16" or "BF16" in capabilities


def model_folder(variant: Variant, settings: Settings) -> Path:
    """The folder with model.onnx and tokenizer.json of a variant, made where it is not there."""
    given = Path(settings.model)
    source = given if given.is_dir() else fetch(settings.model)
    if not variant.quantized:
        return source
    folder = settings.work / "models" / variant.file
    if not (folder / "model.onnx").exists():
        folder.mkdir(parents=True, exist_ok=True)
        _link(source / "tokenizer.json", folder / "tokenizer.json")
        draft = folder / "draft.onnx"
        quantize_file(source / "model.onnx", draft)
        draft.replace(folder / "model.onnx")
    return folder


def model_bytes(variant: Variant, settings: Settings) -> int:
    """The size of a variant's model file."""
    return (model_folder(variant, settings) / "model.onnx").stat().st_size


def write(
    name: str,
    variant: Variant,
    settings: Settings,
    *,
    hnsw: Hnsw | None = None,
    threads: int = 1,
) -> Path:
    """The example's package with a variant of the model, without the cache of query encodings.

    hnsw: settings of a graph on the embeddings, None to scan them. threads: of one search.
    """
    folder = settings.work / "packages" / name
    model = folder / "model"
    model.mkdir(parents=True, exist_ok=True)
    for file in ("model.onnx", "tokenizer.json"):
        _link(model_folder(variant, settings) / file, model / file)
    package = read_package(EXAMPLE)
    runtime = {"name": variant.runtime, "precision": variant.precision}
    package = replace(
        package,
        schemas={n: _with_graph(schema, hnsw) for n, schema in package.schemas.items()},
        services=replace(package.services, threads_per_search=threads, source=None),
        settings=replace(
            package.settings,
            models={},
            query_encodings=0,
            runtime={key: value for key, value in runtime.items() if value is not None},
        ),
    )
    return save_package(package, folder)


def _with_graph(schema: Schema, hnsw: Hnsw | None) -> Schema:
    if hnsw is None:
        return schema
    field = schema.fields["embedding"]
    indexed = Field(
        field.name,
        field.type,
        f"{format_script(field.indexing)} | index",
        inside=field.inside,
        distance_metric=field.distance_metric,
        hnsw=hnsw,
    )
    return replace(schema, fields={**schema.fields, field.name: indexed})


def _link(source: Path, target: Path) -> None:
    """The same file at another place, without a second copy where the disk can do that."""
    target.unlink(missing_ok=True)
    try:
        os.link(source, target)
    except OSError:
        shutil.copyfile(source, target)
