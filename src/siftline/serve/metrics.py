"""What the server counts, in a registry of its own (`/metrics`, `/state/v1/metrics`)."""

from __future__ import annotations

import resource
import sys
import time
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Any

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from siftline.errors import SiftlineError

if TYPE_CHECKING:
    from siftline.feed.outcome import Outcome
    from siftline.serve.host import Host

#: Upper bounds of latencies in seconds.
BUCKETS = (
    0.0005, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0,
)  # fmt: skip

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"


class Metrics:
    """Counters of requests, queries and feed operations; the index is asked when read."""

    def __init__(self, host: Host) -> None:
        self.started = time.time()
        self.registry = CollectorRegistry()
        self.requests = Counter(
            "siftline_requests",
            "Requests answered, by group of paths, method and status.",
            ("group", "method", "status"),
            registry=self.registry,
        )
        self.latency = Histogram(
            "siftline_request_seconds",
            "Seconds from the head of a request to the end of its answer.",
            ("group",),
            buckets=BUCKETS,
            registry=self.registry,
        )
        self.open = Gauge(
            "siftline_requests_open", "Requests being answered.", registry=self.registry
        )
        self.queries = Counter(
            "siftline_queries", "Queries answered.", ("outcome",), registry=self.registry
        )
        self.query_latency = Histogram(
            "siftline_query_seconds",
            "Seconds of a query, waiting for a thread included.",
            buckets=BUCKETS,
            registry=self.registry,
        )
        self.hits = Counter("siftline_hits", "Hits returned.", registry=self.registry)
        self.feed = Counter(
            "siftline_feed_operations",
            "Operations on documents, by kind (put, update, remove) and outcome.",
            ("kind", "outcome"),
            registry=self.registry,
        )
        self.registry.register(_Inside(host))

    def count_operation(self, kind: str, outcome: Outcome) -> None:
        """What became of an operation on one document; an error counts under its class."""
        error = outcome.error
        self.feed.labels(kind, outcome.kind if error is None else type(error).__name__).inc()

    def text(self) -> bytes:
        """Everything in Prometheus' text format."""
        return generate_latest(self.registry)

    def values(self) -> Iterator[dict[str, Any]]:
        """Everything as `/state/v1/metrics` lists it: name, values, dimensions."""
        for metric in self.registry.collect():
            for sample in metric.samples:
                if not sample.name.endswith(("_bucket", "_created")):
                    yield {
                        "name": sample.name,
                        "description": metric.documentation,
                        "values": {"last": sample.value},
                        "dimensions": dict(sample.labels),
                    }


class _Inside(Collector):
    """Reads, when asked, what the application and the process know."""

    def __init__(self, host: Host) -> None:
        self._host = host

    def describe(self) -> Iterable[Metric]:
        return ()

    def collect(self) -> Iterator[Metric]:
        yield _gauge("siftline_generation", "Generation of the package.", self._host.generation)
        yield _gauge("siftline_memory_bytes", "Resident memory of the process.", resident_bytes())
        yield from self._index()
        for name, value in self._host.intake_statistics().items():
            yield _gauge(f"siftline_intake_{name}", "State of the feed queue.", value)

    def _index(self) -> Iterator[Metric]:
        documents = GaugeMetricFamily("siftline_documents", "Documents.", labels=["schema"])
        stored = GaugeMetricFamily("siftline_store_bytes", "Bytes on disk.", labels=["schema"])
        try:
            with self._host.use() as application:
                encodings = application.query_cache.statistics()
                for name, engine in application.engines.items():
                    facts = engine.index.statistics()
                    documents.add_metric([name], facts.documents)
                    stored.add_metric([name], facts.store_bytes)
        except SiftlineError:
            return  # nothing is deployed: there is nothing to count
        yield documents
        yield stored
        found = CounterMetricFamily(
            "siftline_query_encodings", "Query encodings asked for, by outcome.", labels=["outcome"]
        )
        found.add_metric(["hit"], encodings.hits)
        found.add_metric(["miss"], encodings.misses)
        yield found
        yield _gauge(
            "siftline_query_encodings_bytes", "Bytes of kept query encodings.", encodings.bytes
        )


def _gauge(name: str, text: str, value: float) -> GaugeMetricFamily:
    return GaugeMetricFamily(name, text, value=value)


def resident_bytes() -> int:
    """Resident memory of this process; its peak where the system tells no more."""
    try:
        with open("/proc/self/statm", encoding="ascii") as file:
            return int(file.read().split()[1]) * resource.getpagesize()
    except OSError:
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        return peak if sys.platform == "darwin" else peak * 1024
