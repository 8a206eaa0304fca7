"""`siftline mine`: from judgments and from a folder of texts."""

import json
from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest
from small_beir import write_beir

from siftline.experiment.mining import terminal as mining_terminal
from small_package import write_package

Run = Callable[..., tuple[int, str, str]]

SCHEMA = """schema passage {
  document passage {
    field title type string { indexing: summary }
    field text type string { indexing: index | summary
      index: enable-bm25 }
  }
  fieldset default { fields: text }
  rank-profile longest { first-phase { expression: fieldLength(text) } }
}
"""
CORPUS: dict[str, str | tuple[str, str]] = {
    "a": ("apples", "apple pie"),
    "b": "an apple is a fruit",
    "c": "a fruit of the apple tree is an apple",
    "d": "apple",
}


@pytest.fixture
def run(siftline_command: Run) -> Run:
    """Run `siftline mine` with arguments: exit status, standard output, standard error."""
    return partial(siftline_command, "mine")


@pytest.fixture
def data(tmp_path: Path) -> Path:
    return write_beir(tmp_path / "food", CORPUS, {"q": "apple"}, train={"q": {"a": 1}})


def test_the_profile_of_a_package_ranks(run: Run, data: Path, tmp_path: Path) -> None:
    package, out = write_package(tmp_path / "app", SCHEMA), tmp_path / "train.jsonl"
    code, shown, _ = run(
        package, "--data", data, "--profile", "longest", "--negatives", 2, "--out", out
    )
    assert code == 0
    assert [line.split() for line in shown.splitlines()][1:] == [
        "1 queries with a positive".split(),
        "1 rows written".split(),
        "2 negatives in them".split(),
    ]
    (row,) = map(json.loads, out.read_text().splitlines())
    assert row["pos"] == "apples apple pie"
    assert row["negs"] == ["a fruit of the apple tree is an apple", "an apple is a fruit"]
    assert (tmp_path / "app.siftline" / "mine" / "longest" / "food").is_dir()


def test_counts_as_json(run: Run, data: Path, tmp_path: Path) -> None:
    arguments = ("--data", data, "--format", "kd-ids", "--json", "--depth", 15)
    code, shown, _ = run(*arguments, "--out", tmp_path / "x.jsonl")
    found = json.loads(shown)
    assert (code, found["rows"], found["negatives"], found["fewer"]) == (0, 1, 3, 1)


def test_a_folder_of_texts_becomes_a_corpus_and_its_titles_queries(
    run: Run, tmp_path: Path
) -> None:
    texts = tmp_path / "texts"
    texts.mkdir()
    (texts / "bread.md").write_text("# Bread\n\nThe dough rests.\n\n## The oven\n\nIt is hot.")
    (texts / "soup.md").write_text("# The soup\n\nIt is not hot but the bread is.")
    data, out = tmp_path / "beir", tmp_path / "train.jsonl"
    arguments = ("--passages", texts, "--data", data, "--titles", "--negatives", 1, "--out", out)
    code, _, err = run(*arguments)
    assert code == 0
    assert "3 passages" in err
    rows = {row["query"]: row for row in map(json.loads, out.read_text().splitlines())}
    assert set(rows) == {"Bread", "Bread: The oven", "The soup"}
    assert rows["Bread"]["pos"] == "The dough rests."
    assert rows["Bread"]["negs"] == ["It is not hot but the bread is."], "no section of its own"
    assert rows["The soup"]["negs"] == ["The dough rests."]
    assert run(*arguments)[0] == 0, "the corpus is there already"


def test_what_is_wrong_is_one_line(run: Run, data: Path, tmp_path: Path) -> None:
    code, _, err = run("--data", data, "--out", tmp_path / "x", "--format", "kd")
    assert (code, err) == (2, "siftline: unknown format 'kd' (known: posnegs, kd-ids)\n")
    code, _, err = run("--data", tmp_path / "none", "--out", tmp_path / "x")
    assert (code, err.count("\n")) == (2, 1)


def test_a_stop_says_how_to_go_on(
    run: Run, data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def stop(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(mining_terminal, "mine", stop)
    code, _, err = run("--data", data, "--out", tmp_path / "x")
    assert code == 130
    assert "the same command goes on" in err
