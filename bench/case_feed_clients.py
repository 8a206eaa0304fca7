"""Feeding through the real `vespa feed` and `siftline serve`, against the encoder alone.

what: documents of title and text, embedded by a dense model, into an empty index
ways: the encoder on the same texts in one call; `Application.feed` in one process; `vespa feed`
  over h2c into a server of its own process, from the start of the command to its end: with so many
  in flight as it chooses (about 16, which makes small batches), and with 256
notes: the encoder runs before and after each way, and a way is compared with the mean of the two,
  so that a machine that changes its speed changes both; medians of the rounds. Loading models is
  not counted. Aim: `vespa feed` at 90% of the encoder or more

BENCH_FEED_COLLECTION: a feed file or BEIR folder (default: made of common words).
BENCH_FEED_DOCUMENTS: so many of it (default 600; 0: all). BENCH_FEED_MODEL: of the catalogue.
BENCH_FEED_ROUNDS: default 3.
"""

from __future__ import annotations

import json
import os
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from statistics import median

from bench.common_words import common_words, write_package
from bench.live import serving
from bench.measurement import Measurement
from siftline.application import Application
from siftline.feed.operation import Operation
from siftline.feed.reader import read_operations
from siftline.tensor.types import TensorType

COLLECTION = os.environ.get("BENCH_FEED_COLLECTION")
DOCUMENTS = int(os.environ.get("BENCH_FEED_DOCUMENTS", "600"))
MODEL = os.environ.get("BENCH_FEED_MODEL", "all-MiniLM-L6-v2")
ROUNDS = int(os.environ.get("BENCH_FEED_ROUNDS", "3"))
ENCODER, OWN = "encoder alone", "Application.feed"
#: the ways of `vespa feed`: its options
CLIENTS = ("", "--inflight 256")

TARGET = TensorType.parse("tensor<float>(x[384])")
EMBEDDER = """
    <component id="dense" type="hugging-face-embedder">
      <transformer-model path="models/model.onnx"/>
      <tokenizer-model path="models/tokenizer.json"/>
    </component>
  """
EMBEDDING = """
  field embedding type tensor<float>(x[384]) {
    indexing: (input title || "") . " " . (input text || "") | embed dense | attribute
  }"""
#: documents in front of the measurement, so that every way starts warm
WARM = 64


@dataclass(frozen=True)
class Corpus:
    """Operations to feed, and the text of each that is embedded."""

    operations: Sequence[Operation]
    texts: Sequence[str]


def run() -> Iterator[Measurement]:
    corpus = read_corpus()
    clients = {f"vespa feed {options}".strip(): options.split() for options in CLIENTS}
    rates: dict[str, list[float]] = {ENCODER: [], OWN: [], **{way: [] for way in clients}}
    shares: dict[str, list[float]] = {way: [] for way in rates if way != ENCODER}

    def compare(application: Application, way: str, rate: Callable[[], float]) -> None:
        before = rates[ENCODER][-1]
        rates[way].append(rate())
        rates[ENCODER].append(encoder_rate(application, corpus))
        shares[way].append(2 * rates[way][-1] / (before + rates[ENCODER][-1]))

    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        models = f'[models]\n"models" = "{MODEL}"\n'
        package = write_package(
            folder / "app", components=EMBEDDER, fields=EMBEDDING, settings=models
        )
        feed = folder / "feed.jsonl"
        feed.write_text("".join(f"{as_json(operation)}\n" for operation in corpus.operations))
        for number in range(ROUNDS):
            data = folder / str(number)
            with Application.open(package, data / "own") as application:
                rates[ENCODER].append(encoder_rate(application, corpus))
                compare(application, OWN, partial(feed_rate, application, corpus))
                for way, options in clients.items():
                    with serving(package, data / way.replace(" ", ""), folder / "log") as server:
                        rate = partial(client_rate, server.url, options, feed, corpus)
                        compare(application, way, rate)
    yield Measurement("documents", len(corpus.texts), "documents")
    for way, found in rates.items():
        yield Measurement(way, median(found), "documents/s")
    for way, found in shares.items():
        yield Measurement(f"{way} of the encoder alone", 100 * median(found), "%")
        yield Measurement(f"{way}, the least of {len(found)} rounds", 100 * min(found), "%")


def read_corpus() -> Corpus:
    """The collection, or one made of common words with texts of 20 to 200 of them."""
    operations: list[Operation] = []
    if COLLECTION is not None:
        for operation in read_operations(COLLECTION, "passage", "bench"):
            if not isinstance(operation, Operation):
                raise operation
            operations.append(operation)
            if len(operations) == DOCUMENTS:
                break
    else:
        operations += common_words(DOCUMENTS)
    texts = [f"{o.fields.get('title', '')} {o.fields.get('text', '')}" for o in operations]
    return Corpus(operations, texts)


def as_json(operation: Operation) -> str:
    return json.dumps({"put": str(operation.id), "fields": dict(operation.fields)})


def encoder_rate(application: Application, corpus: Corpus) -> float:
    embedder = application.embedders["dense"]
    embedder.documents(corpus.texts[:WARM], TARGET)
    started = time.perf_counter()
    embedder.documents(corpus.texts, TARGET)
    return len(corpus.texts) / (time.perf_counter() - started)


def feed_rate(application: Application, corpus: Corpus) -> float:
    other = (replace(o, id=replace(o.id, namespace="warm")) for o in corpus.operations[:WARM])
    application.feed(other)
    started = time.perf_counter()
    report = application.feed(corpus.operations)
    seconds = time.perf_counter() - started
    if report.put != len(corpus.operations):
        raise SystemExit(f"fed {report.put} of {len(corpus.operations)}: {report.errors[:1]}")
    return report.put / seconds


def client_rate(url: str, options: Sequence[str], feed: Path, corpus: Corpus) -> float:
    import vespacli

    count = len(corpus.texts)
    command = [vespacli.get_binary_path(), "-t", url, "feed", *options, str(feed)]
    started = time.perf_counter()
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    seconds = time.perf_counter() - started
    found = json.loads(done.stdout or "{}").get("feeder.ok.count")
    if found != count:
        raise SystemExit(f"vespa feed: {found} of {count}\n{done.stdout}\n{done.stderr}")
    return count / seconds
