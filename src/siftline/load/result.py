"""What a load test measured, and vespa-fbench's summary of it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from siftline.load.histogram import Histogram
from siftline.load.options import LoadOptions
from siftline.load.tally import Tally

PERCENTILES = (25.0, 50.0, 75.0, 90.0, 95.0, 98.0, 99.0, 99.5, 99.6, 99.7, 99.8, 99.9)


@dataclass(frozen=True, eq=False)
class LoadResult:
    """The counts of all clients; ran: seconds from the first request to the last answer."""

    options: LoadOptions
    tally: Tally
    ran: float

    @property
    def average(self) -> float:
        """Mean response time of the successful requests in milliseconds."""
        return self.tally.times.average

    def percentile(self, percent: float) -> float:
        """The response time in milliseconds that this share of the requests did not exceed."""
        return self.tally.times.percentile(percent)

    @property
    def rate(self) -> float:
        """Successful requests a second of all clients together."""
        tally = self.tally
        return tally.clients * tally.succeeded / tally.seconds if tally.seconds else 0.0

    @property
    def utilization(self) -> float:
        """Percent of the clients' time that they waited for answers which were successful."""
        tally = self.tally
        return tally.times.total / (tally.seconds * 10.0) if tally.seconds else 0.0


def summary(result: LoadResult) -> str:
    """The figures in vespa-fbench's words, order and columns."""
    tally, options = result.tally, result.options
    lines = []
    if options.keep_alive:
        lines.append("*** HTTP keep-alive statistics ***")
        lines.append(f"connection reuse count -- {tally.reused}")
    lines.append("***************** Benchmark Summary *****************")
    lines += [
        _line("clients", options.clients),
        _line("ran for", round(result.ran), "seconds"),
        _line("cycle time", options.cycle, "ms"),
        _line("lower response limit", options.least_bytes, "bytes"),
        _line("skipped requests", tally.skipped),
        _line("failed requests", tally.failed),
        _line("successful requests", tally.succeeded),
        _line("cycles not held", tally.not_held),
        _line("minimum response time", tally.times.least if tally.succeeded else 0.0, "ms"),
        _line("maximum response time", tally.times.most, "ms"),
        _line("average response time", result.average, "ms"),
    ]
    for percent in PERCENTILES:
        time = result.percentile(percent)
        unit = "ms (approx)" if Histogram.approximate(time) else "ms"
        lines.append(_line(f"{percent:<4g} percentile", time, unit))
    lines += [
        _line("actual query rate", result.rate, "Q/s"),
        _line("utilization", result.utilization, "%"),
        _line("zero hit queries", tally.zero_hits),
        "http request status breakdown:",
        *(f"  {status:8} : {count:8} " for status, count in sorted(tally.statuses.items())),
    ]
    return "\n".join(lines)


def _line(label: str, value: float, unit: str = "") -> str:
    shown = f"{value:8}" if isinstance(value, int) else f"{value:8.2f}"
    return f"{label + ':':<24}{shown} {unit}".rstrip()


def to_json(result: LoadResult) -> dict[str, Any]:
    """The figures as JSON; times in milliseconds."""
    tally = result.tally
    return {
        "clients": result.options.clients,
        "seconds": round(result.ran, 3),
        "cycle_ms": result.options.cycle,
        "successful": tally.succeeded,
        "failed": tally.failed,
        "skipped": tally.skipped,
        "cycles_not_held": tally.not_held,
        "zero_hits": tally.zero_hits,
        "connections_reused": tally.reused,
        "queries_per_second": round(result.rate, 3),
        "utilization_percent": round(result.utilization, 2),
        "latency_ms": {
            "minimum": round(tally.times.least, 3) if tally.succeeded else 0.0,
            "average": round(result.average, 3),
            "maximum": round(tally.times.most, 3),
            **{f"p{percent:g}": round(result.percentile(percent), 3) for percent in PERCENTILES},
        },
        "status": {str(status): count for status, count in sorted(tally.statuses.items())},
        "failures": dict(tally.failures.most_common()),
    }
