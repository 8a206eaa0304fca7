"""Feeding through the intake against the engine alone: documents a second, and waiting times.

The embedder is a stand-in that sleeps as long as a model would compute: no time at all, or a share
for each batch and each text.
"""

from __future__ import annotations

import tempfile
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from bench.measurement import Measurement
from siftline.engine import Engine
from siftline.feed.operation import DocumentId, Operation
from siftline.intake import Intake
from siftline.schema.read import read_package
from siftline.tensor.batch import Batch, DenseBatch
from siftline.tensor.tensor import Tensor
from siftline.tensor.types import TensorType

SERVICES = """<services version="1.0">
  <container id="default" version="1.0"><document-api/>
    <component id="fake" type="hugging-face-tokenizer"><model path="models/none"/></component>
  </container>
  <content id="c" version="1.0"><documents><document type="d" mode="index"/></documents></content>
</services>
"""
SCHEMA = """schema d {
  document d { field text type string { indexing: index | summary } }
  field vec type tensor<float>(x[64]) { indexing: input text | embed fake | attribute }
}
"""
#: seconds of a batch and of a text, and how many documents make a measurable feed
EMBEDDERS = {"free": (0.0, 0.0, 20_000), "slow": (0.004, 0.001, 4_096)}
IN_FLIGHT = (1, 64, 256, 1_024)
#: of which the best counts
RUNS = 3


class SleepingEmbedder:
    """Gives vectors of ones after a while."""

    id = "fake"
    type = "fake"

    def __init__(self, for_batch: float, for_text: float) -> None:
        self._for_batch, self._for_text = for_batch, for_text

    def check(self, target: TensorType, *, query: bool = False) -> None:
        """Any type will do."""

    def documents(
        self, texts: Sequence[str], target: TensorType, arguments: tuple[str, ...] = ()
    ) -> Batch:
        time.sleep(self._for_batch + self._for_text * len(texts))
        return DenseBatch(target, np.ones((len(texts), 64), np.float32), np.ones(len(texts), bool))

    def query(self, text: str, target: TensorType) -> Tensor:
        raise NotImplementedError


class Fed:
    """As much of an application as the intake needs."""

    def __init__(self, folder: Path, embedder: SleepingEmbedder) -> None:
        package = folder / "c"
        (package / "schemas").mkdir(parents=True)
        (package / "services.xml").write_text(SERVICES)
        (package / "schemas" / "d.sd").write_text(SCHEMA)
        read = read_package(package)
        self.data = folder / "data"
        self.engine = Engine(
            read.schemas["d"], read, self.data / "d", {"fake": embedder}, lambda name: Path(name)
        )
        self.apply = self.engine.apply
        self.commit = self.engine.index.commit

    @contextmanager
    def use(self) -> Iterator[Any]:
        yield self


def run() -> Iterator[Measurement]:
    for name, (for_batch, for_text, count) in EMBEDDERS.items():
        embedder = SleepingEmbedder(for_batch, for_text)
        alone = max(engine_alone(embedder, count) for _ in range(RUNS))
        yield Measurement(f"{name} embedder, engine alone", alone, "documents/s")
        for in_flight in IN_FLIGHT:
            few = min(count, 300 * in_flight)
            found = [through_intake(embedder, few, in_flight) for _ in range(RUNS)]
            rate, size = max(found)
            what = f"{name} embedder, intake, {in_flight} in flight"
            yield Measurement(what, rate, "documents/s")
            yield Measurement(f"{what}: share", 100 * rate / alone, "% of the engine")
            yield Measurement(f"{what}: batches", size, "documents")


@contextmanager
def fed(embedder: SleepingEmbedder) -> Iterator[Fed]:
    with tempfile.TemporaryDirectory() as folder:
        application = Fed(Path(folder), embedder)
        try:
            yield application
        finally:
            application.engine.close()


def operations(count: int) -> Iterator[Operation]:
    words = "neural search in one process with several phases of ranking ".split()
    for number in range(count):
        text = " ".join([str(number), *words * (1 + number % 12)])
        yield Operation("put", DocumentId("c", "d", "", str(number)), {"text": text})


def engine_alone(embedder: SleepingEmbedder, count: int) -> float:
    """Documents a second."""
    with fed(embedder) as application:
        started = time.perf_counter()
        application.engine.feed(operations(count))
        return count / (time.perf_counter() - started)


def through_intake(embedder: SleepingEmbedder, count: int, in_flight: int) -> tuple[float, float]:
    """Documents a second with so many unanswered at any time, and documents of a batch."""
    with fed(embedder) as application:
        intake = Intake(application.use)
        free = threading.Semaphore(in_flight)
        started = time.perf_counter()
        for operation in operations(count):
            free.acquire()
            intake.submit(operation).add_done_callback(lambda _: free.release())
        intake.close()
        application.engine.index.commit()  # as a feed of the engine ends
        seconds = time.perf_counter() - started
        return count / seconds, count / intake.statistics().batches
