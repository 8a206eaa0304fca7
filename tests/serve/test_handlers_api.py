"""The application's request handlers over HTTP."""

from __future__ import annotations

from pathlib import Path
from textwrap import dedent

from serving import clients_of, fruit_package, host_of

from siftline.application import Application

CODE = """
    from siftline.process import Response

    def echo(request):
        return Response.json({
            "method": request.method, "groups": list(request.groups), "body": request.text,
            "properties": dict(request.properties), "token": request.headers.get("x-token"),
        })

    def teapot(request):
        return Response(b"short and stout", 418, "text/x-tea", {"x-pot": "1"})

    def broken(request):
        raise KeyError("water")
"""


def package(folder: Path, **bindings: str) -> Path:
    """The fruit package with handlers: function of CODE → path."""
    fruit_package(folder)
    (folder / "ext" / "components").mkdir(parents=True)
    (folder / "ext" / "components" / "work.py").write_text(dedent(CODE))
    elements = "".join(
        f'<handler id="work.{name}"><binding>http://*{path}</binding></handler>'
        for name, path in bindings.items()
    )
    services = (folder / "services.xml").read_text()
    (folder / "services.xml").write_text(services.replace("<search/>", f"<search/>{elements}"))
    return folder


def test_requests_reach_their_handler(tmp_path: Path) -> None:
    folder = package(tmp_path / "app", echo="/models/*", teapot="/tea", broken="/broken/*")
    with host_of(folder) as host, clients_of(host) as (client, config):
        answer = client.get("/models/a/b?x=1&x=2&y=", headers={"X-Token": "t"})
        assert answer.status_code == 200
        assert answer.headers["content-type"] == "application/json;charset=utf-8"
        assert answer.json() == {
            "method": "GET",
            "groups": ["testserver", "a/b"],
            "body": "",
            "properties": {"x": "1", "y": ""},
            "token": "t",
        }
        posted = client.post("/models/form?x=1", data={"x": "2", "z": "é"}).json()
        assert posted["method"] == "POST" and posted["properties"] == {"x": "1", "z": "é"}
        assert client.put("/models/raw", content=b"abc").json()["body"] == "abc"
        tea = client.get("/tea")
        assert (tea.status_code, tea.content) == (418, b"short and stout")
        assert tea.headers["content-type"].startswith("text/x-tea")
        assert tea.headers["x-pot"] == "1"
        assert client.get("/tea/2").status_code == 404
        assert config.get("/tea").status_code == 404


def test_an_exception_is_500_and_names_the_component(tmp_path: Path) -> None:
    folder = package(tmp_path / "app", broken="/broken/*", echo="/echo")
    with host_of(folder) as host, clients_of(host) as (client, _):
        answer = client.post("/broken/1")
        assert answer.status_code == 500
        assert answer.json() == {
            "component": "work.broken",
            "error": "ext/components/work.py:14: component 'work.broken' failed on POST /broken/1: "
            "KeyError: 'water'",
        }
        assert client.get("/echo").status_code == 200


def test_the_servers_own_paths_come_first(tmp_path: Path) -> None:
    with host_of(package(tmp_path / "app", echo="/*")) as host, clients_of(host) as (client, _):
        assert "root" in client.get("/search/?yql=select * from fruit where true").json()
        assert client.get("/anything").json()["groups"] == ["testserver", "anything"]


def test_after_a_swap_the_new_bindings_answer(tmp_path: Path) -> None:
    with host_of(package(tmp_path / "one", echo="/old")) as host, clients_of(host) as (client, _):
        assert client.get("/old").status_code == 200
        assert client.get("/new").status_code == 404
        host.swap(lambda _: Application.open(package(tmp_path / "two", echo="/new")))
        assert client.get("/old").status_code == 404
        assert client.get("/new").status_code == 200


def test_without_a_package_there_is_nothing() -> None:
    with host_of(None) as host, clients_of(host) as (client, _):
        assert client.get("/anything").status_code in (404, 503)
