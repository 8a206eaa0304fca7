"""Equal and nearly equal texts: worked examples, and the index against comparing every pair."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from siftline.experiment.mining.near_texts import (
    NearTexts,
    nearly_equal,
    normal_text,
    overlap,
    words_of,
)

WORDS = st.sampled_from("a b c d e f g".split())
TEXTS = st.lists(WORDS, max_size=8).map(" ".join)


def test_case_accents_and_punctuation_are_no_difference() -> None:
    assert normal_text("  What's a Café?!") == normal_text("what s a cafe") == "what s a cafe"
    assert normal_text("???") == "???"
    assert normal_text("ten  cats") != normal_text("ten cat")


def test_overlap_is_the_share_of_common_words() -> None:
    one, other = words_of("the red red apple"), words_of("The green apple pie")
    assert overlap(one, other) == pytest.approx(2 / 5)
    assert overlap(frozenset(), frozenset()) == 0


def test_near_begins_at_the_threshold() -> None:
    four, five = words_of("who won the prize"), words_of("who won the prize twice")
    assert nearly_equal(four, five, 0.8)
    assert not nearly_equal(four, five, 0.81)


def test_a_text_is_found_equal_near_or_not() -> None:
    known = NearTexts(["Who won the prize?", "what is snow", "!"], 0.8)
    assert known.find("who won the PRIZE") == "equal"
    assert known.find("who won the prize twice") == "near"
    assert known.find("who lost the prize") is None
    assert known.find("!") == "equal"
    assert known.find("?") is None


@given(st.lists(TEXTS, max_size=12), TEXTS, st.floats(0.05, 1))
def test_it_finds_what_comparing_every_pair_finds(
    texts: list[str], text: str, threshold: float
) -> None:
    normal = {normal_text(one) for one in texts}
    expected: str | None
    if normal_text(text) in normal:
        expected = "equal"
    else:
        close = any(overlap(words_of(text), words_of(one)) >= threshold - 1e-9 for one in texts)
        expected = "near" if close else None
    assert NearTexts(texts, threshold).find(text) == expected
