"""`python -m bench.soak`: many clients feed, read and ask one server, and check every answer.

Half of the clients speak HTTP/1.1, half HTTP/2 without TLS; bodies are packed or not. Each has
documents of its own, so it knows what every get, filter, visit and search for a word must give.
At the end, and again after a restart of the server, every document is compared with what was
acknowledged last. A request that fails, a wrong answer, a lost document, a traceback of the server
or memory that grows is a fault, and the exit status is 1.

Memory is level where the mean of the last quarter is at most 10% + 30 MiB over that of the second.
"""

from __future__ import annotations

import argparse
import asyncio
import random
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from rich.console import Console
from rich.progress import BarColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn
from rich.table import Table

from bench.live import Memory, Server, serving
from bench.soak.client import Client
from bench.soak.notes import Notes
from bench.soak.package import write_package
from bench.soak.plot import plot
from bench.soak.record import KINDS, Record
from siftline.errors import SiftlineError

Show = Callable[[str, float], None]


@dataclass(frozen=True)
class Settings:
    """How long (seconds), with how many clients and documents of each, with which embedder."""

    seconds: float
    clients: int
    names: int
    embed: str | None
    seed: int


def main() -> int:
    parser = argparse.ArgumentParser(prog="bench.soak", description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--minutes", type=float, default=10.0)
    parser.add_argument("--clients", type=int, default=32)
    parser.add_argument("--names", type=int, default=100, help="documents of each client, at most")
    parser.add_argument("--embed", metavar="MODEL", help="of the catalogue: embed every text too")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--out", type=Path, default=Path("docs/soak.png"), help="the plot")
    options = parser.parse_args()
    settings = Settings(
        60 * options.minutes, options.clients, options.names, options.embed, options.seed
    )
    console = Console(highlight=False, width=None if sys.stdout.isatty() else 140)
    try:
        with shown(Console(stderr=True, highlight=False), settings.seconds) as show:
            record = soak(settings, show)
    except SiftlineError as error:
        console.print(f"bench.soak: {error}", markup=False, soft_wrap=True)
        return 1
    report(record, settings, console)
    plot(record, options.out, f"{settings.clients} clients, {settings.seconds / 60:g} minutes")
    console.print(f"plot: {options.out}", markup=False, soft_wrap=True)
    return 1 if record.fault_count else 0


def soak(settings: Settings, show: Show) -> Record:
    """Everything, on a package and an index made for it."""
    record = Record()
    notes = [
        Notes(f"c{number}", settings.names, random.Random(f"{settings.seed} {number}"))
        for number in range(settings.clients)
    ]
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        package = write_package(folder / "app", settings.embed)
        show("starting", 0)
        with serving(package, folder / "data", folder / "first.log") as server:
            asyncio.run(load(server, settings, record, notes, show))
            asyncio.run(verify(server, settings, record, notes))
        show("starting again", settings.seconds)
        for fault in server.faults():
            record.fault(fault)
        with serving(package, folder / "data", folder / "second.log") as server:
            asyncio.run(verify(server, settings, record, notes))
        for fault in [*server.faults(), *Memory(record.memory).faults()]:
            record.fault(fault)
    return record


async def load(
    server: Server, settings: Settings, record: Record, notes: list[Notes], show: Show
) -> None:
    """The clients at work; memory is taken each second."""
    clients = made(server, settings, record, notes)
    record.started = time.monotonic()
    working = asyncio.gather(*(client.run(record.started + settings.seconds) for client in clients))
    while not working.done():
        record.memory.append(server.memory())
        passed = time.monotonic() - record.started
        rate = len(record.at) / max(passed, 1e-3)
        show(f"{rate:,.0f} requests/s, {record.memory[-1]:,.0f} MiB,"
             f" {record.fault_count} faults", passed)  # fmt: skip
        await asyncio.wait([working], timeout=1.0)
    await working
    for client in clients:
        await client.close()


async def verify(server: Server, settings: Settings, record: Record, notes: list[Notes]) -> None:
    """Compare everything with what was acknowledged; the requests are not counted."""
    apart = Record(record.started)
    clients = made(server, settings, apart, notes)
    await asyncio.gather(*(client.verify() for client in clients))
    for client in clients:
        await client.close()
    record.checked.update(apart.checked)
    for fault in apart.faults:
        record.fault(f"at the end: {fault}")


def made(server: Server, settings: Settings, record: Record, notes: list[Notes]) -> list[Client]:
    embeds = settings.embed is not None
    return [Client(n, server.url, record, own, embeds) for n, own in enumerate(notes)]


def report(record: Record, settings: Settings, console: Console) -> None:
    """Requests, rates and latencies by kind; then what was checked, memory and faults."""
    kinds, at, seconds = record.arrays()
    table = Table(box=None, header_style="bold", pad_edge=False)
    table.add_column("kind")
    for head in ("requests", "requests/s", "p50 ms", "p99 ms", "max ms"):
        table.add_column(head, justify="right")
    rows = [(name, kinds == number) for number, name in enumerate(KINDS)]
    for name, chosen in [*rows, ("all", np.ones(len(kinds), bool))]:
        if chosen.any():
            took = 1000 * seconds[chosen]
            figures = [*np.percentile(took, (50, 99)), took.max()]
            rate = len(took) / settings.seconds
            table.add_row(
                name, f"{len(took):,}", f"{rate:,.1f}", *(f"{value:,.1f}" for value in figures)
            )
    console.print(table)
    retries = ", ".join(f"{count:,} × {status}" for status, count in record.retries.items())
    checked = ", ".join(f"{count // 2:,} {what}" for what, count in record.checked.items())
    console.print(f"told to come again: {retries or 'never'}", markup=False)
    console.print(f"documents compared, before and after a restart: {checked}", markup=False)
    console.print(str(Memory(record.memory)), markup=False)
    console.print(f"faults: {record.fault_count}", markup=False)
    for fault in record.faults:
        console.print(f"  {fault}", markup=False, soft_wrap=True)


@contextmanager
def shown(console: Console, seconds: float) -> Iterator[Show]:
    """How far it is; silent where the console is no terminal."""
    columns = (SpinnerColumn(), TextColumn("{task.description}"), BarColumn(), TimeElapsedColumn())
    with Progress(
        *columns, console=console, transient=True, disable=not console.is_terminal
    ) as progress:
        task = progress.add_task("", total=seconds)

        def show(what: str, passed: float) -> None:
            progress.update(task, description=what, completed=passed)

        yield show


if __name__ == "__main__":
    sys.exit(main())
