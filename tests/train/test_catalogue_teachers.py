"""The catalogue's models as teachers: used as the embedders of a package use them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np
import pytest

from siftline.encode.embedder import Embedder
from siftline.encode.open import open_embedder
from siftline.schema.package import Component, ModelReference, Settings
from siftline.tensor.types import TensorType
from siftline.train.recipe import TeacherSpec
from siftline.train.teacher_models import open_teacher

pytestmark = pytest.mark.model

Folder = Callable[[str], Path]
QUESTION = "How many people live in Berlin?"
PASSAGES = [
    "Berlin had a population of 3,520,031 registered inhabitants in an area of 891.82 square "
    "kilometers.",
    "Berlin is well known for its museums.",
    "New York City is famous for the Metropolitan Museum of Art.",
]


def embedder(folder: Path, kind: str, parameters: Mapping[str, str]) -> Embedder:
    models = {
        "transformer-model": ModelReference(path="model.onnx"),
        "tokenizer-model": ModelReference(path="tokenizer.json"),
    }
    component = Component("e", kind, models, parameters)
    return open_embedder(component, lambda _, found: folder / str(found.path), Settings())


def test_dense(model_folder: Folder) -> None:
    """The first token, its prefix for queries, cosines."""
    teacher = open_teacher(TeacherSpec("dense", "bge-small-en-v1.5"), model_folder)
    prefix = "Represent this sentence for searching relevant passages:"
    own = embedder(
        model_folder("bge-small-en-v1.5"),
        "hugging-face-embedder",
        {"pooling-strategy": "cls", "normalize": "true", "prepend/query": prefix},
    )
    vector = TensorType.parse("tensor<float>(x[384])")
    query = own.query(QUESTION, vector).array
    wanted = own.documents(PASSAGES, vector).values @ query  # type: ignore[union-attr]
    found = teacher.scores([QUESTION], [PASSAGES])
    assert np.allclose(found[0], wanted, atol=1e-3)


def test_sparse_on_both_sides(model_folder: Folder) -> None:
    teacher = open_teacher(TeacherSpec("sparse", "splade-tiny"), model_folder)
    own = embedder(model_folder("splade-tiny"), "splade-embedder", {})
    weights = TensorType.parse("tensor<float>(t{})")
    vectors = []
    for text in (QUESTION, *PASSAGES):
        tensor = own.query(text, weights)
        vectors.append(dict(zip(tensor.labels, tensor.cells.tolist(), strict=True)))
    query, *documents = vectors
    wanted = [sum(query.get(t, 0) * w for t, w in own.items()) for own in documents]
    found = teacher.scores([QUESTION], [PASSAGES])
    assert np.allclose(found[0], wanted, rtol=2e-3)


def test_pairs(model_folder: Folder) -> None:
    """The logits that the cross-encoder is known to give."""
    teacher = open_teacher(TeacherSpec("cross", "ms-marco-MiniLM-L-12-v2"), model_folder)
    found = teacher.scores([QUESTION], [PASSAGES])
    assert found[0].tolist() == pytest.approx([9.20, -4.13, -11.19], abs=0.01)
