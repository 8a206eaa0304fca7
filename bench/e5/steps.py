"""The steps of the experiment, in order; each server serves all steps of its package."""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from bench.e5 import packages, server
from bench.e5.material import Material
from bench.e5.packages import VARIANTS, Variant
from bench.e5.settings import Results, Settings
from siftline.application import Application
from siftline.load.run import Watch
from siftline.schema.definition import Hnsw

#: Clients of the queries a second of each model, as published.
CLIENTS = 8
THREADS = 4
GRAPHS = (Hnsw(16, 100), Hnsw(32, 500))
#: The graph whose latency is measured.
SERVED = GRAPHS[1]
EXPLORED = (0, 100, 300)


@dataclass
class Experiment:
    """What the steps share. say: told what begins; told: what a step gave; watch: how load goes."""

    settings: Settings
    material: Material
    results: Results
    say: Callable[[str], None]
    told: Callable[[str], None]
    watch: Watch

    def run(self) -> None:
        """Every step that has no result yet."""
        for variant in VARIANTS:
            if packages.runs_here(variant):
                self._model(variant)
            else:
                self.told(f"{variant.name}: does not run on this machine")
        int8 = next(variant for variant in VARIANTS if variant.name == "int8")
        self._loads("embedding", "embedding", int8.name, int8)
        self._loads("exact", "exact", int8.name, int8)
        # The index of the same package with one thread: nothing of it depends on that.
        threads = f"exact-{THREADS}-threads"
        self._loads(threads, "exact", int8.name, int8, threads=THREADS)
        for graph in GRAPHS:
            self._graph(int8, graph)

    def _model(self, variant: Variant) -> None:
        """Size, documents a second, nDCG@10 and queries a second of a variant."""
        name = variant.name
        self._step(f"{name} size", lambda: packages.model_bytes(variant, self.settings))
        self._step(f"{name} feed", lambda: self._fed(name, variant))
        steps = (f"{name} quality", f"{name} load")
        if self._left(*steps):
            with self._serving(name, variant) as port:
                self._step(steps[0], lambda: server.quality(port, self.material))
                self._step(steps[1], lambda: self._load(port, "embedding", CLIENTS))

    def _graph(self, variant: Variant, graph: Hnsw) -> None:
        """nDCG@10 with a graph for each exploration, and load on the graph that is served."""
        name = f"graph {graph.links}, {graph.explore_at_insert}"
        index = f"hnsw-{graph.links}-{graph.explore_at_insert}"
        self._step(f"{name} feed", lambda: self._fed(index, variant, hnsw=graph))
        self._step(f"{name} there", lambda: self._has_graph(index, variant, graph))
        steps = {f"{name} explore {explore}": explore for explore in EXPLORED}
        if self._left(*steps):
            with self._serving(index, variant, hnsw=graph) as port:
                for step, explore in steps.items():
                    self._step(step, partial(server.quality, port, self.material, explore))
        if graph == SERVED:
            self._loads("hnsw", "hnsw", index, variant, hnsw=graph)

    def _loads(
        self, name: str, scenario: str, index: str, variant: Variant, **changes: Any
    ) -> None:
        """Load with each number of clients on the index of that name."""
        steps = {f"{name} {clients}": clients for clients in self.settings.clients}
        if not self._left(*steps):
            return
        with self._serving(index, variant, **changes) as port:
            for step, clients in steps.items():
                self._step(step, partial(self._load, port, scenario, clients))

    def _left(self, *steps: str) -> bool:
        """Whether one of the steps is still to do."""
        return not all(map(self.results.has, steps))

    def _step(self, name: str, measure: Callable[[], Any]) -> None:
        if self.results.has(name):
            return
        self.say(name)
        self.told(f"{name}: {shown(self.results.take(name, measure))}")

    def _fed(self, name: str, variant: Variant, **changes: Any) -> dict[str, Any]:
        """Feed into a new index; the end of the server writes what is left, a graph with it."""
        shutil.rmtree(self._index(name), ignore_errors=True)
        with self._serving(name, variant, **changes) as port:
            figures = server.feed(port, self.material, self.settings.work)
            fed = time.perf_counter()
        return {**figures, "seconds_to_write": time.perf_counter() - fed}

    @contextmanager
    def _serving(self, name: str, variant: Variant, **changes: Any) -> Iterator[int]:
        """The port of a server of the variant's package on the index of that name."""
        package = packages.write(name, variant, self.settings, **changes)
        log = self.settings.work / "logs" / f"{name}.log"
        with server.serving(package, self._index(name), log) as port:
            yield port

    def _index(self, name: str) -> Path:
        return self.settings.work / "index" / name

    def _has_graph(self, name: str, variant: Variant, graph: Hnsw) -> bool:
        package = packages.write(name, variant, self.settings, hnsw=graph)
        with Application.open(package, self._index(name), read_only=True) as application:
            segments = application.engine().index.snapshot().segments
            return any(segment.dense("embedding").has_graph for segment in segments)

    def _load(self, port: int, scenario: str, clients: int) -> dict[str, Any]:
        seconds = self.settings.seconds
        return server.load(port, self.material, scenario, clients, seconds, self.watch)


def shown(value: Any) -> str:
    """What a step gave, in a few words."""
    if isinstance(value, bool):
        return "it is built" if value else "too few documents for one"
    if not isinstance(value, dict):
        return f"{value / 2**20:.0f} MiB"
    if "documents_per_second" in value:
        return f"{value['documents_per_second']:.1f} documents/s by {value['client']}"
    if "ndcg@10" in value:
        return f"nDCG@10 {value['ndcg@10']:.4f}"
    latency = value["latency_ms"]
    return (
        f"{value['queries_per_second']:.1f} queries/s, average {latency['average']:.1f} ms, "
        f"95 % {latency['p95']:.1f} ms"
    )
