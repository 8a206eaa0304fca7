"""Sample inputs on which a converted model is compared with its source."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from siftline.model.session import Port

TEXTS = (
    "capital city of australia",
    "How many people live in Berlin?",
    "Berlin has a population of 3,520,031 registered inhabitants in an area of 891.82 km2.",
    "A search engine ranks passages by how well they answer a question, cheapest model first.",
)
_SEED = 7
_LENGTHS = (5, 9, 17, 12)


def sample_inputs(
    folder: Path, inputs: Sequence[Port], vocabulary: int, max_length: int = 64
) -> dict[str, np.ndarray]:
    """One padded batch for the model's inputs, int64 `(4, sequence)`.

    Token ids come from the folder's `tokenizer.json`, or where there is none from a fixed random
    sequence below `vocabulary`; no row is longer than `max_length`.
    """
    rows = _token_ids(folder) or _random_ids(vocabulary)
    rows = [[token for token in row if token < vocabulary][:max_length] or [0] for row in rows]
    length = max(len(row) for row in rows)
    ids, mask = np.zeros((len(rows), length), np.int64), np.zeros((len(rows), length), np.int64)
    for number, row in enumerate(rows):
        ids[number, : len(row)] = row
        mask[number, : len(row)] = 1
    values = {"input_ids": ids, "attention_mask": mask, "token_type_ids": np.zeros_like(ids)}
    return {port.name: values[port.name] for port in inputs if port.name in values}


def _token_ids(folder: Path) -> list[list[int]]:
    from tokenizers import Tokenizer

    path = folder / "tokenizer.json"
    if not path.is_file():
        return []
    tokenizer = Tokenizer.from_file(str(path))
    tokenizer.no_padding()
    tokenizer.enable_truncation(64)
    return [encoding.ids for encoding in tokenizer.encode_batch(list(TEXTS))]


def _random_ids(vocabulary: int) -> list[list[int]]:
    generator = np.random.default_rng(_SEED)
    low = min(3, vocabulary - 1)
    return [generator.integers(low, vocabulary, length).tolist() for length in _LENGTHS]


def largest_difference(
    left: np.ndarray, right: np.ndarray, mask: np.ndarray | None = None
) -> float:
    """The largest absolute difference; of token outputs only at positions whose mask is 1."""
    if left.shape != right.shape:
        return float("inf")
    if mask is not None and left.ndim == 3 and left.shape[:2] == mask.shape:
        left, right = left[mask > 0], right[mask > 0]
    difference = np.abs(left.astype(np.float64) - right.astype(np.float64))
    return float(difference.max(initial=0.0))
