"""A random backbone over forty words, and a judged collection of such words."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import torch
from transformers import BertConfig, BertForMaskedLM, BertTokenizerFast

WORDS = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *(f"w{n}" for n in range(40))]

#: Tokens that the backbone takes.
LENGTH = 16


def write_backbone(folder: Path, seed: int = 3) -> Path:
    """A folder of transformers with a masked-language-model head."""
    torch.manual_seed(seed)
    config = BertConfig(
        vocab_size=len(WORDS),
        hidden_size=16,
        num_hidden_layers=1,
        num_attention_heads=2,
        intermediate_size=16,
        max_position_embeddings=LENGTH,
        initializer_range=0.5,
    )
    BertForMaskedLM(config).save_pretrained(folder)
    vocabulary = {word: number for number, word in enumerate(WORDS)}
    BertTokenizerFast(vocab=vocabulary).save_pretrained(folder)
    return folder


def write_collection(folder: Path, seed: int = 0) -> Path:
    """Forty documents and one without text; ten questions, each judging three, in two splits."""
    (folder / "qrels").mkdir(parents=True)
    randomness = np.random.default_rng(seed)
    documents = [
        {"_id": f"d{i}", "title": f"w{i}", "text": " ".join(randomness.choice(WORDS[5:], 5))}
        for i in range(40)
    ]
    documents.append({"_id": "nothing", "title": "", "text": ""})
    queries = [{"_id": f"q{i}", "text": f"w{i} w{i + 1}"} for i in range(10)]
    pairs = [(i, j) for i in range(10) for j in (i, i + 10, i + 20)]
    lines = ["query-id\tcorpus-id\tscore", *(f"q{i}\td{j}\t1" for i, j in pairs)]
    (folder / "corpus.jsonl").write_text("\n".join(map(json.dumps, documents)))
    (folder / "queries.jsonl").write_text("\n".join(map(json.dumps, queries)))
    for split in ("test", "dev"):
        (folder / "qrels" / f"{split}.tsv").write_text("\n".join(lines))
    return folder
