"""A package whose encoder is a trained folder or an OpenSearch zip: fed, opened again, asked."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import siftline
from siftline.experiment.exports import Options, export_model
from toy_sparse import toy_student, toy_texts

pytestmark = pytest.mark.filterwarnings("ignore:`torch.jit:DeprecationWarning")

SCHEMA = """schema doc {
  document doc {
    field text type string { indexing: summary }
  }
  field sparse type tensor<float>(token{}) {
    indexing: input text | embed sparse | attribute
  }
  rank-profile sparse {
    inputs { query(s) tensor<float>(token{}) }
    first-phase { expression: sum(query(s) * attribute(sparse)) }
  }
}
"""
SERVICES = """<services version="1.0">
  <container id="default" version="1.0">
    <search/>
    <document-api/>
    <component id="sparse" type="splade-embedder">
      <transformer-model path="models/mine"/>
      <tokenizer-model path="models/mine"/>
    </component>
  </container>
  <content id="content" version="1.0">
    <min-redundancy>1</min-redundancy>
    <documents><document type="doc" mode="index"/></documents>
  </content>
</services>
"""
SETTINGS = """[schemas.doc]
sparse-index = ["sparse"]
[embedders.sparse]
query = "idf"
idf = "models/mine"
"""
TEXTS = toy_texts()


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Any:
    folder = tmp_path_factory.mktemp("toy")
    student = toy_student(folder)
    batch = student.tokenizer(TEXTS, padding=True, return_tensors="pt")
    with torch.no_grad():
        queries, documents = student(batch, batch, 1)
    np.save(folder / "scores.npy", (queries @ documents[:, 0].T).numpy())
    return folder


@pytest.mark.parametrize("form", ["final", "sentence-transformers", "opensearch", "zip"])
def test_a_trained_model_is_fed_and_asked(
    root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, form: str
) -> None:
    monkeypatch.setenv("SIFTLINE_CACHE", str(tmp_path / "cache"))
    package = tmp_path / "app"
    (package / "models").mkdir(parents=True)
    _put(root / "final", package / "models", form)
    services, settings = SERVICES, SETTINGS
    if form == "zip":
        services = services.replace("models/mine", "models/mine.zip")
        settings = settings.replace("models/mine", "models/idf.json")
    for name, text in {
        "services.xml": services,
        "schemas/doc.sd": SCHEMA,
        "ext/siftline.toml": settings,
    }.items():
        (package / name).parent.mkdir(exist_ok=True)
        (package / name).write_text(text)
    wanted = np.load(root / "scores.npy")
    with siftline.open(package, tmp_path / "data") as app:
        app.feed([{"_id": str(n), "text": text} for n, text in enumerate(TEXTS)])
    with siftline.open(package, tmp_path / "data") as app:
        for number, text in enumerate(TEXTS):
            result = app.query(
                yql="select * from doc where {targetHits:12}nearestNeighbor(sparse, s)",
                query=text,
                **{"input.query(s)": "embed(sparse, @query)", "ranking": "sparse", "hits": 12},
            )
            found = {int(hit.id.rpartition(":")[2]): hit.relevance for hit in result.hits}
            some = {n: score for n, score in enumerate(wanted[number]) if score > 0}
            assert found == pytest.approx(some, abs=1e-3)


def _put(final: Path, models: Path, form: str) -> None:
    if form == "final":
        shutil.copytree(final, models / "mine")
    elif form == "zip":
        export_model(str(final), models / "made", "opensearch", Options())
        (models / "made" / "made-1.0.0-torch_script.zip").rename(models / "mine.zip")
        shutil.copyfile(final / "idf.json", models / "idf.json")
    else:
        export_model(str(final), models / "mine", form, Options())
