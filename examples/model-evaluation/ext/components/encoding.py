"""Words to tokens to an embedding: what the components of this package share."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np

from siftline.process import ModelsEvaluator, Tensor, TensorType

#: Fields `tokens` and `embedding` of the schema, and `query(embedding)` of its rank profile.
TOKENS = TensorType.parse("tensor<int8>(tokens[10])")
EMBEDDING = TensorType.parse("tensor<float>(x[16])")

LENGTH = 10
PADDING, UNKNOWN, FIRST = 0, 1, 2

_WORDS = Path(__file__).with_name("words.txt").read_text().split()
_IDS = {word: number for number, word in enumerate(_WORDS, FIRST)}


def tokens_of(text: str) -> list[int]:
    """The ids of the first ten words of a text, padded with zeros."""
    found = [_IDS.get(word, UNKNOWN) for word in re.findall(r"\w+", text.lower())][:LENGTH]
    return found + [PADDING] * (LENGTH - len(found))


def embed(models: ModelsEvaluator, tokens: np.ndarray) -> Tensor:
    """The embedding of token ids `(n,)`: the mean of what the transformer gives for each word.

    Its length is 1, or 0 where there is no word at all.
    """
    output = models.evaluator_of("transformer").bind("input", tokens[None]).evaluate()
    words = output.array[0][tokens != PADDING]
    mean = words.sum(axis=0, dtype=np.float64)
    return Tensor.dense(EMBEDDING, mean / max(float(np.linalg.norm(mean)), 1e-12))
