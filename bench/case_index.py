"""The index alone: pre-encoded documents in, segments merged, opened again.

384 float32 dimensions and 150 sparse tokens of 30,522 for each document. The graph is measured
apart, because building it is faiss's time and not the index's.
"""

from __future__ import annotations

import os
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from bench.measurement import Measurement
from siftline.encode.encoded import Encoded
from siftline.index.index import Index
from siftline.schema.definition import Field, FieldType, Hnsw, Schema
from siftline.schema.package import Settings
from siftline.schema.script import InputStep, OutputStep, Script
from siftline.tensor.batch import DenseBatch, SparseBatch
from siftline.tensor.types import TensorType

DOCUMENTS = int(os.environ.get("BENCH_INDEX_DOCUMENTS", "200000"))
GRAPH_DOCUMENTS = 10_000
BATCH = 1_000
TOKENS = 150
VOCABULARY = [f"token{i}" for i in range(30_522)]
DENSE = TensorType.parse("tensor<float>(x[384])")
SPARSE = TensorType.parse("tensor<float>(token{})")
SETTINGS = Settings(sparse_index=frozenset({"passage.sparse"}))


def run() -> Iterator[Measurement]:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name, "index")
        yield from _feed(folder)
        started = time.perf_counter()
        index = Index.open(folder, schema(), SETTINGS)
        index.snapshot()
        milliseconds = (time.perf_counter() - started) * 1000
        yield Measurement(f"open {DOCUMENTS} documents", milliseconds, "ms")
        yield Measurement("segments after feeding", index.statistics().segments, "segments")
        started = time.perf_counter()
        index.merge()
        seconds = time.perf_counter() - started
        yield Measurement("merge to one segment", DOCUMENTS / seconds, "documents/s")
        store = index.statistics().store_bytes / DOCUMENTS
        yield Measurement("store", store, "bytes/document")
        segments = sum(sum(f.values()) for f in index.statistics().bytes.values()) / DOCUMENTS
        yield Measurement("segments", segments, "bytes/document")
        index.close()
        yield from _rebuild(folder)
    with tempfile.TemporaryDirectory() as name:
        yield from _graph(Path(name, "index"))


def _feed(folder: Path) -> Iterator[Measurement]:
    index = Index.open(folder, schema(), SETTINGS)
    seconds = write(index, DOCUMENTS)
    yield Measurement("write, durable, flushes included", DOCUMENTS / seconds, "documents/s")
    started = time.perf_counter()
    index.close()
    yield Measurement("close", time.perf_counter() - started, "s")


def _rebuild(folder: Path) -> Iterator[Measurement]:
    for path in folder.iterdir():
        if path.suffix in (".segment", ".json"):
            path.unlink()
    started = time.perf_counter()
    Index.open(folder, schema(), SETTINGS).close()
    seconds = time.perf_counter() - started
    yield Measurement("rebuild from the store", DOCUMENTS / seconds, "documents/s")


def _graph(folder: Path) -> Iterator[Measurement]:
    index = Index.open(folder, schema(Hnsw(16, 200)), SETTINGS)
    write(index, GRAPH_DOCUMENTS)
    started = time.perf_counter()
    index.commit()
    seconds = time.perf_counter() - started
    yield Measurement("commit with a graph", GRAPH_DOCUMENTS / seconds, "documents/s")
    index.close()


def schema(graph: Hnsw | None = None) -> Schema:
    fields = []
    for name, type_, indexed in (("dense", DENSE, graph), ("sparse", SPARSE, None)):
        outputs = ("attribute", "index") if indexed else ("attribute",)
        script = Script(((InputStep("text"), *map(OutputStep, outputs)),))
        kind = FieldType("tensor", tensor=type_)
        metric = "prenormalized-angular"
        fields.append(Field(name, kind, script, hnsw=indexed, distance_metric=metric))
    return Schema("passage", {field.name: field for field in fields})


def write(index: Index, documents: int) -> float:
    """Seconds spent in `write`, not in making the batches."""
    random = np.random.default_rng(0)
    seconds = 0.0
    for start in range(0, documents, BATCH):
        batch = _batch(random, start)
        before = time.perf_counter()
        index.write(batch)
        seconds += time.perf_counter() - before
    return seconds


def _batch(random: np.random.Generator, start: int) -> Encoded:
    dense = random.standard_normal((BATCH, 384), dtype=np.float32)
    dense /= np.linalg.norm(dense, axis=1, keepdims=True)
    # tokens as frequent as words are: a few in most documents, most in few; 150 distinct ones
    drawn = (len(VOCABULARY) * random.random((BATCH, TOKENS * 2)) ** 3).astype(np.int32)
    tokens, lengths = [], []
    for row in drawn:
        distinct = np.unique(row)[:TOKENS]
        tokens.append(distinct)
        lengths.append(len(distinct))
    indptr = np.concatenate([[0], np.cumsum(lengths)])
    flat = np.concatenate(tokens)
    weights = random.random(len(flat), dtype=np.float32) * 3
    present = np.ones(BATCH, bool)
    return Encoded(
        ids=[f"id:bench:passage::{start + i}" for i in range(BATCH)],
        fields=[{"text": f"passage {start + i}"} for i in range(BATCH)],
        vectors={
            "dense": DenseBatch(DENSE, dense, present),
            "sparse": SparseBatch(SPARSE, indptr, flat, weights, VOCABULARY),
        },
    )
