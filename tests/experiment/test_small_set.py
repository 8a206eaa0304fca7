"""A student measured on a part of a collection, against the same figures by plain arithmetic."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from toy_retrieval import LENGTH, write_backbone, write_collection

from siftline.errors import UsageError
from siftline.experiment.sparse.judged import judged_set, read_documents
from siftline.experiment.training.small_set import SmallSet, recipe_measure, small_set_measure
from siftline.train.recipe import make_recipe
from siftline.train.sparse_encoder import SparseEncoder
from siftline.train.student import Student, open_student


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("small")
    write_backbone(root / "backbone")
    write_collection(root / "beir")
    return root


def student(root: Path, **options: Any) -> Student:
    found = open_student(root / "backbone", idf=None, **options)
    found.eval()
    return found


def dense(side: Any, found: Student, texts: list[str]) -> np.ndarray:
    """Vectors of texts one by one, without padding."""
    rows = []
    for text in texts:
        tokens = found.tokenizer([text], return_tensors="pt", truncation=True, max_length=LENGTH)
        with torch.no_grad():
            rows.append(side(tokens["input_ids"], tokens["attention_mask"])[0].numpy())
    return np.array(rows)


@pytest.mark.parametrize("inference_free", [True, False])
def test_figures_by_plain_arithmetic(root: Path, inference_free: bool) -> None:
    own = student(root, inference_free=inference_free)
    small = SmallSet(root / "beir", "test", queries=10, documents=40)
    found = small(own)
    side = own.documents if own.queries is None else own.queries
    assert isinstance(own.documents, SparseEncoder)
    queries = dense(side, own, list(small.queries.values()))
    documents = dense(own.documents, own, list(small.documents.values()))
    names = list(small.documents)
    scores = queries @ documents.T
    gains = []
    for number, query in enumerate(small.queries):
        order = np.argsort(-scores[number], kind="stable")[:10]
        wanted = {f"d{int(query[1:]) + more}" for more in (0, 10, 20)}
        gain = sum(1 / math.log2(r + 1) for r, d in enumerate(order, 1) if names[d] in wanted)
        gains.append(gain / (1 + 1 / math.log2(3) + 1 / 2))
    assert found["ndcg@10"] == pytest.approx(np.mean(gains)) and 0 < found["ndcg@10"]
    shares = (queries > 0).mean(axis=0) @ (documents > 0).mean(axis=0)
    assert found["flops"] == pytest.approx(shares)
    assert found["document_length"] == pytest.approx((documents > 0).sum(axis=1).mean())


def test_the_same_seed_chooses_the_same_with_all_that_is_judged(root: Path) -> None:
    def chosen(seed: int) -> tuple[list[str], list[str]]:
        one = SmallSet(root / "beir", "test", queries=4, documents=14, seed=seed)
        return list(one.queries), list(one.documents)

    queries, documents = chosen(1)
    assert len(queries) == 4 and len(documents) == 14 and "nothing" not in documents
    assert {f"d{int(q[1:]) + more}" for q in queries for more in (0, 10, 20)} <= set(documents)
    assert chosen(1) == (queries, documents) != chosen(2)
    every = SmallSet(root / "beir", "test", queries=10, documents=2)
    assert sorted(every.documents) == sorted(f"d{i}" for i in range(30))


def test_a_recipe_names_what_is_measured(root: Path) -> None:
    values = {
        "model_name_or_path": "backbone",
        "output_dir": "out",
        "train_file": "rows.jsonl",
        "idf_form": "none",
        "eval_data": ["beir", "beir:dev"],
        "eval_queries": 5,
        "max_seq_length": LENGTH,
    }
    own = student(root)
    both = recipe_measure(make_recipe(values, root / "recipe.yaml"))
    one = recipe_measure(make_recipe(values | {"eval_data": "beir"}, root / "recipe.yaml"))
    none = recipe_measure(make_recipe(values | {"eval_data": []}, root / "recipe.yaml"))
    assert both is not None and one is not None and none is None
    assert both(own)["ndcg@10"] == pytest.approx(one(own)["ndcg@10"])
    assert both(own)["beir_flops"] == pytest.approx(one(own)["flops"])
    same = small_set_measure(
        root / "beir", "test", queries=5, documents=2000, document_length=LENGTH, query_length=64
    )
    assert same(own) == one(own)


def test_folders_with_their_splits(tmp_path: Path) -> None:
    assert judged_set("a/b:dev", "test") == (Path("a/b"), "dev")
    assert judged_set("a/b", "test") == (Path("a/b"), "test")
    (tmp_path / "a:b").mkdir()
    assert judged_set(f"{tmp_path}/a:b", "test") == (tmp_path / "a:b", "test")


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ('{"_id": "a", "text": "b"}\n{"_id": "a", "text": "c"}', r"jsonl:2: .*'a' .* second time"),
        ('{"text": "b"}', r"jsonl:1: a document needs _id"),
        ("[1", r"jsonl:1: not JSON"),
        ('{"_id": "a", "text": ""}', "no document with a text"),
    ],
)
def test_broken_documents(tmp_path: Path, rows: str, message: str) -> None:
    (tmp_path / "corpus.jsonl").write_text(rows)
    with pytest.raises(UsageError, match=message):
        read_documents(tmp_path)
