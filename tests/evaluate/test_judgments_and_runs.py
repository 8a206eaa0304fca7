"""Judgments, queries and run files: what is written is read, what is wrong is told."""

from __future__ import annotations

import gzip
import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from siftline.errors import UsageError
from siftline.evaluate.judgments import (
    read_collection,
    read_judgments,
    read_queries,
    splits,
    write_judgments,
)
from siftline.evaluate.runs import check_run, read_run, write_msmarco, write_trec

DATA = Path(__file__).parents[2].parent / "shared" / "data"

JUDGED = {"q1": {"d1": 2, "d2": 0}, "q2": {"d1": 1}}
BEIR = "query-id\tcorpus-id\tscore\nq1\td1\t2\nq1\td2\t0\nq2\td1\t1\n"
TREC = "q1 0 d1 2\nq1 0 d2 0\n\nq2 0 d1 1\n"

WORDS = st.text(st.characters(exclude_categories=["Cs", "Z", "C"]), min_size=1, max_size=6)


@pytest.mark.parametrize("text", [BEIR, TREC, BEIR.replace("\n", "\r\n"), "\ufeff" + BEIR])
@pytest.mark.parametrize("zipped", [False, True])
def test_judgments_of_every_kind(text: str, zipped: bool, tmp_path: Path) -> None:
    data = text.encode()
    (tmp_path / "qrels").write_bytes(gzip.compress(data) if zipped else data)
    assert read_judgments(tmp_path / "qrels") == JUDGED


@given(st.dictionaries(WORDS, st.dictionaries(WORDS, st.integers(-2, 4), min_size=1), min_size=1))
def test_judgments_round_trip(
    tmp_path_factory: pytest.TempPathFactory, judgments: dict[str, dict[str, int]]
) -> None:
    path = tmp_path_factory.mktemp("qrels") / "qrels"
    write_judgments(judgments, path)
    assert read_judgments(path) == judgments


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("q1\td1\n", ":1: expected 3 columns"),
        (BEIR + "q3\td1\tx\n", ":5: expected a whole number as grade, got 'x'"),
        (BEIR + "q3\td1\t0.5\n", ":5: expected a whole number"),
        (BEIR + "q1\td1\t1\n", ":5: query 'q1' grades document 'd1' twice"),
        ("query-id\tcorpus-id\tscore\n", "holds no judgment"),
    ],
)
def test_wrong_judgments_are_told_with_their_line(text: str, says: str, tmp_path: Path) -> None:
    (tmp_path / "qrels").write_text(text)
    with pytest.raises(UsageError, match=says):
        read_judgments(tmp_path / "qrels")


def folder(path: Path, *, zipped: bool = False) -> Path:
    (path / "qrels").mkdir()
    (path / "qrels" / "test.tsv").write_text(BEIR)
    rows = [{"_id": "q1", "text": "one"}, {"_id": "q2", "text": "two"}, {"_id": "q3", "text": "x"}]
    data = "".join(json.dumps(row) + "\n" for row in rows).encode()
    name = "queries.jsonl.gz" if zipped else "queries.jsonl"
    (path / name).write_bytes(gzip.compress(data) if zipped else data)
    return path


@pytest.mark.parametrize("zipped", [False, True])
def test_a_collection_holds_the_judged_queries(zipped: bool, tmp_path: Path) -> None:
    found = read_collection(folder(tmp_path, zipped=zipped), "test")
    assert found.name == tmp_path.name and found.split == "test"
    assert found.queries == {"q1": "one", "q2": "two"}
    assert found.judgments == JUDGED
    assert splits(tmp_path) == ["test"]


def test_a_collection_that_is_not_whole_is_told(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="no such folder"):
        read_collection(tmp_path / "missing", "test")
    folder(tmp_path)
    with pytest.raises(UsageError, match=r"split 'dev' \(it has: test\)"):
        read_collection(tmp_path, "dev")
    (tmp_path / "queries.jsonl").write_text('{"_id": "q1", "text": "one"}\n')
    with pytest.raises(UsageError, match="judges 1 queries .* such as 'q2'"):
        read_collection(tmp_path, "test")
    (tmp_path / "queries.jsonl").unlink()
    with pytest.raises(UsageError, match="no such file"):
        read_collection(tmp_path, "test")


@pytest.mark.parametrize(
    ("line", "says"),
    [
        ("{", "not JSON"),
        ("[]", "needs _id and text"),
        ('{"_id": "q"}', "needs _id and text"),
        ('{"_id": "q1", "text": "again"}', "a second time"),
    ],
)
def test_wrong_queries_are_told_with_their_line(line: str, says: str, tmp_path: Path) -> None:
    path = tmp_path / "queries.jsonl"
    path.write_text('{"_id": "q1", "text": "one"}\n' + line)
    with pytest.raises(UsageError, match=f"queries.jsonl:2: .*{says}"):
        read_queries(path)
    path.write_bytes(gzip.compress(b'{"_id": "q1", "text": "one"}\n' * 9)[:-9])
    with pytest.raises(UsageError, match="cannot be read|a second time"):
        read_queries(path)


RUN = {"q1": [("d2", 1.5), ("d1", 1.5), ("d3", -0.25)], "q2": [("d1", 1e-17)]}


def test_a_trec_file_has_six_columns_and_ranks_from_one(tmp_path: Path) -> None:
    write_trec(RUN, tmp_path / "run", "dense")
    assert (tmp_path / "run").read_text().splitlines() == [
        "q1 Q0 d2 1 1.5 dense",
        "q1 Q0 d1 2 1.5 dense",
        "q1 Q0 d3 3 -0.25 dense",
        "q2 Q0 d1 1 1e-17 dense",
    ]
    assert read_run(tmp_path / "run") == RUN


def test_a_ms_marco_file_has_ranks_only(tmp_path: Path) -> None:
    write_msmarco(RUN, tmp_path / "run")
    assert (tmp_path / "run").read_text() == "q1\td2\t1\nq1\td1\t2\nq1\td3\t3\nq2\td1\t1\n"
    found = read_run(tmp_path / "run")
    assert [document for document, _ in found["q1"]] == ["d2", "d1", "d3"]


SCORES = st.floats(allow_nan=False, allow_infinity=False)


@given(
    st.dictionaries(
        WORDS,
        st.dictionaries(WORDS, SCORES, min_size=1).map(
            lambda scores: sorted(scores.items(), key=lambda pair: -pair[1])
        ),
    )
)
def test_a_run_comes_back_to_the_last_digit(
    tmp_path_factory: pytest.TempPathFactory, run: dict[str, list[tuple[str, float]]]
) -> None:
    path = tmp_path_factory.mktemp("run") / "run"
    write_trec(run, path, "x")
    assert read_run(path) == run


@pytest.mark.parametrize(
    ("ranking", "says"),
    [
        ([("a", 1.0), ("a", 0.5)], "names a document twice"),
        ([("a", 1.0), ("b", 2.0)], "do not fall"),
        ([("a", float("nan"))], "NaN"),
    ],
)
def test_what_is_no_ranking_is_refused(
    ranking: list[tuple[str, float]], says: str, tmp_path: Path
) -> None:
    with pytest.raises(UsageError, match=says):
        check_run({"q": ranking})
    with pytest.raises(UsageError, match=says):
        write_trec({"q": ranking}, tmp_path / "run", "x")
    assert not (tmp_path / "run").exists()


def test_wrong_run_files_are_told_with_their_line(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="cannot hold 'two words'"):
        write_trec({"two words": [("d", 1.0)]}, tmp_path / "run", "x")
    for text, says in (
        ("q d\n", "run:1: expected 6 columns"),
        ("q\td\tx\n", "run:1: expected a number"),
    ):
        (tmp_path / "run").write_text(text)
        with pytest.raises(UsageError, match=says):
            read_run(tmp_path / "run")


@pytest.mark.skipif(not DATA.is_dir(), reason="the shared collections are not there")
@pytest.mark.parametrize(
    ("name", "split", "queries", "pairs"),
    [("nfcorpus", "test", 323, 12334), ("cranfield", "test", 225, 1837), ("npl", "test", 93, 2083)],
)
def test_real_collections(name: str, split: str, queries: int, pairs: int) -> None:
    found = read_collection(DATA / name, split)
    assert len(found.queries) == queries
    assert sum(len(documents) for documents in found.judgments.values()) == pairs
