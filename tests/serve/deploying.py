"""Packages as clients send them, and the paths they send them to."""

from __future__ import annotations

import io
import tarfile
import zipfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from serving import FILES, clients_of, fed_package
from starlette.testclient import TestClient

from siftline.serve.host import Host
from siftline.serve.options import Options
from siftline.serve.start import open_host

TENANT = "/application/v2/tenant/default"
INSTANCE = f"{TENANT}/application/default/environment/prod/region/default/instance/default"
ZIP = {"Content-Type": "application/zip"}

Files = Mapping[str, str | bytes]


def zipped(files: Files) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in files.items():
            archive.writestr(name, data)
    return out.getvalue()


def tarred(files: Files) -> bytes:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w:gz") as archive:
        for name, text in files.items():
            data = text.encode() if isinstance(text, str) else text
            info = tarfile.TarInfo(name)
            info.size = len(data)
            archive.addfile(info, io.BytesIO(data))
    return out.getvalue()


def changed(old: str, new: str, files: Files = FILES) -> dict[str, str | bytes]:
    """The fruit package with a text of its schema replaced."""
    schema = files["schemas/fruit.sd"]
    assert isinstance(schema, str)
    assert old in schema
    return {**files, "schemas/fruit.sd": schema.replace(old, new)}


@dataclass
class Server:
    """A host in this process with clients of both of its ports."""

    host: Host
    container: TestClient
    config: TestClient

    def deploy(self, files: Files, status: int = 200) -> dict[str, Any]:
        """The answer to deploying files in one request."""
        answer = self.config.post(
            f"{TENANT}/prepareandactivate", content=zipped(files), headers=ZIP
        )
        assert answer.status_code == status, answer.text
        found: dict[str, Any] = answer.json()
        return found

    def ask(self, where: str, **more: str) -> list[str]:
        """Ids of the documents that a condition finds, in order."""
        parameters = {"yql": f"select * from fruit where {where}", **more}
        root = self.container.get("/search/", params=parameters).json()["root"]
        assert "errors" not in root, root
        return [hit["id"].rpartition(":")[2] for hit in root.get("children", [])]

    def generation(self) -> int:
        """What `serviceconverge` says."""
        found = self.config.get(f"{INSTANCE}/serviceconverge").json()
        assert found["converged"] is True
        assert found["currentGeneration"] == found["wantedGeneration"]
        return int(found["wantedGeneration"])


@contextmanager
def served(folder: Path | None, data: Path, **options: Any) -> Iterator[Server]:
    """A server in this process, closed afterwards."""
    host = open_host(folder, Options(data=data, **options))
    try:
        with clients_of(host) as (container, config):
            yield Server(host, container, config)
    finally:
        host.close()


@contextmanager
def fruit_server(tmp_path: Path, **options: Any) -> Iterator[Server]:
    """The server of the fruit package with its three documents."""
    folder = fed_package(tmp_path / "fruits")
    with served(folder, tmp_path / "fruits.siftline", **options) as server:
        yield server
