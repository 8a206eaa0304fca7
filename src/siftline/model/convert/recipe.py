"""What a Hugging Face or sentence-transformers folder holds, and so what to export from it.

A plain folder says it in `config.json`'s `architectures`. A sentence-transformers folder says it in
`modules.json`, where a Router (inference-free sparse models) leads to the modules of its document
route by `router_config.json`.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from siftline.errors import ModelError, Place
from siftline.model.convert.architecture import read_config
from siftline.model.convert.heads import Task

#: Key of config.json under which a trained sparse encoder says what stands on its logits:
#: `activation` (log1p or l0, which has two logarithms) and `prune_ratio`. Special tokens weigh 0.
HEAD_KEY = "sparse_head"
LOGARITHMS = {"log1p": 1, "l0": 2}

_HARMLESS = ("Pooling", "Normalize")


@dataclass(frozen=True, slots=True)
class Recipe:
    """Where the transformer stands, what to write after it, and a projection's own folder.

    logarithms, zero_special_tokens, prune_ratio: of a sparse head. queries: the folder of the
    weights of inference-free queries.
    """

    transformer: Path
    task: Task
    logarithms: int = 1
    projection: Path | None = None
    zero_special_tokens: bool = False
    prune_ratio: float = 0.0
    queries: Path | None = None


def read_recipe(folder: Path) -> Recipe:
    """The recipe of a model folder; ModelError names a module that no export writes."""
    if not folder.is_dir():
        raise ModelError(f"there is no model folder {folder}")
    modules = _modules(folder)
    if not modules:
        return _plain(folder)
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
    if task != "sparse":
        return Recipe(transformer, task, logarithms, projection)
    own = _plain(transformer)
    return replace(own, task=task, logarithms=logarithms, queries=_query_weights(folder))


def _plain(folder: Path) -> Recipe:
    """The recipe of a transformers folder; ModelError for an activation that does not exist."""
    config = read_config(folder)
    head = config.get(HEAD_KEY)
    if head is None:
        return Recipe(folder, _task_of(config))
    activation, ratio = head.get("activation", "log1p"), head.get("prune_ratio", 0.0)
    if activation not in LOGARITHMS:
        raise ModelError(
            f"the activation '{activation}' is unknown (known: {', '.join(LOGARITHMS)})",
            Place(str(folder / "config.json"), field=HEAD_KEY),
        )
    return Recipe(
        folder,
        "sparse",
        LOGARITHMS[activation],
        zero_special_tokens=True,
        prune_ratio=float(ratio),
    )


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
        route = _route(place, "document") if kind == "Router" else [(kind, place)]
        if not route:
            raise ModelError(f"{place / 'router_config.json'} has no route 'document'")
        found += route
    return found


def _route(folder: Path, name: str) -> list[tuple[str, Path]]:
    config = _json(folder / "router_config.json")
    names = config["structure"].get(name, ())
    return [(config["types"][module].rpartition(".")[2], folder / module) for module in names]


def _query_weights(folder: Path) -> Path | None:
    """Where a Router keeps a weight for each query token; None where queries need the model."""
    for module in _json(folder / "modules.json"):
        if module["type"].rpartition(".")[2] == "Router":
            for kind, place in _route(folder / module["path"], "query"):
                if kind == "SparseStaticEmbedding":
                    return place
    return None


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
