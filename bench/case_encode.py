"""Encoding with the dense model of the catalogue: batches on all threads, against one shared run.

what: documents of 128 tokens through bge-small-en-v1.5 as it comes (int8), batches of 1,024 tokens
corpus: random token ids; the time of a transformer does not depend on which ids it gets
notes: shared and concurrent runs alternate; medians of five rounds
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from statistics import median

import numpy as np

from bench.measurement import Measurement
from siftline.model.fetch import fetch
from siftline.model.parallel import run_batches
from siftline.model.session import open_session

MODEL = "bge-small-en-v1.5"
ROWS, LENGTH, BATCHES, ROUNDS = 8, 128, 16, 5


def run() -> Iterator[Measurement]:
    """Tokens per second of both ways."""
    session = open_session(fetch(MODEL) / "model.onnx")
    chance = np.random.default_rng(1)
    ids = chance.integers(1_000, 20_000, (BATCHES, ROWS, LENGTH))
    batches = [
        {"input_ids": i, "attention_mask": np.ones_like(i), "token_type_ids": np.zeros_like(i)}
        for i in ids
    ]
    ways: dict[str, Callable[[], object]] = {
        "one batch on all threads": lambda: [session.run(feeds) for feeds in batches],
        "one batch on each thread": lambda: list(run_batches(session, batches)),
    }
    seconds: dict[str, list[float]] = {name: [] for name in ways}
    for way in ways.values():
        way()
    for _ in range(ROUNDS):
        for name, way in ways.items():
            started = time.perf_counter()
            way()
            seconds[name].append(time.perf_counter() - started)
    for name, times in seconds.items():
        yield Measurement(name, ids.size / median(times), "tokens/s")
