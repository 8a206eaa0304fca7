"""`siftline fbench` beside `wrk` on one server: the requests a second that each reports.

servers: one that answers alike after some milliseconds, and `siftline serve` asked for words in
  2,000 documents
notes: they take turns, so that what the machine does beside meets both; medians. Where answers
  take no time at all, the server wants every processor, and what the tool itself takes is missing
"""

from __future__ import annotations

import re
import shutil
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from bench.common_words import common_words, write_package
from bench.live import serving
from bench.measurement import Measurement
from siftline.application import Application
from siftline.load.options import LoadOptions
from siftline.load.run import run_load

TURNS = 5
SECONDS = 3
#: Clients, and milliseconds the server waits before it answers.
LOADS = ((1, 10), (8, 10), (32, 20), (8, 0))
#: Clients of `siftline serve`.
CLIENTS = (1, 2, 8, 32)

DOCUMENTS = 2_000
QUERY = "/search/?query=when+there+can&hits=10&timeout=10s"


def run() -> Iterator[Measurement]:
    if shutil.which("wrk") is None:
        print("fbench: needs wrk to compare with (apt install wrk)", file=sys.stderr)
        return
    with reference_server() as port:
        for clients, milliseconds in LOADS:
            name = f"{clients} clients, {milliseconds} ms"
            yield from compared(name, port, clients, f"/{milliseconds}")
    with siftline_server() as port:
        for clients in CLIENTS:
            yield from compared(f"{clients} clients, siftline serve", port, clients, QUERY)


def compared(name: str, port: int, clients: int, path: str) -> Iterator[Measurement]:
    """The rates of both and their ratio."""
    ours, theirs = [], []
    for _ in range(TURNS):
        ours.append(fbench_rate(port, clients, path))
        theirs.append(wrk_rate(port, clients, path))
    yield Measurement(f"{name}, fbench", statistics.median(ours), "requests/s")
    yield Measurement(f"{name}, wrk", statistics.median(theirs), "requests/s")
    ratio = statistics.median(ours) / statistics.median(theirs)
    yield Measurement(f"{name}, fbench of wrk", 100 * ratio, "%")


def fbench_rate(port: int, clients: int, path: str) -> float:
    with tempfile.NamedTemporaryFile("w", suffix=".txt") as queries:
        queries.write(f"{path}\n")
        queries.flush()
        options = LoadOptions(
            (("127.0.0.1", port),), queries.name, clients=clients, cycle=0, seconds=SECONDS
        )
        result = run_load(options)
    if result.tally.failed:
        raise SystemExit(f"fbench: {result.tally.failures}")
    return result.rate


def wrk_rate(port: int, clients: int, path: str) -> float:
    command = ["wrk", "-t", "1", "-c", str(clients), "-d", str(SECONDS)]
    command.append(f"http://127.0.0.1:{port}{path}")
    said = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    found = re.search(r"Requests/sec:\s*([\d.]+)", said)
    if found is None or "Non-2xx" in said or "Socket errors" in said:
        raise SystemExit(f"wrk: {said}")
    return float(found[1])


@contextmanager
def siftline_server() -> Iterator[int]:
    """The port of a running `siftline serve` with documents of common words."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        package = write_package(folder / "app")
        with Application.open(package, folder / "data") as application:
            application.feed(common_words(DOCUMENTS))
        with serving(package, folder / "data", folder / "log") as server:
            yield int(server.url.rstrip("/").rpartition(":")[2])


@contextmanager
def reference_server() -> Iterator[int]:
    """The port of a running reference server."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    command = [sys.executable, "-m", "granian", "--interface", "asgi", "--no-access-log"]
    command += ["--log-level", "error", "--host", "127.0.0.1", "--port", str(port)]
    command += ["bench.reference_server:app"]
    root = Path(__file__).parent.parent
    with subprocess.Popen(command, cwd=root) as server:
        try:
            for _ in range(100):
                with socket.socket() as probe:
                    if probe.connect_ex(("127.0.0.1", port)) == 0:
                        break
                time.sleep(0.1)
            else:
                raise SystemExit("the reference server does not start")
            yield port
        finally:
            server.terminate()
