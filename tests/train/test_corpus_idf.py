"""IDF tables: counts by hand, the published table's formula, what is written is read."""

from __future__ import annotations

import json
import math
from pathlib import Path

import pytest

from siftline.encode.idf import IdfTable
from siftline.encode.tokenizer import Tokenizer
from siftline.errors import UsageError
from siftline.train.idf import build_idf

WORDS = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "red", "wine", "sky", "##s", "never"]
PUBLISHED = Path(__file__).parents[3] / "shared" / "models" / "bert-uncased"


@pytest.fixture
def tokenizer(tmp_path: Path) -> Tokenizer:
    file = tmp_path / "vocab.txt"
    file.write_text("\n".join(WORDS))
    return Tokenizer.wordpiece(file)


def test_a_token_counts_once_a_document(tokenizer: Tokenizer) -> None:
    texts = ["red red wine", "Red sky", "", "wines", "unknown words"]
    counted = build_idf(texts, tokenizer)
    assert counted.documents == 4
    found = dict(zip(counted.tokens, counted.containing.tolist(), strict=True))
    assert found["red"] == 2 and found["wine"] == 2 and found["sky"] == found["##s"] == 1
    assert found["never"] == found["[UNK]"] == 0
    assert counted.weights["red"] == pytest.approx(math.log(5 / 2.5))
    assert counted.weights["never"] == counted.weights["[CLS]"] == 1.0


def test_every_token_is_written(tokenizer: Tokenizer, tmp_path: Path) -> None:
    file = tmp_path / "out" / "idf.json"
    counted = build_idf(["red", "red wine"], tokenizer)
    counted.save(file)
    assert set(json.loads(file.read_text())) == set(WORDS)
    table = IdfTable.from_file(file)
    assert table.weight("wine") == pytest.approx(math.log(3 / 1.5))
    assert not list(file.parent.glob("*.partial"))


def test_more_documents_than_one_batch(tokenizer: Tokenizer) -> None:
    seen: list[int] = []
    counted = build_idf(("red" for _ in range(5000)), tokenizer, progress=seen.append)
    assert counted.documents == 5000 and seen == [2048, 4096, 5000]
    assert len(counted.seen) == 1 and counted.seen[0] == pytest.approx(math.log(5001 / 5000.5))


def test_a_corpus_without_text(tokenizer: Tokenizer) -> None:
    with pytest.raises(UsageError, match="none of its 2 documents"):
        build_idf(["", " "], tokenizer)


@pytest.mark.skipif(not PUBLISHED.is_dir(), reason="the published tables are not here")
def test_the_published_table_follows_the_formula() -> None:
    """Every weight is ln((N + 1)/(n + 0.5)) of a whole number n of the 8,841,823 passages."""
    from siftline.encode.idf import idf

    file = next(PUBLISHED.rglob("idf*.json"))
    weights = json.loads(file.read_text(encoding="utf-8"))
    counted = [w for w in weights.values() if w != 1.0]
    assert len(counted) > 28_000
    for weight in counted:
        containing = round(8_841_824 / math.exp(weight) - 0.5)
        assert idf(8_841_823, containing) == pytest.approx(weight, abs=2e-6)
