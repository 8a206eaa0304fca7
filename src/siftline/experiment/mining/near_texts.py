"""Texts that are equal or nearly equal: by their words, whatever case, accents and punctuation."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Literal

from siftline.encode.linguistics import analyze

#: Rounding of threshold × size that is no difference.
_ROUNDING = 1e-9


def normal_text(text: str) -> str:
    """The words of a text, one space between them; the text itself where it has no word."""
    return " ".join(analyze(text, stem=False)) or text.strip()


def words_of(text: str) -> frozenset[str]:
    """The distinct words of a text, as `normal_text` has them."""
    return frozenset(normal_text(text).split())


def overlap(one: frozenset[str], other: frozenset[str]) -> float:
    """Jaccard similarity of two sets of words, |A ∩ B| / |A ∪ B|; 0 where both are empty."""
    shared = len(one & other)
    return shared / (len(one) + len(other) - shared) if shared else 0.0


def nearly_equal(one: frozenset[str], other: frozenset[str], threshold: float) -> bool:
    """Whether the overlap reaches the threshold; sets of too different sizes are not compared."""
    smaller, larger = sorted((len(one), len(other)))
    if smaller < threshold * larger - _ROUNDING:
        return False
    return overlap(one, other) >= threshold - _ROUNDING


class NearTexts:
    """Finds whether a text is among many, exactly or nearly.

    threshold: least overlap of words, above 0, that counts as near. Two sets whose overlap reaches
    it share a word among the first |A| - ⌈threshold·|A|⌉ + 1 of each, in any order of all words;
    with rare words first, few pairs are compared (prefix filter, Bayardo et al. 2007).
    """

    def __init__(self, texts: Iterable[str], threshold: float) -> None:
        self._threshold = threshold
        self._equal = {normal_text(text) for text in texts}
        self._sets = [frozenset(text.split()) for text in sorted(self._equal)]
        self._counts = Counter(word for words in self._sets for word in words)
        self._with: dict[str, list[int]] = {}
        for number, words in enumerate(self._sets):
            for word in self._first(words):
                self._with.setdefault(word, []).append(number)

    def find(self, text: str) -> Literal["equal", "near"] | None:
        """How near the nearest text is; None where none is near."""
        normal = normal_text(text)
        if normal in self._equal:
            return "equal"
        words = frozenset(normal.split())
        seen = {number for word in self._first(words) for number in self._with.get(word, ())}
        if any(nearly_equal(words, self._sets[number], self._threshold) for number in seen):
            return "near"
        return None

    def _first(self, words: frozenset[str]) -> Sequence[str]:
        """The words that a near set must have one of, rare ones first."""
        needed = math.ceil(self._threshold * len(words) - _ROUNDING)
        order = sorted(words, key=lambda word: (self._counts[word], word))
        return order[: len(words) - needed + 1]
