"""Conditional operations from many threads against a dictionary.

The intake may order operations of different documents as it likes, but those of one document must
come out as if applied one after the other, in the order in which they were submitted.
"""

import threading
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

import siftline
from siftline.application import Application
from siftline.errors import ConditionError
from siftline.feed.operation import DocumentId, Operation
from siftline.feed.outcome import Outcome
from siftline.intake import Intake
from small_package import write_package

SCHEMA = """schema d {
  document d {
    field n type int { indexing: attribute | summary }
    field s type string { indexing: index | summary }
  }
}
"""
NAMES = st.sampled_from(["a", "b", "n=1:a"])
NUMBERS = st.integers(0, 2)
CONDITIONS = st.one_of(
    st.none(),
    st.builds(lambda number: ("==", number), NUMBERS),
    st.builds(lambda number: ("<", number), NUMBERS),
    st.just(("!=", None)),
)
OPERATIONS = st.one_of(
    st.tuples(st.just("put"), NAMES, CONDITIONS, st.booleans(), NUMBERS),
    st.tuples(st.just("update"), NAMES, CONDITIONS, st.booleans(), NUMBERS),
    st.tuples(st.just("increment"), NAMES, CONDITIONS, st.booleans(), NUMBERS),
    st.tuples(st.just("remove"), NAMES, CONDITIONS, st.just(False), NUMBERS),
)
Step = tuple[str, str, tuple[str, int | None] | None, bool, int]
Model = dict[str, dict[str, Any]]


def document_id(name: str) -> DocumentId:
    selector, _, user = name.rpartition(":")
    return DocumentId("c", "d", selector, user)


def operation(step: Step) -> Operation:
    kind, name, condition, create, number = step
    text = None
    if condition is not None:
        comparator, value = condition
        text = f"d.n {comparator} {'null' if value is None else value}"
    if kind == "put":
        fields: dict[str, Any] = {"n": number, "s": f"word{number}"}
    elif kind == "remove":
        fields = {}
    else:
        fields = {"n": {"assign" if kind == "update" else "increment": number}}
    written = kind if kind in ("put", "remove") else "update"
    return Operation(written, document_id(name), fields, text, create)  # type: ignore[arg-type]


def expected(model: Model, step: Step) -> str:
    """Apply one step to the model; the kind of its outcome."""
    kind, name, condition, create, number = step
    stored = model.get(name)
    if condition is not None and not (stored is None and create):
        if stored is None or not _holds(condition, stored.get("n")):
            return "failed"
    if kind == "remove":
        model.pop(name, None)
        return "removed"
    if kind == "put":
        fields = {"n": number, "s": f"word{number}"}
        model[name] = fields
        return "unchanged" if stored == fields else "put"
    if stored is None and not create:
        return "missing"
    before = stored or {}
    value = number if kind == "update" else before.get("n", 0) + number
    model[name] = {**before, "n": value}
    return "updated"


def _holds(condition: tuple[str, int | None], value: int | None) -> bool:
    comparator, wanted = condition
    if comparator == "!=":
        return value != wanted
    if wanted is None or value is None:
        return False
    return value == wanted if comparator == "==" else value < wanted


class ConcurrentWrites(RuleBasedStateMachine):
    """Threads, each with steps on documents of its own, at the same time."""

    @initialize()
    def open(self) -> None:
        self.folder = TemporaryDirectory()
        self.package = write_package(Path(self.folder.name) / "c", SCHEMA)
        self.app = siftline.open(self.package)
        self.intake = Intake(self.use, batch=5, idle=0.001)
        self.model: Model = {}

    @contextmanager
    def use(self) -> Iterator[Application]:
        yield self.app

    @rule(steps=st.lists(OPERATIONS, max_size=12), paused=st.booleans())
    def from_one_thread(self, steps: list[Step], paused: bool) -> None:
        if paused:  # everything in as few batches as possible
            with self.intake.pause():
                futures = [self.intake.submit(operation(step)) for step in steps]
        else:
            futures = [self.intake.submit(operation(step)) for step in steps]
        self.compare(steps, futures)

    @rule(steps=st.lists(OPERATIONS, min_size=2, max_size=20))
    def from_a_thread_for_each_document(self, steps: list[Step]) -> None:
        futures: dict[int, Future[Outcome]] = {}

        def feed(name: str) -> None:
            for place, step in enumerate(steps):
                if step[1] == name:
                    futures[place] = self.intake.submit(operation(step))

        threads = [threading.Thread(target=feed, args=(n,)) for n in {step[1] for step in steps}]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        self.compare(steps, [futures[place] for place in range(len(steps))])

    @rule(number=NUMBERS)
    def increments_from_many_threads_all_count(self, number: int) -> None:
        step: Step = ("increment", "a", None, True, 1)
        futures: list[Future[Outcome]] = []
        threads = [
            threading.Thread(target=lambda: futures.append(self.intake.submit(operation(step))))
            for _ in range(number * 4)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        self.compare([step] * len(futures), futures)

    @rule()
    def reopen(self) -> None:
        self.intake.close()
        self.app.close()
        self.app = siftline.open(self.package)
        self.intake = Intake(self.use, batch=5, idle=0.001)

    def compare(self, steps: list[Step], futures: list[Future[Outcome]]) -> None:
        for step, future in zip(steps, futures, strict=True):
            outcome = future.result(30)
            assert outcome.kind == expected(self.model, step), step
            assert (outcome.error is not None) == (outcome.kind == "failed")
            assert outcome.error is None or isinstance(outcome.error, ConditionError)

    @invariant()
    def what_is_stored_is_what_the_model_has(self) -> None:
        found = {id_: dict(fields) for id_, fields in self.app.visit()}
        assert found == {str(document_id(name)): fields for name, fields in self.model.items()}

    def teardown(self) -> None:
        self.intake.close()
        self.app.close()
        self.folder.cleanup()


def test_batches_with_a_document_in_common_wait_for_each_other(tmp_path: Path) -> None:
    package = write_package(tmp_path / "c", SCHEMA)
    increment = operation(("increment", "a", None, True, 1))
    with siftline.open(package) as app, ThreadPoolExecutor(8) as threads:

        def feed(number: int) -> list[Outcome]:
            return app.apply([increment, operation(("put", str(number), None, False, 1))])

        for found in threads.map(feed, range(100)):
            assert [outcome.kind for outcome in found] == ["updated", "put"]
        stored = {id_: fields["n"] for id_, fields in app.visit()}
    assert stored.pop(str(document_id("a"))) == 100
    assert stored == {str(document_id(str(number))): 1 for number in range(100)}


TestConcurrentWrites = ConcurrentWrites.TestCase
TestConcurrentWrites.settings = settings(
    max_examples=settings().max_examples // 4, stateful_step_count=12, deadline=None
)
