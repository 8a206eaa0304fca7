"""Sparse models by name or folder, each with its query side, and the vectors they give."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from siftline.encode.fingerprint import file_hash
from siftline.encode.idf import IdfTable
from siftline.encode.open import LOGITS_BUDGET
from siftline.encode.ports import PortNames, read_ports
from siftline.encode.sparse import SparseEmbedder, SparseOptions
from siftline.encode.tokenizer import Tokenizer
from siftline.encode.transformer import Transformer
from siftline.errors import ModelError, UsageError
from siftline.experiment.sparse.bm25 import Bm25Encoder
from siftline.experiment.sparse.cache import VectorCache
from siftline.experiment.sparse.encoding import (
    BI_ENCODER,
    BM25,
    CORPUS,
    INFERENCE_FREE,
    Encoded,
    Encoder,
    Encoding,
    ModelChoice,
)
from siftline.experiment.sparse.vectors import SparseVectors
from siftline.model.catalogue import load_catalogue
from siftline.model.convert.recipe import HEAD_KEY, LOGARITHMS
from siftline.model.fetch import fetch
from siftline.model.prepared import IDF, MODEL, TOKENIZER, model_file, prepared
from siftline.model.session import Runtime, open_session
from siftline.tensor.batch import SparseBatch
from siftline.tensor.types import TensorType
from siftline.train.idf import build_idf

MAX_LENGTH = 512

_WEIGHTS = TensorType.parse("tensor<float>(token{})")
_ACTIVATIONS = {1: "log1p", 2: "log1p-log1p"}

#: Documents encoded between two steps of the progress, and before the clock starts.
_CHUNK, _WARM_UP = 1024, 8


def open_encoder(
    choice: ModelChoice, *, runtime: Runtime = "auto", max_length: int = MAX_LENGTH
) -> Encoder:
    """The encoder of a choice; UsageError where it has no table for inference-free queries."""
    if choice.model == BM25 and not Path(BM25).exists():
        return Bm25Encoder(choice.label)
    return SparseModel(choice, runtime=runtime, max_length=max_length)


class SparseModel:
    """A learned sparse encoder of documents, with queries by table or through the model."""

    def __init__(
        self, choice: ModelChoice, *, runtime: Runtime = "auto", max_length: int = MAX_LENGTH
    ) -> None:
        given = Path(choice.model)
        folder = prepared(given) if given.exists() else fetch(choice.model)
        self.label = choice.label
        self._folder, self._runtime = folder, runtime
        self._file = model_file(folder, MODEL)
        self._tokenizer = Tokenizer.open(folder / TOKENIZER)
        own_table = folder / IDF if (folder / IDF).is_file() else None
        self.mode = choice.mode or (INFERENCE_FREE if own_table else BI_ENCODER)
        if self.mode == INFERENCE_FREE and choice.idf is None and own_table is None:
            raise UsageError(
                f"'{choice.model}' has no table of query weights: give one with --idf FILE or "
                f"--idf {CORPUS}, or measure it as {choice.model}@{BI_ENCODER}"
            )
        self._table: IdfTable | None = None
        if self.mode == INFERENCE_FREE and choice.idf != CORPUS:
            self._table = self._read(Path(choice.idf) if choice.idf else folder / IDF)
        source = given if given.is_dir() else folder
        self.parameters = count_parameters(source if _config(source) else folder)
        self._length = self._longest(choice.model, source, max_length)
        self._options = _options(choice.model, source)

    def _read(self, path: Path) -> IdfTable:
        table = IdfTable.from_file(path)
        words = set(self._tokenizer.vocabulary)
        known = sum(token in words for token in table.weights)
        if known < len(table.weights) / 2:
            raise UsageError(
                f"'{self.label}' knows {known} of the {len(table.weights)} tokens of '{path}': the "
                "table was made with another tokenizer; make one with siftline idf build"
            )
        return table

    def _longest(self, name: str, source: Path, wanted: int) -> int:
        """Tokens of a text: what is wanted, or less where the model or its tokenizer ends."""
        limits = [wanted, self._tokenizer.preset_length]
        limits.append(_config(source).get("max_position_embeddings"))
        if load_catalogue().knows(name):
            limits.append(load_catalogue().entry(name).max_length)
        return min(limit for limit in limits if limit)

    @cached_property
    def _embedder(self) -> SparseEmbedder:
        names = PortNames(output="weights", alternative="logits")
        transformer = Transformer(
            lambda: open_session(self._file, runtime=self._runtime),
            names,
            token_budget=LOGITS_BUDGET if self._runtime == "openvino" and self._logits else None,
        )
        return SparseEmbedder(
            self.label,
            transformer,
            lambda: self._tokenizer,
            lambda texts: self._tokenizer.ids(texts, max_length=self._length),
            self._options,
        )

    @property
    def _logits(self) -> bool:
        return self._file.suffix == ".onnx" and "weights" not in read_ports(self._file)[1]

    @cached_property
    def _key(self) -> str:
        """What a text's vector depends on."""
        parts = [file_hash(self._file), file_hash(self._folder / TOKENIZER), self._runtime]
        return " ".join([*parts, str(self._length), str(self._options)])

    def encode(
        self, documents: Sequence[str], queries: Sequence[str], cache: VectorCache, done: Encoded
    ) -> Encoding:
        """See Encoder.encode."""
        found = cache.vectors(self._key, documents, lambda: self._encoded(documents, done))
        if self.mode == BI_ENCODER:
            asked = cache.vectors(
                self._key, queries, lambda: self._encoded(queries, lambda n: None)
            )
        elif self._table is None:
            key = f"{CORPUS} {file_hash(self._folder / TOKENIZER)}"
            texts = [*documents, *queries]
            asked = cache.vectors(
                key, texts, lambda: self._weighed(queries, self._count(documents))
            )
        else:
            asked = self._weighed(queries, self._table)
        return Encoding(found, asked)

    def _encoded(self, texts: Sequence[str], done: Encoded) -> SparseVectors:
        self._embedder.documents(list(texts[:_WARM_UP]), _WEIGHTS)
        tokens, weights = [], []
        started = time.perf_counter()
        for start in range(0, len(texts), _CHUNK):
            batch = self._embedder.documents(list(texts[start : start + _CHUNK]), _WEIGHTS)
            own_tokens, own_weights = _rows(batch)
            tokens += own_tokens
            weights += own_weights
            done(len(tokens))
        return SparseVectors.of(tokens, weights, time.perf_counter() - started)

    def _count(self, documents: Sequence[str]) -> IdfTable:
        return IdfTable(build_idf(documents, self._tokenizer).weights)

    def _weighed(self, queries: Sequence[str], table: IdfTable) -> SparseVectors:
        """The weight of each distinct token of a query, as inference-free queries have it."""
        words = self._tokenizer.vocabulary
        tokens, _ = _rows(self._embedder.token_sets(queries))
        weights = [np.array([table.weight(words[t]) for t in row.tolist()]) for row in tokens]
        return SparseVectors.of(tokens, weights)


def _rows(batch: SparseBatch) -> tuple[list[np.ndarray], list[np.ndarray]]:
    places = batch.indptr[1:-1]
    return np.split(batch.tokens, places), np.split(batch.weights, places)


def _config(folder: Path) -> Mapping[str, Any]:
    """`config.json` of a folder; empty where there is none."""
    path = folder / "config.json"
    try:
        values = json.loads(path.read_text("utf-8")) if path.is_file() else {}
    except ValueError as error:
        raise ModelError(f"'{path}' is not JSON: {error}") from None
    return values if isinstance(values, dict) else {}


def _options(name: str, source: Path) -> SparseOptions:
    """Activation and pruning by the catalogue, or by what training wrote into the folder."""
    if load_catalogue().knows(name):
        count = load_catalogue().entry(name).logarithms
        return SparseOptions(activation=_ACTIVATIONS[count])  # type: ignore[arg-type]
    head = _config(source).get(HEAD_KEY) or {}
    activation = _ACTIVATIONS[LOGARITHMS.get(head.get("activation", "log1p"), 1)]
    return SparseOptions(prune_ratio=float(head.get("prune_ratio", 0.0)), activation=activation)  # type: ignore[arg-type]


def count_parameters(folder: Path) -> int | None:
    """Weights of a model: of its safetensors, else of its ONNX file; None for neither."""
    files = sorted(folder.glob("*.safetensors")) or sorted(folder.rglob("*.safetensors"))
    if files:
        return sum(_safetensors_size(path) for path in files)
    if not (folder / MODEL).is_file():
        return None
    import onnx

    graph = onnx.load(str(folder / MODEL), load_external_data=False).graph
    return sum(int(np.prod(tensor.dims, dtype=np.int64)) for tensor in graph.initializer)


def _safetensors_size(path: Path) -> int:
    """Elements of all tensors of a file, by its header alone."""
    with path.open("rb") as file:
        header = json.loads(file.read(int.from_bytes(file.read(8), "little")))
    shapes = [entry["shape"] for name, entry in header.items() if name != "__metadata__"]
    return sum(int(np.prod(shape, dtype=np.int64)) for shape in shapes)
