"""A tiny backbone, its IDF table and training rows, for tests of whole trainings."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from transformers import BertConfig, BertForMaskedLM, BertModel, BertTokenizerFast

from siftline.encode.tokenizer import Tokenizer
from siftline.train.idf import build_idf

WORDS = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *(f"w{n}" for n in range(60))]

#: Keys of a stage of a few steps on `material`.
RECIPE: dict[str, Any] = {
    "model_name_or_path": "backbone",
    "output_dir": "out",
    "train_file": "pairs.jsonl",
    "idf_path": "idf.json",
    "loss_types": ["infonce"],
    "num_hard_negatives": 2,
    "batch_size": 8,
    "num_steps": 8,
    "learning_rate": 2e-3,
    "lambda_flops": 1e-4,
    "flops_d_T": 8,
    "max_seq_length": 16,
    "use_cpu": True,
    "logging_steps": 1,
    "save_steps": 4,
}


def write_backbone(
    folder: Path,
    words: Sequence[str] = WORDS,
    *,
    layers: int = 2,
    dropout: float = 0.0,
    headless: bool = False,
) -> Path:
    """A folder with a small random encoder and its tokenizer."""
    torch.manual_seed(0)
    config = BertConfig(
        vocab_size=len(words),
        hidden_size=32,
        num_hidden_layers=layers,
        num_attention_heads=2,
        intermediate_size=64,
        max_position_embeddings=64,
        initializer_range=0.3,
        hidden_dropout_prob=dropout,
        attention_probs_dropout_prob=dropout,
    )
    model = BertModel(config) if headless else BertForMaskedLM(config)
    model.save_pretrained(folder)
    vocabulary = {word: number for number, word in enumerate(words)}
    BertTokenizerFast(vocab=vocabulary).save_pretrained(folder)
    return folder


def material(root: Path, **backbone: Any) -> Path:
    """Write `backbone`, `idf.json`, `corpus.txt` and `pairs.jsonl` (forty rows) into a folder."""
    write_backbone(root / "backbone", **backbone)
    randomness = np.random.default_rng(1)
    texts = [" ".join(randomness.choice(WORDS[5:], 8)) for _ in range(60)]
    (root / "corpus.txt").write_text("\n\n".join(texts))
    build_idf(texts, Tokenizer.open(root / "backbone")).save(root / "idf.json")
    with (root / "pairs.jsonl").open("w") as file:
        for i in range(40):
            others = [text for text in texts if text != texts[i]]
            negatives = [str(text) for text in randomness.choice(others, 4)]
            row = {"query": " ".join(texts[i].split()[:3]), "pos": texts[i], "negs": negatives}
            file.write(json.dumps(row) + "\n")
    return root


def write_recipe(root: Path, name: str, **values: Any) -> Path:
    """A recipe file (JSON is YAML) of RECIPE with other values; None leaves a key out."""
    merged = {key: value for key, value in {**RECIPE, **values}.items() if value is not None}
    path = root / name
    path.write_text(json.dumps(merged))
    return path


def weights(folder: Path) -> dict[str, torch.Tensor]:
    """The weights of a final model."""
    from safetensors.torch import load_file

    found: dict[str, torch.Tensor] = load_file(str(folder / "model.safetensors"))
    return found


def log_of(out: Path) -> list[dict[str, float]]:
    """What was logged for each step."""
    lines: list[dict[str, float]] = json.loads((out / "training_log.json").read_text())
    return [line for line in lines if "loss" in line]
