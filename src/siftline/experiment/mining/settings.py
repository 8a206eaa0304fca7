"""What is mined and how, and what came of it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Literal, get_args

from siftline.errors import UsageError

#: posnegs: a row for each positive. kd-ids: one for each query, its positives first.
Format = Literal["posnegs", "kd-ids"]

#: Which of the found documents are taken: the best, or any.
Sample = Literal["top", "random"]


@dataclass(frozen=True, slots=True)
class Mining:
    """What is mined and how.

    split, pairs, titles: where queries come from: judgments, a file of pairs, or the corpus itself.
    queries: at most so many of them, chosen at random by `seed`, in their order; None for all.
    depth: hits looked at. skip_top: so many of the best that are not positive are left out, as an
    unjudged passage there may well answer. negatives: of each query. overlap, query_overlap: least
    Jaccard similarity of words by which a passage counts as a copy of a positive, and a query as
    one of an evaluation set.
    """

    profile: str = "bm25"
    split: str = "train"
    pairs: Path | None = None
    titles: bool = False
    queries: int | None = None
    depth: int = 100
    skip_top: int = 0
    negatives: int = 15
    sample: Sample = "top"
    seed: int = 0
    format: Format = "posnegs"
    overlap: float = 0.8
    query_overlap: float = 0.8

    def __post_init__(self) -> None:
        for name, value, known in (
            ("sample", self.sample, get_args(Sample)),
            ("format", self.format, get_args(Format)),
        ):
            if value not in known:
                raise UsageError(f"unknown {name} '{value}' (known: {', '.join(known)})")
        if self.pairs is not None and self.titles:
            raise UsageError("queries come from pairs or from titles, not from both")
        if self.queries is not None and self.queries < 1:
            raise UsageError(f"{self.queries} queries: take at least 1")
        if self.negatives < 1 or self.skip_top < 0:
            raise UsageError(
                f"{self.negatives} negatives behind the {self.skip_top} best: take at least 1 "
                "negative, and skip none or more"
            )
        if self.depth < self.skip_top + self.negatives:
            raise UsageError(
                f"{self.negatives} negatives behind the {self.skip_top} best do not fit a depth "
                f"of {self.depth}"
            )
        for name, share in (("overlap", self.overlap), ("query overlap", self.query_overlap)):
            if not 0 < share <= 1:
                raise UsageError(f"{name} {share} is no share of words: above 0, at most 1")


@dataclass(frozen=True, slots=True)
class Mined:
    """What a mining gave.

    queries: that had a positive. without_positive: that had none, or none in the corpus.
    evaluated_equal, evaluated_near: queries dropped because an evaluation set asks them.
    not_chosen: queries beyond the number wanted.
    without_negatives: queries that found nothing to take. fewer: that found fewer than wanted.
    copies: documents found that were left out as copies of a positive. rows, negatives: written.
    """

    queries: int = 0
    without_positive: int = 0
    evaluated_equal: int = 0
    evaluated_near: int = 0
    not_chosen: int = 0
    without_negatives: int = 0
    fewer: int = 0
    copies: int = 0
    rows: int = 0
    negatives: int = 0

    @staticmethod
    def of(counts: Mapping[str, int]) -> Mined:
        """The counts by the names of the fields."""
        return Mined(**{field.name: counts.get(field.name, 0) for field in fields(Mined)})
