"""Files of text cut into passages: headings, lengths, titles, and the corpus that is written."""

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from siftline.errors import UsageError
from siftline.experiment.mining.passages import read_passages, sentences, write_passages

GUIDE = """# Bread

Flour and water.
Salt last.

## Baking ##

Hot oven.

```
# no heading
```
"""

SENTENCES = st.lists(st.integers(1, 9), min_size=1, max_size=12)


def folder_of(tmp_path: Path, **files: str) -> Path:
    for name, text in files.items():
        path = tmp_path / name.replace("__", "/").replace("_", ".")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    return tmp_path


def test_no_passage_spans_a_heading_and_titles_name_file_and_section(tmp_path: Path) -> None:
    folder = folder_of(tmp_path, guide_md=GUIDE, notes__a_txt="Rye\n\nDark and dense.", b_rst="x")
    assert [(p.id, p.title, p.text) for p in read_passages(folder)] == [
        ("guide.md#1", "Bread", "Flour and water. Salt last."),
        ("guide.md#2", "Bread: Baking", "Hot oven. ``` # no heading ```"),
        ("notes/a.txt#1", "Rye", "Dark and dense."),
    ]


def test_a_first_sentence_or_an_only_line_is_no_title(tmp_path: Path) -> None:
    folder = folder_of(tmp_path, a_txt="It rained.\n\nIt stopped.", b_txt="Only line")
    assert [(p.title, p.text) for p in read_passages(folder)] == [
        ("", "It rained. It stopped."),
        ("", "Only line"),
    ]


def test_short_paragraphs_are_joined_and_long_ones_divided(tmp_path: Path) -> None:
    long = "One two three four. Five six seven. Eight nine."
    folder = folder_of(tmp_path, a_txt=f"a b.\n\nc d.\n\n{long}\n\ne f g")
    assert [p.text for p in read_passages(folder, words=4)] == [
        "a b. c d.",
        "One two three four.",
        "Five six seven. Eight nine.",
        "e f g",
    ]


def test_sentences_end_at_full_stops_before_no_small_letter() -> None:
    assert sentences('It is 3.5 m, e.g. high. "So?" Yes! 12 of them') == [
        "It is 3.5 m, e.g. high.",
        '"So?"',
        "Yes!",
        "12 of them",
    ]
    assert sentences("雪です。雨です。") == ["雪です。", "雨です。"]
    assert sentences("") == []


@given(st.lists(SENTENCES, min_size=1, max_size=6), st.integers(2, 20))
def test_every_word_is_in_one_passage_and_none_is_far_too_long(
    tmp_path_factory: pytest.TempPathFactory, paragraphs: list[list[int]], words: int
) -> None:
    number = iter(range(10_000))
    text = "\n\n".join(
        " ".join(" ".join(f"W{next(number)}" for _ in range(size)) + "." for size in sizes)
        for sizes in paragraphs
    )
    folder = folder_of(tmp_path_factory.mktemp("texts"), a_md=text)
    found = [p.text for p in read_passages(folder, words=words)]
    assert " ".join(found).split() == text.split()
    longest = max(size for sizes in paragraphs for size in sizes)
    assert max(len(one.split()) for one in found) <= max(1.5 * words, longest)


def test_the_corpus_is_written_once(tmp_path: Path) -> None:
    texts, data = folder_of(tmp_path / "texts", a_txt="Rye\n\nDark é."), tmp_path / "beir"
    assert write_passages(texts, data) == 1
    rows = [json.loads(line) for line in (data / "corpus.jsonl").read_text().splitlines()]
    assert rows == [{"_id": "a.txt#1", "title": "Rye", "text": "Dark é."}]
    assert write_passages(texts, data) == 1
    (texts / "a.txt").write_text("other")
    with pytest.raises(UsageError, match="of other texts"):
        write_passages(texts, data)


def test_a_folder_without_text_or_with_a_broken_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"holds no text in files named \*\.txt"):
        list(read_passages(tmp_path))
    (tmp_path / "a.txt").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(UsageError, match=r"a\.txt: cannot be read as a text"):
        list(read_passages(tmp_path))
    with pytest.raises(UsageError, match="no such folder"):
        list(read_passages(tmp_path / "nowhere"))
