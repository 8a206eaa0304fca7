"""Operations of one batch: order, conditions, create, outcomes, selections of the cluster."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Literal

import pytest

import siftline
from siftline.application import Application
from siftline.errors import ConditionError, DocumentError, PackageError, StoreError
from siftline.feed.operation import DocumentId, Operation
from siftline.feed.outcome import Outcome

SERVICES = """<services version="1.0">
  <container id="default" version="1.0"><search/><document-api/></container>
  <content id="things" version="1.0">
    <min-redundancy>1</min-redundancy>
    <documents{all}><document type="thing" mode="index"{own}/></documents>
  </content>
</services>
"""
SCHEMA = """schema thing {
  document thing {
    field title type string { indexing: index | summary }
    field count type int { indexing: attribute | summary }
    field number type string { indexing: summary }
    field vec type tensor<float>(x[2]) { indexing: attribute }
  }
  field parsed type int { indexing: input number | to_int | attribute }
}
"""

Open = Callable[..., Application]


@pytest.fixture
def opened(tmp_path: Path) -> Iterator[Open]:
    applications = []

    def make(everything: str = "", own: str = "") -> Application:
        folder = tmp_path / "things"
        (folder / "schemas").mkdir(parents=True, exist_ok=True)
        shared = f" selection='{everything}'" if everything else ""
        mine = f" selection='{own}'" if own else ""
        (folder / "services.xml").write_text(SERVICES.format(all=shared, own=mine))
        (folder / "schemas" / "thing.sd").write_text(SCHEMA)
        applications.append(siftline.open(folder))
        return applications[-1]

    yield make
    for application in applications:
        application.close()


@pytest.fixture
def app(opened: Open) -> Application:
    return opened()


def thing(
    kind: Literal["put", "update", "remove"],
    name: str,
    condition: str | None = None,
    create: bool = False,
    **fields: Any,
) -> Operation:
    if kind == "update":
        fields = {
            key: value if isinstance(value, dict) else {"assign": value}
            for key, value in fields.items()
        }
    return Operation(kind, DocumentId("things", "thing", "", name), fields, condition, create)


def kinds(outcomes: list[Outcome]) -> list[str]:
    return [outcome.kind for outcome in outcomes]


def test_each_operation_sees_what_the_earlier_ones_of_its_batch_left(app: Application) -> None:
    outcomes = app.apply(
        [
            thing("put", "a", title="one", count=1),
            thing("update", "a", count={"increment": 2}),
            thing("put", "a", "thing.count == 3", title="two", count=4),
            thing("put", "a", title="two", count=4),
            thing("remove", "a", "thing.count == 5"),
            thing("remove", "a", "thing.count == 4"),
            thing("update", "a", count=7),
            thing("update", "a", create=True, count=9),
        ]
    )
    assert kinds(outcomes) == [
        "put", "updated", "put", "unchanged", "failed", "removed", "missing", "updated"
    ]  # fmt: skip
    assert app.get("a") == {"count": 9}


def test_a_partial_update_behind_a_put_of_its_batch_keeps_what_was_encoded(
    app: Application,
) -> None:
    app.apply(
        [
            thing("put", "b", title="plum", vec=[1, 2]),
            thing("put", "a", title="pear", vec=[3, 4], number="12"),
            thing("update", "a", title="apple"),
            thing("update", "a", count=3),
        ]
    )
    stored = app.engine().index.load(["id:things:thing::a"])
    assert stored.outputs["title"] == ["apple"]
    assert stored.outputs["parsed"] == [12]
    tensor = stored.vectors["vec"].tensor(0)
    assert tensor is not None and tensor.cells.tolist() == [[3, 4]]
    assert [id_.rpartition(":")[2] for id_, _ in app.visit()] == ["b", "a"]


@pytest.mark.parametrize(
    ("condition", "create", "stored", "kind", "text"),
    [
        ("thing.count == 1", False, True, "put", ""),
        ("thing.count == 2", False, True, "failed", "Condition did not match document"),
        ("thing.title < 3", False, True, "failed", "Condition did not match document"),
        ("thing.count == 1", False, False, "failed", "Document does not exist"),
        ("thing.count == 1", True, False, "put", ""),
        ("thing.count == 2", True, True, "failed", "Condition did not match document"),
        ('id.specific == "a" and not thing.title', False, True, "put", ""),
    ],
)
def test_conditions_of_puts(
    app: Application, condition: str, create: bool, stored: bool, kind: str, text: str
) -> None:
    if stored:
        app.apply([thing("put", "a", count=1)])
    (outcome,) = app.apply([thing("put", "a", condition, create, count=5)])
    assert outcome.kind == kind
    if text:
        assert isinstance(outcome.error, ConditionError)
        assert "TEST_AND_SET_CONDITION_FAILED" in str(outcome.error) and text in str(outcome.error)
        assert app.get("a") == ({"count": 1} if stored else None)


def test_conditions_of_updates_and_removals_of_what_is_not_there(app: Application) -> None:
    outcomes = app.apply(
        [
            thing("update", "a", "true", count=1),
            thing("remove", "a", "true"),
            thing("remove", "a"),
            thing("update", "a", "thing.count == 8", create=True, count=1),
        ]
    )
    assert kinds(outcomes) == ["failed", "failed", "removed", "updated"]
    assert all("Document does not exist" in str(o.error) for o in outcomes[:2])


@pytest.mark.parametrize(
    "condition", ["thing.count ==", "thing.colour == 3", "other.count == 3", "5"]
)
def test_a_wrong_condition_fails_its_operation_alone(app: Application, condition: str) -> None:
    outcomes = app.apply([thing("put", "a", condition, count=1), thing("put", "b", count=1)])
    assert kinds(outcomes) == ["failed", "put"]
    assert not isinstance(outcomes[0].error, ConditionError)
    assert isinstance(outcomes[0].error, DocumentError) and condition in str(outcomes[0].error)


def test_what_cannot_be_encoded_leaves_what_was_before(app: Application) -> None:
    outcomes = app.apply(
        [
            thing("put", "a", number="1", count=1),
            thing("put", "a", number="no number", count=2),
            thing("update", "a", "thing.count == 1", count={"increment": 10}),
            thing("put", "b", number="none either"),
            thing("update", "b", count=1),
            thing("put", "c", vec=[1]),
        ]
    )
    assert kinds(outcomes) == ["put", "failed", "updated", "failed", "missing", "failed"]
    assert app.get("a") == {"number": "1", "count": 11} and app.get("b") is None


def test_number_and_group_ids_are_documents_of_their_own(app: Application) -> None:
    texts = ["id:n:thing::x", "id:n:thing:n=12:x", "id:n:thing:g=one:x"]
    app.apply(
        [
            Operation("put", DocumentId.parse(text), {"count": number})
            for number, text in enumerate(texts)
        ]
    )
    assert [app.get(text) for text in texts] == [{"count": 0}, {"count": 1}, {"count": 2}]
    app.remove_where("id.user == 12", schema="thing")
    assert app.get(texts[1]) is None and app.get(texts[2]) is not None
    with pytest.raises(DocumentError, match="not a document id"):
        DocumentId.parse("id:n:thing:n=twelve:x")


def test_an_unknown_document_type_fails_alone(app: Application) -> None:
    strange = Operation("put", DocumentId.parse("id:n:other::x"), {})
    outcomes = app.apply([strange, thing("put", "a", count=1)])
    assert kinds(outcomes) == ["failed", "put"]
    assert "Document type other does not exist" in str(outcomes[0].error)


def test_a_full_disk_fails_every_operation_and_changes_nothing(
    app: Application, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: Any) -> None:
        raise StoreError("no space")

    with monkeypatch.context() as patch:
        patch.setattr(app.engine().index, "write", full)
        outcomes = app.apply([thing("put", "a", count=1), thing("put", "b", count=1)])
    assert [str(outcome.error) for outcome in outcomes] == ["no space"] * 2
    assert app.get("a") is None
    assert kinds(app.apply([thing("put", "a", count=1)])) == ["put"]


def test_the_cluster_ignores_documents_its_selection_rejects(opened: Open) -> None:
    app = opened("thing.count &gt; 1", 'id.namespace == "things"')
    foreign = Operation("put", DocumentId("x", "thing", "", "a"), {"count": 5})
    outcomes = app.apply(
        [
            thing("put", "a", count=1),
            thing("put", "b", count=2),
            thing("put", "c", title="no count"),
            foreign,
            thing("update", "b", count=0),
            Operation("remove", foreign.id),
        ]
    )
    # an update is judged by what is known of it, its id
    assert kinds(outcomes) == ["ignored", "put", "ignored", "ignored", "updated", "ignored"]
    assert [fields for _, fields in app.visit()] == [{"count": 0}]


@pytest.mark.parametrize("selection", ["thing.count &gt;", "thing.colour == 3", "other"])
def test_a_wrong_selection_of_the_cluster_is_refused(opened: Open, selection: str) -> None:
    with pytest.raises(PackageError, match="selection .* of document type 'thing'") as caught:
        opened(own=selection)
    assert caught.value.place is not None and caught.value.place.line == 5


def test_a_feed_counts_outcomes(app: Application) -> None:
    report = app.feed(
        [
            thing("put", "a", count=1),
            thing("put", "a", "thing.count == 9", count=2),
            thing("put", "b", count=1),
            thing("remove", "b"),
            thing("update", "c", count=1),
        ]
    )
    assert (report.put, report.removed, report.missing) == (1, 1, 1)
    assert len(report.errors) == 1 and report.repeated == ["id:things:thing::b"]
    assert report.operations == 5
