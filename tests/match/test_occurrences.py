"""Frequencies of words, phrases and near words, by hand."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from match_corpus import SCHEMA, fill

from siftline.index.snapshot import Snapshot
from siftline.match.occurrences import term_frequencies
from siftline.schema.definition import FieldType

TITLES = ("a b a b c", "b a", "a x b x x b", "", "a a a")


@pytest.fixture(scope="module")
def snapshot(tmp_path_factory: pytest.TempPathFactory) -> Any:
    batch = {f"id:n:doc::{i}": {"title": title} for i, title in enumerate(TITLES)}
    items = list(batch.items())
    with fill(tmp_path_factory.mktemp("o"), [dict(items[:2]), dict(items[2:])]) as index:
        yield index.snapshot()


@pytest.mark.parametrize(
    ("tokens", "near", "expected"),
    [
        ("a", None, [2, 1, 1, 0, 3]),
        ("z", None, [0, 0, 0, 0, 0]),
        ("a b", None, [2, 0, 0, 0, 0]),
        ("a b a", None, [1, 0, 0, 0, 0]),
        ("a a", None, [0, 0, 0, 0, 2]),
        ("a z", None, [0, 0, 0, 0, 0]),
        ("a b", (1, False), [3, 1, 0, 0, 0]),
        ("a b", (2, False), [3, 1, 1, 0, 0]),
        ("a b", (2, True), [2, 0, 1, 0, 0]),
        ("b a", (1, True), [1, 1, 0, 0, 0]),
        ("a c", (3, True), [1, 0, 0, 0, 0]),
        ("a a", (1, True), [0, 0, 0, 0, 2]),
    ],
)
def test_frequencies(
    snapshot: Snapshot, tokens: str, near: tuple[int, bool] | None, expected: list[float]
) -> None:
    every = np.arange(5)
    found = term_frequencies(snapshot, "title", tokens.split(), every, near)
    assert found.tolist() == expected
    mixed = np.array([4, 0, 2])
    found = term_frequencies(snapshot, "title", tokens.split(), mixed, near)
    assert found.tolist() == [expected[i] for i in mixed]


def test_phrases_do_not_cross_elements(tmp_path: Path) -> None:
    from dataclasses import replace

    own = replace(SCHEMA.fields["title"], type=FieldType("array", FieldType("string")))
    schema = replace(SCHEMA, fields={**SCHEMA.fields, "title": own})
    batch = {"id:n:doc::0": {"title": ["a b", "c"]}, "id:n:doc::1": {"title": ["a", "b c"]}}
    with fill(tmp_path, [batch], schema=schema) as index:
        snapshot = index.snapshot()
        both = np.arange(2)
        assert term_frequencies(snapshot, "title", ("a", "b"), both).tolist() == [1, 0]
        assert term_frequencies(snapshot, "title", ("b", "c"), both).tolist() == [0, 1]
        near = term_frequencies(snapshot, "title", ("b", "c"), both, (100, False))
        assert near.tolist() == [0, 1]
