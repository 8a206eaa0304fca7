import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from siftline.encode.linguistics import analyze


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Hello, World", ["hello", "world"]),
        ("The quick-brown foxes' dreams", ["the", "quick", "brown", "fox", "dream"]),
        ("Café ÉCOLE naïve", ["cafe", "ecol", "naiv"]),
        ("x32 3.14 snake_case", ["x32", "3", "14", "snake", "case"]),
        ("ﬁne № ½", ["fine", "no", "1", "2"]),
        ("", []),
        ("!!! \u0000", []),
        ("\ud800 word", ["word"]),
    ],
)
def test_english(text: str, expected: list[str]) -> None:
    assert analyze(text) == expected


def test_options() -> None:
    assert analyze("Dreams café", stem=False) == ["dreams", "cafe"]
    assert analyze("Dreams café", stem=False, normalize=False) == ["dreams", "café"]


def test_languages_by_code() -> None:
    assert analyze("Häuser laufen", language="de") == ["haus", "lauf"]
    assert analyze("maisons", language="fr-CA") == ["maison"]
    assert analyze("dreams", language="ja") == ["dreams"]


def test_marks_stay_inside_words() -> None:
    # Hindi vowel signs are combining marks outside U+0300..U+036F
    assert analyze("हिन्दी भाषा", language="xx") == ["हिन्दी", "भाषा"]
    assert analyze("한국어 검색", language="ko") == ["한국어", "검색"]


def test_overlong_words_are_left_out() -> None:
    assert analyze("a " + "b" * 1001 + " c") == ["a", "c"]
    assert analyze("b" * 1000) == ["b" * 1000]


def test_ten_megabytes() -> None:
    assert len(analyze("hello wörld " * 800_000)) == 1_600_000


@given(st.text(st.characters(codec=None), max_size=60))
def test_terms_are_letters_and_digits(text: str) -> None:
    for term in analyze(text, stem=False):
        assert term == term.lower() and not set(term) & set(" ,.-_'\t\n")
        assert unicodedata.category(term[0])[0] in "LN"


@given(st.text(st.characters(codec="utf-8"), max_size=60))
def test_normalised_text_gives_the_same_terms(text: str) -> None:
    assert analyze(unicodedata.normalize("NFC", text)) == analyze(
        unicodedata.normalize("NFD", text)
    )
