"""Hard negatives mined with the engine from a few documents, from the folder to the rows."""

import gzip
import json
from pathlib import Path
from typing import Any

import pytest
from small_beir import write_beir

from siftline.errors import UsageError
from siftline.experiment.mining.mine import mine
from siftline.experiment.mining.settings import Mined, Mining
from siftline.train.data import read_training_set

#: BM25 for "apple pie" ranks what has both words and is short first.
CORPUS: dict[str, str | tuple[str, str]] = {
    "best": ("Baking", "apple pie"),
    "copy": ("", "Baking: Apple pie!"),
    "long": "apple pie and a little of everything else",
    "fruit": "the apple is a fruit of a tree",
    "crust": "the crust of a pie",
    "sky": "the sky is blue",
}
QUERIES = {
    "q1": "apple pie",
    "q2": "why is the sky blue",
    "q3": "Which fruit is it?",
    "q4": "no judged document is there",
    "t1": "which fruit is it",
    "t2": "why is the sky so blue",
}
TRAIN = {
    "q1": {"best": 1, "long": 0},
    "q2": {"sky": 1},
    "q3": {"fruit": 1},
    "q4": {"gone": 1, "sky": 0},
}


@pytest.fixture
def data(tmp_path: Path) -> Path:
    test = {"t1": {"fruit": 1}, "t2": {"sky": 1}}
    return write_beir(tmp_path / "food", CORPUS, QUERIES, train=TRAIN, test=test)


def rows_of(path: Path) -> list[dict[str, Any]]:
    opened = gzip.open if path.suffix == ".gz" else open
    with opened(path, "rt", encoding="utf-8") as lines:
        return [json.loads(line) for line in lines]


def test_a_row_has_the_positive_and_what_the_engine_ranks_beside_it(
    data: Path, tmp_path: Path
) -> None:
    out = tmp_path / "out" / "train.jsonl"
    mined = mine(None, data, out, Mining(negatives=2))
    first, *_ = rows_of(out)
    assert first == {
        "query": "apple pie",
        "pos": "Baking apple pie",
        "negs": ["apple pie and a little of everything else", "the crust of a pie"],
        "first_rank": 0,
    }
    assert mined == Mined(queries=3, without_positive=1, fewer=1, copies=1, rows=3, negatives=5)
    read = read_training_set(out, "posnegs").rows
    assert [len(row.documents) for row in read] == [3, 3, 2]
    assert [path.name for path in out.parent.iterdir()] == ["train.jsonl"]


def test_the_best_are_skipped_behind_positives_and_copies(data: Path, tmp_path: Path) -> None:
    mine(None, data, tmp_path / "a.jsonl", Mining(negatives=1, skip_top=1))
    assert rows_of(tmp_path / "a.jsonl")[0]["negs"] == ["the crust of a pie"]
    mined = mine(None, data, tmp_path / "b.jsonl", Mining(negatives=1, overlap=1.0))
    assert mined.copies == 1, "the same words are a copy at any overlap"


def test_kd_ids_has_a_row_for_each_query(data: Path, tmp_path: Path) -> None:
    out = tmp_path / "kd.jsonl.gz"
    mine(None, data, out, Mining(negatives=2, format="kd-ids"))
    assert rows_of(out)[0] == {
        "query": "apple pie",
        "docs": [
            "Baking apple pie",
            "apple pie and a little of everything else",
            "the crust of a pie",
        ],
        "q_id": "q1",
        "d_ids": ["best", "long", "crust"],
        "first_rank": 0,
    }
    assert len(read_training_set(out, "kd-ids").rows) == 3
    before = out.read_bytes()
    mine(None, data, out, Mining(negatives=2, format="kd-ids"))
    assert out.read_bytes() == before


def test_queries_of_evaluation_sets_are_left_out(data: Path, tmp_path: Path) -> None:
    out = tmp_path / "train.jsonl"
    mined = mine(None, data, out, Mining(negatives=1), not_in=[data])
    assert (mined.queries, mined.evaluated_equal, mined.evaluated_near) == (3, 1, 1)
    assert [row["query"] for row in rows_of(out)] == ["apple pie"]
    only = Mining(negatives=1, query_overlap=1.0)
    mined = mine(None, data, out, only, not_in=[data / "qrels" / "test.tsv"])
    assert (mined.evaluated_equal, mined.evaluated_near) == (1, 0)


def test_pairs_bring_their_own_positives(data: Path, tmp_path: Path) -> None:
    pairs = tmp_path / "pairs.jsonl"
    rows = [
        {"query": "apple", "pos": "apple pie, baking"},
        {"query": "Apple!", "pos": ["The apple is a fruit of a tree."], "_id": "x"},
        {"query": "?", "pos": "nothing is found for a question mark"},
    ]
    pairs.write_text("\n".join(map(json.dumps, rows)))
    out = tmp_path / "train.jsonl"
    mined = mine(None, data, out, Mining(pairs=pairs, negatives=5))
    only = ["apple pie and a little of everything else"]
    assert rows_of(out) == [
        {"query": "apple", "pos": "apple pie, baking", "negs": only},
        {"query": "Apple!", "pos": "The apple is a fruit of a tree.", "negs": only},
    ]
    assert (mined.without_negatives, mined.fewer, mined.copies) == (1, 2, 6)


def test_titles_ask_for_all_their_passages_and_first_sentences_for_the_rest(
    tmp_path: Path,
) -> None:
    rest = "It needs flour and water and salt and a long time."
    corpus: dict[str, str | tuple[str, str]] = {
        "a": ("Rye bread", "dark and dense bread"),
        "b": ("rye bread!", "bread of the north"),
        "c": ("", f"Bread is easy to make. {rest}"),
        "d": ("", "bread alone"),
    }
    data, out = write_beir(tmp_path / "bread", corpus), tmp_path / "rows.jsonl"
    mined = mine(None, data, out, Mining(titles=True, negatives=3))
    cloze, *titles = rows_of(out)
    assert (cloze["query"], cloze["pos"]) == ("Bread is easy to make.", rest)
    assert sorted(cloze["negs"]) == ["bread alone", "bread of the north", "dark and dense bread"]
    assert [(row["query"], row["pos"]) for row in titles] == [
        ("Rye bread", "dark and dense bread"),
        ("Rye bread", "bread of the north"),
    ]
    assert all(sorted(row["negs"])[-1] == "bread alone" for row in titles)
    assert (mined.queries, mined.without_positive, mined.rows) == (2, 1, 3)


def test_random_negatives_are_the_same_at_every_run(data: Path, tmp_path: Path) -> None:
    found = []
    for name, seed in (("a", 1), ("b", 1), ("c", 2), ("d", 3)):
        out = tmp_path / name
        mine(None, data, out, Mining(negatives=1, sample="random", seed=seed))
        found.append(out.read_text())
    assert found[0] == found[1]
    assert len(set(found)) > 1


def test_so_many_queries_at_random(data: Path, tmp_path: Path) -> None:
    out = tmp_path / "some.jsonl"
    asked = set()
    for seed in range(6):
        mined = mine(None, data, out, Mining(queries=2, negatives=1, seed=seed))
        assert mined.queries == 3 and mined.not_chosen == 1 and mined.rows == 2
        queries = [row["query"] for row in rows_of(out)]
        assert queries == [text for text in QUERIES.values() if text in queries]
        asked |= set(queries)
    assert asked == {QUERIES["q1"], QUERIES["q2"], QUERIES["q3"]}
    assert mine(None, data, out, Mining(queries=5, negatives=1)).not_chosen == 0


def test_a_mining_that_was_stopped_goes_on(
    data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out, asked = tmp_path / "train.jsonl", []
    whole = tmp_path / "whole.jsonl"
    mine(None, data, whole, Mining(negatives=2))

    def stop(what: str, done: int, total: int | None) -> None:
        asked.append(what)
        if (what, done) == ("ranking queries", 2):
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        mine(None, data, out, Mining(negatives=2), progress=stop)
    kept = tmp_path / "train.jsonl.rankings"
    with kept.open("a") as file:
        file.write('["torn')
    asked.clear()
    with pytest.raises(UsageError, match="depth: 100, now 50"):
        mine(None, data, out, Mining(negatives=2, depth=50))
    mine(None, data, out, Mining(negatives=2), progress=lambda what, *_: asked.append(what))
    assert asked.count("ranking queries") == 1
    assert out.read_bytes() == whole.read_bytes()
    assert not kept.exists()


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"depth": 10, "negatives": 8, "skip_top": 3}, "do not fit a depth of 10"),
        ({"negatives": 0}, "take at least 1 negative"),
        ({"queries": 0}, "0 queries: take at least 1"),
        ({"overlap": 0.0}, "overlap 0.0 is no share"),
        ({"query_overlap": 1.5}, "query overlap 1.5 is no share"),
        ({"format": "kd"}, r"unknown format 'kd' \(known: posnegs, kd-ids\)"),
        ({"sample": "worst"}, "unknown sample 'worst'"),
        ({"titles": True, "pairs": Path("p")}, "from pairs or from titles"),
    ],
)
def test_settings_that_make_no_sense_are_refused(settings: dict[str, Any], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        Mining(**settings)


def test_wrong_data_is_refused_before_anything_is_fed(data: Path, tmp_path: Path) -> None:
    out = tmp_path / "out" / "train.jsonl"
    with pytest.raises(UsageError, match="no judgments for split 'dev'"):
        mine(None, data, out, Mining(split="dev"))
    pairs = tmp_path / "pairs.jsonl"
    for row, message in (
        ({"query": "a"}, r"pairs\.jsonl:1: a pair needs a 'query' and a 'pos'"),
        ({"query": "a", "pos": [""]}, "a positive is '', expected a text"),
    ):
        pairs.write_text(json.dumps(row))
        with pytest.raises(UsageError, match=message):
            mine(None, data, out, Mining(pairs=pairs))
    with pytest.raises(UsageError, match="has no split to keep out"):
        mine(None, data, out, Mining(split="test"), not_in=[write_beir(tmp_path / "b", {})])
    with pytest.raises(UsageError, match="is a folder: name the file"):
        mine(None, data, tmp_path)
    assert not out.parent.exists()


def test_no_query_left_is_an_error(data: Path, tmp_path: Path) -> None:
    pairs = tmp_path / "pairs.jsonl"
    pairs.write_text(json.dumps({"query": "Which fruit is it", "pos": "a pear"}))
    with pytest.raises(UsageError, match="no training query is left.*'evaluated_equal': 1"):
        mine(None, data, tmp_path / "o", Mining(pairs=pairs), not_in=[data])
