"""Deploying with the real `vespa` command and with pyvespa, over HTTP to a running server."""

from __future__ import annotations

import json
import shutil
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.request import Request, urlopen

import pytest
from client_server import SCHEMA, Server, running, write_package
from vespa.deployment import VespaDocker
from vespa.package import ApplicationPackage, Document, Field, RankProfile, Schema
from vespa_command import Vespa

BROKEN = SCHEMA.replace("bm25(title) + bm25(content)", "bm25(titel)")


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A server of its own: deployments concern every other client."""
    folder = tmp_path_factory.mktemp("deploy")
    package = write_package(folder / "app")
    with running(package, folder / "data") as found:
        yield found


@pytest.fixture
def vespa(server: Server, tmp_path: Path) -> Vespa:
    home = tmp_path / "home"
    home.mkdir()
    return Vespa(home, server.config_url)


@pytest.fixture
def package(tmp_path: Path) -> Path:
    """The server's package to change and deploy."""
    return write_package(tmp_path / "app")


def generation(server: Server) -> int:
    path = "/application/v2/tenant/default/application/default/environment/prod/region/default"
    with urlopen(f"{server.config_url}{path}/instance/default/serviceconverge") as answer:
        return int(json.load(answer)["currentGeneration"])


def test_deploy_and_wait(vespa: Vespa, package: Path, server: Server) -> None:
    before = generation(server)
    said = vespa.ok("deploy", "--wait", "20", str(package))
    session = generation(server)
    assert session == before + 1
    assert f"Success: Deployed '{package}' with session ID {session}" in said
    said = vespa.ok("status", "deployment", "--wait", "10")
    assert f"ready on config generation {session}" in said
    assert "is ready" in vespa.ok("status", "deploy")


def test_services_say_where_they_listen(server: Server) -> None:
    path = "/application/v2/tenant/default/application/default/serviceconverge"
    with urlopen(f"{server.config_url}{path}") as answer:
        (service,) = json.load(answer)["services"]
    assert service["port"] == server.port


def test_deploy_a_zip(vespa: Vespa, package: Path, tmp_path: Path) -> None:
    archive = Path(shutil.make_archive(str(tmp_path / "application"), "zip", package))
    assert "Success: Deployed" in vespa.ok("deploy", str(archive))


def test_prepare_then_activate(vespa: Vespa, package: Path, server: Server) -> None:
    before = generation(server)
    assert f"with session {before + 1}" in vespa.ok("prepare", str(package))
    assert generation(server) == before
    assert f"with session {before + 1}" in vespa.ok("activate", "--wait", "10", str(package))
    assert generation(server) == before + 1


def test_an_outdated_session_is_not_activated(vespa: Vespa, package: Path) -> None:
    vespa.ok("prepare", str(package))
    vespa.ok("deploy", str(package))
    done = vespa("activate", str(package))
    assert done.returncode != 0
    assert "has changed since session" in done.stderr


def test_a_broken_package_says_where(vespa: Vespa, package: Path, server: Server) -> None:
    before = generation(server)
    (package / "schemas" / "doc.sd").write_text(BROKEN)
    done = vespa("deploy", str(package))
    assert done.returncode == 1
    assert "Error: invalid application package (status 400)" in done.stderr
    assert "schemas/doc.sd:15:" in done.stderr
    assert "did you mean 'title'?" in done.stderr
    assert generation(server) == before


def test_warnings_are_shown(vespa: Vespa, package: Path, server: Server) -> None:
    schema = SCHEMA.replace("indexing: attribute | summary }", "indexing: summary }", 1)
    (package / "schemas" / "doc.sd").write_text(schema)
    vespa.ok("deploy", str(package))
    (package / "schemas" / "doc.sd").write_text(SCHEMA)
    done = vespa("deploy", "--log-level", "warning", str(package))
    assert done.returncode == 0
    assert "WARNING" in done.stderr
    assert "Field 'category' changed: add attribute aspect" in done.stderr


def test_components_are_refused(vespa: Vespa, package: Path) -> None:
    (package / "ext" / "components").mkdir(parents=True)
    (package / "ext" / "components" / "loud.py").write_text("raise SystemExit")
    done = vespa("deploy", str(package))
    assert done.returncode == 1
    assert "--allow-components" in done.stderr


def test_fetch_gives_what_was_deployed(vespa: Vespa, package: Path, tmp_path: Path) -> None:
    (package / "ext" / "a b").mkdir(parents=True)
    (package / "ext" / "a b" / "ö.txt").write_text("note")
    vespa.ok("deploy", str(package))
    target = tmp_path / "fetched.zip"
    vespa.ok("fetch", str(target))
    with zipfile.ZipFile(target) as archive:
        found = {n: archive.read(n) for n in archive.namelist() if not n.endswith("/")}
    assert found == {
        path.relative_to(package).as_posix(): path.read_bytes()
        for path in package.rglob("*")
        if path.is_file()
    }


def test_pyvespa_deploys_an_application_package(
    server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What VespaDocker sends, to a server that no container has to be started for."""
    fields = [
        Field("title", "string", indexing=["index", "summary"], index="enable-bm25"),
        Field("stars", "int", indexing=["attribute", "summary"]),
    ]
    profile = RankProfile("best", "attribute(stars)", inherits="default")
    schema = Schema("doc", Document(fields), rank_profiles=[profile])
    package = ApplicationPackage("notes", schema=[schema])
    docker = VespaDocker(url="http://127.0.0.1", port=server.port, cfgsrv_port=server.config_port)
    monkeypatch.setattr(docker, "_run_vespa_engine_container", lambda **_: None)
    monkeypatch.setattr(docker, "wait_for_config_server_start", lambda **_: None)
    with pytest.raises(RuntimeError, match="content-cluster-removal"):
        docker.deploy(package, max_wait_deployment=20)
    with urlopen(f"{server.config_url}/application/v2/tenant/default/application/") as answer:
        (url,) = json.load(answer)
    with urlopen(Request(url, method="DELETE")) as answer:
        assert "was deleted" in json.load(answer)["message"]
    app = docker.deploy(package, max_wait_deployment=20)
    status = app.get_application_status()
    assert status is not None and status.status_code == 200
    assert app.feed_data_point("doc", "1", {"title": "a note", "stars": 3}).status_code == 200
    found: Any = app.query(yql="select * from doc where title contains 'note'", ranking="best")
    assert [hit["relevance"] for hit in found.get_json()["root"]["children"]] == [3.0]
