"""A server in a process of its own, and what is asked of it: feeding, quality, load."""

from __future__ import annotations

import http.client
import importlib.util
import json
import os
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

from bench.e5.material import PATH, Material
from siftline.errors import SiftlineError
from siftline.evaluate.measures import measure
from siftline.load.options import LoadOptions
from siftline.load.result import to_json
from siftline.load.run import Watch, run_load

#: Seconds until a server must accept: it loads its model and compiles before that.
START = 600.0
#: Seconds of load before what is measured, so that every shape was seen once.
WARM_UP = 3.0
#: Put after each path: on a busy machine an answer may take longer than the default of 500 ms.
PATIENCE = "?timeout=20s"
#: Connections of the stand-in for the Vespa client.
CONNECTIONS = 64


@contextmanager
def serving(package: Path, data: Path, log: Path) -> Iterator[int]:
    """The port of a server of the package, which ends with the block."""
    port, config = _free_port(), _free_port()
    command = [sys.executable, "-m", "siftline", "serve", str(package)]
    command += ["--port", str(port), "--config-port", str(config), "--data", str(data)]
    log.parent.mkdir(parents=True, exist_ok=True)
    with (
        log.open("ab") as said,
        subprocess.Popen(command, stdout=said, stderr=said, start_new_session=True) as process,
    ):
        try:
            _wait(process, port, log)
            yield port
        finally:
            process.terminate()
            try:
                process.wait(120)
            except subprocess.TimeoutExpired:
                process.kill()


def _wait(process: subprocess.Popen[bytes], port: int, log: Path) -> None:
    end = time.monotonic() + START
    while time.monotonic() < end and process.poll() is None:
        try:
            connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
            connection.request("GET", "/ApplicationStatus")
            if connection.getresponse().status == 200:
                connection.close()
                return
        except OSError:
            time.sleep(0.2)
    tail = log.read_text("utf-8", "replace").strip().splitlines()[-3:]
    raise SiftlineError(f"the server does not start: {' | '.join(tail)} (all of it in {log})")


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def feed(port: int, material: Material, work: Path) -> dict[str, Any]:
    """Feed everything with `vespa feed` where it is installed; documents a second, and by what."""
    client = vespa_client()
    figures = _vespa_feed(client, port, material, work) if client else _own_feed(port, material)
    if figures["documents"] != material.documents:
        raise SiftlineError(
            f"{figures['documents']} of {material.documents} documents were taken: {figures}"
        )
    return figures


def vespa_client() -> str | None:
    """The Vespa command line, on the path or in the package vespacli."""
    if importlib.util.find_spec("vespacli") is None:
        return shutil.which("vespa")
    return str(importlib.import_module("vespacli").get_binary_path())


def _vespa_feed(client: str, port: int, material: Material, work: Path) -> dict[str, Any]:
    command = [client, "feed", str(material.feed), "--target", f"http://127.0.0.1:{port}"]
    home = {"VESPA_CLI_HOME": str((work / "vespa").resolve())}
    run = subprocess.run(command, capture_output=True, text=True, env={**os.environ, **home})
    try:
        said = json.loads(run.stdout)
    except ValueError:
        raise SiftlineError(f"vespa feed: {run.stderr.strip() or run.stdout}") from None
    seconds = said["feeder.seconds"]
    return {
        "client": "vespa feed",
        "documents": said["feeder.ok.count"],
        "seconds": seconds,
        "documents_per_second": said["feeder.ok.count"] / seconds,
        "responses": said["http.response.code.counts"],
    }


def _own_feed(port: int, material: Material) -> dict[str, Any]:
    """The same operations as requests of `siftline fbench`, each sent once."""
    requests = material.folder / "feed.txt"
    with requests.open("w", encoding="utf-8") as file:
        for line in material.feed.read_text("utf-8").splitlines():
            operation = json.loads(line)
            _, namespace, kind, _, name = operation["put"].split(":", 4)
            body = json.dumps({"fields": operation["fields"]})
            file.write(f"/document/v1/{namespace}/{kind}/docid/{name}\n{body}\n")
    options = LoadOptions(
        (("127.0.0.1", port),), str(requests), clients=min(CONNECTIONS, material.documents),
        cycle=0, seconds=-1, restarts=0, post=True, shared=True,
    )  # fmt: skip
    result = run_load(options)
    return {
        "client": "siftline fbench",
        "documents": result.tally.succeeded,
        "seconds": result.ran,
        "documents_per_second": result.tally.succeeded / result.ran,
        "responses": dict(result.tally.statuses),
    }


def quality(port: int, material: Material, explore: int | None = None) -> dict[str, float]:
    """nDCG@10 of the answers over HTTP; explore: another hnsw.exploreAdditionalHits than asked."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=120)
    run = {}
    for query, body in material.requests("exact" if explore is None else "hnsw").items():
        if explore is not None:
            yql = str(body["yql"]).replace("AdditionalHits:300", f"AdditionalHits:{explore}")
            body = {**body, "yql": yql}
        run[query] = _ranking(connection, {**body, "timeout": "60s"})
    connection.close()
    if not any(run.values()):
        raise SiftlineError("no query has an answer: the index is empty; say --fresh to feed anew")
    judged = measure(material.collection.judgments, run, ["ndcg@10"])
    return {"ndcg@10": judged.mean("ndcg@10"), "unanswered": judged.unanswered}


def _ranking(
    connection: http.client.HTTPConnection, body: Mapping[str, object]
) -> list[tuple[str, float]]:
    headers = {"Content-Type": "application/json", "Accept": "application/json"}
    connection.request("POST", PATH, json.dumps(body), headers)
    response = connection.getresponse()
    said = response.read()
    if response.status != 200:
        raise SiftlineError(f"status {response.status}: {said[:500].decode('utf-8', 'replace')}")
    hits = json.loads(said)["root"].get("children", [])
    return [(hit["fields"]["doc_id"], hit["relevance"]) for hit in hits]


def load(
    port: int, material: Material, scenario: str, clients: int, seconds: float, watch: Watch
) -> dict[str, Any]:
    """What `siftline fbench -P -n clients -c 0` measures after a warm-up; no request may fail."""
    options = LoadOptions(
        (("127.0.0.1", port),), str(material.query_file(scenario)), clients=clients, cycle=0,
        seconds=seconds, post=True, append=PATIENCE,
    )  # fmt: skip
    run_load(replace(options, seconds=min(WARM_UP, seconds)))
    result = run_load(options, watch)
    if result.tally.failed:
        raise SiftlineError(
            f"{result.tally.failed} requests failed: {dict(result.tally.failures)}"
            f" {dict(result.tally.examples)}"
        )
    return to_json(result)
