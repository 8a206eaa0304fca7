"""Application packages deployed by the real clients to a server that starts without one."""

from __future__ import annotations

import io
import json
import urllib.request
import zipfile
from collections.abc import Iterator
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import pytest
from client_server import SCHEMA, Server, running, write_package
from vespa.application import Vespa
from vespa.deployment import VespaDocker
from vespa.package import (
    HNSW,
    ApplicationPackage,
    Document,
    Field,
    FieldSet,
    RankProfile,
    Schema,
    Validation,
)
from vespa_command import Vespa as VespaCommand


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A server that waits for its first package."""
    with running(None, tmp_path_factory.mktemp("empty") / "data") as server:
        yield server


@pytest.fixture
def deploy(server: Server, tmp_path: Path) -> VespaCommand:
    """`vespa` with the deploy API as its target."""
    return VespaCommand(tmp_path / "home", server.config_url)


class LocalDeployment(VespaDocker):
    """pyvespa's deployment to a local Vespa, without the container it would start."""

    def _run_vespa_engine_container(self, *arguments: Any, **named: Any) -> None:
        pass

    def _check_configuration_server(self) -> bool:
        url = f"http://localhost:{self.cfgsrv_port}/ApplicationStatus"
        with urllib.request.urlopen(url, timeout=10) as answer:
            return bool(answer.status == 200)


def songs() -> ApplicationPackage:
    """A package as pyvespa writes it."""
    fields = [
        Field("title", "string", indexing=["index", "summary"], index="enable-bm25"),
        Field(
            "embedding",
            "tensor<float>(x[2])",
            indexing=["attribute", "index", "summary"],
            ann=HNSW(distance_metric="angular"),
        ),
    ]
    schema = Schema(
        "song",
        Document(fields=fields),
        fieldsets=[FieldSet("default", ["title"])],
        rank_profiles=[RankProfile("bm25", "bm25(title)")],
    )
    until = (date.today() + timedelta(days=7)).isoformat()
    overrides = [Validation(name, until) for name in ("content-cluster-removal", "schema-removal")]
    return ApplicationPackage("songs", schema=[schema], validations=overrides)


def test_before_a_package_is_deployed(server: Server, tmp_path: Path) -> None:
    vespa = VespaCommand(tmp_path, server.url)
    assert vespa("status").returncode == 1
    refused = vespa("document", "get", "id:doc:doc::1")
    assert refused.returncode == 1 and "503" in refused.stderr
    assert VespaCommand(tmp_path, server.config_url)("status", "deploy").returncode == 0


def test_vespa_deploys_a_folder(server: Server, deploy: VespaCommand, tmp_path: Path) -> None:
    package = write_package(tmp_path / "app")
    said = deploy.ok("deploy", "--wait", "20", str(package))
    assert "Success: Deployed" in said and "session ID" in said
    vespa = VespaCommand(tmp_path, server.url)
    vespa.ok("status", "--wait", "10")
    vespa.ok("document", "put", "id:doc:doc::1", "-d", '{"fields":{"title":"hello"}}')
    found = json.loads(vespa.ok("query", "select * from doc where title contains 'hello'"))
    assert found["root"]["fields"]["totalCount"] == 1
    fetched = tmp_path / "fetched"
    fetched.mkdir()
    deploy.ok("fetch", str(fetched))
    assert "schema doc" in _fetched_text(fetched)


def _fetched_text(folder: Path) -> str:
    """The schema of a fetched package, a folder or a zip of one."""
    for path in folder.rglob("*"):
        if path.name == "doc.sd":
            return path.read_text()
        if path.suffix == ".zip":
            with zipfile.ZipFile(path) as archive:
                name = next(n for n in archive.namelist() if n.endswith("doc.sd"))
                return archive.read(name).decode()
    raise AssertionError(f"no schema in {list(folder.rglob('*'))}")


def test_vespa_prepares_and_activates(deploy: VespaCommand, tmp_path: Path) -> None:
    package = str(write_package(tmp_path / "app"))
    prepared = deploy.ok("prepare", "--wait", "20", package)
    assert "Success: Prepared" in prepared and "with session" in prepared
    assert "Success: Activated" in deploy.ok("activate", "--wait", "20", package)


def test_a_broken_package_changes_nothing(
    server: Server, deploy: VespaCommand, tmp_path: Path
) -> None:
    deploy.ok("deploy", "--wait", "20", str(write_package(tmp_path / "good")))
    broken = write_package(tmp_path / "app")
    (broken / "schemas" / "doc.sd").write_text(SCHEMA.replace("type int", "type whole"))
    done = deploy("deploy", "--wait", "20", str(broken))
    assert done.returncode == 1
    assert "invalid application package" in done.stderr and "doc.sd" in done.stderr
    assert json.loads(
        VespaCommand(tmp_path, server.url).ok("query", "select * from doc where true")
    )


def test_pyvespa_deploys_from_a_folder(server: Server, tmp_path: Path) -> None:
    docker = LocalDeployment(
        port=server.port, cfgsrv_port=server.config_port, output_file=io.StringIO()
    )
    app: Vespa = docker.deploy_from_disk("doc", write_package(tmp_path / "app"))
    assert app.feed_data_point("doc", "1", {"title": "x"}).status_code == 200


def test_pyvespa_names_what_is_wrong(server: Server, tmp_path: Path) -> None:
    package = write_package(tmp_path / "app")
    (package / "schemas" / "doc.sd").write_text(SCHEMA.replace("type int", "type whole"))
    docker = LocalDeployment(
        port=server.port, cfgsrv_port=server.config_port, output_file=io.StringIO()
    )
    with pytest.raises(RuntimeError, match=r"(?s)code: 400.*INVALID_APPLICATION_PACKAGE.*whole"):
        docker.deploy_from_disk("doc", package)


def test_pyvespa_deploys_its_own_package(server: Server) -> None:
    # last: it takes the documents of the others with it
    docker = LocalDeployment(
        port=server.port, cfgsrv_port=server.config_port, output_file=io.StringIO()
    )
    app: Vespa = docker.deploy(songs())
    vector = {"embedding": [1.0, 0.5]}
    assert app.feed_data_point("song", "1", {"title": "blue sky", **vector}).status_code == 200
    body = {"yql": "select * from song where userQuery()", "query": "sky", "ranking": "bm25"}
    answer: Any = app.query(body=body)
    assert [hit["fields"]["title"] for hit in answer.hits] == ["blue sky"]
    content = "songs_content"
    pages = [page for slice_ in app.visit(content, schema="song") for page in slice_]
    assert [page.number_documents_retrieved for page in pages] == [1]
