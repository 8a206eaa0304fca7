from __future__ import annotations

from dataclasses import replace
from itertools import takewhile

import pytest
from hypothesis import given
from hypothesis import strategies as st
from index_fixtures import SCHEMA, SETTINGS, field, schema_of

from siftline.errors import PackageError
from siftline.index.layout import ColumnSpec, Layout, TextSpec
from siftline.index.policy import FANOUT, plan, tier
from siftline.schema.definition import Field, Hnsw
from siftline.schema.package import Settings, SparseQuery


def layout_of(*fields: Field, settings: Settings | None = None) -> Layout:
    return Layout.of(schema_of(*fields), settings or Settings())


def test_structures_by_type_and_output() -> None:
    layout = layout_of(
        field("shown", "string", "summary"),
        field("text", "string", "index"),
        field("both", "array<string>", "index attribute"),
        field("number", "int", "index"),
        field("set", "weightedset<long>", "attribute"),
        field("pairs", "map<string>", "attribute"),
    )
    assert layout.texts == {"text": TextSpec("text"), "both": TextSpec("both")}
    assert layout.columns == {
        "both": ColumnSpec("both", "string", "array"),
        "number": ColumnSpec("number", "int"),
        "set": ColumnSpec("set", "long", "weightedset"),
    }


def test_how_text_is_analysed() -> None:
    layout = layout_of(
        field("a", "string", "index", stemming="none", normalize=False),
        field("b", "string", "index", match="word"),
        field("c", "string", "index", match="cased"),
    )
    assert layout.texts["a"] == TextSpec("a", stem=False, normalize=False)
    assert layout.texts["b"] == TextSpec("b", whole=True)
    assert layout.texts["c"].cased
    with pytest.raises(PackageError, match="'d' has match: gram, which an index does not support"):
        layout_of(field("d", "string", "index", match="gram"))


def test_only_an_indexed_dense_field_has_a_graph() -> None:
    kind = "tensor<float>(x[4])"
    layout = layout_of(
        field("plain", kind, "attribute"),
        field("graph", kind, "attribute index", hnsw=Hnsw(8, 50)),
        field("default", kind, "attribute index"),
        field("bits", "tensor<int8>(x[4])", "attribute index", distance_metric="hamming"),
        field("many", "tensor<float>(p{},x[4])", "attribute index"),
    )
    graphs = {name: spec.graph for name, spec in layout.vectors.items()}
    assert graphs == {
        "plain": None,
        "graph": Hnsw(8, 50),
        "default": Hnsw(),
        "bits": None,
        "many": None,
    }


def test_sparse_fields_and_counted_tokens() -> None:
    layout = Layout.of(SCHEMA, SETTINGS)
    assert layout.vectors["sparse"].inverted
    assert layout.counted == {"sparse"}
    assert str(layout.vectors["sparse#tokens"].type) == "tensor<int8>(token{})"
    two = (
        field("s", "tensor<float>(t{})", "attribute"),
        field("u", "tensor<float>(t{})", "attribute"),
    )
    both = frozenset({"doc.s", "doc.u", "other.x"})
    unnamed = Settings(sparse_index=both, sparse_queries={"e": SparseQuery("idf")})
    with pytest.raises(PackageError, match=r"several sparse fields \(s, u\): name one with field"):
        layout_of(*two, settings=unnamed)
    named = replace(unnamed, sparse_queries={"e": SparseQuery("idf", field="u")})
    assert layout_of(*two, settings=named).counted == {"u"}
    filed = replace(unnamed, sparse_queries={"e": SparseQuery("idf", idf="table.json")})
    assert layout_of(*two, settings=filed).counted == frozenset()


def test_settings_that_do_not_fit_the_schema() -> None:
    dense = Settings(sparse_index=frozenset({"doc.v"}))
    with pytest.raises(PackageError, match="needs a tensor with one mapped dimension"):
        layout_of(field("v", "tensor<float>(x[3])", "attribute"), settings=dense)
    with pytest.raises(PackageError, match=r"'v' is tensor\(x\[\]\): a field's dimensions need"):
        layout_of(field("v", "tensor(x[])", "attribute"))


def test_the_fingerprint_is_of_the_structures() -> None:
    base = Layout.of(SCHEMA, SETTINGS).fingerprint
    assert Layout.of(SCHEMA, SETTINGS).fingerprint == base
    summary = schema_of(*SCHEMA.fields.values(), field("shown", "string", "summary"))
    assert Layout.of(summary, SETTINGS).fingerprint == base
    more = schema_of(*SCHEMA.fields.values(), field("more", "int", "attribute"))
    assert Layout.of(more, SETTINGS).fingerprint != base
    assert Layout.of(SCHEMA, Settings()).fingerprint != base


sizes = st.lists(st.integers(1, 10**6), max_size=40)


@given(sizes)
def test_a_plan_is_adjacent_and_leaves_few_segments(counts: list[int]) -> None:
    ranges = plan(counts, counts)
    assert len(ranges) <= 1
    left = counts
    if ranges:
        first, last = ranges[0]
        assert last == len(counts) and last - first >= FANOUT
        left = [*counts[:first], sum(counts[first:])]
    for highest in range(10):
        tail = list(takewhile(lambda size: tier(size) <= highest, reversed(left)))  # noqa: B023
        assert sum(tier(size) == highest for size in tail) < FANOUT


def test_a_segment_of_mostly_deleted_documents_is_rewritten() -> None:
    assert plan([100, 100, 100], [100, 50, 100]) == [(1, 2)]
    assert plan([100, 100, 100], [100, 80, 100]) == []
    tail = [10] * FANOUT
    assert plan([10**6, 10**6, *tail], [10**6, 10, *tail]) == [(1, 2 + FANOUT)]
    assert plan([100, 10**6, *tail], [10, 10**6, *tail]) == [(0, 1), (2, 2 + FANOUT)]


def test_feeding_in_small_steps_merges_logarithmically_often() -> None:
    segments: list[int] = []
    moved = 0
    for _ in range(2_000):
        segments.append(1_000)
        for first, last in plan(segments, segments):
            moved += sum(segments[first:last])
            segments[first:last] = [sum(segments[first:last])]
    assert sum(segments) == 2_000_000
    assert len(segments) <= 30
    assert moved <= 6 * 2_000_000
