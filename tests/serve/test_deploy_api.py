"""`/application/v2`: every path, its replies and its errors."""

from __future__ import annotations

import gzip
import json
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import quote

import pytest
from deploying import (
    INSTANCE,
    TENANT,
    ZIP,
    Server,
    changed,
    fruit_server,
    served,
    tarred,
    zipped,
)
from serving import FILES

from siftline.serve.options import Limits

BASE = "http://testserver"


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Server]:
    with fruit_server(tmp_path) as found:
        yield found


def entries(folder: Path) -> set[str]:
    """Names of sessions and everything else below the deployments' folder."""
    store = folder / ".siftline"
    found = {path.name for path in store.iterdir()} - {"lock", "sessions", "sessions.json"}
    return found | {path.name for path in (store / "sessions").iterdir()}


def test_one_request_deploys(server: Server) -> None:
    assert server.deploy(FILES) == {
        "log": [],
        "tenant": "default",
        "session-id": "2",
        "url": BASE + INSTANCE,
        "message": "Session 2 for tenant 'default' prepared and activated.",
        "configChangeActions": {"restart": [], "refeed": [], "reindex": []},
    }
    assert server.generation() == 2
    assert server.ask('title contains "apple"') == ["1", "2"]


@pytest.mark.parametrize("kind", ["application/x-gzip", "application/gzip"])
def test_a_tar_is_as_good_as_a_zip(server: Server, kind: str) -> None:
    path = f"{TENANT}/prepareandactivate"
    answer = server.config.post(path, content=tarred(FILES), headers={"Content-Type": kind})
    assert answer.json()["session-id"] == "2"


def test_a_packed_body_is_unpacked(server: Server) -> None:
    headers = {**ZIP, "Content-Encoding": "gzip"}
    body = gzip.compress(zipped(FILES))
    answer = server.config.post(f"{TENANT}/prepareandactivate", content=body, headers=headers)
    assert answer.status_code == 200


def test_a_package_inside_one_folder_is_found(server: Server) -> None:
    server.deploy({f"app/{name}": data for name, data in FILES.items()})
    assert server.ask("true") == ["1", "2", "3"]


def test_step_by_step(server: Server) -> None:
    created = server.config.post(f"{TENANT}/session", content=zipped(FILES), headers=ZIP).json()
    assert created == {
        "log": [],
        "tenant": "default",
        "session-id": "2",
        "prepared": f"{BASE}{TENANT}/session/2/prepared",
        "content": f"{BASE}{TENANT}/session/2/content/",
        "message": "Session 2 for tenant 'default' created.",
    }
    assert server.config.get(f"{TENANT}/session/2").json()["status"] == "NEW"
    prepared = server.config.put(created["prepared"]).json()
    assert prepared == {
        "log": [],
        "tenant": "default",
        "session-id": "2",
        "activate": f"{BASE}{TENANT}/session/2/active",
        "message": "Session 2 for tenant 'default' prepared.",
        "configChangeActions": {"restart": [], "refeed": [], "reindex": []},
    }
    assert server.generation() == 1
    assert server.config.put(prepared["activate"]).json() == {
        "tenant": "default",
        "session-id": "2",
        "message": "Session 2 for tenant 'default' activated.",
        "url": BASE + INSTANCE,
    }
    assert server.generation() == 2
    assert server.config.get(f"{TENANT}/session/2").json()["status"] == "ACTIVATE"


def test_a_session_from_the_application_can_be_changed(server: Server) -> None:
    origin = quote(BASE + INSTANCE, safe="")
    created = server.config.post(f"{TENANT}/session?from={origin}").json()
    content = created["content"]
    assert server.config.get(content).json() == [f"{content}schemas/", f"{content}services.xml"]
    schema = server.config.get(f"{content}schemas/fruit.sd").text
    profile = "rank-profile cheap { first-phase { expression: -attribute(price) } } }"
    put = server.config.put(
        f"{content}schemas/fruit.sd", content=schema.rstrip().removesuffix("}") + profile
    )
    assert put.json() == {"prepared": created["prepared"]}
    assert server.config.put(created["prepared"]).status_code == 200
    assert server.config.put(f"{TENANT}/session/2/active").status_code == 200
    assert server.ask("true", ranking="cheap") == ["3", "1", "2"]


def test_files_of_a_session_are_written_listed_and_removed(server: Server) -> None:
    server.config.post(f"{TENANT}/session", content=zipped(FILES), headers=ZIP)
    content = f"{TENANT}/session/2/content"
    assert server.config.put(f"{content}/ext/deep/", content=b"").status_code == 200
    assert server.config.put(f"{content}/ext/deep/a b", content=b"\0\1").status_code == 200
    assert server.config.get(f"{content}/ext/deep/a%20b").content == b"\0\1"
    listed = server.config.get(f"{content}/ext/?recursive=true").json()
    assert listed == [f"{BASE}{content}/ext/deep/", f"{BASE}{content}/ext/deep/a%20b"]
    state = server.config.get(f"{content}/ext/deep/a%20b?return=status").json()
    md5 = "441077cc9e57554dd476bdfb8b8b8102"  # of the bytes 0 and 1
    assert state == [{"path": f"{BASE}{content}/ext/deep/a%20b", "status": "new", "md5": md5}]
    assert server.config.delete(f"{content}/ext/deep").status_code == 200
    assert server.config.get(f"{content}/ext/deep/").status_code == 404
    assert server.config.delete(f"{content}/ext/deep").status_code == 404


def test_the_deployed_package_is_fetched(server: Server) -> None:
    content = f"{BASE}{INSTANCE}/content"
    assert server.config.get(content).json() == [f"{content}/schemas/", f"{content}/services.xml"]
    assert server.config.get(f"{content}/services.xml").text == FILES["services.xml"]
    server.deploy({**FILES, "ext/note": "new"})
    assert server.config.get(f"{content}/ext/").json() == [f"{content}/ext/note"]


@pytest.mark.parametrize(
    "path",
    [
        "../sessions.json",
        "%2e%2e/%2e%2e/sessions.json",
        "..%2f..%2fsessions.json",
        "/etc/passwd",
        "%2fetc%2fpasswd",
        "schemas/..%2f..%2f..%2fsessions.json",
        "link",
        "link/hostname",
        ".hidden",
        "nothing",
        "a%00b",
        "C:%5cx",
    ],
)
@pytest.mark.parametrize("base", [f"{INSTANCE}/content", f"{TENANT}/session/1/content"])
def test_no_path_leads_out_of_the_package(
    server: Server, tmp_path: Path, base: str, path: str
) -> None:
    (tmp_path / "fruits" / "link").symlink_to("/etc")
    (tmp_path / "fruits" / ".hidden").write_text("secret")
    answer = server.config.get(f"{base}/{path}")
    assert answer.status_code == 404, answer.text
    assert "link" not in server.config.get(f"{base}?recursive=true").text
    copied = server.config.post(f"{TENANT}/session?from={INSTANCE}").json()["content"]
    assert server.config.get(f"{copied}{path}").status_code == 404


@pytest.mark.parametrize("path", ["../x", "..%2fx", "a/..%2f..%2fx", "%2fx", "a%0ab", "a%5cb"])
def test_nothing_is_written_outside_of_the_package(
    server: Server, tmp_path: Path, path: str
) -> None:
    server.config.post(f"{TENANT}/session", content=zipped(FILES), headers=ZIP)
    before = sorted(tmp_path.rglob("*"))
    answer = server.config.put(f"{TENANT}/session/2/content/{path}", content=b"x")
    assert answer.status_code in (400, 404)
    assert sorted(tmp_path.rglob("*")) == before


def test_names_that_clash_are_not_written(server: Server) -> None:
    server.config.post(f"{TENANT}/session", content=zipped(FILES), headers=ZIP)
    content = f"{TENANT}/session/2/content"
    for path in ("Services.xml", "services.xml/x", "schemas"):
        assert server.config.put(f"{content}/{path}", content=b"x").status_code == 400


def test_sessions_that_are_over_are_not_changed(server: Server) -> None:
    for path in ("content/x", "prepared", "active"):
        answer = server.config.put(f"{TENANT}/session/1/{path}", content=b"")
        assert answer.status_code == 400
        assert answer.json() == {"error-code": "BAD_REQUEST", "message": "Session 1 is active"}


def test_a_session_must_be_prepared_first(server: Server) -> None:
    server.config.post(f"{TENANT}/session", content=zipped(FILES), headers=ZIP)
    assert server.config.put(f"{TENANT}/session/2/active").status_code == 400
    server.config.put(f"{TENANT}/session/2/prepared")
    server.config.put(f"{TENANT}/session/2/content/ext/x", content=b"")
    answer = server.config.put(f"{TENANT}/session/2/active")
    assert answer.json()["message"] == "Session 2 is not prepared: prepare it first"


def test_an_outdated_session_conflicts(server: Server) -> None:
    server.config.post(f"{TENANT}/session", content=zipped(FILES), headers=ZIP)
    server.config.put(f"{TENANT}/session/2/prepared")
    server.deploy(FILES)
    answer = server.config.put(f"{TENANT}/session/2/active")
    assert answer.status_code == 409
    assert answer.json() == {
        "error-code": "ACTIVATION_CONFLICT",
        "message": "Cannot activate session 2 because the currently active session (3) has changed "
        "since session 2 was created (was 1 at creation time)",
    }
    assert server.generation() == 3
    assert server.config.put(f"{TENANT}/session/2/active?force=true").status_code == 200


@pytest.mark.parametrize(
    ("files", "message"),
    [
        ({}, "the package has no services.xml: it is not an application package"),
        ({**FILES, "services.xml": "<services>\n<contaner/></services>"}, "services.xml:2:1: "),
        (changed("bm25(title) }", "bm25(titel) }"), "schemas/fruit.sd:10:52: "),
        (changed("type int", "type itn"), "schemas/fruit.sd:6:"),
        ({**FILES, "ext/siftline.toml": "nme = 1"}, "ext/siftline.toml:1:1: unknown key 'nme'"),
        ({**FILES, "components/a.jar": b""}, "components/a.jar: a Java bundle cannot run here"),
        (
            {**FILES, "validation-overrides.xml": "<validation-overrides><allow until='2020-01-01'>"
             "x</allow></validation-overrides>"},
            "validation-overrides.xml:1:23: there is no override 'x'",
        ),
        (changed("type int", "type string"), "field-type-change: Document type 'fruit': Field"),
    ],
)  # fmt: skip
def test_a_bad_package_changes_nothing(
    server: Server, tmp_path: Path, files: dict[str, str], message: str
) -> None:
    before = entries(tmp_path / "fruits.siftline")
    answer = server.deploy(files, 400)
    assert answer["error-code"] == "INVALID_APPLICATION_PACKAGE"
    assert answer["message"].startswith(f"Invalid application: {message}")
    assert str(tmp_path) not in answer["message"]
    assert entries(tmp_path / "fruits.siftline") == before
    assert server.generation() == 1
    assert server.ask('title contains "apple"') == ["1", "2"]
    feed = server.container.post("/document/v1/d/fruit/docid/4", json={"fields": {"title": "fig"}})
    assert feed.status_code == 200
    assert server.deploy(FILES)["session-id"] == "3", "the number of the failed one is not reused"


def test_archives_that_are_refused_leave_nothing(server: Server, tmp_path: Path) -> None:
    before = entries(tmp_path / "fruits.siftline")
    for name in ("../evil", "/etc/evil", "a\\b", "SERVICES.XML"):
        message = server.deploy({**FILES, name: "x"}, 400)["message"]
        assert message.startswith("Invalid application: ")
        assert name.replace("\\", "") in message.replace("\\", "")
    for body in (b"no archive", b"PK\x03\x04 broken", gzip.compress(b"no tar" * 200)):
        answer = server.config.post(f"{TENANT}/session", content=body, headers=ZIP)
        assert answer.json()["error-code"] == "INVALID_APPLICATION_PACKAGE"
    assert entries(tmp_path / "fruits.siftline") == before


def test_requests_that_are_wrong(server: Server) -> None:
    path = f"{TENANT}/prepareandactivate"
    body = zipped(FILES)
    for headers in ({}, {"Content-Type": "text/plain"}, {"Content-Type": "multipart/form-data"}):
        for target in (path, f"{TENANT}/session"):
            answer = server.config.post(target, content=body, headers=headers)
            assert answer.status_code == 400
            assert answer.json()["error-code"] == "BAD_REQUEST"
            assert "Content-Type" in answer.json()["message"]
    empty = server.config.post(path, headers=ZIP)
    assert empty.status_code == 400
    assert "no body" in empty.json()["message"]
    assert server.config.get(path).status_code == 405
    assert server.config.put(f"{TENANT}/session/9/active").json() == {
        "error-code": "NOT_FOUND",
        "message": "Session 9 was not found",
    }
    assert server.config.put(f"{TENANT}/session/x/active").status_code == 400
    assert server.config.post(f"{TENANT}/session?from=http://x/y").status_code == 404


def test_a_package_over_the_limit_is_refused(tmp_path: Path) -> None:
    with fruit_server(tmp_path, limits=Limits(package=1000)) as server:
        noise = json.dumps([hash(str(n)) for n in range(1000)])
        before = entries(tmp_path / "fruits.siftline")
        answer = server.config.post(
            f"{TENANT}/prepareandactivate", content=zipped({**FILES, "x": noise}), headers=ZIP
        )
        assert answer.status_code == 413
        assert entries(tmp_path / "fruits.siftline") == before


@pytest.mark.parametrize(
    "path",
    [
        "/application/v2/tenant/other",
        "/application/v2/tenant/other/application/",
        f"{TENANT}/application/other",
        INSTANCE.replace("prod", "dev"),
        INSTANCE.replace("region/default", "region/x") + "/serviceconverge",
        INSTANCE.replace("instance/default", "instance/x") + "/content/services.xml",
    ],
)
def test_there_is_one_tenant_with_one_application(server: Server, path: str) -> None:
    answer = server.config.get(path)
    assert answer.status_code == 404
    assert answer.json()["error-code"] == "NOT_FOUND"


def test_tenants_and_applications_are_listed(server: Server) -> None:
    get = server.config.get
    assert get("/application/v2/tenant/").json() == {"tenants": ["default"]}
    assert get(TENANT).json() == {"message": "Tenant 'default' exists."}
    assert server.config.put(TENANT).status_code == 200
    assert get(f"{TENANT}/application/").json() == [BASE + INSTANCE]
    assert get(INSTANCE).json()["generation"] == 1
    assert get(f"{TENANT}/application/default").json() == get(INSTANCE).json()


def test_convergence_of_services(server: Server) -> None:
    found = server.config.get(f"{INSTANCE}/serviceconverge").json()
    (service,) = found["services"]
    assert service == {
        "host": "localhost",
        "port": 8080,
        "type": "container",
        "url": f"{BASE}{INSTANCE}/serviceconverge/localhost:8080",
        "clusterName": "default",
        "currentGeneration": 1,
    }
    one = server.config.get(service["url"])
    assert (one.status_code, one.json()["converged"]) == (200, True)
    assert server.config.get(f"{INSTANCE}/serviceconverge/elsewhere:1").status_code == 410


def test_a_deleted_application_leaves_its_documents(server: Server, tmp_path: Path) -> None:
    answer = server.config.delete(INSTANCE)
    assert answer.json()["message"] == (
        "Application 'default.default.default' was deleted; documents stay in the data folder: "
        "fruit"
    )
    assert server.config.delete(INSTANCE).status_code == 404
    assert server.config.get(INSTANCE).status_code == 404
    assert server.config.get(f"{INSTANCE}/serviceconverge").status_code == 404
    assert server.config.get(f"{TENANT}/application/").json() == []
    search = server.container.get("/search/", params={"yql": "select * from fruit where true"})
    assert search.status_code == 503
    assert server.deploy(FILES)["session-id"] == "2"
    assert server.ask("true") == ["1", "2", "3"]


def test_a_server_without_a_package_waits_for_one(tmp_path: Path) -> None:
    with served(None, tmp_path / "data") as server:
        assert server.config.get(f"{INSTANCE}/content").status_code == 404
        answer = server.config.post(f"{TENANT}/session?from={INSTANCE}")
        assert answer.status_code == 404
        assert server.deploy(FILES)["session-id"] == "1"
        assert server.ask("true") == []
        assert server.host.name == "default"
    with served(None, tmp_path / "data") as server:
        assert server.generation() == 1
        assert server.ask("true") == []


COMPONENT = "class Loud:\n    def search(self, query, execution):\n        return None\n"


def test_python_components_need_leave(server: Server, tmp_path: Path) -> None:
    before = entries(tmp_path / "fruits.siftline")
    answer = server.deploy({**FILES, "ext/components/loud.py": COMPONENT}, 403)
    assert answer["error-code"] == "FORBIDDEN"
    assert "--allow-components" in answer["message"]
    chain = '<search><chain id="default"><searcher id="os.path"/></chain></search>'
    named = FILES["services.xml"].replace("<search/>", chain)
    assert server.deploy({**FILES, "services.xml": named}, 403)["error-code"] == "FORBIDDEN"
    assert entries(tmp_path / "fruits.siftline") == before
    server.config.post(f"{TENANT}/session", content=zipped(FILES), headers=ZIP)
    session = sorted(entries(tmp_path / "fruits.siftline") - before)[0]
    path = f"{TENANT}/session/{session}/content/ext/components/loud.py"
    assert server.config.put(path, content=COMPONENT).status_code == 403


def test_python_components_with_leave(tmp_path: Path) -> None:
    with fruit_server(tmp_path, allow_components=True) as server:
        assert server.deploy({**FILES, "ext/components/loud.py": COMPONENT})["session-id"] == "2"
