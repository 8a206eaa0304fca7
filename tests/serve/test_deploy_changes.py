"""What a deployment does to what is served: nothing until it can, then all of it at once."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from deploying import INSTANCE, TENANT, ZIP, Server, changed, fruit_server, served, zipped
from serving import FILES, fed_package
from small_embedder import embedder_files

from siftline.errors import StoreError
from siftline.index.index import Index

STEMMED = changed("stemming: none", "stemming: best")
OVERRIDE = f"""<validation-overrides>
  <allow until="{datetime.now(UTC).date()}">field-type-change</allow>
  <allow until="{datetime.now(UTC).date()}">schema-removal</allow>
</validation-overrides>"""
OTHER = """schema tree { document tree { field name type string { indexing: summary | index } } }"""


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Server]:
    with fruit_server(tmp_path) as found:
        yield found


def feed(server: Server, id_: str, type_: str = "fruit", **fields: Any) -> int:
    path = f"/document/v1/d/{type_}/docid/{id_}"
    return server.container.post(path, json={"fields": fields}).status_code


def kinds(answer: dict[str, Any]) -> dict[str, int]:
    return {kind: len(found) for kind, found in answer["configChangeActions"].items()}


def test_ranking_changes_at_once_and_keeps_the_index(server: Server) -> None:
    with server.host.use() as application:
        index = application.engine().index
    assert feed(server, "4", title="yellow apple", price=9) == 200
    profile = "rank-profile dear { first-phase { expression: attribute(price) } } rank-profile near"
    server.deploy(changed("rank-profile near", profile))
    assert server.ask("true", ranking="dear") == ["4", "2", "1", "3"]
    with server.host.use() as application:
        assert application.engine().index is index
    assert feed(server, "5", title="apple", price=10) == 200
    assert server.ask("true", ranking="dear") == ["5", "4", "2", "1", "3"]


def test_another_layout_is_built_from_the_stored_documents(server: Server) -> None:
    assert server.ask('title contains "apples"') == []
    assert feed(server, "4", title="apples", price=9) == 200
    answer = server.deploy(STEMMED)
    assert kinds(answer) == {"restart": 0, "refeed": 0, "reindex": 1}
    assert sorted(server.ask('title contains "apples"')) == ["1", "2", "4"]
    assert feed(server, "5", title="an apple", price=9) == 200
    assert server.container.delete("/document/v1/app/fruit/docid/1").status_code == 200
    assert "5" in server.ask('title contains "apples"')


def test_a_new_attribute_is_filled(server: Server) -> None:
    answer = server.deploy(changed("indexing: index | summary", "indexing: index | attribute"))
    assert kinds(answer) == {"restart": 1, "refeed": 0, "reindex": 0}
    assert server.ask("true order by title") == ["3", "2", "1"]


def test_documents_survive_everything_and_a_restart(tmp_path: Path) -> None:
    with fruit_server(tmp_path) as server:
        server.deploy(STEMMED)
        assert feed(server, "4", title="apples", price=9) == 200
        server.deploy(FILES)
        server.deploy(STEMMED)
        assert feed(server, "5", title="apple", price=9) == 200
    for _ in range(2):
        with served(tmp_path / "fruits", tmp_path / "fruits.siftline") as server:
            assert sorted(server.ask('title contains "apples"')) == ["1", "2", "4", "5"]
            assert server.generation() == 4


def test_a_type_change_forgets_the_values_where_it_is_allowed(server: Server) -> None:
    other = changed("type int", "type string")
    server.deploy(other, 400)
    answer = server.deploy({**other, "validation-overrides.xml": OVERRIDE})
    (refeed,) = answer["configChangeActions"]["refeed"]
    assert (refeed["name"], refeed["documentType"]) == ("field-type-change", "fruit")
    assert answer["log"][-1]["level"] == "WARNING"
    read = server.container.get("/document/v1/fruits/fruit/docid/1").json()
    assert read["fields"] == {"title": "red apple", "vec": {"type": "tensor<float>(x[2])",
                                                           "values": [1.0, 0.0]}}  # fmt: skip
    assert feed(server, "1", title="red apple", price="cheap") == 200
    assert server.ask('price contains "cheap"') == ["1"]


def test_a_schema_comes_goes_and_comes_back_with_its_documents(server: Server) -> None:
    services = FILES["services.xml"]
    assert isinstance(services, str)
    both = {
        **FILES,
        "schemas/tree.sd": OTHER,
        "services.xml": services.replace("</documents>", '<document type="tree"/></documents>'),
    }
    server.deploy(both)
    assert feed(server, "1", "tree", name="oak") == 200
    answer = server.deploy(FILES, 400)
    assert "schema-removal: Schema 'tree' is removed" in answer["message"]
    answer = server.deploy({**FILES, "validation-overrides.xml": OVERRIDE})
    assert any("documents of tree stay" in entry["message"] for entry in answer["log"])
    assert feed(server, "2", "tree", name="elm") == 400
    server.deploy(both)
    read = server.container.get("/document/v1/d/tree/docid/1")
    assert read.json()["fields"] == {"name": "oak"}


def test_another_cluster_is_refused(server: Server) -> None:
    services = FILES["services.xml"]
    assert isinstance(services, str)
    renamed = {**FILES, "services.xml": services.replace('id="fruits"', 'id="other"')}
    message = server.deploy(renamed, 400)["message"]
    assert "content-cluster-removal: Content cluster 'fruits' is removed" in message


def test_a_package_with_another_name_takes_the_documents_over(server: Server) -> None:
    assert server.host.name == "fruits"
    server.deploy({**FILES, "ext/siftline.toml": 'name = "other"'})
    assert server.host.name == "other"
    assert server.ask("true") == ["1", "2", "3"]
    server.deploy(FILES)
    assert server.host.name == "other", "a package without a name goes by the one before"


@pytest.mark.parametrize("step", ["rebuilt", "publish", "forget", "mark_stale"])
def test_a_deployment_that_fails_half_way_changes_nothing(
    server: Server, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, step: str
) -> None:
    def fail(*_: object) -> None:
        raise StoreError("the disk is full")

    files = {
        **STEMMED,
        **changed("type int", "type string", STEMMED),
        "validation-overrides.xml": OVERRIDE,
        "schemas/tree.sd": OTHER,
    }
    with monkeypatch.context() as patched:
        patched.setattr(Index, step, fail)
        assert server.deploy(files, 500)["message"] == "the disk is full"
    assert server.generation() == 1
    assert server.ask('title contains "apples"') == []
    assert server.ask("price = 7") == ["2"]
    assert not (tmp_path / "fruits.siftline" / "tree").exists()
    assert feed(server, "4", title="apple", price=11) == 200
    assert server.ask("price = 11") == ["4"]
    server.deploy(files)
    assert sorted(server.ask('title contains "apples"')) == ["1", "2", "4"]
    assert feed(server, "1", "tree", name="oak") == 200


def test_a_query_finishes_on_the_application_it_began_with(server: Server) -> None:
    with server.host.use() as old:
        before = old.engine().index.snapshot()
        server.deploy(STEMMED)
        server.deploy(FILES)
        server.deploy(STEMMED)
        assert feed(server, "4", title="apples", price=1) == 200
        found = old.query(yql='select * from fruit where title contains "apple"')
        assert [hit.id.rpartition(":")[2] for hit in found.hits] == ["1", "2"]
        assert before.fields(0)["title"] == "red apple"
    assert sorted(server.ask('title contains "apples"')) == ["1", "2", "4"]


def test_feeding_and_queries_go_on_while_packages_are_deployed(server: Server) -> None:
    """Layouts change back and forth; no request fails and no document is lost."""
    over = threading.Event()
    fed: list[str] = []
    failed: list[Any] = []

    def keep_feeding() -> None:
        number = 0
        while not over.is_set() or number < 50:
            number += 1
            status = feed(server, f"n{number}", title=f"apple {number}", price=number)
            if status == 200:
                fed.append(f"n{number}")
            else:
                failed.append(status)

    def keep_asking() -> None:
        while not over.is_set():
            found = server.ask('title contains "sky"')
            if found != ["3"]:
                failed.append(found)

    with ThreadPoolExecutor(2) as pool:
        futures = [pool.submit(keep_feeding), pool.submit(keep_asking)]
        try:
            for _ in range(3):
                server.deploy(STEMMED)
                server.deploy(FILES)
        finally:
            over.set()
        for future in futures:
            future.result(60)
    assert failed == []
    found = server.ask('title contains "apple"', hits="400", timeout="20s")
    assert sorted(found) == sorted([*fed, "1", "2"])


def test_deployments_at_once_wait_for_one_another(server: Server) -> None:
    with ThreadPoolExecutor(4) as pool:
        answers = list(pool.map(lambda _: server.deploy(FILES)["session-id"], range(4)))
    assert sorted(answers) == ["2", "3", "4", "5"]
    assert server.generation() == 5


def test_old_sessions_are_removed(server: Server, tmp_path: Path) -> None:
    for _ in range(4):
        server.deploy(FILES)
    server.config.post(f"{TENANT}/session", content=zipped(FILES), headers=ZIP)
    folder = tmp_path / "fruits.siftline" / ".siftline" / "sessions"
    assert {path.name for path in folder.iterdir()} == {"4", "5", "6"}
    assert server.config.get(f"{TENANT}/session/2").status_code == 404


# -- restarts ---------------------------------------------------------------------------------


def test_a_restart_serves_what_was_deployed_last(tmp_path: Path) -> None:
    data = tmp_path / "fruits.siftline"
    with fruit_server(tmp_path) as server:
        server.deploy(STEMMED)
    with served(tmp_path / "fruits", data) as server:
        assert server.generation() == 2
        assert sorted(server.ask('title contains "apples"')) == ["1", "2"]
        assert server.deploy(FILES)["session-id"] == "3"
    with served(None, data) as server:
        assert server.generation() == 3
        assert server.ask('title contains "apples"') == []
        assert server.host.name == "fruits"


def test_a_folder_that_changed_since_is_served_instead(tmp_path: Path) -> None:
    folder, data = tmp_path / "fruits", tmp_path / "fruits.siftline"
    with fruit_server(tmp_path) as server:
        server.deploy(FILES)
    schema = STEMMED["schemas/fruit.sd"]
    assert isinstance(schema, str)
    (folder / "schemas" / "fruit.sd").write_text(schema)
    for _ in range(2):
        with served(folder, data) as server:
            assert server.generation() == 3
            assert sorted(server.ask('title contains "apples"')) == ["1", "2"]
            content = server.config.get(f"{INSTANCE}/content/schemas/fruit.sd").text
            assert content == schema


def test_two_servers_do_not_share_a_data_folder(tmp_path: Path) -> None:
    with served(None, tmp_path / "data"), pytest.raises(StoreError, match="another server uses"):
        with served(None, tmp_path / "data"):
            pass
    with served(None, tmp_path / "data") as server:
        assert server.generation is not None


def test_leftovers_of_a_crash_are_swept(tmp_path: Path) -> None:
    data = tmp_path / "fruits.siftline"
    with fruit_server(tmp_path) as server:
        server.deploy(FILES)
    store = data / ".siftline"
    (store / "incoming-1").write_bytes(b"half")
    (store / "sessions" / "3" / "package").mkdir(parents=True)
    (store / "opening-x" / "fruit").mkdir(parents=True)
    with served(None, data) as server:
        assert server.ask("true") == ["1", "2", "3"]
        names = {path.name for path in store.iterdir()}
        assert names == {"lock", "sessions", "sessions.json"}
        assert "3" not in {path.name for path in (store / "sessions").iterdir()}


# -- embedders --------------------------------------------------------------------------------


def vector(server: Server, id_: str) -> Any:
    parameters = {
        "yql": f'select * from sky where text contains "{id_}"',
        "ranking": "near",
        "input.query(q)": "[1, 0]",
    }
    root = server.container.get("/search/", params=parameters).json()["root"]
    (hit,) = root["children"]
    return hit["fields"]["summaryfeatures"]["attribute(vec)"]["values"]


def test_a_changed_model_asks_for_feeding_and_feeding_the_same_again_is_enough(
    tmp_path: Path,
) -> None:
    with served(None, tmp_path / "data") as server:
        server.deploy(embedder_files(tmp_path))
        assert feed(server, "1", "sky", text="moon") == 200
        assert vector(server, "moon") == [2.0, 1.0]
        assert kinds(server.deploy(embedder_files(tmp_path)))["refeed"] == 0
        answer = server.deploy(embedder_files(tmp_path, scale=3))
        (refeed,) = answer["configChangeActions"]["refeed"]
        assert refeed["name"] == "indexing-change"
        assert refeed["messages"] == [
            "Document type 'sky': Field 'vec' changed: embedder 'small': transformer-model"
        ]
        assert "re-feed" in answer["log"][-1]["message"]
        assert vector(server, "moon") == [2.0, 1.0]
        assert feed(server, "2", "sky", text="sun") == 200
        assert vector(server, "sun") == [3.0, 1.0]
        assert feed(server, "1", "sky", text="moon") == 200
        assert vector(server, "moon") == [6.0, 1.0]


def test_a_broken_model_is_refused_and_the_old_one_answers(tmp_path: Path) -> None:
    with served(None, tmp_path / "data") as server:
        files = embedder_files(tmp_path)
        server.deploy(files)
        assert feed(server, "1", "sky", text="moon") == 200
        model = files["models/m.onnx"]
        assert isinstance(model, bytes)
        broken: list[tuple[str, str | bytes]] = [
            ("models/m.onnx", model[: len(model) // 2]),
            ("models/m.onnx", b""),
            ("models/t.json", "{"),
            ("services.xml", str(files["services.xml"]).replace("m.onnx", "none.onnx")),
            ("services.xml", str(files["services.xml"]).replace("m.onnx", "../../../x.onnx")),
            ("schemas/sky.sd", str(files["schemas/sky.sd"]).replace("(x[2])", "(x[3])")),
        ]
        for name, data in broken:
            answer = server.deploy({**files, name: data}, 400)
            assert answer["error-code"] == "INVALID_APPLICATION_PACKAGE", name
            assert str(tmp_path) not in answer["message"]
        assert vector(server, "moon") == [2.0, 1.0]
        assert feed(server, "2", "sky", text="sun") == 200


def test_a_model_changed_in_the_folder_is_seen_at_the_next_start(tmp_path: Path) -> None:
    folder, data = tmp_path / "sky", tmp_path / "data"

    def write(files: dict[str, str | bytes]) -> None:
        for name, content in files.items():
            path = folder / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content.encode() if isinstance(content, str) else content)

    write(embedder_files(tmp_path))
    with served(folder, data) as server:
        assert feed(server, "1", "sky", text="moon") == 200
    write(embedder_files(tmp_path, scale=3))
    with served(folder, data) as server:
        assert feed(server, "1", "sky", text="moon") == 200
        assert vector(server, "moon") == [6.0, 1.0]
    files = embedder_files(tmp_path, scale=3)
    script = 'input text . " rain" | embed small'
    write({**files, "schemas/sky.sd": str(files["schemas/sky.sd"]).replace(
        "input text | embed small", script)})  # fmt: skip
    with served(folder, data) as server:
        assert vector(server, "moon") == [6.0, 1.0]
        assert feed(server, "1", "sky", text="moon") == 200
        assert vector(server, "moon") == [7.5, 1.0]


def test_an_application_made_in_python_can_be_replaced(tmp_path: Path) -> None:
    from siftline.application import Application
    from siftline.serve.host import Host

    folder = fed_package(tmp_path / "fruits")
    host = Host(Application.open(folder))
    try:
        archive = tmp_path / "archive"
        archive.write_bytes(zipped(STEMMED))
        prepared = host.deployments.deploy(archive)
        assert (prepared.session.id, host.generation) == (2, 2)
    finally:
        host.close()
