"""The example packages: they read, save and read back; the seed's profile runs with real models."""

import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import siftline
from siftline.application import Application
from siftline.encode.tokenizer import Tokenizer
from siftline.model.locate import ModelFiles
from siftline.rank.plan import listed_feature
from siftline.schema.read import read_package

EXAMPLES = Path(__file__).parents[1] / "examples"
PACKAGES = sorted(path.parent for path in EXAMPLES.glob("*/services.xml"))

TEXTS = (
    "Charles de Gaulle (CDG) Airport is close to Paris",
    "The Eiffel Tower is a lattice tower on the Champ de Mars",
    "Bananas grow in bunches and turn yellow when they are ripe",
    "Heathrow is the largest airport of London",
)
QUESTION = "is CDG in paris?"


@pytest.mark.parametrize("folder", PACKAGES, ids=lambda path: path.name)
def test_a_package_saved_reads_back_equal(folder: Path, tmp_path: Path) -> None:
    package = read_package(folder)
    package.save(tmp_path / folder.name)
    assert read_package(tmp_path / folder.name) == package


@pytest.mark.model
@pytest.mark.parametrize("folder", PACKAGES, ids=lambda path: path.name)
def test_every_profile_of_a_package_can_be_planned(folder: Path, tmp_path: Path) -> None:
    with siftline.open(folder, tmp_path) as app:
        for engine in app.engines.values():
            for profile in engine.schema.rank_profiles:
                assert engine.plan(profile).first is not None


@pytest.fixture
def passages(tmp_path: Path) -> Any:
    with siftline.open(EXAMPLES / "passage", tmp_path) as app:
        app.feed([document(app, number) for number in range(len(TEXTS))])
        yield app


def token_ids(app: Application, text: str, length: int) -> list[float]:
    """Token ids without special tokens, padded with zeros."""
    files = ModelFiles(app.package)
    path = files.path("models/ms-marco-MiniLM-L-12-v2/tokenizer.json")
    ids = Tokenizer.open(path).ids([text], special=False)[0][:length]
    return [*map(float, ids), *[0.0] * (length - len(ids))]


def unit_rows(seed: int, rows: int, width: int) -> np.ndarray:
    values = np.random.default_rng(seed).normal(size=(rows, width)).astype(np.float32)
    lengths: np.ndarray = np.linalg.norm(values, axis=1, keepdims=True)
    return np.asarray(values / lengths)


def document(app: Application, number: int) -> dict[str, Any]:
    tokens = unit_rows(100 + number, 5 + number, 32)
    return {
        "_id": str(number),
        "text": TEXTS[number],
        "text_token_ids": token_ids(app, TEXTS[number], 128),
        "mini_document_embedding": unit_rows(200 + number, 1, 384)[0].tolist(),
        "dt": {str(i): row.tolist() for i, row in enumerate(tokens)},
    }


@pytest.mark.model
def test_the_seeds_profile_combines_its_three_scores(passages: Application) -> None:
    query_tokens, vector = unit_rows(1, 32, 32), unit_rows(2, 1, 384)[0]
    request = {
        "yql": "select * from passage where "
        "{targetHits:10}nearestNeighbor(mini_document_embedding, query_embedding)",
        "ranking": "dense-colbert-mini-lm",
        "timeout": 60,
        "input.query(query_embedding)": vector.tolist(),
        "input.query(qt)": {str(i): row.tolist() for i, row in enumerate(query_tokens)},
        "input.query(query_token_ids)": token_ids(passages, QUESTION, 32),
    }
    query = passages.request(**request)
    plan = passages.engine().plan(query.profile)
    terms = ("crossModel", "maxSimNormalized", "dense")
    listed = tuple(listed_feature(plan, term) for term in terms)
    result = passages.search(query, listed)
    assert len(result) == len(TEXTS)
    assert [phase.name for phase in result.trace.phases] == [  # type: ignore[union-attr]
        "matching", "first-phase", "second-phase", "features", "summary",
    ]  # fmt: skip
    for hit in result:
        number = int(hit.id.rpartition(":")[2])
        tokens = unit_rows(100 + number, 5 + number, 32)
        cross, maxsim, dense = (float(hit.match_features[term]) for term in terms)  # type: ignore[index]
        expected = (query_tokens @ tokens.T).max(axis=1).sum() / 32
        assert maxsim == pytest.approx(expected, abs=5e-3)  # dt is stored as bfloat16
        angle = np.arccos(np.clip(unit_rows(200 + number, 1, 384)[0] @ vector, -1, 1))
        assert dense == pytest.approx(1 / (1 + angle), abs=1e-4)
        assert hit.relevance == pytest.approx(0.2 * cross + 1.1 * maxsim + 0.8 * dense)
        assert hit.scores["first-phase"] == pytest.approx(maxsim)
    cross_of = {hit.id[-1]: float(hit.match_features["crossModel"]) for hit in result}  # type: ignore[index]
    assert max(cross_of, key=lambda name: cross_of[name]) == "0"


@pytest.mark.model
def test_the_same_stages_with_real_models_answer_the_question(passages: Application) -> None:
    result = passages.query(
        yql="select * from passage where {targetHits:10}nearestNeighbor(embedding, q)",
        query=QUESTION,
        ranking="real",
        timeout=60,
        **{
            "input.query(q)": "embed(dense, @query)",
            "input.query(qt)": "embed(colbert, @query)",
            "input.query(query_token_ids)": "embed(tokenizer, @query)",
        },
    )
    assert result[0]["text"] == TEXTS[0]
    assert set(result[0].scores) == {"first-phase", "second-phase", "global-phase"}


@pytest.mark.model
def test_a_truncated_model_file_is_named(tmp_path: Path) -> None:
    package = tmp_path / "passage"
    shutil.copytree(EXAMPLES / "passage", package)
    broken = package / "models" / "bge-small-en-v1.5" / "model.onnx"
    broken.parent.mkdir(parents=True)
    broken.write_bytes(b"\x08\x07\x12")
    with siftline.open(package) as app, pytest.raises(siftline.SiftlineError, match=r"model\.onnx"):
        app.feed([{"_id": "1", "text": "a passage"}])
