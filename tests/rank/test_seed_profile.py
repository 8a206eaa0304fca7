"""The seed's profile dense-colbert-mini-lm, unchanged, against the same sums in plain numpy."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from rank_corpus import corpus
from small_onnx import logit, write_sequence_model

from siftline.match.query import NearestNeighbor
from siftline.match.retrieve import retrieve
from siftline.model.session import open_session
from siftline.rank.models import OnnxModels
from siftline.tensor.bits import round_bfloat16
from siftline.tensor.tensor import Tensor
from siftline.tensor.types import TensorType

SEED = Path(__file__).parent.parent / "golden/seeds/passage.sd"
COUNT, TARGET, RERANKED = 60, 40, 24


def unit(random: np.random.Generator, *shape: int) -> np.ndarray:
    values = random.normal(0, 1, shape).astype(np.float32)
    return np.asarray(values / np.linalg.norm(values, axis=-1, keepdims=True), np.float32)


def test_dense_colbert_mini_lm(tmp_path: Path) -> None:
    random = np.random.default_rng(11)
    embeddings = unit(random, COUNT, 384)
    tokens = [unit(random, int(random.integers(1, 30)), 32) for _ in range(COUNT)]
    ids = [random.integers(1, 200, random.integers(1, 128)).tolist() for _ in range(COUNT)]
    documents: list[dict[str, Any]] = [
        {
            "id": i,
            "text": f"passage {i}",
            "text_token_ids": [*ids[i], *[0] * (128 - len(ids[i]))],
            "mini_document_embedding": embeddings[i].tolist(),
            "dt": {str(t): row.tolist() for t, row in enumerate(tokens[i])},
        }
        for i in range(COUNT)
    ]
    query, qt, question = unit(random, 384), unit(random, 32, 32), [7, 8, 9, 10]
    inputs = {
        "query_embedding": Tensor.dense(TensorType.parse("tensor<float>(d0[384])"), query),
        "qt": Tensor.blocks(
            TensorType.parse("tensor<float>(qt{},x[32])"), {str(i): qt[i] for i in range(32)}
        ),
        "query_token_ids": Tensor.dense(
            TensorType.parse("tensor<float>(d0[32])"), [*question, *[0] * 28]
        ),
    }

    rounded = [round_bfloat16(rows) for rows in tokens]
    maxsim = np.array([(qt @ rows.T).max(axis=1).sum() / 32 for rows in rounded])
    angles = np.arccos(np.clip(embeddings @ query, -1, 1))
    dense = 1 / (1 + angles)
    retrieved = np.argsort(angles)[:TARGET]
    reranked = sorted(retrieved.tolist(), key=lambda d: -maxsim[d])[:RERANKED]

    def cross(document: int) -> float:
        sequence = [101, *question, 102, *ids[document], 102][:128]
        return logit(sequence, [0] * 6 + [1] * (len(sequence) - 6))

    expected = {d: 0.2 * cross(d) + 1.1 * maxsim[d] + 0.8 * dense[d] for d in reranked}
    order = sorted(expected, key=lambda d: -expected[d])

    path = write_sequence_model(tmp_path / "cross.onnx")
    models = OnnxModels(lambda _: path, lambda file, _: open_session(file, threads=1))
    name = "dense-colbert-mini-lm"
    with corpus(SEED.read_text(), documents, models=models) as docs:
        near = NearestNeighbor(
            "mini_document_embedding", "query_embedding", TARGET, approximate=False
        )
        candidates = retrieve(docs.snapshot, docs.prepared(near, name, inputs=inputs))
        assert candidates.documents.tolist() == sorted(retrieved.tolist())
        ranked = docs.rank(near, name, candidates=candidates, inputs=inputs, hits=TARGET)
    assert ranked.documents[:RERANKED].tolist() == order
    assert ranked.scores[:RERANKED] == pytest.approx([expected[d] for d in order], abs=1e-4)
    assert ranked.total == TARGET
    assert [(p.name, p.entered) for p in ranked.statistics] == [
        ("first-phase", TARGET), ("second-phase", RERANKED),
    ]  # fmt: skip
    for rank, document in enumerate(ranked.documents.tolist()):
        assert ranked.phases["first-phase"][rank] == pytest.approx(maxsim[document], abs=1e-5)
