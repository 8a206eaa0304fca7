"""A `siftline serve` of its own process, and the package and documents that the clients use."""

from __future__ import annotations

import json
import re
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.request import Request, urlopen

SCHEMA = """
schema doc {
  document doc {
    field title type string { indexing: index | summary  index: enable-bm25 }
    field content type string { indexing: index | summary  index: enable-bm25 }
    field category type string { indexing: attribute | summary }
    field stars type int { indexing: attribute | summary }
    field embedding type tensor<float>(x[3]) {
      indexing: attribute | index
      attribute { distance-metric: angular }
    }
  }
  fieldset default { fields: title, content }
  rank-profile bm25 inherits default {
    first-phase { expression: bm25(title) + bm25(content) }
  }
  rank-profile semantic inherits default {
    inputs { query(query_embedding) tensor<float>(x[3]) }
    first-phase { expression: closeness(field, embedding) }
  }
}
"""
SERVICES = """<services version="1.0">
  <container id="default" version="1.0"><search/><document-api/><model-evaluation/></container>
  <content id="content" version="1.0">
    <min-redundancy>1</min-redundancy>
    <documents><document type="doc" mode="index"/></documents>
  </content>
</services>
"""
#: id → fields; the query `red` finds 1 and 3 and no other
DOCUMENTS: dict[str, dict[str, Any]] = {
    "1": {"title": "red apple", "content": "a fruit", "category": "fruit", "stars": 1},
    "2": {"title": "green pear", "content": "a fruit", "category": "fruit", "stars": 2},
    "3": {"title": "fire engine", "content": "a red car", "category": "car", "stars": 3},
    "4": {"title": "taxi", "content": "a yellow car", "category": "car", "stars": 4},
}
VECTORS: dict[str, list[float]] = {
    "1": [1, 0, 0],
    "2": [0.9, 0.1, 0],
    "3": [0, 1, 0],
    "4": [0, 0, 1],
}

_LISTENING = re.compile(r"http://127\.0\.0\.1:(\d+)")


@dataclass(frozen=True, slots=True)
class Server:
    """Where a server listens."""

    port: int
    config_port: int
    process: subprocess.Popen[str]

    @property
    def url(self) -> str:
        """Of queries and documents."""
        return f"http://127.0.0.1:{self.port}"

    @property
    def config_url(self) -> str:
        """Of deployments."""
        return f"http://127.0.0.1:{self.config_port}"


def write_package(folder: Path) -> Path:
    """The package's files; its model `double` doubles a vector."""
    (folder / "schemas").mkdir(parents=True)
    (folder / "services.xml").write_text(SERVICES)
    (folder / "schemas" / "doc.sd").write_text(SCHEMA)
    write_model(folder / "models" / "double.onnx")
    return folder


def write_model(path: Path) -> None:
    """A tiny ONNX model: y = 2 x, both tensor<float>(d0[3])."""
    import onnx
    from onnx import TensorProto, helper

    path.parent.mkdir(parents=True, exist_ok=True)
    graph = helper.make_graph(
        [helper.make_node("Add", ["x", "x"], ["y"])],
        "double",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, [3])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, [3])],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)])
    model.ir_version = 9
    onnx.save(model, str(path))


def feed_lines() -> str:
    """DOCUMENTS with their vectors as a feed file."""
    return "".join(
        json.dumps({"put": f"id:doc:doc::{id_}", "fields": {**fields, "embedding": VECTORS[id_]}})
        + "\n"
        for id_, fields in DOCUMENTS.items()
    )


@contextmanager
def running(package: Path | None, data: Path, *options: str) -> Iterator[Server]:
    """A server on free ports of the loopback address, stopped as an operator would stop it.

    package: None to wait for a deployment.
    """
    command = [sys.executable, "-m", "siftline", "serve", "--data", str(data)]
    command += [] if package is None else [str(package)]
    process = subprocess.Popen(
        [*command, "--port", "0", "--config-port", "0", *options],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    said: list[str] = []
    try:
        ports = _ports(process, said)
        rest = threading.Thread(target=lambda: said.extend(process.stdout or ()), daemon=True)
        rest.start()
        yield Server(*ports, process)
        process.send_signal(signal.SIGTERM)
        process.wait(30)
        rest.join(10)
        if process.returncode != 0:
            raise AssertionError(f"the server ended with {process.returncode}:\n{''.join(said)}")
    finally:
        process.kill()
        process.wait()
        if process.stdout is not None:
            process.stdout.close()


def _ports(process: subprocess.Popen[str], said: list[str]) -> tuple[int, int]:
    """The ports that a server says it listens on, the container's first."""
    ports: list[int] = []
    for line in process.stdout or ():
        said.append(line)
        ports += [int(port) for port in _LISTENING.findall(line)]
        if len(ports) >= 2:
            return ports[0], ports[1]
    raise AssertionError(f"the server did not start:\n{''.join(said)}")


def empty(server: Server) -> None:
    """Remove every document of the server, by its own means."""
    request = Request(f"{server.url}/document/v1/?cluster=content&selection=true", method="DELETE")
    with urlopen(request, timeout=30) as answer:
        if answer.status != 200:
            raise AssertionError(answer.read())
