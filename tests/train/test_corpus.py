"""Texts of BEIR folders, JSON lines and plain files, one after the other."""

from __future__ import annotations

import gzip
import json
from pathlib import Path

import pytest

from siftline.errors import UsageError
from siftline.train.corpus import read_corpus


def test_a_beir_folder_is_its_corpus_with_titles(tmp_path: Path) -> None:
    rows = [{"_id": "1", "title": "Cats", "text": "They purr."}, {"_id": "2", "text": "Dogs."}]
    text = "\n".join(map(json.dumps, rows))
    (tmp_path / "corpus.jsonl.gz").write_bytes(gzip.compress(text.encode()))
    (tmp_path / "queries.jsonl").write_text('{"_id": "q", "text": "not a document"}')
    assert list(read_corpus(tmp_path)) == ["Cats They purr.", "Dogs."]


def test_a_plain_text_is_cut_at_empty_lines(tmp_path: Path) -> None:
    (tmp_path / "b.md").write_text("# Heading\n\nfirst\nsecond \n\n\n third")
    (tmp_path / "below").mkdir()
    (tmp_path / "below" / "a.txt").write_text("alone\n")
    (tmp_path / "c.jsonl").write_text('"a row may be a text"\n\n{"text": "or have one"}\n')
    (tmp_path / "ignored.csv").write_text("x,y")
    expected = ["# Heading", "first second", "third", "alone", "a row may be a text", "or have one"]
    assert list(read_corpus(tmp_path)) == expected


@pytest.mark.parametrize("row", ['{"title": "no text"}', '{"text": 3}', "17", "{broken"])
def test_a_row_without_text_is_named_by_file_and_line(tmp_path: Path, row: str) -> None:
    file = tmp_path / "rows.jsonl"
    file.write_text('{"text": "fine"}\n' + row)
    with pytest.raises(UsageError) as found:
        list(read_corpus(file))
    assert f"{file}:2" in str(found.value)


def test_no_corpus(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="there is no corpus at"):
        list(read_corpus(tmp_path / "none"))
    with pytest.raises(UsageError, match="has no corpus"):
        list(read_corpus(tmp_path))
    (tmp_path / "broken.txt.gz").write_bytes(b"\x1f\x8b not gzipped")
    with pytest.raises(UsageError, match="cannot be read"):
        list(read_corpus(tmp_path))
