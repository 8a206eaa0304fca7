"""Weights of inference-free queries as sentence-transformers keeps them, to the form of `idf.json`.

A SparseStaticEmbedding holds one float for each token id; a table says the same by token.
"""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np

from siftline.errors import ModelError
from siftline.model.convert.weights import read_safetensors


def read_query_weights(folder: Path) -> dict[str, float]:
    """Token → weight of a SparseStaticEmbedding's folder, every token of its tokenizer.

    ModelError where it has another number of weights than its tokenizer has tokens.
    """
    path = folder / "tokenizer.json"
    if not path.is_file():
        raise ModelError(f"{folder} has no tokenizer.json, which says what its weights are of")
    from tokenizers import Tokenizer

    vocabulary = Tokenizer.from_file(str(path)).get_vocab(with_added_tokens=True)
    weights = read_safetensors(folder / "model.safetensors").get("weight", np.zeros(0))
    if weights.ndim != 1 or len(weights) <= max(vocabulary.values(), default=-1):
        raise ModelError(
            f"{folder} has weights of the shape {weights.shape} for {len(vocabulary)} tokens"
        )
    ordered = sorted(vocabulary.items(), key=lambda entry: entry[1])
    return {token: float(weights[number]) for token, number in ordered}


def write_query_weights(folder: Path, out: Path) -> None:
    """Write the weights of a SparseStaticEmbedding's folder as a table; errors as reading them."""
    table = read_query_weights(folder)
    out.write_text(json.dumps(table, ensure_ascii=False), encoding="utf-8")
