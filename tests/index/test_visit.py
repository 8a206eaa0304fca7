"""Visits in pages: complete, resumable, sliced, selected, whatever is written meanwhile."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import siftline
from siftline.application import Application
from siftline.errors import UsageError
from siftline.index.visit import Visit

SERVICES = """<services version="1.0">
  <container id="default" version="1.0"><document-api/></container>
  <content id="c" version="1.0">
    <documents><document type="a" mode="index"/><document type="b" mode="index"/></documents>
  </content>
</services>
"""
SCHEMA = "schema {0} {{ document {0} {{ field n type int {{ indexing: attribute }} }} }}"


@pytest.fixture(scope="module")
def app(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Application]:
    folder = tmp_path_factory.mktemp("visit") / "c"
    (folder / "schemas").mkdir(parents=True)
    (folder / "services.xml").write_text(SERVICES)
    for name in "ab":
        (folder / "schemas" / f"{name}.sd").write_text(SCHEMA.format(name))
    with siftline.open(folder) as application:
        application.feed([{"_id": str(n), "n": n} for n in range(300)], schema="a")
        application.feed([{"_id": str(n), "n": n} for n in range(50)], schema="b")
        yield application


def visited(app: Application, visit: Visit) -> list[str]:
    found = []
    while True:
        page = app.visit_page(visit)
        assert len(page.documents) <= visit.wanted and 0 <= page.percent <= 100
        found += [id_ for id_, _ in page.documents]
        if page.continuation is None:
            assert page.percent == 100
            return found
        visit = replace(visit, continuation=page.continuation)


ALL = {f"id:c:a::{n}" for n in range(300)} | {f"id:c:b::{n}" for n in range(50)}


@given(wanted=st.integers(1, 400), slices=st.integers(1, 9))
@settings(max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_pages_of_slices_share_out_all_documents(
    app: Application, wanted: int, slices: int
) -> None:
    visit = Visit(wanted=wanted, slices=slices)
    parts = [visited(app, replace(visit, slice_id=number)) for number in range(slices)]
    found = [id_ for part in parts for id_ in part]
    assert len(found) == len(ALL) and set(found) == ALL
    assert visited(app, replace(visit, slice_id=0)) == parts[0]


def test_slices_are_about_equal(app: Application) -> None:
    sizes = [len(visited(app, Visit(slices=4, slice_id=number))) for number in range(4)]
    assert all(50 < size < 130 for size in sizes)


def test_a_visit_of_a_type_and_a_selection(app: Application) -> None:
    found = visited(app, Visit("a", "a.n < 10 and id.specific != '3'", wanted=2))
    assert sorted(found) == [f"id:c:a::{n}" for n in (0, 1, 2, 4, 5, 6, 7, 8, 9)]
    assert len(visited(app, Visit(selection="b or a.n >= 290"))) == 60
    documents = app.visit_page(Visit("b", "b.n == 7")).documents
    assert documents == (("id:c:b::7", {"n": 7}),)


def test_documents_written_meanwhile_are_neither_lost_nor_doubled(tmp_path: Path) -> None:
    folder = tmp_path / "c"
    (folder / "schemas").mkdir(parents=True)
    (folder / "services.xml").write_text(SERVICES.replace('<document type="b" mode="index"/>', ""))
    (folder / "schemas" / "a.sd").write_text(SCHEMA.format("a"))
    with siftline.open(folder) as app:
        app.feed([{"_id": str(n), "n": n} for n in range(100)])
        visit, found = Visit(wanted=7), []
        while True:
            page = app.visit_page(visit)
            found += [id_ for id_, _ in page.documents]
            app.update_where("a", {"n": {"increment": 1}})  # every document is written anew
            app.feed([{"_id": f"new{len(found)}", "n": 0}])
            if page.continuation is None:
                break
            visit = replace(visit, continuation=page.continuation)
        assert len(found) == len(set(found))
        assert {f"id:c:a::{n}" for n in range(100)} <= set(found)


def test_a_page_ends_when_its_time_is_over(app: Application) -> None:
    page = app.visit_page(Visit(selection="false", seconds=0))
    assert page.documents == () and page.continuation is not None and page.percent > 0
    assert visited(app, Visit(selection="false", seconds=0)) == []


def test_a_page_ends_where_documents_are_large(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, app: Application
) -> None:
    monkeypatch.setattr("siftline.index.index._SCANNED_AT_ONCE", 40)
    assert set(visited(app, Visit())) == ALL


@pytest.mark.parametrize(
    ("visit", "message"),
    [
        (Visit("c"), "no schema 'c'"),
        (Visit(selection="c.n == 3"), "Document type 'c' not found"),
        (Visit(selection="a.n =="), "the end"),
        (Visit(slices=2, slice_id=2), "slice 2 of 2"),
        (Visit(slices=0), "slice 0 of 0"),
        (Visit(wanted=0), "wanted is 0"),
        (Visit(continuation="abc"), "not the continuation"),
        (Visit(continuation="é"), "not the continuation"),
        (Visit("a", continuation="YgAAAAAAAAAAAA"), "not the continuation"),
    ],
)
def test_a_wrong_visit_is_refused(app: Application, visit: Visit, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        app.visit_page(visit)


def test_where_a_selection_holds_documents_change(tmp_path: Path) -> None:
    folder = tmp_path / "c"
    (folder / "schemas").mkdir(parents=True)
    (folder / "services.xml").write_text(SERVICES)
    for name in "ab":
        (folder / "schemas" / f"{name}.sd").write_text(SCHEMA.format(name))
    with siftline.open(folder) as app:
        for name in "ab":
            app.feed([{"_id": str(n), "n": n} for n in range(20)], schema=name)
        report = app.update_where("a.n >= 10 or b.n == 0", {"n": {"increment": 100}})
        assert report.updated == 11
        assert app.remove_where("a.n < 110 and a.n > 4", schema="a").removed == 5
        assert {f["n"] for _, f in app.visit(schema="a")} == {*range(5), *range(110, 120)}
        assert [f["n"] for _, f in app.visit(schema="b", selection="b.n > 18")] == [19, 100]
        assert app.remove_where("true").removed == 35
        assert app.visit_page(Visit()).documents == ()
