"""Training rows: what is read, how rows become lists and batches, what is refused."""

from __future__ import annotations

import gzip
import json
import random
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from siftline.errors import UsageError
from siftline.train.data import Batches, DataType, Steps, TrainingSet, read_training_set


def written(path: Path, *rows: Mapping[str, Any]) -> Path:
    opened = gzip.open if path.suffix == ".gz" else open
    with opened(path, "wt") as file:
        file.writelines(json.dumps(row) + "\n" for row in rows)
    return path


def posnegs(count: int, query: str = "q") -> dict[str, Any]:
    return {"query": query, "pos": "p", "negs": [f"n{i}" for i in range(count)]}


def kd(count: int, query: str = "q") -> dict[str, Any]:
    return {
        "query": query,
        "docs": [f"d{i}" for i in range(count)],
        "scores": [float(-i) for i in range(count)],
    }


@pytest.mark.parametrize("name", ["a.jsonl", "a.jsonl.gz"])
def test_a_positive_goes_before_every_chunk_of_negatives(tmp_path: Path, name: str) -> None:
    found = read_training_set(written(tmp_path / name, posnegs(5)), "posnegs")
    assert found.name == "a"
    lists = list(found.rows[0].lists(2, 0, random.Random(0)))
    assert [x.documents for x in lists] == [("p", "n0", "n1"), ("p", "n2", "n3")]
    assert lists[0].scores is None


def test_a_list_to_distil_spans_the_scores(tmp_path: Path) -> None:
    found = read_training_set(written(tmp_path / "a.jsonl", kd(7)), "kd")
    lists = list(found.rows[0].lists(3, 0, random.Random(0)))
    assert [x.documents for x in lists] == [("d0", "d2", "d4"), ("d1", "d3", "d5")]
    assert lists[1].scores == (-1.0, -3.0, -5.0)


def test_swaps_change_the_order_and_keep_scores_with_documents(tmp_path: Path) -> None:
    row = read_training_set(written(tmp_path / "a.jsonl", kd(8)), "kd").rows[0]
    for swaps in (1, 4):
        lists = list(row.lists(4, swaps, random.Random(3)))
        pairs = [p for x in lists for p in zip(x.documents, x.scores or (), strict=True)]
        assert sorted(pairs) == [(f"d{i}", float(-i)) for i in range(8)]
        assert [d for d, _ in pairs] != ["d0", "d2", "d4", "d6", "d1", "d3", "d5", "d7"]


def test_a_folder_that_datasets_saved(tmp_path: Path) -> None:
    datasets = pytest.importorskip("datasets")
    rows = [kd(4, "one") | {"q_id": "1", "d_ids": ["a", "b", "c", "d"]}]
    datasets.Dataset.from_list(rows).save_to_disk(str(tmp_path / "arrow"))
    found = read_training_set(tmp_path / "arrow", "kd-ids")
    assert found.rows[0].query == "one" and found.rows[0].scores == (0.0, -1.0, -2.0, -3.0)


def test_rows_are_chosen_by_first_rank(tmp_path: Path) -> None:
    rows = [kd(2, f"q{rank}") | {"first_rank": rank} for rank in (-1, 0, 5, 6)]
    found = read_training_set(written(tmp_path / "a.jsonl", *rows), "kd", first_rank=5)
    assert [row.query for row in found.rows] == ["q0", "q5"]


@pytest.mark.parametrize(
    ("kind", "row", "message"),
    [
        ("posnegs", {"query": "q", "pos": "p"}, "field 'negs' is missing"),
        ("posnegs", {"query": 3, "pos": "p", "negs": []}, "field 'query' is 3"),
        ("posnegs", {"query": "q", "pos": "p", "negs": [None]}, "a document is None"),
        ("kd", {"query": "q", "docs": ["a", "b"], "scores": [1.0]}, "1 scores for 2 docs"),
        ("kd", {"query": "q", "docs": ["a"], "scores": [float("nan")]}, "a score is nan"),
        ("kd-ids", kd(2), "field 'q_id' is missing"),
        ("kd-ids", kd(2) | {"q_id": "1", "d_ids": ["a"]}, "1 d_ids for 2 docs"),
    ],
)
def test_rows_that_do_not_fit(
    tmp_path: Path, kind: DataType, row: dict[str, Any], message: str
) -> None:
    good = posnegs(1) if kind == "posnegs" else kd(2) | {"q_id": "1", "d_ids": ["a", "b"]}
    file = written(tmp_path / "rows.jsonl", good, row)
    with pytest.raises(UsageError, match=rf"rows\.jsonl:2: {message}"):
        read_training_set(file, kind)


def test_files_that_hold_nothing(tmp_path: Path) -> None:
    (tmp_path / "bad.jsonl").write_text("{}\n[1]\nnot json\n")
    (tmp_path / "empty.jsonl").write_text("\n")
    with pytest.raises(UsageError, match="no training data"):
        read_training_set(tmp_path / "nothing", "kd")
    with pytest.raises(UsageError, match="no training rows"):
        read_training_set(tmp_path / "empty.jsonl", "kd")
    with pytest.raises(UsageError, match="unknown data type"):
        read_training_set(tmp_path / "bad.jsonl", "pairs")  # type: ignore[arg-type]


def sets(tmp_path: Path) -> list[TrainingSet]:
    big = written(tmp_path / "big.jsonl", *(posnegs(2, f"big{i}") for i in range(40)))
    small = written(tmp_path / "small.jsonl", *(posnegs(2, f"small{i}") for i in range(11)))
    return [read_training_set(file, "posnegs") for file in (big, small)]


def test_a_batch_comes_from_one_set_in_proportion(tmp_path: Path) -> None:
    batches = Batches(sets(tmp_path), 4, 2, seed=1)
    names = [{x.query.rstrip("0123456789") for x in batch} for batch in batches]
    assert all(len(name) == 1 for name in names)
    assert [sum(n == {"big"} for n in names), sum(n == {"small"} for n in names)] == [10, 2]
    queries = [x.query for batch in batches for x in batch]
    assert len(set(queries)) == len(queries) == 48


def test_epochs_differ_and_a_seed_repeats_one(tmp_path: Path) -> None:
    first, again, other = (list(Batches(sets(tmp_path), 4, 2, seed=s)) for s in (1, 1, 2))
    assert first == again != other


def test_a_training_can_begin_anywhere(tmp_path: Path) -> None:
    found = sets(tmp_path)

    def steps() -> Steps:
        return Steps(30, lambda number: Batches(found, 4, 2, seed=number))

    whole = list(steps())
    assert len(whole) == 30 and whole[0] != whole[12]
    assert {x.query for b in whole[12:24] for x in b} <= {x.query for s in found for x in s.rows}
    assert [steps()[i] for i in range(17, 30)] == whole[17:]


def test_too_few_lists_for_a_batch(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="51 lists do not fill a batch of 64"):
        Batches(sets(tmp_path), 64, 2)
