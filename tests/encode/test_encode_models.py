"""Figures that the real models are known to give.

The int8 models quantise activations for a whole batch, so what a text gives depends a little on
the other rows and their padding: cosine above 0.99, logits within 0.3.
"""

from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np
import pytest

from siftline.encode.embedder import Embedder
from siftline.encode.open import open_embedder
from siftline.encode.pairs import CrossEncoder, token_inputs
from siftline.encode.tokenizer import Tokenizer
from siftline.encode.tokens import TokenEmbedder
from siftline.model.session import open_session
from siftline.schema.package import Component, ModelReference, Settings
from siftline.tensor.batch import DenseBatch, RaggedBatch
from siftline.tensor.types import TensorType

pytestmark = pytest.mark.model

Folder = Callable[[str], Path]
X384 = TensorType.parse("tensor<float>(x[384])")
T384 = TensorType.parse("tensor<float>(t{},x[384])")
QUESTION = "How many people live in Berlin?"
PASSAGES = [
    "Berlin had a population of 3,520,031 registered inhabitants in an area of 891.82 square "
    "kilometers.",
    "Berlin is well known for its museums.",
    "New York City is famous for the Metropolitan Museum of Art.",
]


def opened(
    folder: Path,
    kind: str,
    parameters: Mapping[str, str] | None = None,
    options: Mapping[str, object] | None = None,
) -> Embedder:
    models = {
        "transformer-model": ModelReference(path="model.onnx"),
        "tokenizer-model": ModelReference(path="tokenizer.json"),
    }
    component = Component("e", kind, models, parameters or {})
    settings = Settings(embedder_options={"e": options or {}})
    return open_embedder(component, lambda _, reference: folder / str(reference.path), settings)


def bge(model_folder: Folder) -> Embedder:
    parameters = {
        "pooling-strategy": "cls",
        "normalize": "true",
        "prepend/query": "Represent this sentence for searching relevant passages:",
    }
    return opened(model_folder("bge-small-en-v1.5"), "hugging-face-embedder", parameters)


def test_dense_prefers_the_answer(model_folder: Folder) -> None:
    embedder = bge(model_folder)
    batch = embedder.documents(PASSAGES, X384)
    assert isinstance(batch, DenseBatch)
    assert np.linalg.norm(batch.values, axis=1) == pytest.approx(np.ones(3), abs=1e-5)
    scores = batch.values @ embedder.query(QUESTION, X384).array
    assert scores[0] > 0.75 and scores[0] > scores[1] + 0.05 > scores[2] + 0.1


def test_a_text_has_the_same_vector_whatever_stands_beside_it(model_folder: Folder) -> None:
    embedder = bge(model_folder)
    texts = [*PASSAGES, "", "weather " * 100, "\U0001f600 نص 中文 é"]
    together = embedder.documents(texts, X384).values  # type: ignore[union-attr]
    alone = [embedder.documents([text], X384).values[0] for text in texts]  # type: ignore[union-attr]
    assert np.abs(together - np.stack(alone)).max() < 1e-6


def test_splade_expands_a_query(model_folder: Folder) -> None:
    embedder = opened(model_folder("splade-tiny"), "splade-embedder")
    tensor = embedder.query("capital city of australia", TensorType.parse("tensor<float>(t{})"))
    order = np.argsort(-tensor.cells)[:4]
    found = {tensor.labels[i][0]: float(tensor.cells[i]) for i in order}
    expected = {"capital": 2.62, "australia": 2.14, "city": 2.07, "australian": 1.74}
    assert found == pytest.approx(expected, abs=0.01)


def test_cross_encoder_logits(model_folder: Folder) -> None:
    folder = model_folder("ms-marco-MiniLM-L-12-v2")
    query, *passages = Tokenizer.open(folder).ids([QUESTION, *PASSAGES], special=False)
    encoder = CrossEncoder(lambda: open_session(folder / "model.onnx"))
    alone = [float(encoder.score(query, [passage], 512)[0]) for passage in passages]
    assert alone == pytest.approx([9.20, -4.13, -11.19], abs=0.01)
    assert encoder.score(query, passages, 512) == pytest.approx(alone, abs=1e-5)


def test_colbert_body_without_masks(model_folder: Folder) -> None:
    embedder = opened(
        model_folder("answerai-colbert-small-v1-body"),
        "colbert-embedder",
        options={"mask-queries": "none", "normalize": True},
    )
    batch = embedder.documents([*PASSAGES, "Hello world"], T384)
    assert isinstance(batch, RaggedBatch)
    assert batch.offsets[-1] - batch.offsets[-2] == 5
    query = embedder.query(QUESTION, T384).cells
    scores = [(query @ batch.take(np.array([i])).rows.T).max(axis=1).sum() for i in range(3)]
    assert np.argmax(scores) == 0
    assert np.linalg.norm(batch.rows, axis=1) == pytest.approx(np.ones(len(batch.rows)), abs=1e-5)


def test_charles_de_gaulle(model_folder: Folder) -> None:
    folder = model_folder("ms-marco-MiniLM-L-12-v2")
    embedder = TokenEmbedder("t", lambda: Tokenizer.open(folder))
    target = TensorType.parse("tensor<float>(d0[128])")
    passage = embedder.query("Charles de Gaulle (CDG) Airport is close to Paris", target).array
    query = embedder.query("is CDG in paris?", target).array
    assert passage[:13].tolist() == [
        2798, 2139, 28724, 1006, 3729, 2290, 1007, 3199, 2003, 2485, 2000, 3000, 0,
    ]  # fmt: skip
    assert query[:7].tolist() == [2003, 3729, 2290, 1999, 3000, 1029, 0]
    inputs = token_inputs(128, query, passage)
    assert inputs.ids[:8].tolist() == [101, 2003, 3729, 2290, 1999, 3000, 1029, 102]
    assert inputs.ids[8:21].tolist() == [*passage[:12].astype(int).tolist(), 102]
