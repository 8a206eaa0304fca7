"""The tokens whose weights a step computes: all of the vocabulary, or those that a step needs.

With inference-free queries a score takes a document's weights of the query's tokens alone, so the
tokens of a batch's queries give every score of the batch as it is. The penalty is a sum over the
vocabulary: the others are sampled, and each sampled one stands for its share of them, which leaves
the penalty's expectation and its gradient's as they are. Only the number of a document's tokens,
which the l0 mask compares with its threshold, is an estimate.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor


class Columns(NamedTuple):
    """tokens: int64 `(C,)`, ascending. counts: float32 `(C,)`, how many tokens each stands for."""

    tokens: Tensor
    counts: Tensor


def sample_columns(needed: Iterable[int], vocabulary: int, size: int, seed: bytes) -> Columns:
    """The needed tokens, and `size` of the others without replacement; a seed gives one sample."""
    kept = np.unique(np.fromiter(needed, np.int64))
    others = np.setdiff1d(np.arange(vocabulary), kept, assume_unique=True)
    size = min(size, len(others))
    generator = np.random.default_rng(np.frombuffer(seed, np.uint8))
    chosen = generator.choice(others, size, replace=False)
    tokens = np.concatenate([kept, chosen])
    counts = np.ones(len(tokens), np.float32)
    counts[len(kept) :] = len(others) / max(1, size)
    order = np.argsort(tokens)
    return Columns(torch.from_numpy(tokens[order]), torch.from_numpy(counts[order]))
