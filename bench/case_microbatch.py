"""Encoding queries from 1, 4 and 16 threads: shared runs against a run for each caller.

what: bge-small-en-v1.5 as it comes (int8, never shared: its rows depend on each other), the same
    with float weights, and splade-tiny; queries of 6 to 20 tokens; no cache
ways: "each for itself" calls the model with all its threads from every caller; "lanes" lets as many
    callers in as there are processors, on one thread each; "shared" runs what piled up together
notes: ways alternate, each for a second at a time; mean rate and the 50th and 95th percentile over
    all of a way's calls
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from itertools import cycle

import numpy as np

from bench.measurement import Measurement
from siftline.encode.ports import PortNames
from siftline.encode.tokenizer import Tokenizer
from siftline.encode.transformer import Transformer
from siftline.model.fetch import fetch
from siftline.model.session import Precision, open_session

MODELS: tuple[tuple[str, str, Precision | None], ...] = (
    ("bge-small-en-v1.5", "last_hidden_state", None),
    ("bge-small-en-v1.5", "last_hidden_state", "fp32"),
    ("splade-tiny", "weights", None),
)
THREADS = (1, 4, 16)
SECONDS = float(os.environ.get("BENCH_MICROBATCH_SECONDS", "1"))
ROUNDS = 3
TEXTS = (
    "who invented the telephone",
    "best way to learn to play the guitar at home without a teacher",
    "symptoms of vitamin d deficiency in adults",
    "capital of france",
    "how long does it take to cook rice in a pressure cooker",
    "cheap flights to lisbon",
)

Ask = Callable[[np.ndarray], object]


def run() -> Iterator[Measurement]:
    """Rates and percentiles of each model, way and number of threads."""
    for name, output, precision in MODELS:
        folder = fetch(name)
        rows = Tokenizer.open(folder / "tokenizer.json").ids(TEXTS)
        session = open_session(folder / "model.onnx", precision=precision)

        def transformer(shared: int) -> Transformer:
            return Transformer(lambda: session, PortNames(output=output), shared_rows=shared)  # noqa: B023

        lanes, shared, alone = transformer(1), transformer(16), transformer(1)
        ways: dict[str, Ask] = {
            "each for itself": lambda row, of=alone: list(of.run([row])),  # type: ignore[misc]
            "lanes": lanes.query,
            "shared": shared.query,
        }
        label = f"{name} {precision or 'as it is'}"
        for threads in THREADS:
            yield from _compare(label, ways, threads, rows)


def _compare(
    label: str, ways: dict[str, Ask], threads: int, rows: list[np.ndarray]
) -> Iterator[Measurement]:
    seconds: dict[str, list[float]] = {way: [] for way in ways}
    rates: dict[str, list[float]] = {way: [] for way in ways}
    with ThreadPoolExecutor(threads) as pool:
        for ask in ways.values():
            list(pool.map(ask, rows * threads))
        for _ in range(ROUNDS):
            for way, ask in ways.items():
                started = time.perf_counter()
                until = started + SECONDS
                calls = [pool.submit(_ask, ask, rows, until) for _ in range(threads)]
                taken = [second for call in calls for second in call.result()]
                rates[way].append(len(taken) / (time.perf_counter() - started))
                seconds[way] += taken
    for way, taken in seconds.items():
        name = f"{label}, {threads:2} threads, {way}"
        low, high = np.percentile(taken, [50, 95]) * 1000
        yield Measurement(name, float(np.mean(rates[way])), "queries/s")
        yield Measurement(f"{name}, 50%", float(low), "ms")
        yield Measurement(f"{name}, 95%", float(high), "ms")


def _ask(ask: Ask, rows: list[np.ndarray], until: float) -> list[float]:
    """Seconds of every call until then."""
    taken = []
    for row in cycle(rows):
        before = time.perf_counter()
        if before >= until:
            break
        ask(row)
        taken.append(time.perf_counter() - before)
    return taken
