"""Opening the teachers of a recipe: models of the catalogue, or folders, by kind and runtime."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
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
from siftline.train.teacher_usage import Kind, Usage, usage_of
from siftline.train.torch_model import TorchModel

#: auto: torch on a GPU for folders that transformers reads, else ONNX Runtime, else torch.
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
    batch, None for what suits the runtime. ModelError for a folder without a model of that kind,
    or without one for that runtime.
    """
    usage = usage_of(find_model(spec.model), spec.type)
    if spec.max_length is not None:
        usage = replace(usage, max_length=min(usage.max_length, spec.max_length))
    file = _tokenizer_file(usage)
    chosen = _chosen(runtime, usage)
    model: Model
    if chosen == "torch":
        model = TorchModel(usage, spec.type, token_budget=token_budget)
    else:

        def session() -> Session:
            return open_session(
                _onnx(usage),
                runtime="openvino" if chosen == "openvino" else "onnxruntime",
                threads=threads,
                precision=precision,
            )

        ports = _PORTS[spec.type]
        model = Transformer(session, ports, pad=usage.pad, token_budget=token_budget)
    key = _key(spec.type, usage, file, chosen, precision)
    tokenizer = Lazy(lambda: Tokenizer.open(file))
    return _KINDS[spec.type](spec.model, key, usage, model, tokenizer, cache)


def _chosen(runtime: Runtime, usage: Usage) -> Runtime:
    if runtime == "auto":
        on_gpu = usage.weights is not None and torch.cuda.is_available()
        return "torch" if on_gpu or usage.onnx is None else "onnx"
    if runtime == "torch" and usage.weights is None:
        raise ModelError(
            f"'{usage.folder}' has no weights that torch reads, only {_onnx(usage).name}; "
            "use the runtime onnx"
        )
    if runtime != "torch":
        _onnx(usage)
    return runtime


def _onnx(usage: Usage) -> Path:
    if usage.onnx is None:
        raise ModelError(
            f"'{usage.folder}' has no model.onnx; make one with siftline models export, or use "
            "the runtime torch"
        )
    return usage.onnx


def _tokenizer_file(usage: Usage) -> Path:
    for folder in (usage.folder, usage.weights):
        if folder is not None and (folder / "tokenizer.json").is_file():
            return folder / "tokenizer.json"
    raise ModelError(f"'{usage.folder}' has no tokenizer.json, which a teacher needs")


def _key(
    kind: Kind, usage: Usage, tokenizer: Path, runtime: Runtime, precision: Precision | None
) -> str:
    """What a record depends on: files by their content, and how they are used.

    Not prefixes, which are part of the texts, nor the IDF table, which only queries use.
    """
    if runtime == "torch" and usage.weights is not None:
        held = [usage.weights / "config.json"]
        held += [p for p in usage.weights.iterdir() if p.suffix in (".safetensors", ".bin")]
    else:
        held = [_onnx(usage)]
    parts = {
        "kind": kind,
        "files": {path.name: file_hash(path) for path in sorted([*held, tokenizer])},
        "runtime": runtime,
        "precision": precision,
        "max_length": usage.max_length,
        "pooling": usage.pooling,
        "normalize": usage.normalize,
        "logarithms": usage.logarithms,
    }
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()
