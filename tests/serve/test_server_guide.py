"""docs/server.md names every option and every path of the server."""

from __future__ import annotations

from pathlib import Path

import typer.main

from siftline.__main__ import app
from siftline.serve.openapi import document

ROOT = Path(__file__).parents[2]
GUIDE = (ROOT / "docs" / "server.md").read_text()


def test_every_option_is_in_the_guide() -> None:
    command = typer.main.get_command(app).commands["serve"]  # type: ignore[attr-defined]
    options = {option for parameter in command.params for option in parameter.opts}
    missing = {
        option for option in options if option.startswith("--") and f"`{option}`" not in GUIDE
    }
    assert not missing
    assert len(options) > 10


def test_every_group_of_paths_is_in_the_guide() -> None:
    for config in (False, True):
        for path in document(config=config)["paths"]:
            known = path if "{" not in path else "/".join(path.split("/")[:3]) + "/…"
            if known.startswith(("/document/", "/model-evaluation/", "/application/")):
                known = "/".join(known.split("/")[:3]) + "/…"
            assert f"`{known}`" in GUIDE, path
