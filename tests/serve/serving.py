"""A server in a process of its own, and one in this process, over a small package."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from starlette.testclient import TestClient

from siftline.application import Application
from siftline.serve.app import config_app, container_app
from siftline.serve.host import Host
from siftline.serve.options import Options
from siftline.serve.warm import warm
from small_package import package_files, write_package

START_SECONDS = 60
STOP_SECONDS = 40

CLUSTER = "fruits"

SCHEMA = """schema fruit {
  document fruit {
    field title type string { indexing: index | summary
      index: enable-bm25
      stemming: none }
    field price type int { indexing: attribute | summary }
    field vec type tensor<float>(x[2]) { indexing: attribute | summary }
  }
  fieldset default { fields: title }
  rank-profile default { first-phase { expression: bm25(title) } }
  rank-profile near {
    inputs { query(q) tensor<float>(x[2]) }
    first-phase { expression: sum(query(q) * attribute(vec)) }
    match-features: attribute(vec) bm25(title)
  }
}
"""

#: the package: path → text
FILES = package_files(SCHEMA, cluster=CLUSTER)

DOCUMENTS = [
    {"id": "1", "title": "red apple", "price": 3, "vec": [1.0, 0.0]},
    {"id": "2", "title": "green apple pie", "price": 7, "vec": [0.5, 0.5]},
    {"id": "3", "title": "blue sky", "price": 1, "vec": [0.0, 1.0]},
]


def fruit_package(folder: Path) -> Path:
    """The fruit package in a new folder."""
    return write_package(folder, SCHEMA, cluster=CLUSTER)


def fed_package(folder: Path) -> Path:
    """The fruit package with its documents in the index beside it."""
    fruit_package(folder)
    with Application.open(folder) as application:
        assert application.feed(DOCUMENTS).errors == []
    return folder


@contextmanager
def host_of(package: Path | None, options: Options | None = None) -> Iterator[Host]:
    """A host in this process, closed afterwards."""
    application = Application.open(package) if package is not None else None
    if application is not None:
        warm(application)
    host = Host(application, options=options)
    try:
        yield host
    finally:
        host.close()


@contextmanager
def clients_of(host: Host) -> Iterator[tuple[TestClient, TestClient]]:
    """Clients of the container's application and of the config application."""
    with (
        TestClient(container_app(host), raise_server_exceptions=False) as container,
        TestClient(config_app(host), raise_server_exceptions=False) as config,
    ):
        yield container, config


@dataclass
class Running:
    """A server process: where it listens, and what it wrote."""

    process: subprocess.Popen[str]
    url: str
    config_url: str
    errors: list[str]

    def stop(self, number: int = signal.SIGTERM) -> int:
        """Ask it to stop and wait; its exit status."""
        if self.process.poll() is None:
            self.process.send_signal(number)
        return self.process.wait(STOP_SECONDS)


@contextmanager
def running(*arguments: str | Path, environment: dict[str, str] | None = None) -> Iterator[Running]:
    """`siftline serve ARGUMENTS` on free ports, until the block is left."""
    command = [sys.executable, "-m", "siftline", "serve", *map(str, arguments)]
    command += ["--port", "0", "--config-port", "0"]
    process = subprocess.Popen(
        command,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, **(environment or {})},
    )
    errors: list[str] = []
    reader = threading.Thread(target=_collect, args=(process, errors), daemon=True)
    reader.start()
    watchdog = threading.Timer(START_SECONDS, process.kill)
    watchdog.start()
    try:
        urls = _addresses(process)
        watchdog.cancel()
        if len(urls) != 2:
            process.wait(STOP_SECONDS)
            reader.join(STOP_SECONDS)
            raise AssertionError(f"the server did not start: {''.join(errors)}")
        server = Running(process, urls[0], urls[1], errors)
        yield server
        server.stop()
    finally:
        watchdog.cancel()
        if process.poll() is None:
            process.kill()
            process.wait(STOP_SECONDS)
        reader.join(STOP_SECONDS)
        for stream in (process.stdout, process.stderr):
            if stream is not None:
                stream.close()


def _collect(process: subprocess.Popen[str], lines: list[str]) -> None:
    if process.stderr is not None:
        lines.extend(process.stderr)


def _addresses(process: subprocess.Popen[str]) -> list[str]:
    found: list[str] = []
    if process.stdout is not None:
        for line in process.stdout:
            found += re.findall(r"https?://\S+", line)
            if len(found) == 2:
                break
    return found
