import json
from pathlib import Path

import numpy as np
import pytest
from encode_fakes import CLS, IDS, SEP, UNK, raw_tokenizer, tokenizer, tokenizer_file
from hypothesis import given
from hypothesis import strategies as st
from tokenizers import processors

from siftline.encode.tokenizer import Tokenizer
from siftline.errors import ModelError

HELLO, WORLD, A = IDS["hello"], IDS["world"], IDS["a"]


def plain(texts: list[str], **options: object) -> list[list[int]]:
    return [row.tolist() for row in tokenizer().ids(texts, **options)]  # type: ignore[arg-type]


def test_ids_with_and_without_special_tokens() -> None:
    assert plain(["Hello world", ""]) == [[CLS, HELLO, WORLD, SEP], [CLS, SEP]]
    assert plain(["Hello world", "zzz"], special=False) == [[HELLO, WORLD], [UNK]]


def test_presets_of_the_file_do_not_pad_or_cut(tmp_path: Path) -> None:
    opened = Tokenizer.open(tokenizer_file(tmp_path, length=3))
    assert opened.preset_length == 3
    assert opened.ids(["a a a a"], special=False)[0].tolist() == [A] * 4
    assert opened.ids(["a"])[0].tolist() == [CLS, A, SEP]


def test_a_cut_keeps_the_special_tokens() -> None:
    assert plain(["a a a a"], max_length=4) == [[CLS, A, A, SEP]]
    assert plain(["a a a a"], special=False, max_length=3) == [[A] * 3]
    assert Tokenizer(raw_tokenizer(), max_length=3).ids(["a a"])[0].tolist() == [CLS, A, SEP]


def test_no_texts() -> None:
    assert plain([]) == []


@pytest.mark.parametrize("words", [1 << 17, 200_001])
def test_long_texts_equal_the_short_way(words: int) -> None:
    text = "hello, " * words
    rows = tokenizer().ids([text, "a"], special=False)
    assert len(rows[0]) == 2 * words
    assert np.array_equal(rows[0][:2], [HELLO, IDS[","]])
    assert set(rows[0][::2]) == {HELLO}
    assert rows[1].tolist() == [A]
    cut = tokenizer().ids([text], max_length=512)[0]
    assert cut.tolist() == [CLS, *rows[0][:510].tolist(), SEP]


@pytest.mark.parametrize(
    "text", ["x" * 2_000_000, " " * 1_000_000 + "hello", "hello world " * 900_000]
)
def test_megabytes_of_anything_work(text: str) -> None:
    row = tokenizer().ids([text], max_length=16)[0]
    assert row[0] == CLS and row[-1] == SEP and len(row) <= 16
    if "hello" in text:
        assert row[1] == HELLO


@given(st.text(st.characters(codec=None), max_size=80))
def test_any_text_can_be_tokenised(text: str) -> None:
    (row,) = tokenizer().ids([text])
    assert row.dtype == np.int64 and row[0] == CLS and row[-1] == SEP


def test_surrogates() -> None:
    assert plain(["hello \ud800 world"], special=False)[0][::2] != []
    # a pair of surrogates is the character they stand for
    assert plain(["\ud83d\ude00"]) == plain(["😀"])


def test_vocabulary_and_special_ids() -> None:
    opened = tokenizer()
    assert opened.vocabulary[HELLO] == "hello" and len(opened.vocabulary) == 130
    assert opened.special_ids == {0, 100, 101, 102, 103}
    assert opened.token_id("world") == WORLD and opened.token_id("missing") is None


def test_wordpiece_vocabulary(tmp_path: Path) -> None:
    path = tmp_path / "vocab.txt"
    path.write_text("[PAD]\n[UNK]\n[CLS]\n[SEP]\nhello\nwor\n##ld\n")
    opened = Tokenizer.wordpiece(path)
    assert opened.ids(["HELLO world!"])[0].tolist() == [4, 5, 6, 1]
    path.write_text("hello\n")
    with pytest.raises(ModelError, match=r"no \[UNK\]"):
        Tokenizer.wordpiece(path)


def test_files_that_are_no_tokenizer(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="no tokenizer file"):
        Tokenizer.open(tmp_path)
    path = tmp_path / "tokenizer.json"
    path.write_text(json.dumps({"model": "none"}))
    with pytest.raises(ModelError, match="not a tokenizer.json"):
        Tokenizer.open(path)


words = st.lists(st.sampled_from(["hello", "a", "b", "ny", "zzz"]), max_size=9).map(" ".join)


@given(st.lists(st.tuples(words, words), min_size=1, max_size=4), st.integers(6, 14))
def test_pairs_are_those_of_the_library(pairs: list[tuple[str, str]], length: int) -> None:
    raw = raw_tokenizer()
    raw.enable_truncation(length, strategy="longest_first")
    rows, types = tokenizer().pairs(pairs, max_length=length)
    for pair, row, kinds in zip(pairs, rows, types, strict=True):
        expected = raw.encode(*pair)
        if min(len(text.split()) for text in pair) < length - 3:
            assert (row.tolist(), kinds.tolist()) == (expected.ids, expected.type_ids)
        else:  # a text beyond the length counts as one of the length
            assert len(row) == len(expected.ids)


def test_a_pair_of_another_model_family() -> None:
    raw = raw_tokenizer()
    raw.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]",
        pair="[CLS] $A [SEP] [SEP] $B [SEP]",
        special_tokens=[("[CLS]", CLS), ("[SEP]", SEP)],
    )
    rows, types = Tokenizer(raw).pairs([("hello", "world a")])
    assert rows[0].tolist() == [CLS, HELLO, SEP, SEP, WORLD, A, SEP]
    assert types[0].tolist() == [0] * 7
