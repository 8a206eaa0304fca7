"""A sentence-transformers SparseEncoder folder.

Inference-free: a Router whose query route is a SparseStaticEmbedding and whose document route is a
masked language model with SpladePooling. Else the two modules of the document route alone. The
module types have the names that every version from 5.0 on knows.

SpladePooling knows no special tokens: the vocabulary bias of theirs is so low that relu gives 0.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch

from siftline.errors import ModelError
from siftline.model.convert.export import IDF
from siftline.model.convert.heads import NEVER
from siftline.model.convert.recipe import HEAD_KEY, LOGARITHMS
from siftline.train.export.source import Source

_MODULES = "sentence_transformers.sparse_encoder.models"
_ROUTER = "sentence_transformers.models.Router"
STATIC = "query_0_SparseStaticEmbedding"
TRANSFORMER = "document_0_MLMTransformer"
POOLING = "document_1_SpladePooling"

#: SpladePooling ends with a logarithm of its own.
_ACTIVATIONS = {1: "relu", 2: "log1p_relu"}


def write_sentence_folder(source: Source, out: Path) -> None:
    """Write the folder. ModelError for pruning, which SpladePooling does not know."""
    if source.head.prune_ratio:
        raise ModelError(
            f"the model keeps weights above {source.head.prune_ratio:g} of the largest, which "
            "sentence-transformers' SpladePooling does not do: set prune_ratio to 0 in "
            f"{HEAD_KEY} of config.json to export it without"
        )
    source.tokenizer.model_max_length = source.max_length
    _write_transformer(source, out / TRANSFORMER)
    _write_json(
        out / POOLING / "config.json",
        {
            "pooling_strategy": "max",
            "activation_function": _ACTIVATIONS[source.head.logarithms],
            "word_embedding_dimension": len(source.tokenizer),
        },
    )
    if source.idf is not None:
        _write_static(source, out / STATIC)
    _write_modules(source.idf is not None, out)
    source.tokenizer.save_pretrained(str(out))


def read_back(source: Source, out: Path, texts: Sequence[str]) -> tuple[np.ndarray, np.ndarray]:
    """Weights of queries and of documents `(N, V)` from the written files, by SpladePooling's way.

    Logits times mask, relu and the logarithms, then the maximum, as sentence-transformers does it.
    """
    from safetensors.torch import load_file
    from transformers import AutoModelForMaskedLM

    model = AutoModelForMaskedLM.from_pretrained(str(out / TRANSFORMER)).eval()
    config = json.loads((out / POOLING / "config.json").read_text("utf-8"))
    inputs = source.inputs(texts)
    with torch.inference_mode():
        logits = model(**inputs).logits * inputs["attention_mask"][:, :, None]
        values = torch.log1p(logits.relu())
        if config["activation_function"] == "log1p_relu":
            values = torch.log1p(values)
        documents = values.amax(dim=1).numpy()
    if source.idf is None:
        return documents, documents
    weight = load_file(str(out / STATIC / "model.safetensors"))["weight"]
    queries = np.zeros_like(documents)
    for number, ids in enumerate(source.plain_ids(texts)):
        queries[number, ids] = weight[ids].numpy()
    return queries, documents


def _write_transformer(source: Source, folder: Path) -> None:
    model, size = source.model, len(source.tokenizer)
    if model.config.vocab_size != size:
        # Rows beyond the tokenizer fill the vocabulary up to a round size and belong to no token;
        # the query side cannot have them.
        model.resize_token_embeddings(size)
    decoder = model.get_output_embeddings()
    if decoder.bias is None:
        raise ModelError(
            f"{type(model).__name__} has no vocabulary bias, so its special tokens cannot be "
            "made to weigh 0 in sentence-transformers"
        )
    with torch.no_grad():
        decoder.bias[list(source.head.zeroed)] = NEVER
    activation = next(n for n, count in LOGARITHMS.items() if count == source.head.logarithms)
    setattr(model.config, HEAD_KEY, {"activation": activation, "prune_ratio": 0.0})
    model.save_pretrained(str(folder), safe_serialization=True)
    source.tokenizer.save_pretrained(str(folder))
    _write_json(
        folder / "sentence_bert_config.json",
        {"max_seq_length": source.max_length, "do_lower_case": False},
    )


def _write_static(source: Source, folder: Path) -> None:
    from safetensors.torch import save_file

    if source.idf is None:
        return
    folder.mkdir(parents=True, exist_ok=True)
    weight = source.idf[: len(source.tokenizer)].clone()
    weight[list(source.head.zeroed)] = 0.0
    save_file({"weight": weight}, str(folder / "model.safetensors"), metadata={"format": "pt"})
    source.tokenizer.save_pretrained(str(folder))
    _write_json(folder / "config.json", {"frozen": True})
    table = dict(zip(source.tokens, weight.tolist(), strict=True))
    (folder.parent / IDF).write_text(json.dumps(table, ensure_ascii=False), encoding="utf-8")


def _write_modules(routed: bool, out: Path) -> None:
    document = {TRANSFORMER: f"{_MODULES}.MLMTransformer", POOLING: f"{_MODULES}.SpladePooling"}
    if routed:
        types = {STATIC: f"{_MODULES}.SparseStaticEmbedding", **document}
        modules = [("", _ROUTER)]
        _write_json(
            out / "router_config.json",
            {
                "types": types,
                "structure": {"query": [STATIC], "document": list(document)},
                "parameters": {"default_route": "document", "allow_empty_key": True},
            },
        )
    else:
        modules = list(document.items())
    _write_json(
        out / "modules.json",
        [
            {"idx": number, "name": str(number), "path": path, "type": kind}
            for number, (path, kind) in enumerate(modules)
        ],
    )
    _write_json(
        out / "config_sentence_transformers.json",
        {
            "model_type": "SparseEncoder",
            "__version__": {},
            "prompts": {"query": "", "document": ""},
            "default_prompt_name": None,
            "similarity_fn_name": "dot",
        },
    )


def _write_json(path: Path, value: Mapping[str, Any] | Sequence[Any]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(value, indent=2), encoding="utf-8")
