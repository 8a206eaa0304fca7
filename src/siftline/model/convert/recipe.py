"""What a Hugging Face or sentence-transformers folder holds, and so what to export from it.

A plain folder says it in `config.json`'s `architectures`. A sentence-transformers folder says it in
`modules.json`, where a Router (inference-free sparse models) leads to the modules of its document
route by `router_config.json`.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from siftline.errors import ModelError
from siftline.model.convert.architecture import read_config
from siftline.model.convert.heads import Task

_HARMLESS = ("Pooling", "Normalize")


@dataclass(frozen=True, slots=True)
class Recipe:
    """Where the transformer stands, what to write after it, and a projection's own folder."""

    transformer: Path
    task: Task
    logarithms: int = 1
    projection: Path | None = None


def read_recipe(folder: Path) -> Recipe:
    """The recipe of a model folder; ModelError names a module that no export writes."""
    if not folder.is_dir():
        raise ModelError(f"there is no model folder {folder}")
    modules = _modules(folder)
    if not modules:
        return Recipe(folder, _task_of(read_config(folder)))
    transformer: Path | None = None
    task: Task | None = None
    logarithms, projection = 1, None
    for kind, path in modules:
        if kind in ("Transformer", "MLMTransformer"):
            transformer = path
        elif kind == "SpladePooling":
            task, logarithms = "sparse", _logarithms(path)
        elif kind == "Dense":
            task, projection = "late-interaction", _projection(path)
        elif kind not in _HARMLESS:
            raise ModelError(f"{folder}: the module {kind} of modules.json is not exported")
    if transformer is None:
        raise ModelError(f"{folder}: modules.json has no Transformer")
    if task is None:
        config = read_config(transformer)
        pooled = any(kind == "Pooling" for kind, _ in modules)
        task = "dense" if pooled else _task_of(config)
    return Recipe(transformer, task, logarithms, projection)


def _task_of(config: Mapping[str, Any]) -> Task:
    for architecture in config.get("architectures") or ():
        if architecture.endswith("ForMaskedLM"):
            return "sparse"
        if architecture.endswith("ForSequenceClassification"):
            return "cross-encoder"
        if "ColBERT" in architecture:
            return "late-interaction"
    return "dense"


def _modules(folder: Path) -> list[tuple[str, Path]]:
    """Kind and folder of each module a document passes through; empty without `modules.json`."""
    path = folder / "modules.json"
    if not path.is_file():
        return []
    found: list[tuple[str, Path]] = []
    for module in _json(path):
        kind, place = module["type"].rpartition(".")[2], folder / module["path"]
        found += _route(place) if kind == "Router" else [(kind, place)]
    return found


def _route(folder: Path) -> list[tuple[str, Path]]:
    config = _json(folder / "router_config.json")
    names = config["structure"].get("document")
    if not names:
        raise ModelError(f"{folder / 'router_config.json'} has no route 'document'")
    return [(config["types"][name].rpartition(".")[2], folder / name) for name in names]


def _logarithms(folder: Path) -> int:
    """SpladePooling always ends with log1p; `log1p_relu` puts one more before it."""
    config = _json(folder / "config.json")
    pooling, activation = config.get("pooling_strategy", "max"), config.get("activation_function")
    if pooling != "max":
        raise ModelError(f"{folder}: pooling_strategy '{pooling}' is not exported, only 'max'")
    counts = {"relu": 1, None: 1, "log1p_relu": 2}
    if activation not in counts:
        raise ModelError(f"{folder}: the activation_function '{activation}' is not exported")
    return counts[activation]


def _projection(folder: Path) -> Path:
    """A late-interaction Dense: one matrix without activation."""
    config = _json(folder / "config.json")
    activation = str(config.get("activation_function", "Identity"))
    if not activation.endswith("Identity"):
        raise ModelError(f"{folder}: a Dense with activation {activation} is not exported")
    return folder


def _json(path: Path) -> Any:
    try:
        return json.loads(path.read_text("utf-8"))
    except FileNotFoundError:
        raise ModelError(f"there is no file {path}") from None
    except ValueError as error:
        raise ModelError(f"{path} is not JSON: {error}") from None
