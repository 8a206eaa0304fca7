"""How a teacher's model wants to be used: pooling, prefixes, lengths, activation.

The catalogue says it of its models, a sentence-transformers folder of itself; of any other folder
only the length is known.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

from siftline.encode.dense import Pooling
from siftline.encode.idf import IdfTable
from siftline.errors import ModelError
from siftline.model.cache import RECORD
from siftline.model.catalogue import ModelEntry, load_catalogue
from siftline.model.convert.query_weights import read_query_weights
from siftline.model.convert.recipe import read_recipe

Kind = Literal["dense", "sparse", "cross"]

#: The catalogue's roles of the models that each kind of teacher takes.
ROLES: dict[Kind, str] = {"dense": "dense", "sparse": "sparse", "cross": "cross-encoder"}

#: Tokens of a text where nothing says how many a model takes.
LENGTH = 512

_WEIGHTS = ("model.safetensors", "model.safetensors.index.json", "pytorch_model.bin")
_GRAPHS = ("model.onnx", "onnx/model.onnx", "model.pt")
_MODULES, _IDF = "modules.json", "idf.json"


@dataclass(frozen=True, slots=True)
class Usage:
    """A model folder and how its model is used.

    weights: the folder that transformers reads, None without one. onnx: the file of ONNX or
    TorchScript, None without one. pooling and normalize: of a dense model; normalised vectors give
    cosines, others dot products. Prefixes are put before a text as they are. logarithms: of the
    weights of a sparse model. idf: its query weights where it is inference-free. pad: the id at
    padded positions.
    """

    folder: Path
    weights: Path | None
    onnx: Path | None
    max_length: int = LENGTH
    pooling: Pooling = "mean"
    normalize: bool = True
    query_prefix: str = ""
    document_prefix: str = ""
    logarithms: int = 1
    idf: IdfTable | None = None
    pad: int = 0


def usage_of(folder: Path, kind: Kind) -> Usage:
    """What is known of the model in a folder; ModelError for one that is not of this kind."""
    modules = (folder / _MODULES).is_file()
    recipe = read_recipe(folder) if modules else None
    inner = recipe.transformer if recipe else folder
    weights = inner if _readable(inner) else None
    found = Usage(folder, weights, _onnx(folder))
    if found.weights is None and found.onnx is None:
        raise ModelError(f"'{folder}' holds no model: neither model.onnx nor {_WEIGHTS[0]}")
    config = _json(inner / "config.json")
    pad = int(config.get("pad_token_id") or 0)
    found = replace(found, pad=pad, max_length=_positions(config))
    entry = _entry(folder)
    if entry is not None:
        return _of_catalogue(found, entry, kind)
    if modules and kind == "dense":
        return _of_sentence_transformers(found)
    if kind != "sparse":
        return found
    if weights is not None:
        recipe = recipe or read_recipe(folder)
        found = replace(found, logarithms=recipe.logarithms)
    return replace(found, idf=_table(folder, recipe.queries if recipe else None))


def _table(folder: Path, queries: Path | None) -> IdfTable | None:
    """Weights of query tokens, from the folder's table or a module of sentence-transformers."""
    if (folder / _IDF).is_file():
        return IdfTable.from_file(folder / _IDF)
    return None if queries is None else IdfTable(read_query_weights(queries))


def _entry(folder: Path) -> ModelEntry | None:
    """The catalogue's entry of a folder that was fetched by name."""
    name = _json(folder / RECORD).get("name")
    return None if name is None else load_catalogue().entry(name)


def _of_catalogue(found: Usage, entry: ModelEntry, kind: Kind) -> Usage:
    if entry.role != ROLES[kind]:
        raise ModelError(
            f"'{entry.name}' is a {entry.role} model, which is no teacher of the type {kind}"
        )
    pooling: Pooling = entry.pooling if kind == "dense" else "none"  # type: ignore[assignment]
    table = entry.query_weights
    idf = None if table is None else IdfTable.from_file(found.folder / table)
    return replace(
        found,
        max_length=min(found.max_length, entry.max_length),
        pooling=pooling,
        normalize=entry.normalize,
        query_prefix=entry.query_prefix,
        document_prefix=entry.document_prefix,
        logarithms=entry.logarithms,
        idf=idf,
    )


def _of_sentence_transformers(found: Usage) -> Usage:
    """modules.json lists what a text passes; prompts and similarity have a file of their own."""
    folder = found.folder
    modules = {m["type"].rpartition(".")[2]: folder / m["path"] for m in _json_list(folder)}
    strange = set(modules) - {"Transformer", "Pooling", "Normalize"}
    if strange:
        raise ModelError(f"the module {min(strange)} of '{folder}' is not supported in a teacher")
    own = _json(folder / "config_sentence_transformers.json")
    prompts: dict[str, str] = own.get("prompts") or {}
    lengths = _json(folder / "sentence_bert_config.json")
    cosine = (own.get("similarity_fn_name") or "cosine") == "cosine"
    return replace(
        found,
        max_length=min(found.max_length, int(lengths.get("max_seq_length") or found.max_length)),
        pooling=_pooling(modules["Pooling"]) if "Pooling" in modules else "mean",
        normalize="Normalize" in modules or cosine,
        query_prefix=prompts.get("query", ""),
        document_prefix=prompts.get("document", prompts.get("passage", "")),
    )


def _pooling(folder: Path) -> Pooling:
    config = _json(folder / "config.json")
    if config.get("pooling_mode_mean_tokens") or config.get("pooling_mode") == "mean":
        return "mean"
    if config.get("pooling_mode_cls_token") or config.get("pooling_mode") == "cls":
        return "cls"
    raise ModelError(f"the pooling of '{folder}' is not supported: mean and cls are")


def is_archive(folder: Path) -> bool:
    """Whether the folder holds a model only inside a zip."""
    held = _onnx(folder) is not None or any((folder / name).is_file() for name in _WEIGHTS)
    return not held and any(folder.glob("*.zip"))


def _readable(folder: Path) -> bool:
    """Whether transformers could open the folder."""
    named = "model_type" in _json(folder / "config.json")
    return named and any((folder / name).is_file() for name in _WEIGHTS)


def _onnx(folder: Path) -> Path | None:
    return next((folder / name for name in _GRAPHS if (folder / name).is_file()), None)


def _positions(config: dict[str, Any]) -> int:
    """Tokens that the model has positions for, at most `LENGTH`."""
    positions = int(config.get("max_position_embeddings") or LENGTH)
    if config.get("model_type") in ("roberta", "xlm-roberta", "camembert"):
        positions -= int(config.get("pad_token_id") or 1) + 1
    return min(LENGTH, positions)


def _json_list(folder: Path) -> list[dict[str, str]]:
    found = _read(folder / _MODULES)
    if not isinstance(found, list):
        raise ModelError(f"{folder / 'modules.json'} is not a JSON list")
    return found


def _json(path: Path) -> dict[str, Any]:
    """The object of a file, empty where there is no file."""
    if not path.is_file():
        return {}
    found = _read(path)
    if not isinstance(found, dict):
        raise ModelError(f"{path} is not a JSON object")
    return found


def _read(path: Path) -> Any:
    try:
        return json.loads(path.read_text("utf-8"))
    except (OSError, ValueError) as error:
        raise ModelError(f"cannot read {path}: {error}") from None
