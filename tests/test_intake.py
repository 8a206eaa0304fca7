"""The intake: order of each document, group commit, back-pressure, deadlines, pauses."""

import threading
import time
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Literal

import pytest

import siftline
from siftline.application import Application
from siftline.errors import (
    ConditionError,
    DeadlineError,
    DocumentError,
    FullError,
    OverloadError,
    UnavailableError,
)
from siftline.feed.operation import DocumentId, Operation
from siftline.feed.outcome import Outcome
from siftline.index.space import Space
from siftline.intake import Intake
from small_package import write_package

SCHEMA = """schema note {
  document note {
    field text type string { indexing: index | summary }
    field n type int { indexing: attribute | summary }
  }
  fieldset default { fields: text }
}
"""


@pytest.fixture
def app(tmp_path: Path) -> Iterator[Application]:
    with siftline.open(write_package(tmp_path / "notes", SCHEMA)) as application:
        yield application


@contextmanager
def intake_of(app: Application, **options: Any) -> Iterator[Intake]:
    @contextmanager
    def use() -> Iterator[Application]:
        yield app

    intake = Intake(use, **options)
    try:
        yield intake
    finally:
        intake.close()


def note(
    kind: Literal["put", "update", "remove"],
    name: str,
    condition: str | None = None,
    create: bool = False,
    **fields: Any,
) -> Operation:
    return Operation(kind, DocumentId("notes", "note", "", name), fields, condition, create)


def outcomes(futures: list[Future[Outcome]]) -> list[Outcome]:
    return [future.result(30) for future in futures]


class Gate:
    """Holds the writing threads inside a batch each, and remembers the sizes of batches."""

    def __init__(self, app: Application, monkeypatch: pytest.MonkeyPatch) -> None:
        self.sizes: list[int] = []
        self.entered = threading.Event()
        self.open = threading.Event()
        apply = app.apply

        def held(operations: list[Operation]) -> list[Outcome]:
            self.sizes.append(len(operations))
            self.entered.set()
            assert self.open.wait(30)
            return apply(operations)

        monkeypatch.setattr(app, "apply", held)

    def wait_for(self, batches: int) -> None:
        """Until so many batches have begun."""
        end = time.monotonic() + 30
        while len(self.sizes) < batches:
            assert time.monotonic() < end
            time.sleep(0.001)


def test_a_lone_operation_is_written_and_found_at_once(app: Application) -> None:
    with intake_of(app) as intake:
        assert intake.submit(note("put", "a", text="plum")).result(30) == Outcome("put")
        assert app.query(query="plum").ids == ["id:notes:note::a"]
        statistics = intake.statistics()
        assert (statistics.queued, statistics.in_flight, statistics.done) == (0, 0, 1)
        assert statistics.seconds > 0


def test_what_waits_while_the_only_lane_writes_is_one_batch(
    app: Application, monkeypatch: pytest.MonkeyPatch
) -> None:
    gate = Gate(app, monkeypatch)
    with intake_of(app, batch=64, lanes=1) as intake:
        futures = [intake.submit(note("put", "first", n=0))]
        assert gate.entered.wait(30)
        futures += [intake.submit(note("put", str(n), n=n)) for n in range(100)]
        assert intake.statistics().queued == 100 and intake.statistics().in_flight == 1
        gate.open.set()
        assert {outcome.kind for outcome in outcomes(futures)} == {"put"}
        assert gate.sizes == [1, 64, 36]


def test_a_second_lane_takes_half_of_what_clients_have_out(
    app: Application, monkeypatch: pytest.MonkeyPatch
) -> None:
    gate = Gate(app, monkeypatch)
    with intake_of(app) as intake:
        with intake.pause():
            futures = [intake.submit(note("put", str(n), n=n)) for n in range(100)]
        gate.wait_for(2)
        assert gate.sizes == [50, 50]
        assert intake.statistics().queued == 0 and intake.statistics().in_flight == 100
        gate.open.set()
        assert {outcome.kind for outcome in outcomes(futures)} == {"put"}


def test_an_operation_waits_for_the_one_before_it_on_its_document(
    app: Application, monkeypatch: pytest.MonkeyPatch
) -> None:
    gate = Gate(app, monkeypatch)
    with intake_of(app) as intake:
        futures = [intake.submit(note("put", "a", n=1))]
        assert gate.entered.wait(30)
        futures.append(intake.submit(note("update", "a", "note.n == 1", n={"assign": 2})))
        futures.append(intake.submit(note("put", "b", n=1)))
        gate.wait_for(2)
        assert gate.sizes == [1, 1] and intake.statistics().queued == 1
        gate.open.set()
        assert [outcome.kind for outcome in outcomes(futures)] == ["put", "updated", "put"]
    assert app.get("a") == {"n": 2}


def test_the_order_of_each_document_is_kept_under_many_threads(app: Application) -> None:
    threads, rounds = 16, 40

    def feed(number: int) -> list[Outcome]:
        # each thread has its own document, and waits for nothing in between
        futures = [intake.submit(note("put", str(number), n=0))]
        for n in range(rounds):
            change = {"assign": n + 1}
            futures.append(intake.submit(note("update", str(number), f"note.n == {n}", n=change)))
        return outcomes(futures)

    with intake_of(app, batch=50) as intake, ThreadPoolExecutor(threads) as pool:
        for found in pool.map(feed, range(threads)):
            assert [outcome.error for outcome in found] == [None] * (rounds + 1)
    assert {fields["n"] for _, fields in app.visit()} == {rounds}


def test_one_bad_document_fails_alone(app: Application) -> None:
    with intake_of(app) as intake, intake.pause():
        futures = [
            intake.submit(operation)
            for operation in (
                note("put", "a", n=1),
                note("put", "b", colour="red"),
                note("put", "c", "note.n == 1", n=1),
                Operation("put", DocumentId.parse("id:x:other::1"), {}),
                note("put", "d", n=1),
            )
        ]
    found = outcomes(futures)
    assert [outcome.kind for outcome in found] == ["put", "failed", "failed", "failed", "put"]
    assert isinstance(found[1].error, DocumentError) and isinstance(found[2].error, ConditionError)


def test_more_than_may_wait_is_refused_and_taken_again_later(
    app: Application, monkeypatch: pytest.MonkeyPatch
) -> None:
    gate = Gate(app, monkeypatch)
    with intake_of(app, limit=3) as intake:
        futures = [intake.submit(note("put", str(n), n=n)) for n in range(3)]
        with pytest.raises(OverloadError, match="3 operations wait"):
            intake.submit(note("put", "x", n=1))
        gate.open.set()
        outcomes(futures)
        assert intake.submit(note("put", "x", n=1)).result(30).kind == "put"


def test_an_operation_not_begun_in_time_is_not_written(
    app: Application, monkeypatch: pytest.MonkeyPatch
) -> None:
    gate = Gate(app, monkeypatch)
    with intake_of(app, lanes=1) as intake:
        first = intake.submit(note("put", "a", n=1), timeout=30)
        assert gate.entered.wait(30)
        late = intake.submit(note("put", "b", n=1), timeout=0.01)
        patient = intake.submit(note("put", "c", n=1), timeout=30)
        gone = intake.submit(note("put", "d", n=1))
        assert gone.cancel()
        time.sleep(0.05)
        gate.open.set()
        assert isinstance(late.result(30).error, DeadlineError)
        assert first.result(30).kind == patient.result(30).kind == "put"
    assert app.get("b") is None and app.get("d") is None


def test_nothing_is_written_in_a_pause_and_everything_after_it(app: Application) -> None:
    with intake_of(app, idle=0.01) as intake:
        intake.submit(note("put", "a", n=1)).result(30)
        with intake.pause():
            future = intake.submit(note("put", "b", n=1))
            with pytest.raises(TimeoutError):
                future.result(0.1)
            assert app.get("b") is None
        assert future.result(30).kind == "put"


def test_a_pause_waits_for_the_batch_on_its_way(
    app: Application, monkeypatch: pytest.MonkeyPatch
) -> None:
    gate = Gate(app, monkeypatch)
    with intake_of(app) as intake:
        future = intake.submit(note("put", "a", n=1))
        assert gate.entered.wait(30)
        threading.Timer(0.05, gate.open.set).start()
        with intake.pause():
            assert future.done()


def test_closing_finishes_what_was_accepted(app: Application) -> None:
    with intake_of(app, batch=10) as intake:
        futures = [intake.submit(note("put", str(n), n=n)) for n in range(200)]
    assert all(future.done() for future in futures)
    assert len(list(app.visit())) == 200
    with pytest.raises(OverloadError, match="shutting down"):
        intake.submit(note("put", "x", n=1))
    intake.close()


def test_an_application_that_is_away_fails_operations_by_its_error() -> None:
    @contextmanager
    def use() -> Iterator[Application]:
        raise UnavailableError("no package is deployed")
        yield

    intake = Intake(use)
    try:
        outcome = intake.submit(note("put", "a", n=1)).result(30)
        assert isinstance(outcome.error, UnavailableError)
    finally:
        intake.close()


def test_an_unexpected_exception_reaches_who_waits_and_the_next_are_served(
    app: Application, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(_: object) -> list[Outcome]:
        raise ZeroDivisionError("a bug")

    with intake_of(app) as intake:
        with monkeypatch.context() as patch:
            patch.setattr(app, "apply", broken)
            with pytest.raises(ZeroDivisionError):
                intake.submit(note("put", "a", n=1)).result(30)
        assert intake.submit(note("put", "a", n=1)).result(30).kind == "put"
        assert intake.statistics().errors == 1


def test_segments_are_written_when_nobody_feeds(app: Application) -> None:
    with intake_of(app, idle=0.02) as intake:
        intake.submit(note("put", "a", n=1)).result(30)
        deadline = time.monotonic() + 20
        while not list(app.data.rglob("*.segment")):
            assert time.monotonic() < deadline
            time.sleep(0.02)


def test_a_full_disk_takes_removals_only(app: Application) -> None:
    full = Space(disk_limit=0.0, enough=1 << 62)
    with intake_of(app, space=full) as intake:
        intake.submit(note("put", "a", n=1)).result(30)  # the folder is known from now on
        with pytest.raises(FullError, match=r"resource exhaustion.*% full \(limit 0%\)"):
            intake.submit(note("put", "b", n=1))
        assert intake.submit(note("remove", "a")).result(30).kind == "removed"


def test_an_index_larger_than_its_limit_takes_no_more(app: Application) -> None:
    with intake_of(app, space=Space(index_limit=1)) as intake:
        intake.submit(note("put", "a", n=1)).result(30)
        with pytest.raises(FullError, match=r"take [\d,]+ bytes \(limit 1\)"):
            intake.submit(note("update", "a", n={"increment": 1}))


def test_a_disk_is_looked_at_once_a_second(tmp_path: Path) -> None:
    space = Space(tmp_path, disk_limit=1.0)
    assert space.problem() is None
    space.disk_limit, space.enough = 0.0, 1 << 62
    assert space.problem() is None
    assert Space(tmp_path, disk_limit=0.0, enough=1 << 62).problem() is not None
    assert Space(tmp_path / "not made yet", disk_limit=0.0).problem() is None
