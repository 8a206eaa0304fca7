"""Small teachers of each kind, as transformers folders with an ONNX file beside the weights."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from transformers import (
    BertConfig,
    BertForMaskedLM,
    BertForSequenceClassification,
    BertModel,
    BertTokenizerFast,
)

from siftline.model.convert.make import make_onnx

WORDS = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *(f"w{n}" for n in range(40)), "ask", ":"]
CLASSES: dict[str, Any] = {
    "dense": BertModel,
    "sparse": BertForMaskedLM,
    "cross": BertForSequenceClassification,
}
TASKS = {"dense": "dense", "sparse": "sparse", "cross": "cross-encoder"}


def toy_teacher(folder: Path, kind: str, *, onnx: bool = True, seed: int = 0) -> Path:
    """A model of two layers with room for 32 tokens."""
    torch.manual_seed(seed)
    config = BertConfig(
        vocab_size=len(WORDS),
        hidden_size=16,
        num_hidden_layers=2,
        num_attention_heads=2,
        intermediate_size=32,
        max_position_embeddings=32,
        initializer_range=0.4,
        num_labels=1,
    )
    CLASSES[kind](config).save_pretrained(folder)
    vocabulary = {word: number for number, word in enumerate(WORDS)}
    BertTokenizerFast(vocab=vocabulary).save_pretrained(folder)
    if onnx:
        make_onnx(folder, folder / "model.onnx", task=TASKS[kind])
    return folder
