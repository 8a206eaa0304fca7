"""An index under another layout, built beside the one in use: published, or as if never tried."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from index_fixtures import SCHEMA, SETTINGS, abandon, encoded, field, opened

from siftline.errors import StoreError
from siftline.index.index import Index
from siftline.index.layout import Layout
from siftline.schema.definition import Schema

DOCUMENTS = {
    f"id:t:doc::{i}": {"title": f"running word{i}", "count": i, "dense": [i, 1, 0, 0]}
    for i in range(30)
}
#: as SCHEMA, but titles are not stemmed and the counts are no attribute
OTHER = replace(
    SCHEMA,
    fields={
        **{n: f for n, f in SCHEMA.fields.items() if n != "count"},
        "title": replace(SCHEMA.fields["title"], stemming="none"),
    },
)


def layout(schema: Schema) -> Layout:
    return Layout.of(schema, SETTINGS)


def counts(index: Index) -> list[Any]:
    snapshot = index.snapshot()
    return [snapshot.fields(number).get("count") for number in snapshot.documents().tolist()]


def segment_files(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir() if path.suffix in (".segment", ".deleted")}


def test_a_rebuilt_index_takes_over_while_the_old_one_is_read(tmp_path: Path) -> None:
    old = opened(tmp_path)
    old.write(encoded(DOCUMENTS), ())
    old.write(encoded({}), ["id:t:doc::3"])
    reader = old.snapshot()
    new = old.rebuilt(layout(OTHER))
    assert "count" in old.snapshot().layout.columns
    assert "count" not in new.layout.columns
    assert counts(new) == counts(old) == [i for i in range(30) if i != 3]
    new.publish()
    new.settle(old)
    new.write(encoded({"id:t:doc::99": {"title": "fresh", "count": 99}}))
    new.write(encoded({}), ["id:t:doc::5"])
    new.commit()
    assert reader.fields(4)["count"] == 5, "a snapshot taken before goes on"
    assert counts(old) == [i for i in range(30) if i != 3]
    with pytest.raises(StoreError):
        old.write(encoded({"id:t:doc::100": {"count": 1}}))
    old.close()
    assert counts(new)[-1] == 99
    new.close()
    with Index.open(tmp_path, OTHER, SETTINGS) as again:
        assert counts(again) == [i for i in range(30) if i not in (3, 5)] + [99]


def test_a_rebuild_given_up_leaves_everything(tmp_path: Path) -> None:
    old = opened(tmp_path)
    old.write(encoded(DOCUMENTS))
    old.commit()
    before = segment_files(tmp_path)
    new = old.rebuilt(layout(OTHER))
    assert segment_files(tmp_path) > before
    new.publish()
    old.restore()
    assert segment_files(tmp_path) == before
    old.write(encoded({"id:t:doc::99": {"title": "fresh", "count": 99}}))
    old.close()
    with opened(tmp_path) as again:
        assert counts(again) == [*range(30), 99]


def test_a_crash_between_rebuilding_and_publishing_loses_nothing(tmp_path: Path) -> None:
    old = opened(tmp_path)
    old.write(encoded(DOCUMENTS))
    old.write(encoded({}), ["id:t:doc::3"])
    old.rebuilt(layout(OTHER))
    abandon(old)
    with opened(tmp_path) as again:
        assert counts(again) == [i for i in range(30) if i != 3]
        again.write(encoded({"id:t:doc::99": {"count": 99}}))
        again.commit()
        assert segment_files(tmp_path) == again._segments.manifest.files


def test_an_empty_index_can_be_rebuilt(tmp_path: Path) -> None:
    old = opened(tmp_path)
    new = old.rebuilt(layout(OTHER))
    new.publish()
    new.settle(old)
    new.write(encoded({"id:t:doc::1": {"count": 1}}))
    assert counts(new) == [1]
    new.close()


def retyped(kind: str) -> Schema:
    return replace(SCHEMA, fields={**SCHEMA.fields, "count": field("count", kind, "attribute")})


def test_another_type_is_refused_and_then_forgotten_where_that_is_wanted(tmp_path: Path) -> None:
    old = Index.open(tmp_path, retyped("int"), SETTINGS)
    old.write(encoded({f"id:t:doc::{i}": {"title": "a", "count": i} for i in range(5)}))
    with pytest.raises(StoreError, match="count"):
        old.rebuilt(layout(retyped("string")))
    assert counts(old) == [0, 1, 2, 3, 4]
    new = old.rebuilt(layout(retyped("string")), frozenset({"count"}))
    new.publish()
    new.forget(frozenset({"count"}))
    new.settle(old)
    assert counts(new) == [None] * 5
    assert new.get("id:t:doc::1") == {"title": "a"}
    new.write(encoded({"id:t:doc::1": {"title": "a", "count": "one"}}))
    assert new.load(["id:t:doc::1"]).outputs["count"] == ["one"]
    new.close()
    with Index.open(tmp_path, retyped("string"), SETTINGS) as again:
        assert counts(again) == [None] * 4 + ["one"]
    with pytest.raises(StoreError, match="count"):
        Index.open(tmp_path, retyped("int"), SETTINGS)


def test_the_old_type_can_return_while_nothing_was_written(tmp_path: Path) -> None:
    old = Index.open(tmp_path, retyped("int"), SETTINGS)
    old.write(encoded({"id:t:doc::1": {"title": "a", "count": 1}}))
    new = old.rebuilt(layout(retyped("string")), frozenset({"count"}))
    new.publish()
    new.forget(frozenset({"count"}))
    new.settle(old)
    new.close()
    with Index.open(tmp_path, retyped("int"), SETTINGS) as again:
        assert again.get("id:t:doc::1") == {"title": "a"}


def test_documents_are_outdated_until_they_are_written_again(tmp_path: Path) -> None:
    ids = ["id:t:doc::0", "id:t:doc::1", "id:t:doc::none"]
    with opened(tmp_path) as index:
        index.write(encoded(DOCUMENTS))
        assert index.outdated(ids) == set()
        index.mark_stale()
        assert index.outdated(ids) == {ids[0], ids[1]}
        index.write(encoded({ids[0]: {"title": "again"}}))
        assert index.outdated(ids) == {ids[1]}
    with opened(tmp_path) as index:
        assert index.outdated(ids) == {ids[1]}
