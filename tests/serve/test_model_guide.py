"""`docs/model-evaluation.md`: its Python runs and prints, its calls answer, what it says."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from serving import clients_of, host_of

from model_package import SERVICES, write_package
from siftline.application import Application
from siftline.schema.services import parse_services

GUIDE = (Path(__file__).parents[2] / "docs" / "model-evaluation.md").read_text()


def blocks(language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```$", GUIDE, re.DOTALL | re.MULTILINE)


@pytest.fixture(scope="module")
def printed(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[str]]:
    """The folder in which the guide's Python ran, and what it printed."""
    folder = tmp_path_factory.mktemp("guide")
    lines: list[str] = []
    names = {"print": lambda *values: lines.append(" ".join(map(str, values)))}
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        for code in blocks("python"):
            exec(compile(code, "docs/model-evaluation.md", "exec"), names)
    return folder, lines


def test_python_prints_what_the_guide_says(printed: tuple[Path, list[str]]) -> None:
    said = [
        found for code in blocks("python") for found in re.findall(r"print\(.*\)  # (.*)", code)
    ]
    assert len(said) == 3
    assert printed[1] == said


def test_calls_give_the_bodies_of_the_guide(printed: tuple[Path, list[str]]) -> None:
    calls = re.findall(
        r"\$ curl -s 'http://localhost:8080(.*?)'\n(.*)\n", "".join(blocks("console"))
    )
    assert len(calls) == 3
    with host_of(printed[0] / "model-server") as host, clients_of(host) as (client, _):
        for path, body in calls:
            assert client.get(path, headers={"Host": "localhost:8080"}).text == body


def test_the_model_of_expressions(tmp_path: Path) -> None:
    (source,) = blocks("text")
    folder = write_package(tmp_path / "app", SERVICES)
    (folder / "models" / "example.model").write_text(source)
    (folder / "models" / "weights.json").write_text("[1, 1, 2]")
    with Application.open(folder) as app:
        best = app.models["example"].function("best")
        assert list(best.function.arguments) == ["vector", "passages", "freshness"]
        best.bind("vector", [1, 2, 3]).bind("passages", "{a:[1,0,0],b:[0,1,1]}")
        # the larger of 1 and 2 + 3 * 2, twice, and 0.5
        assert float(best.bind("freshness", 0.5).evaluate()) == 16.5


def test_the_options_are_read() -> None:
    (options,) = blocks("xml")
    services = parse_services(f"<container>{options}</container>")
    found = services.model_options["transformer"]
    assert (found.intraop_threads, found.interop_threads) == (4, 2)
    assert (found.parallel, found.gpu_device) == (True, 0)
