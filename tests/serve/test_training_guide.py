"""`docs/training.md` as it stands: from a folder of texts to a served model."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import httpx
import pytest
from serving import running

ROOT = Path(__file__).parents[2]
GUIDE = (ROOT / "docs" / "training.md").read_text()


def blocks(language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```$", GUIDE, re.DOTALL | re.MULTILINE)


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder in which every command of the page ran, but for the server."""
    folder = tmp_path_factory.mktemp("guide")
    (folder / "docs").mkdir()
    for page in (ROOT / "docs").glob("*.md"):
        shutil.copy(page, folder / "docs")
    shutil.copytree(ROOT / "examples" / "sparse", folder / "examples" / "sparse")
    commands = blocks("sh")
    assert "siftline serve" in commands.pop()
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    for block in commands:
        subprocess.run(
            ["bash", "-e", "-c", block],
            cwd=folder,
            env={**os.environ, "PATH": path},
            check=True,
            timeout=600,
            capture_output=True,
        )
    return folder / "build" / "guide"


@pytest.mark.model
def test_the_guide_leaves_what_it_says(trained: Path) -> None:
    names = {path.name for path in (trained / "run").iterdir()}
    assert {"final_model", "training_config.json", "training_losses.png"} <= names
    assert {"checkpoint-10", "checkpoint-20"} <= names
    assert (trained / "st" / "modules.json").is_file()
    assert list((trained / "zip").glob("*.zip"))
    log = json.loads((trained / "run" / "training_log.json").read_text())
    losses = [line["ranking_loss"] for line in log if "ranking_loss" in line]
    assert losses and all(loss >= 0 for loss in losses)


@pytest.mark.model
def test_the_served_model_answers_the_guides_question(trained: Path) -> None:
    (call,) = re.findall(r"curl -s 'http://localhost:8080(\S+)'", "".join(blocks("text")))
    with running(trained / "app") as server:
        found = httpx.get(f"{server.url.rstrip('/')}{call}", timeout=60).json()["root"]
    assert found["fields"]["totalCount"] > 0
    titles = [hit["fields"]["title"] for hit in found["children"]]
    # the pages are the corpus: a sentence written anywhere may move the answer down a little
    assert any("recipe" in title.lower() for title in titles), titles
