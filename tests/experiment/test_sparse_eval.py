"""Models side by side: figures by hand, means that count collections once, tests, reports."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from siftline.errors import UsageError
from siftline.evaluate.significance import against_first
from siftline.experiment.sparse.bm25 import Bm25Encoder
from siftline.experiment.sparse.cache import VectorCache
from siftline.experiment.sparse.compare import SparseComparison, compare_models
from siftline.experiment.sparse.encoding import Encoding
from siftline.experiment.sparse.report import draw, markdown, to_json
from siftline.experiment.sparse.vectors import SparseVectors


class Letters:
    """Weighs the letters of a text by how often they stand there, from `least` on."""

    mode = "inference-free"
    parameters = 1_500_000

    def __init__(self, label: str, least: int = 1) -> None:
        self.label = label
        self._least = least

    def _vectors(self, texts: Sequence[str]) -> SparseVectors:
        tokens, weights = [], []
        for text in texts:
            letters = sorted(c for c in set(text) if c.isalpha() and text.count(c) >= self._least)
            tokens.append(np.array([ord(c) - ord("a") for c in letters], np.int32))
            weights.append(np.array([text.count(c) for c in letters], np.float32))
        return SparseVectors.of(tokens, weights)

    def encode(
        self,
        documents: Sequence[str],
        queries: Sequence[str],
        cache: VectorCache,
        done: Callable[[int], None],
    ) -> Encoding:
        done(len(documents))
        found = replace(self._vectors(documents), seconds=0.5)
        return Encoding(found, Letters("", 1)._vectors(queries))


def write(folder: Path, documents: Sequence[str], queries: Sequence[str]) -> Path:
    """Query n is answered by document n."""
    (folder / "qrels").mkdir(parents=True)
    for name, texts, letter in (("corpus", documents, "d"), ("queries", queries, "q")):
        rows = [json.dumps({"_id": f"{letter}{n}", "text": text}) for n, text in enumerate(texts)]
        (folder / f"{name}.jsonl").write_text("\n".join(rows))
    judged = [f"q{n}\td{n}\t1" for n in range(len(queries))]
    (folder / "qrels" / "test.tsv").write_text("\n".join(judged))
    return folder


@pytest.fixture(scope="module")
def places(tmp_path_factory: pytest.TempPathFactory) -> list[tuple[Path, str]]:
    root = tmp_path_factory.mktemp("sets")
    one = write(root / "one", ["aab", "abb", "cc"], ["a", "b"])
    two = write(root / "two", ["ab", "bb", "c", "cc"], ["b", "b", "c", "c", "z"])
    return [(one, "test"), (two, "test")]


@pytest.fixture(scope="module")
def comparison(places: list[tuple[Path, str]]) -> SparseComparison:
    return compare_models([Letters("all"), Letters("twice", 2)], places, baseline="twice")


def test_figures_by_hand(comparison: SparseComparison) -> None:
    one, two = comparison.sets
    assert (one.data, one.split, one.documents) == ("one", "test", 3)
    every, twice = one.models
    assert every.figures["ndcg@10"] == 1 and every.figures["recall@1000"] == 1
    assert every.document_length == 5 / 3 and every.query_length == 1
    # a and b: in a half of the queries each, in two of three documents
    assert every.flops == pytest.approx(1 / 2 * 2 / 3 + 1 / 2 * 2 / 3)
    assert every.documents_per_second == 6
    assert twice.flops == pytest.approx(1 / 2 * 1 / 3 + 1 / 2 * 1 / 3)
    assert every.index_bytes > twice.index_bytes > 0
    # b: bb before ab; c: cc before c; z: nothing
    second = 1 / math.log2(3)
    assert two.models[0].quality.values["ndcg@10"] == pytest.approx([second, 1, second, 1, 0])
    assert two.models[0].quality.values["mrr@10"] == pytest.approx([0.5, 1, 0.5, 1, 0])
    assert two.models[1].quality.values["recall@1000"] == pytest.approx([0, 1, 0, 1, 0])
    assert two.models[0].quality.unanswered == 1


def test_means_count_each_collection_once(comparison: SparseComparison) -> None:
    every, twice = comparison.models
    assert every.figures["recall@1000"] == pytest.approx((1 + 4 / 5) / 2)
    assert twice.figures["ndcg@10"] == pytest.approx((1 + 2 / 5) / 2)
    assert every.figures["flops"] == pytest.approx(
        np.mean([judged.models[0].flops for judged in comparison.sets])
    )


def test_the_others_are_tested_against_the_baseline(comparison: SparseComparison) -> None:
    every, twice = comparison.models
    assert twice.p_value is None and every.p_value is not None
    every_one, every_two = (j.models[0].quality.values["ndcg@10"] for j in comparison.sets)
    twice_one, twice_two = (j.models[1].quality.values["ndcg@10"] for j in comparison.sets)
    weighed = {
        "twice": np.concatenate([twice_one * 7 / 4, twice_two * 7 / 10]),
        "all": np.concatenate([every_one * 7 / 4, every_two * 7 / 10]),
    }
    assert np.mean(weighed["all"]) == pytest.approx(every.figures["ndcg@10"])
    assert every.p_value == against_first(weighed)["all"]
    two = {label: comparison.sets[1].models[n] for n, label in enumerate(("all", "twice"))}
    raw = {label: two[label].quality.values["ndcg@10"] for label in ("twice", "all")}
    assert two["all"].p_value == against_first(raw)["all"] and two["twice"].p_value is None


def test_a_document_that_is_called_as_the_query_is_left_out(tmp_path: Path) -> None:
    folder = write(tmp_path / "same", ["a", "a"], ["a"])
    (folder / "queries.jsonl").write_text('{"_id": "d0", "text": "a"}')
    (folder / "qrels" / "test.tsv").write_text("d0\td1\t1")
    found = compare_models([Letters("all")], [(folder, "test")])
    assert found.models[0].figures["mrr@10"] == 1


def test_deep_ranks_count_where_they_are(tmp_path: Path) -> None:
    # d0 is at rank 25; d1 at rank 16, and at rank 10 where nine better ones are left
    texts = ["ab", "aab", *["aaa"] * 15, *["aa"] * 8, *["c"] * 5, "cd"]
    folder = write(tmp_path / "deep", texts, ["a", "a"])
    found = compare_models([Letters("all")], [(folder, "test")]).sets[0].models[0]
    assert found.quality.values["recall@1000"].tolist() == [1, 1]
    assert found.quality.values["ndcg@10"].tolist() == [0, 0]
    more = write(tmp_path / "more", [*texts[:2], *texts[8:]], ["a", "a"])
    found = compare_models([Letters("all")], [(more, "test")]).sets[0].models[0]
    assert found.quality.values["mrr@10"] == pytest.approx([0, 1 / 10])


def test_the_report(comparison: SparseComparison) -> None:
    marked = replace(comparison.models[0], p_value=0.01)
    text = markdown(replace(comparison, models=(marked, comparison.models[1])))
    lines = text.splitlines()
    assert lines[0].startswith("| model | inference-free | parameters | nDCG@10 | MRR@10 |")
    mean = f"{marked.figures['ndcg@10']:.4f}"
    assert lines[2].startswith(f"| all | ✔ | 1.5M | {mean}+ |")
    assert "| nDCG@10 | one (test) | two (test) | mean |" in lines
    assert f"| twice | 1.0000 | 0.4000 | {0.7:.4f} |" in lines
    assert "all found nothing for 1 queries, which count as 0." in lines
    assert "better or worse than twice" in text


def test_one_collection_needs_one_table(places: list[tuple[Path, str]]) -> None:
    text = markdown(compare_models([Letters("all")], places[:1]))
    assert text.count("| model |") == 1 and "| nDCG@10 | one" not in text
    assert "better or worse" not in text


def test_everything_as_json_and_as_a_picture(comparison: SparseComparison, tmp_path: Path) -> None:
    found = json.loads(json.dumps(to_json(comparison)))
    assert [model["model"] for model in found["models"]] == ["all", "twice"]
    assert found["models"][0]["parameters"] == 1_500_000
    assert found["sets"][1]["models"][1]["recall@1000"] == pytest.approx(0.4)
    draw(comparison, tmp_path / "sparse.png")
    assert (tmp_path / "sparse.png").read_bytes().startswith(b"\x89PNG")


def test_bm25_stands_beside_models(places: list[tuple[Path, str]], tmp_path: Path) -> None:
    cache, steps = VectorCache(tmp_path), []
    for _ in range(2):
        found = compare_models(
            [Bm25Encoder()],
            places[1:],
            cache=cache,
            progress=lambda what, done, total: steps.append(what),
        )
        (bm25,) = found.sets[0].models
        # whole words: c is only the text of d2, and b of none
        assert bm25.quality.values["recall@1000"] == pytest.approx([0, 0, 1, 0, 0])
        assert bm25.flops == pytest.approx(2 / 5 * 1 / 4)
    assert steps.count("two: bm25") == 1


@pytest.mark.parametrize(
    ("labels", "baseline", "message"),
    [
        (["a", "a"], None, "two models are called 'a': name one of them LABEL=MODEL"),
        (["a", "b"], "c", r"there is no model 'c' \(measured are: a, b\)"),
        ([], None, "nothing to measure"),
    ],
)
def test_what_cannot_be_compared(
    places: list[tuple[Path, str]], labels: list[str], baseline: str | None, message: str
) -> None:
    with pytest.raises(UsageError, match=message):
        compare_models([Letters(label) for label in labels], places, baseline=baseline)


def test_what_is_missing_is_found_before_anything_is_encoded(
    places: list[tuple[Path, str]], tmp_path: Path
) -> None:
    class Never(Letters):
        def encode(self, *_: object) -> Encoding:
            pytest.fail("encoded first")

    bare = write(tmp_path / "bare", ["a"], ["a"])
    (bare / "corpus.jsonl").unlink()
    for wrong, message in (((bare, "test"), "holds no corpus"), ((bare, "dev"), "split 'dev'")):
        with pytest.raises(UsageError, match=message):
            compare_models([Never("x")], [*places, wrong])
