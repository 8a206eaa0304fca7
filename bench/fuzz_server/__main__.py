"""`python -m bench.fuzz_server`: requests of every kind of nonsense to a server, for minutes.

In turns: what schemathesis makes of each path of `/openapi.json` on both ports; queries of random
YQL, parameters, bodies and content types; requests to `/document/v1`. Beside them, all the time,
clients that send half a request or garbage. A finding is an answer with status 500 or another that
has no place there, no answer in time, a connection that is not let go, a traceback of the server,
its end, or memory that grows. The first finding is printed with what repeats it, and the exit
status is 1.
"""

from __future__ import annotations

import argparse
import json
import random
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from hypothesis import HealthCheck, Phase, given, seed, settings
from hypothesis import strategies as st
from hypothesis.errors import FlakyFailure
from rich.console import Console
from rich.progress import BarColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn
from rich.table import Table

from bench.fuzz_server import documents, searches
from bench.fuzz_server.package import DOCUMENTS, write_package
from bench.fuzz_server.sent import (
    PATIENCE,
    FindingError,
    check,
    coded,
    raw,
    send,
    target,
    unpacked,
)
from bench.fuzz_server.slow import SlowClients
from bench.live import Memory, Server, serving
from siftline.errors import SiftlineError

#: Requests of one kind before the next kind has its turn; schemathesis: for each operation.
TURN, FEW = 60, 3
#: Seconds after which the server lets a silent connection go.
IDLE = "5"


@dataclass
class Fuzz:
    """A run against one server: what was sent and answered, the memory, the first finding."""

    server: Server
    end: float
    counts: Counter[tuple[str, int]] = field(default_factory=Counter)
    memory: list[float] = field(default_factory=list)
    finding: str | None = None
    slowest: float = 0.0

    @property
    def over(self) -> bool:
        """Whether the time is up; requests that a turn has left are not sent then."""
        return time.monotonic() > self.end

    def exchange(self, kind: str, request: bytes, statuses: tuple[int, ...]) -> None:
        """Send one request and judge its answer."""
        if self.over:
            return
        began = time.monotonic()
        answer = send(self.server.url, request)
        self.slowest = max(self.slowest, time.monotonic() - began)
        self.counts[kind, answer.status] += 1
        check(request, answer, statuses, search=kind == "search" and b" /search/" in request[:20])

    def search_turn(self, number: int) -> None:
        """Queries, by every method, with every kind of body."""

        for request in puts():
            self.exchange("document", request, (200,))

        @_turn(number, TURN)
        @given(
            st.sampled_from(searches.METHODS), searches.PAIRS, searches.BODIES,
            st.sampled_from(searches.TYPES), st.sampled_from(searches.ACCEPTS), st.data(),
        )  # fmt: skip
        def ask(method, pairs, body, type_, accept, data):  # type: ignore[no-untyped-def]
            headers, content = data.draw(coded(body)) if method == "POST" else ({}, b"")
            headers = {"Accept": accept, "Content-Type": type_, **headers}
            path = target("/search/", pairs)
            self.exchange("search", raw(method, path, headers, content), searches.STATUSES)

        ask()

    def document_turn(self, number: int) -> None:
        """Requests to documents; afterwards all are removed, so that there are never many."""

        @_turn(number, TURN)
        @given(
            documents.METHODS, documents.PATHS, documents.QUERIES,
            documents.BODIES, st.data(),
        )  # fmt: skip
        def ask(method, parts, query, body, data):  # type: ignore[no-untyped-def]
            headers, content = data.draw(coded(body))
            path = target("/document/v1/" + "/".join(parts), documents.waiting_little(query))
            statuses = (*documents.STATUSES, 413, 415)
            self.exchange("document", raw(method, path, headers, content), statuses)

        ask()
        everything = {"selection": "true", "cluster": "content"}
        path = target("/document/v1/", everything)
        self.exchange("document", raw("DELETE", path, {}, b""), (200,))

    def described_turn(self, number: int, url: str) -> None:
        """What schemathesis makes of the description that a port serves."""
        import schemathesis

        from bench.fuzz_server.described import CHECKS, operations

        for operation in operations(schemathesis.openapi.from_url(f"{url}/openapi.json")):

            @_turn(number, FEW)
            @given(operation.as_strategy())
            def ask(case):  # type: ignore[no-untyped-def]
                if self.over:
                    return
                began = time.monotonic()
                response = case.call(timeout=PATIENCE)
                self.slowest = max(self.slowest, time.monotonic() - began)
                self.counts["described", response.status_code] += 1
                case.validate_response(response, checks=CHECKS)

            ask()

    def run(self, first: int, show: Callable[[str], None]) -> None:
        """Turns until the time is up or something is found."""
        import requests

        sampling = threading.Thread(target=self._sample, daemon=True)
        sampling.start()
        slow = SlowClients(self.server.url, random.Random(first))
        slow.start()
        number = first
        try:
            while not self.over and not slow.findings:
                show(f"turn {number - first + 1}, {sum(self.counts.values()):,} requests")
                self.search_turn(number)
                self.document_turn(number)
                for url in (self.server.url, self.server.config_url):
                    self.described_turn(number, url)
                number += 1
        except (FindingError, AssertionError, requests.RequestException, FlakyFailure) as error:
            self.finding = f"{error}\nturn: --seed {number}"
        except ExceptionGroup as error:  # schemathesis: all that is wrong with one answer
            told = "\n".join(str(one) for one in error.exceptions)
            self.finding = f"{told}\nturn: --seed {number}"
        self.end = 0.0
        slow.stop()
        sampling.join()
        self.counts["slow", 0] = slow.count
        if slow.findings and self.finding is None:
            self.finding = slow.findings[0]

    def _sample(self) -> None:
        while not self.over:
            self.memory.append(self.server.memory())
            time.sleep(1.0)


def puts() -> Iterator[bytes]:
    """The documents that queries are asked of, as requests."""
    for name, fields in enumerate(DOCUMENTS):
        path, body = f"/document/v1/ns/music/docid/d{name}", json.dumps({"fields": fields})
        yield raw("POST", path, {}, body.encode())


def _turn(number: int, examples: int) -> Callable[[Callable[[], None]], Callable[[], None]]:
    """The settings of one turn: its own seed, nothing kept on disk, what is found made small."""
    chosen = settings(
        max_examples=examples, deadline=None, database=None, report_multiple_bugs=False,
        phases=(Phase.generate, Phase.shrink), suppress_health_check=list(HealthCheck),
    )  # fmt: skip
    return lambda test: chosen(seed(number)(test))


def main() -> int:
    parser = argparse.ArgumentParser(prog="bench.fuzz_server", description=__doc__)
    parser.add_argument("--minutes", type=float, default=10.0)
    parser.add_argument("--seed", type=int, help="of the first turn; default: another each time")
    parser.add_argument("--again", metavar="REQUEST", help="send what a finding was about")
    options = parser.parse_args()
    console = Console(highlight=False, width=None if sys.stdout.isatty() else 140)
    first = random.randrange(10**6) if options.seed is None else options.seed
    try:
        with tempfile.TemporaryDirectory() as name:
            folder = Path(name)
            package = write_package(folder / "app")
            log = folder / "server.log"
            limits = ("--idle", IDLE, "--max-body", "1")
            with serving(package, folder / "data", log, *limits) as server:
                if options.again is not None:
                    for request in puts():
                        send(server.url, request)
                    console.print(str(send(server.url, unpacked(options.again))), markup=False)
                    return 0
                fuzz = Fuzz(server, time.monotonic() + 60 * options.minutes)
                with _progress(fuzz) as show:
                    fuzz.run(first, show)
            findings = server.faults()
    except (SiftlineError, FindingError) as error:
        console.print(f"bench.fuzz_server: {error}", markup=False, soft_wrap=True)
        return 1
    findings += Memory(fuzz.memory).faults() + ([fuzz.finding] if fuzz.finding else [])
    report(fuzz, findings, console)
    return 1 if findings else 0


def report(fuzz: Fuzz, findings: list[str], console: Console) -> None:
    """Requests by kind and status, memory, findings."""
    table = Table(box=None, header_style="bold", pad_edge=False)
    table.add_column("requests")
    table.add_column("number", justify="right")
    table.add_column("by status")
    for kind in ("search", "document", "described", "slow"):
        statuses = {status: n for (of, status), n in sorted(fuzz.counts.items()) if of == kind}
        told = ", ".join(f"{n:,} × {status}" for status, n in statuses.items() if status)
        table.add_row(kind, f"{sum(statuses.values()):,}", told)
    console.print(table)
    console.print(f"slowest answer: {fuzz.slowest:.1f} s of {PATIENCE:g} s allowed", markup=False)
    console.print(str(Memory(fuzz.memory)), markup=False)
    console.print(f"findings: {len(findings)}", markup=False)
    for finding in findings:
        console.print(finding, markup=False, soft_wrap=True)


@contextmanager
def _progress(fuzz: Fuzz) -> Iterator[Callable[[str], None]]:
    """How far it is; silent where standard error is no terminal."""
    console = Console(stderr=True, highlight=False)
    columns = (SpinnerColumn(), TextColumn("{task.description}"), BarColumn(), TimeElapsedColumn())
    began = time.monotonic()
    with Progress(
        *columns, console=console, transient=True, disable=not console.is_terminal
    ) as progress:
        task = progress.add_task("", total=fuzz.end - began)
        yield lambda what: progress.update(
            task, description=what, completed=time.monotonic() - began
        )


if __name__ == "__main__":
    sys.exit(main())
