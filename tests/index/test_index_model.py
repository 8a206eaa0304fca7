"""Random histories of an index against a dictionary."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import hypothesis.strategies as st
import numpy as np
from hypothesis import settings
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule
from index_fixtures import (
    SCHEMA,
    TYPES,
    VECTORS,
    Document,
    abandon,
    encoded,
    opened,
    tensor_of,
)

from siftline.index.index import Snapshot

WORDS = ["red", "blue", "wine", "sky", "tree"]
IDS = [f"id:t:doc::{n}" for n in range(6)]
small = st.integers(-100, 100)
cells = st.floats(-4, 4, width=16)
documents = st.fixed_dictionaries(
    {},
    optional={
        "title": st.lists(st.sampled_from(WORDS), max_size=6).map(" ".join),
        "tags": st.lists(st.sampled_from(WORDS), max_size=3),
        "count": small,
        "price": st.floats(allow_nan=False),
        "open": st.booleans(),
        "kind": st.sampled_from(WORDS),
        "numbers": st.lists(small, max_size=3),
        "scores": st.dictionaries(st.sampled_from(WORDS), small, max_size=3),
        "dense": st.lists(cells, min_size=4, max_size=4),
        "short": st.lists(cells, min_size=3, max_size=3),
        "bits": st.lists(st.integers(-128, 127), min_size=2, max_size=2),
        "sparse": st.dictionaries(
            st.sampled_from(WORDS), st.floats(0.125, 9, width=32), min_size=1
        ),
        "tokens": st.one_of(
            st.integers(1, 3).map(lambda n: {str(i): [i, -i] for i in range(n)}),
            st.dictionaries(st.sampled_from(WORDS), st.just([0.5, 2.0]), min_size=1),
        ),
        "whole": st.dictionaries(
            st.tuples(st.sampled_from(WORDS), st.sampled_from(WORDS)), cells, min_size=1
        ),
    },
)


class IndexHistory(RuleBasedStateMachine):
    def __init__(self) -> None:
        super().__init__()
        self.folder = Path(tempfile.mkdtemp())
        self.index = opened(self.folder)
        self.expected: dict[str, Document] = {}
        self.held: list[tuple[Snapshot, dict[str, Document]]] = []

    @rule(batch=st.dictionaries(st.sampled_from(IDS), documents, min_size=1, max_size=4))
    def put(self, batch: dict[str, Document]) -> None:
        self.index.write(encoded(batch))
        for id_, document in batch.items():
            self.expected.pop(id_, None)
            self.expected[id_] = document

    @rule(ids=st.sets(st.sampled_from(IDS), min_size=1, max_size=3))
    def remove(self, ids: set[str]) -> None:
        self.index.write(encoded({}), sorted(ids))
        for id_ in ids:
            self.expected.pop(id_, None)

    @rule()
    def commit(self) -> None:
        self.index.commit()

    @rule()
    def merge(self) -> None:
        self.index.merge()
        assert len(self.index.snapshot().segments) <= 1

    @rule()
    def hold(self) -> None:
        self.held.append((self.index.snapshot(), dict(self.expected)))

    @rule()
    def reopen(self) -> None:
        self.held.clear()
        self.index.close()
        self.index = opened(self.folder)

    @rule()
    def crash(self) -> None:
        self.held.clear()
        abandon(self.index)
        self.index = opened(self.folder)

    @rule()
    def lose_segments(self) -> None:
        self.held.clear()
        abandon(self.index)
        for path in self.folder.glob("*.*"):
            if path.is_file():
                path.unlink()
        self.index = opened(self.folder)

    @rule()
    @precondition(lambda self: self.expected)
    def update_from_load(self) -> None:
        """What load gives can be written again."""
        id_ = next(iter(self.expected))
        self.index.write(self.index.load([id_, "id:t:doc::unknown"]))
        self.expected[id_] = self.expected.pop(id_)

    @invariant()
    def shows_what_was_written(self) -> None:
        check(self.index.snapshot(), self.expected)
        assert list(self.index.visit()) == [
            (id_, stored_fields(document)) for id_, document in self.expected.items()
        ]

    @invariant()
    def old_snapshots_stay(self) -> None:
        for snapshot, expected in self.held:
            check(snapshot, expected)

    def teardown(self) -> None:
        self.held.clear()
        self.index.close()
        shutil.rmtree(self.folder)


def stored_fields(document: Document) -> Document:
    return {name: value for name, value in document.items() if name not in VECTORS}


def check(snapshot: Snapshot, expected: Mapping[str, Document]) -> None:
    numbers = snapshot.documents()
    assert snapshot.document_count == len(numbers) == len(expected)
    assert snapshot.ids(numbers) == list(expected)
    assert snapshot.live(numbers).all()
    assert [snapshot.find(id_) for id_ in IDS] == [
        int(numbers[list(expected).index(id_)]) if id_ in expected else None for id_ in IDS
    ]
    rows = list(expected.values())
    for number, row in zip(numbers, rows, strict=True):
        assert snapshot.fields(int(number)) == stored_fields(row)
    shuffled = np.roll(np.arange(len(rows)), 1)
    for name in TYPES:
        if name in VECTORS:
            batch = snapshot.tensors(name, numbers[shuffled])
            found = [batch.tensor(i) for i in range(len(rows))]
            assert found == [tensor_of(name, rows[i].get(name)) for i in shuffled]
    check_columns(snapshot, numbers, rows)
    check_text(snapshot, rows)
    check_sparse(snapshot, numbers, rows)


def check_columns(snapshot: Snapshot, numbers: np.ndarray, rows: list[Document]) -> None:
    for name in ("count", "price", "open", "kind"):
        column = snapshot.column(name, numbers)
        found = [v if p else None for v, p in zip(column.values, column.present, strict=True)]
        assert found == [row.get(name) for row in rows]
    for name in ("tags", "numbers", "scores"):
        column = snapshot.column(name, numbers[::-1])
        assert column.indptr is not None
        for i, row in enumerate(reversed(rows)):
            value: Any = row.get(name) or []
            part = slice(column.indptr[i], column.indptr[i + 1])
            assert column.values[part].tolist() == list(value)
            if name == "scores" and value:
                assert column.weights is not None
                assert column.weights[part].tolist() == list(value.values())


def check_text(snapshot: Snapshot, rows: list[Document]) -> None:
    for word in WORDS:
        found: list[tuple[int, list[int]]] = []
        live = 0
        for segment in snapshot.segments:
            reader = segment.text("title")
            term = reader.lookup(word)
            if term >= 0:
                owners, frequencies = reader.postings(term)
                offsets, positions = reader.positions(term)
                for i, owner in enumerate(owners.tolist()):
                    own = positions[offsets[i] : offsets[i + 1]].tolist()
                    assert len(own) == frequencies[i]
                    if segment.live[owner]:
                        number = live + int(segment.live[:owner].sum())
                        found.append((number, own))
            live += segment.live_count
        titles = [row.get("title", "").split() for row in rows]
        wanted = [(i, [p for p, w in enumerate(t) if w == word]) for i, t in enumerate(titles)]
        assert found == [(i, places) for i, places in wanted if places]


def check_sparse(snapshot: Snapshot, numbers: np.ndarray, rows: list[Document]) -> None:
    counts: dict[str, int] = {}
    for row in rows:
        for label in row.get("sparse", {}):
            counts[label] = counts.get(label, 0) + 1
    frequencies = snapshot.token_frequencies("sparse")
    assert frequencies.documents == len(rows)
    assert dict(frequencies.counts) == counts
    by_number = dict(zip(numbers.tolist(), rows, strict=True))
    for word in WORDS:
        live = 0
        for segment in snapshot.segments:
            reader = segment.sparse("sparse")
            term = reader.lookup(word)
            if term < 0:
                continue
            owners, impacts = reader.postings(term)
            bounds = impacts * np.float64(reader.scales[term])
            for owner, bound in zip(owners.tolist(), bounds.tolist(), strict=True):
                if segment.live[owner]:
                    weight = np.float32(by_number[segment.base + owner]["sparse"][word])
                    assert weight <= bound <= weight + reader.scales[term] * 1.001
                    assert weight <= reader.maxima[term]
                    live += 1
        assert live == counts.get(word, 0)


assert set(SCHEMA.fields) >= set(VECTORS)
IndexHistory.TestCase.settings = settings(
    max_examples=settings().max_examples // 2, stateful_step_count=20, deadline=None
)
TestIndexHistory = IndexHistory.TestCase
