"""Document processors through Application.feed, .apply and .process."""

import threading
from pathlib import Path

import pytest
from packages import NOTES, document_chain, write

import siftline
from siftline.errors import ComponentError, DeadlineError, DocumentError
from siftline.feed.operation import DocumentId, Operation
from siftline.process import DocumentProcessor, Progress
from siftline.process.components import Part
from siftline.process.documents import DocumentChain

CODE = """
    from siftline.process import DocumentProcessor, Operation, Progress

    class Shout(DocumentProcessor):
        def process(self, operation):
            if operation.kind == "put":
                operation.fields["title"] = operation.fields["title"].upper()

    def tag(operation):
        return operation.with_fields(text=operation.fields.get("text", "") + " tagged")

    def twice(operation):
        yield operation
        copy = DocumentId("t", "note", "", operation.id.user + "-copy")
        yield Operation("put", copy, operation.fields)

    def drop(operation):
        return []

    def refuse(operation):
        if operation.fields.get("rank") == 2:
            return Progress.FAILED.with_reason("two is too many")
        return Progress.DONE

    def broken(operation):
        if operation.fields.get("rank") == 2:
            raise ValueError("two")

    def leave(operation):
        raise SystemExit(3)

    def wrong(operation):
        return "yes"

    calls = []

    def later(operation):
        calls.append(operation.id.user)
        if calls.count(operation.id.user) < 3 and operation.id.user == "a":
            return Progress.LATER

    from siftline.feed.operation import DocumentId
"""


def package(tmp_path: Path, *processors: str) -> Path:
    return write(tmp_path / "app", document_chain(*processors), work=CODE)


def test_a_processor_changes_fields_and_leaves_the_callers_alone(tmp_path: Path) -> None:
    with siftline.open(package(tmp_path, "work.Shout", "work.tag")) as app:
        given = [dict(note) for note in NOTES]
        report = app.feed(given)
        assert report.put == 3 and report.errors == [] and given == NOTES
        stored = app.get("a")
        assert stored is not None
        assert stored["title"] == "FIRST" and stored["text"] == "sun and sea tagged"
        assert app.query(query="tagged").ids == [f"id:app:note::{name}" for name in "cba"]


def test_without_a_chain_an_operation_stays_itself(tmp_path: Path) -> None:
    with siftline.open(write(tmp_path / "app", "<search/>")) as app:
        operation = put("a")
        assert app.process(operation) == [operation]


def test_an_operation_becomes_several_or_none(tmp_path: Path) -> None:
    with siftline.open(package(tmp_path, "work.twice")) as app:
        assert [str(op.id) for op in app.process(put("a"))] == ["id:t:note::a", "id:t:note::a-copy"]
        report = app.feed(NOTES[:1])
        assert report.put == 1 and app.get("id:t:note::a-copy") is not None
    with siftline.open(package(tmp_path / "other", "work.drop")) as app:
        report = app.feed(NOTES)
        assert report.ignored == 3 and report.put == 0 and app.get("a") is None


@pytest.mark.parametrize(
    ("processor", "kind", "message"),
    [
        (
            "work.refuse",
            DocumentError,
            "<documents>:2: document 'id:app:note::b': component 'work.refuse' refuses it: "
            "two is too many",
        ),
        (
            "work.broken",
            ComponentError,
            "ext/components/work.py:27: component 'work.broken' failed on put of document "
            "'id:app:note::b': ValueError: two",
        ),
    ],
)
def test_only_the_document_fails(
    tmp_path: Path, processor: str, kind: type[Exception], message: str
) -> None:
    with siftline.open(package(tmp_path, processor)) as app:
        report = app.feed(NOTES)
        assert report.put == 2 and app.get("b") is None and app.get("c") is not None
        (error,) = report.errors
        assert type(error) is kind and str(error) == message
        (first, second) = app.apply([put("x", rank=1), put("y", rank=2)])
        assert first.kind == "put" and second.error is not None
        with pytest.raises(kind):
            app.process(put("y", rank=2))


@pytest.mark.parametrize(
    ("processor", "message"),
    [("work.leave", "SystemExit: 3"), ("work.wrong", "it returned str, expected Progress")],
)
def test_what_a_processor_may_not_do(tmp_path: Path, processor: str, message: str) -> None:
    with (
        siftline.open(package(tmp_path, processor)) as app,
        pytest.raises(ComponentError, match=message),
    ):
        app.process(put("a"))


def test_one_that_says_later_is_called_again_while_others_go_on(tmp_path: Path) -> None:
    with siftline.open(package(tmp_path, "work.later")) as app:
        assert app.feed(NOTES).put == 3
        (part,) = app.chains.documents.parts
        calls = part.call.__globals__["calls"]
        assert calls[:4] == ["a", "b", "c", "a"] and calls.count("a") == 3 and len(calls) == 5


def test_updates_and_removes_pass_the_chain_too(tmp_path: Path) -> None:
    with siftline.open(package(tmp_path, "work.tag")) as app:
        app.feed(NOTES[:1])
        update = Operation("update", app_id("a"), {"title": {"assign": "new"}})
        (changed,) = app.process(update)
        assert changed.fields == {"title": {"assign": "new"}, "text": {"assign": " tagged"}}
        report = app.feed([Operation("remove", app_id("a"))])
        assert report.removed == 1 and app.get("a") is None


def test_a_processor_may_refuse_removals(tmp_path: Path) -> None:
    code = """
        from siftline.process import Progress
        def keep(operation):
            return Progress.FAILED.with_reason("kept") if operation.kind == "remove" else None
    """
    with siftline.open(write(tmp_path / "app", document_chain("work.keep"), work=code)) as app:
        app.feed(NOTES)
        (error,) = app.remove("a").errors
        assert "kept" in str(error) and app.get("a") is not None


# the chain itself


class Recorder(DocumentProcessor):
    """Answers what it was told to, call by call, and keeps the users it was called with."""

    def __init__(self, *answers: Progress) -> None:
        self.answers = list(answers)
        self.seen: list[tuple[str, object]] = []

    def process(self, operation: Operation) -> Progress:
        self.seen.append((operation.id.user, operation.fields.get("n")))
        return self.answers.pop(0) if self.answers else Progress.DONE


def chain(*processors: DocumentProcessor) -> DocumentChain:
    return DocumentChain([Part(f"m.P{i}", p.process, p) for i, p in enumerate(processors)])


def put(user: str, **fields: object) -> Operation:
    return Operation("put", DocumentId("t", "note", "", user), fields)


def app_id(user: str) -> DocumentId:
    return DocumentId("app", "note", "", user)


def test_operations_of_one_document_keep_their_order() -> None:
    recorder = Recorder(Progress.later(0.01), Progress.DONE)
    fed = [put("a", n=1), put("b", n=2), put("a", n=3), put("a", n=4)]
    become = chain(recorder).process_all(fed)
    assert become == [[operation] for operation in fed]
    assert recorder.seen == [("a", 1), ("b", 2), ("a", 1), ("a", 3), ("a", 4)]


def test_later_does_not_repeat_the_processors_before() -> None:
    first, second = Recorder(), Recorder(Progress.LATER, Progress.LATER)
    chain(first, second).process(put("a"))
    assert len(first.seen) == 1 and len(second.seen) == 3


def test_patience_ends() -> None:
    stubborn = Recorder(*[Progress.later(0.001)] * 1000)
    with pytest.raises(DeadlineError, match=r"'id:t:note::a': component 'm\.P0' still says LATER"):
        chain(stubborn).process(put("a"), patience=0.01)


def test_one_chain_serves_several_threads() -> None:
    recorder = Recorder()
    shared = chain(recorder)
    threads = [
        threading.Thread(target=shared.process_all, args=([put(f"{n}-{i}") for i in range(50)],))
        for n in range(4)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(recorder.seen) == 200


def test_progress_carries_its_reason() -> None:
    assert Progress.FAILED.with_reason("x").reason == "x" and Progress.FAILED.reason is None
    assert Progress.later(2.0).delay == 2.0 and Progress.later(2.0).state == "later"
