"""Shared settings of the test suite."""

import os
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import settings

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
