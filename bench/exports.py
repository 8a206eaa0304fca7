"""`python -m bench.exports MODEL --data DIR [--count 1000] [--json FILE]`: forms of one encoder.

what: a sparse encoder as ONNX in our engine, as a sentence-transformers folder in its
      SparseEncoder, and as the TorchScript of an OpenSearch zip in torch alone; its int8 ONNX too
corpus: the first COUNT passages and the first QUERIES queries of a BEIR folder
figures: the largest difference of any score query · passage and of any weight from those of the
      model in transformers, in training's own formula; an exit status of 1 where a float form is
      off by more than 1e-3
"""

from __future__ import annotations

import argparse
import io
import json
import sys
import tempfile
import time
import zipfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from itertools import islice
from pathlib import Path
from typing import NamedTuple

import numpy as np

from siftline.encode.open import open_embedder
from siftline.encode.sparse import SparseEmbedder
from siftline.experiment.exports import Options, export_model
from siftline.lines import read_lines
from siftline.model.prepared import model_file, prepared
from siftline.schema.package import Component, ModelReference, Settings, SparseQuery
from siftline.tensor.types import TensorType
from siftline.train.export.source import Source, open_source

LIMIT = 1e-3
BATCH = 16
TOKEN = TensorType.parse("tensor<float>(token{})")
FLOAT_FORMS = ("onnx", "sentence-transformers", "opensearch")


class Vectors(NamedTuple):
    """Weights `(N, V)` of queries and of passages."""

    queries: np.ndarray
    documents: np.ndarray


@dataclass(frozen=True)
class Difference:
    """Of a form from the model: of any score, of any weight; and how fast it encoded passages."""

    form: str
    score: float
    largest_score: float
    weight: float
    passages_per_second: float


def main() -> int:
    parser = argparse.ArgumentParser(prog="bench.exports", description=__doc__)
    parser.add_argument("model", help="name of the catalogue, or folder")
    parser.add_argument("--data", type=Path, required=True, help="BEIR folder")
    parser.add_argument("--count", type=int, default=1000, help="passages")
    parser.add_argument("--queries", type=int, default=100)
    parser.add_argument("--out", type=Path, help="keep the exports here")
    parser.add_argument("--json", type=Path, help="write the figures to this file")
    options = parser.parse_args()
    documents = list(_texts(options.data, "corpus", options.count))
    queries = list(_texts(options.data, "queries", options.queries))
    with tempfile.TemporaryDirectory() as scratch:
        found = list(compare(options.model, options.out or Path(scratch), queries, documents))
    print(f"{options.model}: {len(documents)} passages, {len(queries)} queries of {options.data}")
    for one in found:
        print(
            f"{one.form:22} score {one.score:.2e} of {one.largest_score:.1f}"
            f"  weight {one.weight:.2e}  {one.passages_per_second:,.0f} passages/s"
        )
    if options.json:
        options.json.write_text(json.dumps([asdict(one) for one in found], indent=1))
    return int(any(one.score > LIMIT for one in found if one.form in FLOAT_FORMS))


def compare(
    model: str, out: Path, queries: Sequence[str], documents: Sequence[str]
) -> Iterator[Difference]:
    """Each form's difference from the model itself."""
    source = open_source(model)
    wanted = Vectors(
        source.queries(queries),
        np.concatenate([source.weights(part) for part in _parts(documents)]),
    )
    scores = wanted.queries @ wanted.documents.T
    forms: dict[str, Callable[[], tuple[Vectors, float]]] = {
        "onnx": lambda: _ours(source, out / "onnx", queries, documents),
        "onnx int8": lambda: _ours(source, out / "int8", queries, documents),
        "sentence-transformers": lambda: _sentence_transformers(
            out / "sentence-transformers", queries, documents
        ),
        "opensearch": lambda: _torch_alone(out / "opensearch", queries, documents),
    }
    for form in FLOAT_FORMS:
        export_model(model, out / form, form, Options())
    export_model(model, out / "int8", "onnx", Options(quantize="int8"))
    for name, encode in forms.items():
        found, seconds = encode()
        width = min(found.documents.shape[1], wanted.documents.shape[1])
        yield Difference(
            name,
            float(np.abs(found.queries @ found.documents.T - scores).max()),
            float(scores.max()),
            float(np.abs(found.documents[:, :width] - wanted.documents[:, :width]).max()),
            len(documents) / seconds,
        )


def _ours(
    source: Source, folder: Path, queries: Sequence[str], documents: Sequence[str]
) -> tuple[Vectors, float]:
    """The splade-embedder of a package whose elements name the folder."""
    named = ModelReference(path="model")
    component = Component(
        "e",
        "splade-embedder",
        {"transformer-model": named, "tokenizer-model": named},
        {"max-tokens": str(source.max_length)},
    )
    files = {"transformer-model": "model.onnx", "idf": "idf.json"}
    sparse = {"e": SparseQuery("idf", idf="model")} if source.idf is not None else {}
    embedder = open_embedder(
        component,
        lambda element, _: model_file(prepared(folder), files.get(element, "tokenizer.json")),
        Settings(sparse_queries=sparse),
    )
    if not isinstance(embedder, SparseEmbedder):
        raise TypeError(f"{folder} opens as {type(embedder).__name__}")
    size = int(source.model.config.vocab_size)
    numbers = {token: number for number, token in enumerate(source.tokens)}
    started = time.perf_counter()
    rows = embedder.documents(documents, TOKEN)
    seconds = time.perf_counter() - started
    encoded = np.zeros((len(documents), size), np.float32)
    for number in range(len(documents)):
        part = slice(rows.indptr[number], rows.indptr[number + 1])
        encoded[number, rows.tokens[part]] = rows.weights[part]
    asked = np.zeros((len(queries), size), np.float32)
    for number, query in enumerate(queries):
        tensor = embedder.query(query, TOKEN)
        for (token,), weight in zip(tensor.labels, tensor.cells, strict=True):
            asked[number, numbers[token]] = weight
    return Vectors(asked, encoded), seconds


def _sentence_transformers(
    folder: Path, queries: Sequence[str], documents: Sequence[str]
) -> tuple[Vectors, float]:
    from sentence_transformers import SparseEncoder

    model = SparseEncoder(str(folder), device="cpu")

    def dense(encode: Callable[..., object], texts: Sequence[str]) -> np.ndarray:
        found = encode(
            list(texts), batch_size=BATCH, show_progress_bar=False, convert_to_sparse_tensor=False
        )
        return np.asarray(found)

    asked = dense(model.encode_query, queries)
    started = time.perf_counter()
    encoded = dense(model.encode_document, documents)
    return Vectors(asked, encoded), time.perf_counter() - started


def _torch_alone(
    folder: Path, queries: Sequence[str], documents: Sequence[str]
) -> tuple[Vectors, float]:
    """What ml-commons does with the zips: one text at a time, torch and the tokenizer alone."""
    import torch
    from tokenizers import Tokenizer

    zips = {path: zipfile.ZipFile(path) for path in folder.glob("*.zip")}
    ((encoder, member),) = (
        (file, name) for file in zips.values() for name in file.namelist() if name.endswith(".pt")
    )
    module = torch.jit.load(io.BytesIO(encoder.read(member)))
    tokenizer = Tokenizer.from_str(encoder.read("tokenizer.json").decode())

    def encode(texts: Sequence[str]) -> np.ndarray:
        rows = []
        for text in texts:
            row = tokenizer.encode(text)
            feeds = {
                "input_ids": torch.tensor([row.ids]),
                "attention_mask": torch.tensor([row.attention_mask]),
            }
            with torch.inference_mode():
                rows.append(module(feeds)["output"].numpy())
        return np.concatenate(rows)

    started = time.perf_counter()
    encoded = encode(documents)
    seconds = time.perf_counter() - started
    tables = [file for file in zips.values() if "idf.json" in file.namelist()]
    if not tables:
        return Vectors(encode(queries), encoded), seconds
    weights = json.loads(tables[0].read("idf.json"))
    plain = Tokenizer.from_str(tables[0].read("tokenizer.json").decode())
    asked = np.zeros((len(queries), encoded.shape[1]), np.float32)
    for number, query in enumerate(queries):
        for token in set(plain.encode(query, add_special_tokens=False).ids):
            asked[number, token] = weights.get(plain.id_to_token(token), 1.0)
    return Vectors(asked, encoded), seconds


def _texts(folder: Path, name: str, count: int) -> Iterator[str]:
    found = sorted(folder.glob(f"{name}.jsonl*"))
    if not found:
        raise SystemExit(f"there is no {name}.jsonl or {name}.jsonl.gz in {folder}")
    for _, line in islice(read_lines(found[0]), count):
        row = json.loads(line)
        yield " ".join(part for part in (row.get("title"), row["text"]) if part)


def _parts(texts: Sequence[str]) -> Iterator[Sequence[str]]:
    for start in range(0, len(texts), BATCH):
        yield texts[start : start + BATCH]


if __name__ == "__main__":
    sys.exit(main())
