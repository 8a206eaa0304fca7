"""Opening the teachers of a recipe: models of the catalogue, or folders, by kind and runtime."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Literal

import torch

from siftline.encode.fingerprint import file_hash
from siftline.encode.lazy import Lazy
from siftline.encode.ports import PortNames
from siftline.encode.tokenizer import Tokenizer
from siftline.encode.transformer import Transformer
from siftline.errors import ModelError
from siftline.model.convert.architecture import read_config, supported
from siftline.model.prepared import prepared
from siftline.model.session import Precision, Session, open_session
from siftline.train.recipe import TeacherSpec
from siftline.train.score_cache import ScoreCache
from siftline.train.teacher_scores import (
    CrossTeacher,
    DenseTeacher,
    Model,
    ModelTeacher,
    SparseTeacher,
)
from siftline.train.teacher_usage import Kind, Usage, is_archive, usage_of
from siftline.train.torch_model import TorchModel

#: auto: ONNX Runtime; torch on a GPU, and for weights that cannot be written as ONNX without it.
Runtime = Literal["auto", "onnx", "openvino", "torch"]

_KINDS: dict[Kind, type[ModelTeacher]] = {
    "dense": DenseTeacher,
    "sparse": SparseTeacher,
    "cross": CrossTeacher,
}

#: Which output of an ONNX file holds what a kind needs.
_PORTS: dict[Kind, PortNames] = {
    "dense": PortNames(output="last_hidden_state", alternative="sentence_embedding"),
    "sparse": PortNames(output="weights", alternative="logits"),
    "cross": PortNames(output="logits"),
}


def open_teacher(
    spec: TeacherSpec,
    find_model: Callable[[str], Path],
    *,
    cache: ScoreCache | None = None,
    runtime: Runtime = "auto",
    precision: Precision | None = None,
    threads: int | None = None,
    token_budget: int | None = None,
) -> ModelTeacher:
    """The teacher that a recipe names; its model is loaded when the cache lacks something.

    runtime, precision, threads: as for `open_session`, torch beside. token_budget: tokens of a
    batch, None for what suits the runtime. A folder may hold weights, ONNX or an OpenSearch zip.
    ModelError for one without a model of that kind, or without one for that runtime.
    """
    usage, chosen, path = _located(find_model(spec.model), spec.type, runtime)
    if spec.max_length is not None:
        usage = replace(usage, max_length=min(usage.max_length, spec.max_length))
    words = _tokenizer_file(usage)
    model: Model
    if chosen == "torch":
        model = TorchModel(path, usage, spec.type, token_budget=token_budget)
    else:

        def session() -> Session:
            return open_session(
                path,
                runtime="openvino" if chosen == "openvino" else "onnxruntime",
                threads=threads,
                precision=precision,
            )

        ports = _PORTS[spec.type]
        model = Transformer(session, ports, pad=usage.pad, token_budget=token_budget)
    key = _key(spec.type, usage, [*_weights(path), words], [chosen, precision])
    tokenizer = Lazy(lambda: Tokenizer.open(words))
    return _KINDS[spec.type](spec.model, key, usage, model, tokenizer, cache)


def _located(folder: Path, kind: Kind, runtime: Runtime) -> tuple[Usage, Runtime, Path]:
    """How a folder's model is used, what runs it, and its file, or folder for torch.

    Where an ONNX file is missing it is made and kept with the downloaded models.
    """
    usage = usage_of(prepared(folder) if is_archive(folder) else folder, kind)
    weights, onnx = usage.weights, usage.onnx
    if runtime == "torch" and weights is None:
        raise ModelError(f"'{folder}' has no weights for transformers; use the runtime onnx")
    if weights is not None and (runtime == "torch" or (runtime == "auto" and _by_torch(usage))):
        return usage, "torch", weights
    file = prepared(folder) / "model.onnx" if onnx is None else onnx
    return usage, "onnx" if runtime == "auto" else runtime, file


def _by_torch(usage: Usage) -> bool:
    """Whether torch is the better choice for weights: on a GPU, or nothing else reads them."""
    if torch.cuda.is_available():
        return True
    return usage.onnx is None and not supported(read_config(usage.weights or usage.folder))


def _tokenizer_file(usage: Usage) -> Path:
    for folder in (usage.folder, usage.weights):
        if folder is not None and (folder / "tokenizer.json").is_file():
            return folder / "tokenizer.json"
    raise ModelError(f"'{usage.folder}' has no tokenizer.json, which a teacher needs")


def _weights(path: Path) -> list[Path]:
    """The files that a model is read from."""
    if path.is_file():
        return [path]
    held = [file for file in path.iterdir() if file.suffix in (".safetensors", ".bin")]
    return [path / "config.json", *held]


def _key(kind: Kind, usage: Usage, files: Sequence[Path], run: Sequence[str | None]) -> str:
    """What a record depends on: files by their content, how they are used, and by what.

    Not prefixes, which are part of the texts, nor the IDF table, which only queries use.
    """
    parts = {
        "kind": kind,
        "files": sorted((file.name, file_hash(file)) for file in files),
        "run": run,
        "max_length": usage.max_length,
        "pooling": usage.pooling,
        "normalize": usage.normalize,
        "logarithms": usage.logarithms,
    }
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()
