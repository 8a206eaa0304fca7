"""`docs/components.md`: its package is one, its Python runs and prints what it says."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from siftline.schema.services import parse_services

GUIDE = (Path(__file__).parents[2] / "docs" / "components.md").read_text()

SCHEMA = """
schema note {
  document note {
    field title type string { indexing: index | summary }
    field text type string { indexing: index | summary }
    field stars type int { indexing: attribute | summary }
  }
  fieldset default { fields: title, text }
  document-summary stars { summary stars {} }
}
"""


def blocks(language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```$", GUIDE, re.DOTALL | re.MULTILINE)


def test_the_guide_runs_and_prints_what_it_says(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "notes"
    (folder / "schemas").mkdir(parents=True)
    (folder / "schemas" / "note.sd").write_text(SCHEMA)
    container = "\n".join(blocks("xml"))
    documents = "<content id='c'><documents><document type='note'/></documents></content>"
    services = f"<services><container id='d'>{container}</container>{documents}</services>"
    (folder / "services.xml").write_text(services)
    run: list[str] = []
    for code in blocks("python"):
        named = re.match(r"# (ext/components/\w+\.py)\n", code)
        if named:
            (folder / named[1]).parent.mkdir(parents=True, exist_ok=True)
            (folder / named[1]).write_text(code)
        else:
            run.append(code)
    printed: list[str] = []
    names = {"print": lambda *values: printed.append(" ".join(map(str, values)))}
    monkeypatch.chdir(tmp_path)
    for code in run:
        exec(compile(code, "docs/components.md", "exec"), names)
    said = [found for code in run for found in re.findall(r"print\(.*\)  # (.*)", code)]
    assert len(said) == 5
    assert printed == said


def test_every_component_of_the_guide_is_in_its_services() -> None:
    container = "\n".join(blocks("xml"))
    services = parse_services(f"<container id='d'>{container}</container>")
    files = re.findall(r"# ext/components/(\w+)\.py", GUIDE)
    assert {name.split(".")[0] for name in services.python_components} == set(files)
