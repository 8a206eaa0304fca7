"""Scores made before the training: each text once, in chunks, by several processes, or written."""

from __future__ import annotations

import gzip
import json
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import pytest
import torch

from siftline.encode.lazy import Lazy
from siftline.encode.tokenizer import Tokenizer
from siftline.encode.transformer import Hidden
from siftline.errors import UsageError
from siftline.train import score_ahead as module
from siftline.train import teacher_records
from siftline.train.data import RankingList, TrainingRow, TrainingSet, read_training_set
from siftline.train.score_ahead import score_ahead, score_steps, write_scored
from siftline.train.score_cache import ScoreCache
from siftline.train.teacher_scores import CrossTeacher, DenseTeacher, ModelTeacher
from siftline.train.teacher_usage import Usage
from siftline.train.teachers import Ensemble
from toy_teachers import WORDS, toy_teacher


class Counting:
    """Vectors or logits of the sums of ids; remembers the rows of each run."""

    def __init__(self, pairs: bool) -> None:
        self.runs: list[list[list[int]]] = []
        self._pairs = pairs

    def run(
        self, rows: Sequence[np.ndarray], types: Sequence[np.ndarray] | None = None
    ) -> Iterator[Hidden]:
        self.runs.append([row.tolist() for row in rows])
        sums = np.array([float(row.sum()) for row in rows], np.float32)
        lengths = np.array([len(row) for row in rows])
        for place in reversed(range(len(rows))):
            value = sums[place : place + 1, None] / 16
            if not self._pairs:
                value = np.concatenate([np.ones_like(value), value], axis=1)
            yield Hidden(np.array([place]), lengths[place : place + 1], value)


@pytest.fixture(scope="module")
def tokenizer(tmp_path_factory: pytest.TempPathFactory) -> Lazy[Tokenizer]:
    folder = toy_teacher(tmp_path_factory.mktemp("toy"), "dense", onnx=False)
    return Lazy(lambda: Tokenizer.open(folder))


def teacher(
    kind: type[ModelTeacher], tokenizer: Lazy[Tokenizer], cache: ScoreCache | None
) -> tuple[ModelTeacher, Counting]:
    model = Counting(kind is CrossTeacher)
    usage = Usage(Path(), None, None, normalize=False, query_prefix="ask ")
    return kind(kind.__name__, kind.__name__, usage, model, tokenizer, cache), model


def ids(text: str) -> list[int]:
    return [2, *(WORDS.index(word) for word in text.split()), 3]


def rows(*pairs: tuple[str, Sequence[str]]) -> TrainingSet:
    return TrainingSet("toy", tuple(TrainingRow(q, tuple(d), None, False) for q, d in pairs))


SET = rows(("w1", ["w2", "w3 w4"]), ("w2", ["w2", "w5"]), ("w1", ["w5", "w6"]))


def test_a_text_is_encoded_once(tokenizer: Lazy[Tokenizer]) -> None:
    found, model = teacher(DenseTeacher, tokenizer, None)
    every = ["w1", "w2", "w1", "w3"]
    scores = found.scores(["w1", "w4", "w1"], [every] * 3)
    assert model.runs == [
        [ids("ask w1"), ids("ask w4")],
        [ids("w1"), ids("w2"), ids("w3")],
    ]
    by_hand = [
        [1 + sum(ids(f"ask {q}")) / 16 * sum(ids(d)) / 16 for d in every] for q in ("w1", "w4")
    ]
    assert np.allclose(scores, [by_hand[0], by_hand[1], by_hand[0]], rtol=2e-3)


def test_the_training_finds_everything_there(tokenizer: Lazy[Tokenizer], tmp_path: Path) -> None:
    cache = ScoreCache.open(tmp_path)
    dense, dense_model = teacher(DenseTeacher, tokenizer, cache)
    cross, cross_model = teacher(CrossTeacher, tokenizer, cache)
    said: list[tuple[str, int, int | None]] = []
    score_ahead([dense, cross], [SET], progress=lambda *line: said.append(line))
    assert said[0] == ("teacher DenseTeacher", 0, 6) and said[1][1:] == (6, 6)
    assert said[2] == ("teacher CrossTeacher", 0, 6) and said[3][1:] == (6, 6)
    assert [len(run[0]) for run in dense_model.runs] == [4]
    assert sorted(map(len, dense_model.runs[0])) == [3, 3, 3, 4, 4, 4]
    assert cross_model.runs[0][0] == [2, WORDS.index("w1"), 3, *ids("w3 w4")[1:]]
    before = (len(dense_model.runs), len(cross_model.runs))
    for row in SET.rows:
        for found in (dense, cross):
            assert found.scores([row.query], [row.documents]).shape == (1, 2)
    assert (len(dense_model.runs), len(cross_model.runs)) == before


def test_a_stopped_call_goes_on(
    tokenizer: Lazy[Tokenizer], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(teacher_records, "CHUNK", 2)
    cache = ScoreCache.open(tmp_path)
    found, model = teacher(CrossTeacher, tokenizer, cache)

    def stop(what: str, done: int, total: int | None) -> None:
        if done == 4:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        score_ahead([found], [SET], progress=stop)
    assert len(cache) == 4 and [len(run) for run in model.runs] == [2, 2]
    said: list[int] = []
    score_ahead([found], [SET], progress=lambda what, done, total: said.append(done))
    assert said == [4, 6] and len(cache) == 6


def test_processes_share_the_work(
    tokenizer: Lazy[Tokenizer], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cache = ScoreCache.open(tmp_path)
    monkeypatch.setattr(module, "processes", lambda: 2)
    models = []
    for number in range(2):
        monkeypatch.setattr(module, "process", lambda number=number: number)
        # as both begin, neither finds anything of the other
        own = ScoreCache(tmp_path / str(number)) if number else cache
        found, model = teacher(CrossTeacher, tokenizer, own)
        score_ahead([found], [SET])
        models.append(model)
    first, second = ({tuple(row) for run in model.runs for row in run} for model in models)
    assert len(first) == len(second) == 3 and not first & second


def test_just_what_the_batches_rank(tokenizer: Lazy[Tokenizer], tmp_path: Path) -> None:
    batches = [(RankingList("w1", ("w2", "w3")), RankingList("w4", ("w5",)))]
    for in_batch, expected in ((False, 3), (True, 6)):
        cache = ScoreCache.open(tmp_path / str(in_batch))
        found, _ = teacher(CrossTeacher, tokenizer, cache)
        score_steps([found], batches, in_batch=in_batch)
        assert len(cache) == expected


def test_no_cache_to_fill(tokenizer: Lazy[Tokenizer]) -> None:
    found, _ = teacher(DenseTeacher, tokenizer, None)
    with pytest.raises(UsageError, match="only be computed ahead with a teacher_cache"):
        score_ahead([found], [SET])


@pytest.mark.parametrize("name", ["scored.jsonl", "deep/scored.jsonl.gz"])
def test_scored_rows_are_training_data(
    tokenizer: Lazy[Tokenizer], tmp_path: Path, name: str
) -> None:
    dense, _ = teacher(DenseTeacher, tokenizer, None)
    cross, _ = teacher(CrossTeacher, tokenizer, None)
    ensemble = Ensemble([dense, cross], [3.0, 1.0], 30.0)
    path = tmp_path / name
    assert write_scored([SET], ensemble, path) == 3
    data = path.read_bytes()
    lines = (gzip.decompress(data) if path.suffix == ".gz" else data).splitlines()
    found = [json.loads(line)["docs"] for line in lines]
    assert found == [["w2", "w3 w4"], ["w2", "w5"], ["w5", "w6"]]
    for row, source in zip(read_training_set(path, "kd").rows, SET.rows, strict=True):
        wanted = ensemble.scores([source.query], [source.documents])[0]
        assert row.scores is not None
        assert torch.allclose(torch.tensor(row.scores), wanted, atol=1e-4)
        # both teachers like the larger sum of ids
        assert row.scores[0] < 0.01 and 29.9 < row.scores[1] <= 30
    assert [p.name for p in path.parent.iterdir()] == [path.name]
    with pytest.raises(UsageError, match="exists; name another file"):
        write_scored([SET], ensemble, path)
