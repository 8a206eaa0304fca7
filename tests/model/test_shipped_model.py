"""The sparse encoder that ships with the package: whole, documented, and able to search."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

import siftline
from siftline.application import Application
from siftline.model.catalogue import load_catalogue
from siftline.model.fetch import fetch
from siftline.model.packaged import shipped

NAME = "siftline-sparse-tiny"
ROOT = Path(__file__).parents[2]

PASSAGES = [
    ("python", "The Python interpreter compiles source text to bytecode and then executes it."),
    ("heart", "A myocardial infarction happens when blood stops flowing to a part of the heart."),
    ("harbour", "Sydney is the largest city of Australia and lies around a natural harbour."),
    ("wing", "Lift on an airfoil comes from the pressure difference of the air around it."),
]


def test_it_comes_without_a_download(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("SIFTLINE_MODELS", raising=False)
    monkeypatch.setattr("socket.socket.connect", refused)
    folder = fetch(NAME, cache=tmp_path)
    (source,) = load_catalogue()[NAME].sources
    assert source.kind == "package"
    for file in source.files:
        assert (folder / file.name).stat().st_size < 40 << 20
    weights = json.loads((folder / "idf.json").read_text(encoding="utf-8"))
    assert len(weights) == 30522
    assert weights["heart"] > 5 * weights["of"]


def test_the_table_of_its_corpus_holds_counts_of_passages() -> None:
    text = shipped().joinpath(NAME, "corpus-idf.json").read_text(encoding="utf-8")
    table = json.loads(text)
    trained = json.loads(shipped().joinpath(NAME, "idf.json").read_text(encoding="utf-8"))
    assert table.keys() == trained.keys()
    passages = 18_891 + 8_100 + 15_809  # of SQuAD, QED and MedQuAD
    counts = np.array([(passages + 1) / np.exp(w) - 0.5 for w in table.values() if w != 1.0])
    assert len(counts) > 25_000
    assert counts.min() == pytest.approx(1) and counts.max() < passages
    np.testing.assert_allclose(counts, counts.round(), atol=1e-6)


def refused(*_: object) -> None:
    """Stands for the network."""
    raise AssertionError("a shipped model needs no network")


def test_its_card_names_the_data_and_their_licences() -> None:
    card = shipped().joinpath(NAME, "README.md").read_text(encoding="utf-8")
    for name in ("SQuAD", "QED", "MedQuAD", "CC BY-SA 4.0", "CC BY 4.0", "Apache-2.0", "nDCG@10"):
        assert name in card


@pytest.mark.parametrize(
    ("question", "answer"),
    [
        ("what causes a heart attack", "heart"),
        ("how is source code run", "python"),
        ("biggest australian city", "harbour"),
        ("why does an airplane fly", "wing"),
    ],
)
def test_it_finds_what_says_it_in_other_words(app: Application, question: str, answer: str) -> None:
    result = app.query(query=question, ranking="sparse", timeout=60)
    assert result.hits[0].id.endswith(f"::{answer}")


@pytest.fixture(scope="module")
def app(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Application]:
    """The package `examples/sparse` with four passages."""
    place = tmp_path_factory.mktemp("shipped") / "sparse"
    shutil.copytree(ROOT / "examples" / "sparse", place)
    with siftline.open(place) as opened:
        opened.feed([{"_id": name, "text": text} for name, text in PASSAGES])
        yield opened
