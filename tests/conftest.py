"""Shared settings of the test suite."""

import os
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import settings

from siftline.__main__ import main
from siftline.model.fetch import fetch

# What is measured in `bench` is tested too, however pytest was started.
sys.path.insert(0, str(Path(__file__).parents[1]))

settings.register_profile("default", max_examples=50, deadline=None)
settings.register_profile("ci", max_examples=50, deadline=None, derandomize=True)
settings.register_profile("thorough", max_examples=500, deadline=None, print_blob=True)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "default"))


@pytest.fixture(scope="session")
def model_folder() -> Callable[[str], Path]:
    """`model_folder("splade-tiny")`: a catalogue model's folder, fetched once into the cache."""
    return fetch


@pytest.fixture
def siftline_command(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Callable[..., tuple[int, str, str]]:
    """Run `siftline` with arguments: exit status, standard output, standard error."""

    def command(*arguments: object) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["siftline", *map(str, arguments)])
        with pytest.raises(SystemExit) as ended:
            main()
            raise SystemExit(0)
        out, err = capsys.readouterr()
        return int(ended.value.code or 0), out, err

    return command
