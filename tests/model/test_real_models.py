"""The sanity figures of real models, fetched through the catalogue."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pytest
from tokenizers import Tokenizer

from siftline.model.convert.dequantize import dequantize, is_quantized, load_onnx
from siftline.model.session import Session, open_session

Folder = Callable[[str], Path]
pytestmark = pytest.mark.model

QUESTION = "How many people live in Berlin?"
PASSAGES = (
    "Berlin had a population of 3,520,031 registered inhabitants in an area of 891.82 square "
    "kilometers.",
    "Berlin is well known for its museums.",
    "New York City is famous for the Metropolitan Museum of Art.",
)


def tokenizer(folder: Path) -> Tokenizer:
    tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
    tokenizer.enable_truncation(512)
    tokenizer.no_padding()
    return tokenizer


def run(session: Session, encoding: object) -> np.ndarray:
    """The first output for one text or pair."""
    values = {
        "input_ids": encoding.ids,  # type: ignore[attr-defined]
        "attention_mask": encoding.attention_mask,  # type: ignore[attr-defined]
        "token_type_ids": encoding.type_ids,  # type: ignore[attr-defined]
    }
    feeds = {port.name: np.array([values[port.name]], np.int64) for port in session.inputs}
    return session.run(feeds)[session.outputs[0].name]


@pytest.mark.parametrize(
    ("precision", "expected"),
    [(None, (9.20, -4.13, -11.19)), ("fp32", (9.09, -3.93, -11.19))],
)
def test_berlin(model_folder: Folder, precision: str | None, expected: Sequence[float]) -> None:
    folder = model_folder("ms-marco-MiniLM-L-12-v2")
    session = open_session(folder / "model.onnx", precision=precision)  # type: ignore[arg-type]
    pairs = [tokenizer(folder).encode(QUESTION, passage) for passage in PASSAGES]
    logits = [float(run(session, pair)[0, 0]) for pair in pairs]
    np.testing.assert_allclose(logits, expected, atol=0.01)


def test_capital_of_australia(model_folder: Folder) -> None:
    folder = model_folder("splade-tiny")
    texts = tokenizer(folder)
    weights = run(open_session(folder / "model.onnx"), texts.encode("capital city of australia"))[0]
    top = {texts.id_to_token(int(i)): round(float(weights[i]), 2) for i in np.argsort(-weights)[:4]}
    assert top == {"capital": 2.62, "australia": 2.14, "city": 2.07, "australian": 1.74}


def test_openvino_gives_the_same_terms(model_folder: Folder) -> None:
    pytest.importorskip("openvino")
    folder = model_folder("splade-tiny")
    encoding = tokenizer(folder).encode("capital city of australia")
    exact = run(open_session(folder / "model.onnx"), encoding)
    for runtime_precision, tolerance in (("fp32", 1e-4), (None, 0.05)):
        session = open_session(
            folder / "model.onnx",
            runtime="openvino",
            precision=runtime_precision,  # type: ignore[arg-type]
        )
        np.testing.assert_allclose(run(session, encoding), exact, atol=tolerance)


@pytest.mark.parametrize(
    "name", ["bge-small-en-v1.5", "ms-marco-MiniLM-L-12-v2", "answerai-colbert-small-v1-body"]
)
def test_int8_files_dequantise(model_folder: Folder, name: str, tmp_path: Path) -> None:
    """Nothing quantised is left, and the vectors stay close to those of the int8 file."""
    import onnx

    folder = model_folder(name)
    model = load_onnx(folder / "model.onnx")
    assert is_quantized(model)
    floats = dequantize(model)
    assert not is_quantized(floats)
    onnx.save_model(floats, str(tmp_path / "model.onnx"))
    encoding = tokenizer(folder).encode(QUESTION)
    before = run(open_session(folder / "model.onnx"), encoding).ravel()
    after = run(open_session(tmp_path / "model.onnx"), encoding).ravel()
    cosine = before @ after / np.linalg.norm(before) / np.linalg.norm(after)
    assert cosine > 0.98


def embed(session: Session, texts: Tokenizer, text: str) -> np.ndarray:
    vector = run(session, texts.encode(text))[0].mean(axis=0)
    return np.asarray(vector / np.linalg.norm(vector))


def test_minilm_finds_the_answer(model_folder: Folder) -> None:
    folder = model_folder("all-MiniLM-L6-v2")
    session, texts = open_session(folder / "model.onnx"), tokenizer(folder)
    question = embed(session, texts, QUESTION)
    scores = [float(question @ embed(session, texts, passage)) for passage in PASSAGES]
    assert scores[0] > scores[1] > scores[2]


def test_four_bit_e5_across_languages(model_folder: Folder) -> None:
    folder = model_folder("multilingual-e5-small-4bit")
    session, texts = open_session(folder / "model.onnx"), tokenizer(folder)
    question = embed(session, texts, "query: how many people live in Berlin")
    right = embed(session, texts, "passage: Berlin hat 3,5 Millionen Einwohner.")
    wrong = embed(session, texts, "passage: Der Hund schläft.")
    assert question @ right > question @ wrong + 0.1


def test_minilm_equals_sentence_transformers(model_folder: Folder) -> None:
    models = pytest.importorskip("sentence_transformers")
    folder = model_folder("all-MiniLM-L6-v2")
    session, texts = open_session(folder / "model.onnx"), tokenizer(folder)
    expected = models.SentenceTransformer(str(folder), device="cpu").encode(list(PASSAGES))
    ours = np.stack([embed(session, texts, passage) for passage in PASSAGES])
    np.testing.assert_allclose(ours, expected, atol=1e-5)
