"""A toy sparse encoder as training leaves it: two layers, thirty-two dimensions, own words."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import torch
import transformers
from transformers import BertConfig, BertForMaskedLM, BertTokenizerFast

from siftline.encode.idf import IdfTable
from siftline.train.student import Student, open_student

SPECIALS = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
WORDS = [*SPECIALS, *(f"w{n}" for n in range(110)), *"abcdefgh", "capital", "berlin", "city"]


def toy_texts(count: int = 12, seed: int = 4) -> list[str]:
    """Texts of one to twenty words, some of them unknown."""
    randomness = np.random.default_rng(seed)
    known = [*WORDS[5:], "unknown", "[MASK]"]
    return [" ".join(randomness.choice(known, randomness.integers(1, 20))) for _ in range(count)]


def toy_backbone(folder: Path, vocabulary: int | None = None) -> Path:
    """A transformers folder; vocabulary: rows of its word embeddings, its words without."""
    torch.manual_seed(5)
    config = BertConfig(
        vocab_size=vocabulary or len(WORDS),
        hidden_size=32,
        num_hidden_layers=2,
        num_attention_heads=4,
        intermediate_size=64,
        max_position_embeddings=48,
        initializer_range=0.2,
    )
    model = BertForMaskedLM(config)
    with torch.no_grad():
        model.cls.predictions.bias.normal_(0, 0.5)
    model.save_pretrained(folder)
    words = {word: number for number, word in enumerate(WORDS)}
    BertTokenizerFast(vocab=words, model_max_length=48).save_pretrained(folder)
    return folder


def other_backbone(folder: Path, architecture: str) -> Path:
    """The same for DistilBert or Roberta."""
    torch.manual_seed(8)
    sizes: dict[str, Any]
    if architecture == "DistilBert":
        sizes = {"dim": 32, "hidden_dim": 64, "n_layers": 2, "n_heads": 4}
    else:
        sizes = {"hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 4}
        sizes |= {"intermediate_size": 64, "type_vocab_size": 1, "pad_token_id": 0}
    config = getattr(transformers, f"{architecture}Config")(
        vocab_size=len(WORDS), max_position_embeddings=49, initializer_range=0.2, **sizes
    )
    model = getattr(transformers, f"{architecture}ForMaskedLM")(config)
    with torch.no_grad():
        model.get_output_embeddings().bias.normal_(0, 0.5)
    model.save_pretrained(folder)
    words = {word: number for number, word in enumerate(WORDS)}
    BertTokenizerFast(vocab=words, model_max_length=48).save_pretrained(folder)
    return folder


def toy_table(folder: Path) -> IdfTable:
    """A weight for each word; one of them is negative, which counts as 0."""
    randomness = np.random.default_rng(6)
    weights = dict(zip(WORDS, randomness.uniform(0.5, 9, len(WORDS)).tolist(), strict=True))
    (folder / "table.json").write_text(json.dumps(weights | {"w3": -1.0}))
    return IdfTable.from_file(folder / "table.json")


def toy_student(folder: Path, *, inference_free: bool = True, **options: Any) -> Student:
    """The toy's folder `final`, as a stage of training leaves it, and the student in it."""
    vocabulary = options.pop("vocabulary", None)
    toy_backbone(folder / "backbone", vocabulary)
    table = toy_table(folder) if inference_free else None
    student: Student = open_student(
        folder / "backbone", idf=table, inference_free=inference_free, **options
    )
    student.eval()
    student.save(folder / "final")
    return student
