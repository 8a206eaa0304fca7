"""What an index refuses, and odd values that it keeps."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from index_fixtures import (
    SCHEMA,
    SETTINGS,
    TYPES,
    encoded,
    field,
    opened,
    schema_of,
    title_encoded,
)

from siftline.encode.encoded import Encoded
from siftline.errors import DocumentError, SiftlineError, StoreError, UsageError
from siftline.index.index import FLUSH_BYTES, Index
from siftline.schema.definition import Schema
from siftline.tensor.batch import DenseBatch, RaggedBatch, SparseBatch

NAN = float("nan")
INDPTR = np.array([0, 1, 2])


def sparse(weights: list[float], tokens: list[int], indptr: Any = INDPTR) -> SparseBatch:
    return SparseBatch(
        TYPES["sparse"],
        np.asarray(indptr),
        np.array(tokens, np.int32),
        np.array(weights, np.float32),
        ("red", "blue"),
    )


def dense(values: Any, kind: str = "dense") -> DenseBatch:
    return DenseBatch(TYPES[kind], np.asarray(values, np.float32), np.ones(2, bool))


def tokens(rows: Any) -> RaggedBatch:
    return RaggedBatch(TYPES["tokens"], INDPTR, np.asarray(rows, np.float32))


BAD_VECTORS: list[tuple[str, Any, str]] = [
    ("dense", dense([[1, 2, 3, 4], [1, NAN, 3, 4]]), "dense: document b: .*finite"),
    ("dense", dense([[float("inf"), 2, 3, 4], [1, 2, 3, 4]]), "dense: document a: .*finite"),
    ("dense", dense(np.ones((2, 3))), r"shape \(3,\) do not fill tensor<float>\(x\[4\]\)"),
    ("dense", dense(np.ones((2, 3)), "short"), r"got tensors of type tensor<bfloat16>\(x\[3\]\)"),
    ("sparse", sparse([1, NAN], [0, 1]), "sparse: document b: .*finite"),
    ("sparse", sparse([1, 1], [1, 1], [0, 2, 2]), "sparse: document a: has the label 'blue' twice"),
    ("sparse", sparse([1, 1], [0, 2]), "document b: token 2 is not among the 2 labels"),
    ("sparse", sparse([1, 1], [0, 1], [0, 1, 1]), "offsets of its rows do not fit"),
    ("sparse", sparse([1], [0, 1]), "not as many tokens as weights"),
    ("tokens", tokens([[1, 2], [NAN, 1]]), "tokens: document b: .*finite"),
]


@pytest.mark.parametrize(("name", "batch", "message"), BAD_VECTORS)
def test_a_vector_that_does_not_fit_is_refused(
    tmp_path: Path, name: str, batch: Any, message: str
) -> None:
    with opened(tmp_path) as index:
        with pytest.raises(DocumentError, match=message):
            index.write(Encoded(["a", "b"], [{}, {}], {}, {name: batch}))
        assert index.snapshot().limit == 0 and index._store.last == 0


BAD_VALUES = [
    ("count", 1.5, r"count: document b: 1\.5 is no int"),
    ("count", 1 << 31, "2147483648 is no int"),
    ("count", True, "True is no int"),
    ("price", "1", "'1' is no double"),
    ("open", 1, "1 is no bool"),
    ("kind", 3, "3 is no string"),
    ("numbers", [1, "x"], r"is no array<long>"),
    ("numbers", 1, r"1 is no array<long>"),
    ("scores", {"a": "b"}, r"is no weightedset<string>"),
    ("scores", ["a"], r"is no weightedset<string>"),
    ("title", 3, "title: document b: 3 is no text"),
    ("tags", [1], r"is no array<string>"),
]


@pytest.mark.parametrize(("name", "value", "message"), BAD_VALUES)
def test_a_value_that_does_not_fit_is_refused(
    tmp_path: Path, name: str, value: Any, message: str
) -> None:
    with opened(tmp_path) as index:
        with pytest.raises(DocumentError, match=message):
            index.write(Encoded(["a", "b"], [{}, {}], {name: [None, value]}))
        assert index.snapshot().limit == 0


def test_a_batch_that_does_not_fit_itself(tmp_path: Path) -> None:
    with opened(tmp_path) as index:
        with pytest.raises(DocumentError, match="document a is written twice in one batch"):
            index.write(Encoded(["a", "a"], [{}, {}]))
        with pytest.raises(DocumentError, match="document a is written twice in one batch"):
            index.write(Encoded(["a"], [{}]), ["a"])
        with pytest.raises(UsageError, match="1 ids but fields of 2 documents"):
            index.write(Encoded(["a"], [{}, {}]))
        with pytest.raises(UsageError, match="field 'count' has 2 values for 1 documents"):
            index.write(Encoded(["a"], [{}], {"count": [1, 2]}))
        with pytest.raises(UsageError, match="'doc' has no tensor field 'nowhere'"):
            index.write(Encoded(["a"], [{}], {}, {"nowhere": dense(np.ones((2, 4)))}))
        assert index.write(Encoded([], [])) == 0


def test_odd_ids_and_texts_come_back(tmp_path: Path) -> None:
    documents: dict[str, dict[str, Any]] = {
        "id:t:doc::" + "long" * 1000: {"title": ""},
        "id:t:doc::日本:with:colons": {"title": "日本語 \ud800 lone"},
        "id:t:doc::\ud800": {"kind": "", "tags": [], "scores": {}},
        "id:t:doc::big": {"title": "word " * 2_000_000, "kind": "\ud800"},
    }
    for _ in range(2):
        with opened(tmp_path) as index:
            index.write(encoded(documents))
            snapshot = index.snapshot()
            assert snapshot.ids(snapshot.documents()) == list(documents)
            assert [index.get(id_) for id_ in documents] == list(documents.values())
            big = snapshot.find("id:t:doc::big")
            assert big is not None
            assert snapshot.column("kind", np.array([big])).values.tolist() == ["\ud800"]
            assert snapshot.segments[-1].text("title").max_frequencies.max() == 2_000_000


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=20)
@given(
    st.dictionaries(
        st.text(min_size=1, max_size=3),
        st.recursive(
            st.none() | st.booleans() | st.integers(-(2**63), 2**63 - 1)
            | st.floats(allow_nan=False) | st.text(max_size=5),
            lambda inner: st.lists(inner, max_size=3)
            | st.dictionaries(st.text(max_size=3), inner, max_size=3),
            max_leaves=6,
        ),
    )
)  # fmt: skip
def test_any_json_comes_back(tmp_path: Path, fields: dict[str, Any]) -> None:
    with opened(tmp_path) as index:
        index.write(Encoded(["a"], [fields]))
        found = index.get("a")
    assert found == fields and repr(found) == repr(fields)


def test_an_output_that_equals_its_field_keeps_its_type(tmp_path: Path) -> None:
    """1, 1.0 and True are equal in Python and different in a document."""
    with opened(tmp_path) as index:
        fed = {"price": 1, "open": True, "kind": "x"}
        index.write(Encoded(["a"], [fed], {"price": [1.0], "open": [True], "kind": ["x"]}))
        loaded = index.load(["a"])
        assert repr(loaded.outputs["price"]) == "[1.0]"
        assert repr(loaded.outputs["open"]) == "[True]"
        assert repr(loaded.fields[0]) == repr(fed)


def test_unknown_names_and_numbers(tmp_path: Path) -> None:
    with opened(tmp_path) as index:
        index.write(title_encoded({"a": "red"}))
        snapshot = index.snapshot()
        with pytest.raises(UsageError, match=r"document numbers of this snapshot lie in 0\.\.0"):
            snapshot.ids([1])
        with pytest.raises(UsageError, match="no attribute 'nowhere'"):
            snapshot.column("nowhere", np.array([0]))
        with pytest.raises(UsageError, match="no tensor field 'nowhere'"):
            snapshot.tensors("nowhere", np.array([0]))
        with pytest.raises(UsageError, match="not the form asked for"):
            snapshot.sparse("dense", np.array([0]))
        with pytest.raises(UsageError, match=r"field 'count' has no text index .*: title, tags"):
            snapshot.document_frequency("count", "red")
        with pytest.raises(UsageError, match="tokens of field 'title' are not counted"):
            snapshot.token_frequencies("title")
        with pytest.raises(UsageError, match="there is no document b to go on from"):
            list(index.visit("b"))
        for read in ("sparse", "dense", "tokens", "tensors", "forward"):
            with pytest.raises(UsageError, match="field 'title' has no"):
                getattr(snapshot.segments[0], read)("title")


def test_an_empty_index_answers(tmp_path: Path) -> None:
    none = np.zeros(0, np.int64)
    with opened(tmp_path) as index:
        snapshot = index.snapshot()
        assert snapshot.limit == snapshot.document_count == len(snapshot.segments) == 0
        assert len(snapshot.dense("dense", none)) == len(snapshot.sparse("sparse", none)) == 0
        assert len(snapshot.tokens("tokens", none)) == len(snapshot.tensors("whole", none)) == 0
        for name in ("count", "kind", "tags", "scores"):
            assert len(snapshot.column(name, none)) == 0
        assert snapshot.find("a") is None and index.get("a") is None
        assert snapshot.text_statistics("title").average_length == 0
        assert len(index.load(["a"])) == 0 and list(index.visit()) == []
        index.merge()


def test_visiting_goes_on_behind_a_document(tmp_path: Path) -> None:
    with opened(tmp_path) as index:
        index.write(title_encoded({f"d{n}": str(n) for n in range(5)}))
        index.write(title_encoded({"d1": "again"}), ["d3"])
        assert [id_ for id_, _ in index.visit()] == ["d0", "d2", "d4", "d1"]
        assert [id_ for id_, _ in index.visit("d2")] == ["d4", "d1"]


def test_a_closed_index_says_so(tmp_path: Path) -> None:
    index = opened(tmp_path)
    index.close()
    index.close()
    for call in (index.snapshot, index.commit, lambda: index.get("a"), lambda: index.load(["a"])):
        with pytest.raises(StoreError, match="is closed"):
            call()


def retyped(name: str, kind: str) -> Schema:
    changed = field(name, kind, "attribute")
    return schema_of(*(changed if f.name == name else f for f in SCHEMA.fields.values()))


def test_another_schema(tmp_path: Path) -> None:
    with opened(tmp_path) as index:
        index.write(encoded({"a": {"count": 3, "dense": [1, 2, 3, 4]}}))
    other = Schema("other", {"count": SCHEMA.fields["count"]})
    with pytest.raises(StoreError, match="is the index of schema 'doc', not 'other'"):
        Index.open(tmp_path, other, type(SETTINGS)())
    wider = retyped("dense", "tensor<float>(x[5])")
    with pytest.raises(StoreError, match=r"'dense' as tensor<float>\(x\[4\]\), the schema says"):
        opened(tmp_path, wider)
    with pytest.raises(StoreError, match="'count' as single int, the schema says single string"):
        opened(tmp_path, retyped("count", "string"))
    fewer = schema_of(*(f for f in SCHEMA.fields.values() if f.name not in ("dense", "title")))
    more = schema_of(*SCHEMA.fields.values(), field("fresh", "int", "attribute"))
    for schema in (fewer, more, SCHEMA):
        with opened(tmp_path, schema) as index:
            snapshot = index.snapshot()
            assert snapshot.column("count", np.array([0])).values.tolist() == [3]
    with opened(tmp_path) as index:
        assert index.snapshot().dense("dense", np.array([0])).values.tolist() == [[1, 2, 3, 4]]


def test_a_newer_store_names_both_versions(tmp_path: Path) -> None:
    index = opened(tmp_path)
    index._store.writing(lambda t: index._store.set_meta(t, "format", 9))
    index.close()
    with pytest.raises(StoreError, match="store format 9, this version reads up to 1: upgrade"):
        opened(tmp_path)


def test_a_newer_manifest_names_both_versions(tmp_path: Path) -> None:
    with opened(tmp_path) as index:
        index.write(title_encoded({"a": "red"}))
    path = tmp_path / "manifest.json"
    path.write_text(path.read_text().replace('"format": 1', '"format": 4'))
    with pytest.raises(StoreError, match="format 4, this version reads up to 1: upgrade"):
        opened(tmp_path)


def test_many_small_segments_become_few(tmp_path: Path) -> None:
    with opened(tmp_path) as index:
        for n in range(60):
            index.write(title_encoded({f"d{n}": "red"}))
            index.snapshot()
            assert len(index.snapshot().segments) <= 7
        for n in range(20):
            index.write(title_encoded({f"e{n}": "red"}))
            index.commit()
            assert len(index.snapshot().segments) <= 8
        assert index.snapshot().document_frequency("title", "red") == 80


def test_much_is_flushed_without_being_asked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert FLUSH_BYTES > 1 << 20
    monkeypatch.setattr("siftline.index.index.FLUSH_BYTES", 10_000)
    monkeypatch.setattr("siftline.index.index._REPLAYED_AT_ONCE", 2)
    with opened(tmp_path) as index:
        for n in range(30):
            index.write(title_encoded({f"d{n}": "word " * 200}))
        assert index._segments.manifest.covered >= 20
        index._store.close()
        if index._lock is not None:
            index._lock.release()
        index._closed = True
    for path in [*tmp_path.glob("*.segment"), tmp_path / "manifest.json"]:
        path.unlink()
    with opened(tmp_path) as index:  # a rebuild flushes as well
        assert index.snapshot().document_count == 30
        assert index._segments.manifest.next_file >= 3


def test_snapshots_beside_a_writer(tmp_path: Path) -> None:
    """Every snapshot shows whole batches: the two documents of one write, or neither."""
    stop = threading.Event()
    problems: list[str] = []

    def read(index: Index) -> None:
        while not stop.is_set():
            try:
                snapshot = index.snapshot()
                counts = snapshot.column("count", snapshot.documents()).values.tolist()
                if len(counts) % 2 or counts != sorted(counts):
                    problems.append(f"saw {counts}")
                if snapshot.ids(snapshot.documents()) and snapshot.find("d0") is None:
                    problems.append("lost a document")
            except SiftlineError as error:
                problems.append(repr(error))

    with opened(tmp_path) as index:
        readers = [threading.Thread(target=read, args=(index,)) for _ in range(3)]
        for reader in readers:
            reader.start()
        for n in range(0, 120, 2):
            pair = {f"d{n % 20}": {"count": n}, f"d{n % 20 + 1}": {"count": n + 1}}
            index.write(encoded(pair))
            if n % 14 == 0:
                index.commit()
        stop.set()
        for reader in readers:
            reader.join()
    assert problems == []


def test_statistics_name_structures_and_fields(tmp_path: Path) -> None:
    with opened(tmp_path) as index:
        index.write(encoded({"a": {"title": "red", "dense": [1, 2, 3, 4]}, "b": {"count": 1}}))
        index.write(encoded({}), ["b"])
        index.commit()
        found = index.statistics()
        assert (found.documents, found.deleted, found.segments) == (1, 0, 1)
        index.write(encoded({"c": {"title": "red"}}))
        index.snapshot()
        index.write(encoded({}), ["a"])
        found = index.statistics()
        assert (found.documents, found.deleted, found.segments) == (1, 1, 2)
        assert found.bytes["text"]["title"] > 0 and found.bytes["dense"]["dense"] >= 16
        assert set(found.bytes) >= {"text", "column", "dense", "sparse", "tokens", "tensors"}
        assert found.store_bytes > 0
