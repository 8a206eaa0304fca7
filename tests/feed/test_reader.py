"""Feed files and documents to operations."""

from __future__ import annotations

import gzip
import io
import json
import sys
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from siftline.errors import DocumentError, Place, UsageError
from siftline.feed.operation import DocumentId, Operation
from siftline.feed.reader import operation_from, operations_from, read_operations

SEED = {
    "put": "id:miracl-sw:doc::2-0",
    "fields": {
        "title": "Akiolojia",
        "text": 'Akiolojia (kutoka Kiyunani \u03b1\u03c1\u03c7\u03b1\u03af\u03bf\u03c2 = "zamani")',
        "doc_id": "2#0",
        "language": "sw",
    },
}
ROWS: list[dict[str, Any]] = [
    {"put": "id:n:doc::1", "fields": {"a": 1}},
    {"fields": {"a": 2}, "put": "id:n:doc::2", "condition": "doc.a == 1", "create": True},
    {"update": "id:n:doc::3", "create": True, "fields": {"a": {"increment": 1}}},
    {"remove": "id:n:doc::4", "condition": "doc.a == 1"},
    {"id": "id:n:doc:g=x:5:6", "fields": {"a": 5}, "unknown": [1]},
    {"_id": "7", "title": "t", "text": "x", "metadata": {}},
    {"id": 8, "a": 8},
]


def doc(user: str, selector: str = "") -> DocumentId:
    return DocumentId("n", "doc", selector, user)


OPERATIONS = [
    Operation("put", doc("1"), {"a": 1}),
    Operation("put", doc("2"), {"a": 2}, "doc.a == 1", True),
    Operation("update", doc("3"), {"a": {"increment": 1}}, create=True),
    Operation("remove", doc("4"), condition="doc.a == 1"),
    Operation("put", doc("5:6", "g=x"), {"a": 5}),
    Operation("put", doc("7"), {"title": "t", "text": "x"}),
    Operation("put", doc("8"), {"a": 8}),
]


def read(source: str | Path) -> list[Operation | DocumentError]:
    return list(read_operations(source, "doc", "n"))


def as_lines(rows: list[Any]) -> bytes:
    return "".join(json.dumps(row) + "\n" for row in rows).encode()


@pytest.mark.parametrize(
    "data",
    [
        as_lines(ROWS),
        json.dumps(ROWS).encode(),
        json.dumps(ROWS, indent=4).encode(),
        gzip.compress(as_lines(ROWS)),
        gzip.compress(json.dumps(ROWS).encode()),
    ],
    ids=["lines", "array", "printed", "lines.gz", "array.gz"],
)
def test_every_form_of_file_gives_the_same_operations(
    data: bytes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "feed"  # known by content, so the name says nothing
    path.write_bytes(data)
    assert read(path) == OPERATIONS
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(data)))
    assert read("-") == OPERATIONS
    assert not sys.stdin.buffer.closed


def test_python_documents_give_the_same_operations() -> None:
    assert list(operations_from(ROWS, "doc", "n")) == OPERATIONS
    assert list(operations_from(OPERATIONS, "doc", "n")) == OPERATIONS


def test_a_pretty_printed_document_is_read(tmp_path: Path) -> None:
    path = tmp_path / "seed.json"
    path.write_text(json.dumps(SEED, indent=4))
    (found,) = read(path)
    assert isinstance(found, Operation)
    assert str(found.id) == SEED["put"] and found.fields == SEED["fields"]
    assert found.place == Place(str(path), 1)


@pytest.mark.parametrize("name", ["corpus.jsonl", "corpus.jsonl.gz"])
def test_a_beir_folder_gives_title_and_text(name: str, tmp_path: Path) -> None:
    data = as_lines([{"_id": "a", "title": "", "text": "x", "url": "u"}, {"_id": "b", "text": "y"}])
    (tmp_path / name).write_bytes(gzip.compress(data) if name.endswith("gz") else data)
    assert read(tmp_path) == [
        Operation("put", doc("a"), {"title": "", "text": "x"}),
        Operation("put", doc("b"), {"text": "y"}),
    ]


@pytest.mark.parametrize(
    ("row", "says"),
    [
        (5, "expected an object, got 5"),
        ([], "expected an object"),
        ({}, "needs one of put, update, remove, id, _id"),
        ({"title": "x"}, "it has title"),
        ({"put": "id:n:doc::1", "remove": "id:n:doc::1"}, "both put and remove"),
        ({"put": "id:n:doc::1"}, "document 'id:n:doc::1': there is no 'fields'"),
        ({"put": "id:n:doc::1", "fields": [1]}, "expected an object as fields, got [1]"),
        ({"put": "id:n:doc", "fields": {}}, "not a document id: 'id:n:doc'"),
        ({"put": None, "fields": {}}, "expected a document id, got null"),
        ({"put": "", "fields": {}}, 'expected a document id, got ""'),
        ({"put": "id:n:doc::1", "fields": {}, "condition": 1}, "condition, got 1"),
        ({"put": "id:n:doc::1", "fields": {}, "create": "x"}, 'create, got "x"'),
        ({"update": "id:n:doc::1", "fields": {"a": 1}}, "field 'a': expected an update operation"),
        ({"_id": True, "a": 1}, "expected a document id, got true"),
    ],
)
def test_a_bad_document_is_told_with_its_place_and_the_rest_is_read(
    row: Any, says: str, tmp_path: Path
) -> None:
    path = tmp_path / "feed.jsonl"
    path.write_bytes(as_lines([ROWS[0], row, ROWS[2]]))
    first, error, last = read(path)
    assert [first, last] == [OPERATIONS[0], OPERATIONS[2]]
    assert isinstance(error, DocumentError) and says in error.message
    assert str(error).startswith(f"{path}:2: ")


def test_broken_gzip_data_is_told_behind_what_could_be_read(tmp_path: Path) -> None:
    rows = [{"_id": str(i), "text": f"{i * 7919 % 1000}" * 20} for i in range(4000)]
    data = gzip.compress(as_lines(rows))
    path = tmp_path / "corpus.jsonl.gz"
    for broken in (data[: len(data) // 2], data[:-3]):
        path.write_bytes(broken)
        found = read(path)
        assert isinstance(found[-1], DocumentError) and "breaks off" in found[-1].message
        assert all(
            isinstance(o, Operation) and o.fields["text"] == row["text"]
            for o, row in zip(found[:-1], rows, strict=False)
        )
    path.write_bytes(data[:2000] + b"\0" * 50 + data[2050:])
    assert isinstance(read(path)[-1], DocumentError)


def test_nothing_to_read_is_an_error_at_once(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="no such file"):
        read_operations(tmp_path / "missing.jsonl", "doc", "n")
    with pytest.raises(UsageError, match="holds no corpus"):
        read_operations(tmp_path, "doc", "n")
    (tmp_path / "empty").write_bytes(b"")
    assert read(tmp_path / "empty") == []


def test_a_text_of_ten_megabytes_is_one_document(tmp_path: Path) -> None:
    row = {"put": "id:n:doc::1", "fields": {"text": "word " * 2_000_000}}
    for data in (as_lines([row, ROWS[2]]), json.dumps([row, ROWS[2]]).encode()):
        (tmp_path / "big").write_bytes(data)
        first, second = read(tmp_path / "big")
        assert isinstance(first, Operation) and first.fields == row["fields"]
        assert second == OPERATIONS[2]


def test_python_documents_that_are_wrong_are_numbered() -> None:
    documents: list[Any] = [ROWS[0], {"_id": "x", 5: 1}, "no"]
    found = list(operations_from(documents, "doc", "n"))
    assert isinstance(found[1], DocumentError) and isinstance(found[2], DocumentError)
    assert str(found[1]) == "<documents>:2: document 'id:n:doc::x': no field name: 5"
    assert found[2].place == Place("<documents>", 3)


USERS = st.text(st.characters(exclude_categories=["Cs"]), min_size=1)


@given(USERS, st.sampled_from(["", "g=a", "n=5"]))
def test_ids_round_trip(user: str, selector: str) -> None:
    identity = doc(user, selector)
    assert operation_from({"remove": str(identity)}, "other", "else").id == identity
    if not user.startswith("id:"):
        assert operation_from({"_id": user}, "doc", "n").id == doc(user)


@given(
    st.sampled_from(["put", "update", "remove", "id", "_id", "fields", "condition", "create"]),
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
        lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
        max_leaves=5,
    ),
)
def test_no_value_of_any_key_breaks_the_reading(key: str, value: Any) -> None:
    for row in (*ROWS, {}):
        (found,) = operations_from([{**row, key: value}], "doc", "n")
        assert isinstance(found, (Operation, DocumentError))
