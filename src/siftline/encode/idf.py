"""Weights of query tokens without a model: inverse document frequencies (Lucene's BM25 formula).

`idf = ln((N + 1) / (n + 0.5))` with N documents, n of them containing the token: the formula that
the published MS MARCO tables follow to the last digit.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from siftline.errors import ModelError


def idf(documents: int, containing: int) -> float:
    """ln((documents + 1) / (containing + 0.5)), above 0 as containing ≤ documents."""
    return math.log((documents + 1) / (containing + 0.5))


@dataclass(frozen=True, slots=True)
class TokenFrequencies:
    """How many of `documents` documents contain each token at least once."""

    documents: int
    counts: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class IdfTable:
    """Token → weight; `unknown` is the weight of a token that the table lacks."""

    weights: Mapping[str, float]
    unknown: float = 1.0

    @staticmethod
    def from_file(path: Path, unknown: float = 1.0) -> IdfTable:
        """The table of a JSON object of token → number; ModelError if the file is not one."""
        try:
            weights = json.loads(path.read_text(encoding="utf-8"))
        except (OSError, ValueError) as error:
            raise ModelError(f"cannot read the IDF table '{path}': {error}") from None
        if not isinstance(weights, dict):
            raise ModelError(f"'{path}' is not an IDF table: expected an object of token → number")
        for token, weight in weights.items():
            number = isinstance(weight, (int, float)) and not isinstance(weight, bool)
            if not number or not math.isfinite(weight):
                raise ModelError(f"'{path}': the weight of '{token}' is not a number: {weight!r}")
        return IdfTable(weights, unknown)

    @staticmethod
    def from_frequencies(frequencies: TokenFrequencies, unknown: float = 1.0) -> IdfTable:
        """The table of a corpus; tokens that no document contains are unknown."""
        return IdfTable(_CorpusWeights(frequencies), unknown)

    def weight(self, token: str) -> float:
        """The query weight of a token, never negative."""
        return max(0.0, float(self.weights.get(token, self.unknown)))


class _CorpusWeights(Mapping[str, float]):
    """Weights computed when asked for: a query needs ten of a hundred thousand."""

    def __init__(self, frequencies: TokenFrequencies) -> None:
        self._frequencies = frequencies

    def __getitem__(self, token: str) -> float:
        containing = self._frequencies.counts[token]
        if containing <= 0:
            raise KeyError(token)
        return idf(self._frequencies.documents, containing)

    def __iter__(self):  # type: ignore[no-untyped-def]
        return (token for token, count in self._frequencies.counts.items() if count > 0)

    def __len__(self) -> int:
        return sum(1 for _ in self)
