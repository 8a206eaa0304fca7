"""What a new package changes: which sort of change it is, what is refused, and Vespa's JSON."""

from __future__ import annotations

from datetime import date, timedelta
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from siftline.errors import PackageError
from siftline.schema.changes import Change, compare
from siftline.schema.overrides import IDS, Overrides, parse_overrides, read_overrides
from siftline.schema.package import Package, Services, Settings
from siftline.schema.sd import parse_schema

TODAY = date(2026, 3, 10)

FIELDS = {
    "title": "field title type string { indexing: summary | index }",
    "year": "field year type int { indexing: summary | attribute }",
    "vector": """field vector type tensor<float>(x[4]) {
        indexing: attribute | index
        attribute { distance-metric: angular }
    }""",
}
EMBEDDED = """field embedding type tensor<float>(x[4]) {
    indexing: input title | embed e5 | attribute
}"""


def package(outside: str = "", cluster: str = "content", **fields: str | None) -> Package:
    """The fields of FIELDS with some replaced, added, or left out where None."""
    inside = "\n".join(text for text in {**FIELDS, **fields}.values() if text)
    schema = parse_schema(f"schema doc {{ document doc {{ {inside} }} {outside} }}", "doc.sd")
    return Package("p", {"doc": schema}, Services(content_id=cluster))


def changes(old: Package, new: Package) -> list[tuple[str, str, str]]:
    return [(change.kind, change.name, change.text) for change in compare(old, new)]


def changed(field: str, message: str) -> str:
    return f"Document type 'doc': Field '{field}' changed: {message}"


def test_the_same_package_changes_nothing() -> None:
    assert changes(package(), package()) == []
    assert compare(package(), package()).actions() == {"restart": [], "refeed": [], "reindex": []}


@pytest.mark.parametrize(
    ("field", "text", "kind", "name", "message"),
    [
        ("year", None, "live", "", "removed"),
        ("extra", "field extra type string { indexing: summary }", "live", "", "added"),
        (
            "year",
            "field year type int { indexing: summary | attribute attribute: fast-search }",
            "restart",
            "",
            "add attribute 'fast-search'",
        ),
        (
            "title",
            "field title type string { indexing: summary | index | attribute }",
            "restart",
            "",
            "add attribute aspect",
        ),
        (
            "vector",
            FIELDS["vector"].replace("angular", "euclidean"),
            "restart",
            "",
            "change property 'distance metric' from 'angular' to 'euclidean'",
        ),
        (
            "vector",
            FIELDS["vector"].replace("attribute | index", "attribute"),
            "restart",
            "",
            "remove index of vectors",
        ),
        (
            "title",
            "field title type string { indexing: summary | index stemming: none }",
            "reindex",
            "indexing-change",
            "stemming: 'best' -> 'none'",
        ),
        (
            "title",
            "field title type string { indexing: summary | index match: word }",
            "reindex",
            "indexing-change",
            "matching: 'text' -> 'word'",
        ),
        (
            "title",
            "field title type string { indexing: summary | attribute }",
            "reindex",
            "indexing-change",
            "remove index aspect",
        ),
        (
            "title",
            "field title type string { indexing: input title | lowercase | summary | index }",
            "refeed",
            "indexing-change",
            "indexing script: 'summary | index' -> 'input title | lowercase | summary | index'",
        ),
        (
            "year",
            "field year type string { indexing: summary | attribute }",
            "refeed",
            "field-type-change",
            "data type: 'int' -> 'string'",
        ),
        (
            "vector",
            FIELDS["vector"].replace("x[4]", "x[8]"),
            "refeed",
            "tensor-type-change",
            "tensor type: 'tensor<float>(x[4])' -> 'tensor<float>(x[8])'",
        ),
    ],
)
def test_each_change_has_its_kind(
    field: str, text: str | None, kind: str, name: str, message: str
) -> None:
    fields: dict[str, str | None] = {field: text}
    found = changes(package(), package("", "content", **fields))
    assert (kind, name, changed(field, message)) in found


def test_a_value_that_was_not_kept_needs_feeding() -> None:
    old = package(note="field note type string { indexing: summary }")
    new = package(note="field note type string { indexing: summary | attribute }")
    assert changes(old, new) == [
        ("refeed", "indexing-change", changed("note", "add attribute aspect"))
    ]


def test_ranking_is_live() -> None:
    new = package("rank-profile p { first-phase { expression: 1 } }")
    assert changes(package(), new) == [("live", "", "Document type 'doc': rank profiles changed")]


def test_a_synthetic_field_that_reads_a_known_one_needs_feeding() -> None:
    field = "field both type string { indexing: input title | index }"
    text = (
        "Document type 'doc': Non-document field 'both' added; this may be populated by re-feeding"
    )
    assert ("refeed", "indexing-change", text) in changes(package(), package(field))


def test_a_changed_embedder_needs_feeding_and_says_what_changed() -> None:
    both = package(EMBEDDED), package(EMBEDDED)
    old = {"e5": {"type": "t", "transformer-model": "aa", "normalize": "true"}}
    assert list(compare(*both, old, old)) == []
    new = {"e5": {"type": "t", "transformer-model": "bb", "pooling-strategy": "cls"}}
    (change,) = compare(*both, old, new)
    message = "embedder 'e5': transformer-model, normalize, pooling-strategy"
    assert change == Change("refeed", "doc", message, "indexing-change", "embedding")
    assert compare(*both, old, new).stale == {"doc"}


def test_a_learned_sparse_index_is_built_from_what_is_stored() -> None:
    field = "field s type tensor<float>(t{}) { indexing: attribute }"
    schema = parse_schema(f"schema doc {{ document doc {{ {field} }} }}", "doc.sd")
    old = Package("p", {"doc": schema})
    new = Package("p", {"doc": schema}, settings=Settings(sparse_index=frozenset({"doc.s"})))
    message = changed("s", "change the learned-sparse index")
    assert changes(old, new) == [("restart", "", message)]


def test_structs_count_as_the_type_of_the_fields_that_hold_them() -> None:
    def holding(kind: str) -> Package:
        struct = f"struct author {{ field name type {kind} {{}} }}"
        return package(author=f"{struct} field who type array<author> {{ indexing: summary }}")

    assert changes(holding("string"), holding("string")) == []
    (found,) = changes(holding("string"), holding("int"))
    assert found[:2] == ("refeed", "field-type-change")


def test_removed_schemas_and_clusters() -> None:
    old = package()
    other = parse_schema("schema other { document other { } }", "other.sd")
    new = Package("p", {"other": other}, old.services)
    assert changes(old, new) == [
        ("removal", "schema-removal", "Schema 'doc' is removed"),
        ("live", "", "Schema 'other' is added"),
    ]
    text = "Content cluster 'content' is removed"
    assert changes(old, package(cluster="c")) == [("removal", "content-cluster-removal", text)]
    assert changes(old, Package("p", {})) == [("removal", "content-cluster-removal", text)]
    assert changes(Package("p", {}), old) == [("live", "", "Schema 'doc' is added")]


def test_dangerous_changes_are_refused_unless_allowed() -> None:
    found = compare(package(), package(year=FIELDS["year"].replace("int", "long"), vector=None))
    with pytest.raises(PackageError) as error:
        found.check(Overrides(), TODAY)
    assert str(error.value) == (
        "field-type-change: Document type 'doc': Field 'year' changed: data type: 'int' -> 'long'. "
        "To allow this add <allow until='2026-03-17'>field-type-change</allow> to "
        "validation-overrides.xml"
    )
    found.check(Overrides({"field-type-change": TODAY}), TODAY)
    with pytest.raises(PackageError):
        found.check(Overrides({"field-type-change": TODAY - timedelta(days=1)}), TODAY)
    assert found.forgotten == {"doc": {"year"}}


def test_config_change_actions_as_vespa_writes_them() -> None:
    new = package(
        cluster="content",
        title="field title type string { indexing: summary | index stemming: none }",
        year="field year type int { indexing: summary | attribute attribute: fast-search }",
        vector=FIELDS["vector"].replace("x[4]", "x[5]"),
    )
    services = [
        {
            "serviceName": "searchnode",
            "serviceType": "searchnode",
            "configId": "content/search/cluster.content/0",
            "hostName": "localhost",
        }
    ]
    found = compare(package(), new)
    assert found.actions() == {
        "restart": [
            {
                "clusterName": "content",
                "clusterType": "search",
                "serviceType": "searchnode",
                "messages": [changed("year", "add attribute 'fast-search'")],
                "services": services,
            }
        ],
        "refeed": [
            {
                "name": "tensor-type-change",
                "documentType": "doc",
                "clusterName": "content",
                "messages": [
                    changed("vector", "tensor type: 'tensor<float>(x[4])' -> 'tensor<float>(x[5])'")
                ],
                "services": services,
            }
        ],
        "reindex": [
            {
                "name": "indexing-change",
                "documentType": "doc",
                "clusterName": "content",
                "messages": [changed("title", "stemming: 'best' -> 'none'")],
                "services": services,
            }
        ],
    }
    assert [level for level, _ in found.notes()] == ["INFO", "WARNING"]


def overrides(day: str, name: str = "field-type-change") -> str:
    allow = f"<allow until='{day}' comment='c'>{name}</allow>"
    return f"<validation-overrides>\n{allow}\n</validation-overrides>"


def test_overrides_hold_until_the_end_of_their_day() -> None:
    found = parse_overrides(overrides("2026-03-10"), TODAY)
    assert found.allows("field-type-change", TODAY)
    assert not found.allows("field-type-change", TODAY + timedelta(days=1))
    assert not found.allows("schema-removal", TODAY)
    old_name = parse_overrides(overrides("2026-03-10", "content-type-removal"), TODAY)
    assert old_name.allows("schema-removal", TODAY)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (overrides("2026-04-10"), "validation-overrides.xml:2:1: allow 'field-type-change' until"),
        (overrides("soon"), "until='soon' is not a date"),
        (overrides("2026-03-10", "field-typ-change"), "did you mean 'field-type-change'"),
        ("<validation-overrides><alow/></validation-overrides>", "unknown element <alow>"),
        ("<a/>", "is not the root"),
        ("<validation-overrides><allow>redundancy-one</allow></validation-overrides>", "'until'"),
    ],
)
def test_bad_overrides_are_named_with_their_place(text: str, message: str) -> None:
    with pytest.raises(PackageError) as error:
        parse_overrides(text, TODAY)
    assert message in str(error.value)


@given(st.sampled_from(IDS), st.integers(-400, 30))
def test_an_override_allows_exactly_until_its_day(name: str, days: int) -> None:
    found = parse_overrides(overrides(str(TODAY + timedelta(days=days)), name), TODAY)
    assert any(found.until) and (max(found.until.values()) >= TODAY) == (days >= 0)


def test_overrides_are_read_from_the_folder(tmp_path: Path) -> None:
    assert read_overrides(None, TODAY) == read_overrides(tmp_path, TODAY) == Overrides()
    (tmp_path / "validation-overrides.xml").write_text(overrides("2026-03-11"))
    assert read_overrides(tmp_path, TODAY).until == {"field-type-change": date(2026, 3, 11)}
