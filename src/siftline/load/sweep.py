"""The same load with more and more clients: where throughput ends and waiting begins."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

from siftline.errors import UsageError
from siftline.load.options import LoadOptions
from siftline.load.result import LoadResult, to_json
from siftline.load.run import Watch, run_load

HEADINGS = ("Clients", "Average latency", "95p latency", "Queries/s")


@dataclass(frozen=True, eq=False)
class Sweep:
    """Results by number of clients, in the order they were measured."""

    results: tuple[LoadResult, ...]

    def rows(self) -> list[tuple[str, str, str, str]]:
        """A line for each number of clients under `HEADINGS`, latencies in milliseconds."""
        return [
            (
                f"{result.options.clients}",
                f"{result.average:.2f}",
                f"{result.percentile(95):.2f}",
                f"{result.rate:.2f}",
            )
            for result in self.results
        ]

    def to_json(self) -> list[dict[str, Any]]:
        """The figures of each result."""
        return [to_json(result) for result in self.results]


def run_sweep(
    options: LoadOptions,
    clients: Sequence[int],
    *,
    watch: Watch | None = None,
    finished: Callable[[LoadResult], None] | None = None,
) -> Sweep:
    """Measure with each number of clients in turn, `options.seconds` each.

    finished: called after each. UsageError where a number is below 1 or time has no end.
    """
    if not clients or min(clients) < 1:
        raise UsageError("a sweep takes numbers of clients such as 1,2,4,8")
    if options.seconds < 0:
        raise UsageError("a sweep needs an end for each number of clients: -s seconds")
    results = []
    for count in clients:
        result = run_load(replace(options, clients=count), watch)
        results.append(result)
        if finished is not None:
            finished(result)
    return Sweep(tuple(results))


def parse_clients(text: str) -> tuple[int, ...]:
    """`1,2,4,8` as numbers."""
    words = [word.strip() for word in text.split(",")]
    if not all(word.isdecimal() and int(word) > 0 for word in words):
        raise UsageError(f"'{text}' is no list of numbers of clients such as 1,2,4,8")
    return tuple(map(int, words))
