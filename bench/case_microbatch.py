"""Encoding queries from 1, 4 and 16 threads: shared runs against a run for each caller.

what: bge-small-en-v1.5 as it comes (int8, never shared: its rows depend on each other), the same
    with float weights, and splade-tiny; queries of 6 to 20 tokens; no cache
ways: "each for itself" calls the model with all its threads from every caller; "lanes" lets as many
    callers in as there are processors, on one thread each; "shared" runs what piled up together
drift: how far, in millionths of a cosine, the mean vector of a query in one batch with the others
    lies from the query's own by itself; the furthest
notes: ways alternate, each for 0.4 seconds at a time; the median rate of nine rounds, and the 50th
    and 95th percentile over all of a way's calls; "of work" is per second of processor time, which
    does not depend on what else the machine does
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
from siftline.encode.transformer import Hidden, Transformer
from siftline.model.fetch import fetch
from siftline.model.session import Precision, open_session

MODELS: tuple[tuple[str, str, Precision | None], ...] = (
    ("bge-small-en-v1.5", "last_hidden_state", None),
    ("bge-small-en-v1.5", "last_hidden_state", "fp32"),
    ("splade-tiny", "weights", None),
)
THREADS = (1, 4, 16)
SECONDS = float(os.environ.get("BENCH_MICROBATCH_SECONDS", "0.4"))
ROUNDS = 9
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
        yield Measurement(f"{label}, drift in a batch", _drift(alone, rows) * 1e6, "ppm")
        for threads in THREADS:
            yield from _compare(label, ways, threads, rows)


def _drift(model: Transformer, rows: list[np.ndarray]) -> float:
    """1 - the least cosine of a row's mean output beside the others to the one alone."""
    together = np.zeros((len(rows), 1))
    for hidden in model.run([*rows]):
        found = _means(hidden)
        together = together if together.shape[1] > 1 else np.zeros((len(rows), found.shape[1]))
        together[hidden.rows] = found
    alone = np.concatenate([_means(next(model.run([row]))) for row in rows])
    lengths = np.linalg.norm(together, axis=1) * np.linalg.norm(alone, axis=1)
    return float((1 - (together * alone).sum(axis=1) / lengths).max())


def _means(hidden: Hidden) -> np.ndarray:
    """One float64 vector for each row: the mean over its tokens."""
    values = hidden.values.astype(np.float64)
    if values.ndim == 2:
        return values
    return np.stack([v[:n].mean(axis=0) for v, n in zip(values, hidden.lengths, strict=True)])


def _compare(
    label: str, ways: dict[str, Ask], threads: int, rows: list[np.ndarray]
) -> Iterator[Measurement]:
    seconds: dict[str, list[float]] = {way: [] for way in ways}
    rates: dict[str, list[float]] = {way: [] for way in ways}
    worked: dict[str, list[float]] = {way: [] for way in ways}
    with ThreadPoolExecutor(threads) as pool:
        for ask in ways.values():
            list(pool.map(ask, rows * threads))
        for _ in range(ROUNDS):
            for way, ask in ways.items():
                started, working = time.perf_counter(), time.process_time()
                until = started + SECONDS
                calls = [pool.submit(_ask, ask, rows, until) for _ in range(threads)]
                taken = [second for call in calls for second in call.result()]
                rates[way].append(len(taken) / (time.perf_counter() - started))
                worked[way].append(len(taken) / (time.process_time() - working))
                seconds[way] += taken
    for way, taken in seconds.items():
        name = f"{label}, {threads:2} threads, {way}"
        low, high = np.percentile(taken, [50, 95]) * 1000
        yield Measurement(name, float(np.median(rates[way])), "queries/s")
        work = float(np.median(worked[way]))
        yield Measurement(f"{name}, of work", work, "queries/processor s")
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
