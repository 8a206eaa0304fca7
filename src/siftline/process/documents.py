"""Document processors: what becomes of an operation on its way to the index."""

from __future__ import annotations

import time
from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import ClassVar, Literal

from siftline.errors import DeadlineError, DocumentError, SiftlineError
from siftline.feed.operation import Operation
from siftline.process.components import Part
from siftline.process.faults import user_code, wrong_return

#: Seconds until a processor that said LATER is called again, unless it said when.
AGAIN = 0.02

#: Seconds after which a document that is still LATER fails, Vespa's timeout of the document API.
PATIENCE = 180.0


@dataclass(frozen=True, slots=True)
class Progress:
    """What a document processor says of the operation: DONE, LATER (call me again) or FAILED."""

    state: Literal["done", "later", "failed"]
    reason: str | None = None
    delay: float = AGAIN

    DONE: ClassVar[Progress]
    LATER: ClassVar[Progress]
    FAILED: ClassVar[Progress]

    def with_reason(self, reason: str) -> Progress:
        """The same, saying why: `return Progress.FAILED.with_reason("no title")`."""
        return replace(self, reason=reason)

    @staticmethod
    def later(seconds: float) -> Progress:
        """LATER, to be called again after so many seconds."""
        return Progress("later", delay=seconds)


Progress.DONE = Progress("done")
Progress.LATER = Progress("later")
Progress.FAILED = Progress("failed")

#: What `process` may return.
Processed = Progress | Operation | Iterable[Operation] | None


class DocumentProcessor(ABC):
    """A stop on the way of documents: it looks at an operation, changes it or replaces it.

    One object serves every feed, from several threads at once. `close` is called when the
    application is closed.
    """

    @abstractmethod
    def process(self, operation: Operation) -> Processed:
        """What becomes of the operation.

        None or Progress.DONE: it goes on, with what was changed in its `fields`. An operation, or
        several: these go on in its place (`operation.with_fields(…)`); none at all: it is dropped.
        Progress.LATER: the same call again after a while. Progress.FAILED, with a reason: the
        document is refused.
        """

    def close(self) -> None:
        """Let go of what the processor holds."""
        return None


class DocumentChain:
    """The processors that every operation passes, in order."""

    def __init__(self, parts: Sequence[Part]) -> None:
        self.parts = tuple(parts)

    def __bool__(self) -> bool:
        return bool(self.parts)

    def process(self, operation: Operation, patience: float = PATIENCE) -> list[Operation]:
        """The operations that an operation becomes.

        DocumentError: a processor refuses it. ComponentError: one raises. DeadlineError: one says
        LATER for more than `patience` seconds.
        """
        (become,) = self.process_all([operation], patience)
        if isinstance(become, SiftlineError):
            raise become
        return become

    def process_all(
        self, operations: Sequence[Operation], patience: float = PATIENCE
    ) -> list[list[Operation] | SiftlineError]:
        """What each operation becomes, or the error that it fails with, in the order given.

        While one waits for a later call the others go on, except those of the same document.
        """
        journeys = [_Journey(self.parts, operation, patience) for operation in operations]
        become: list[list[Operation] | SiftlineError] = [[] for _ in operations]
        left = list(range(len(journeys)))
        while left:
            left = _advance(journeys, left, become)
            if left:
                # those behind another of the same document have not begun: they are not due
                earliest = min(filter(None, (journeys[number].due for number in left)))
                time.sleep(max(earliest - time.monotonic(), 0.0))
        return become


def _advance(
    journeys: Sequence[_Journey],
    numbers: Sequence[int],
    become: list[list[Operation] | SiftlineError],
) -> list[int]:
    """Let every journey that is due go on; the numbers of those that have not arrived."""
    left: list[int] = []
    busy: set[str] = set()
    for number in numbers:
        journey = journeys[number]
        id_ = str(journey.fed.id)
        try:
            if id_ not in busy and journey.due <= time.monotonic() and journey.advance():
                become[number] = journey.arrived
                continue
        except SiftlineError as error:
            become[number] = error
            continue
        busy.add(id_)
        left.append(number)
    return left


class _Journey:
    """One fed operation and what it became, each at its stop."""

    def __init__(self, parts: Sequence[Part], operation: Operation, patience: float) -> None:
        self._parts = parts
        self.fed = operation
        self._patience = patience
        self._until: float | None = None
        own = replace(operation, fields=dict(operation.fields))
        self._under_way = deque([(own, 0)])
        self.arrived: list[Operation] = []
        self.due = 0.0

    def advance(self) -> bool:
        """Go on until everything has arrived (True) or a processor wants to be called later."""
        while self._under_way:
            operation, stop = self._under_way[0]
            if stop == len(self._parts):
                self.arrived.append(operation)
                self._under_way.popleft()
                continue
            part = self._parts[stop]
            become = self._stop(part, operation)
            if become is None:
                return False
            self._under_way.popleft()
            self._under_way.extendleft((op, stop + 1) for op in reversed(become))
        return True

    def _stop(self, part: Part, operation: Operation) -> list[Operation] | None:
        """What the operation becomes at one processor; None for a later call."""
        about = f"on {operation.kind} of document '{operation.id}'"
        with user_code(part.id, about):
            said = part.call(operation)
            if isinstance(said, Iterable) and not isinstance(said, (str, bytes, Mapping)):
                said = list(said)
        if said is None:
            return [operation]
        if isinstance(said, Operation):
            return [_placed(said, operation)]
        if isinstance(said, list) and all(isinstance(op, Operation) for op in said):
            return [_placed(op, operation) for op in said]
        if not isinstance(said, Progress):
            wrong = said[0] if isinstance(said, list) else said
            raise wrong_return(part.id, about, wrong, "Progress, operations or None")
        if said.state == "done":
            return [operation]
        if said.state == "failed":
            reason = f": {said.reason}" if said.reason else ""
            raise DocumentError(
                f"document '{operation.id}': component '{part.id}' refuses it{reason}",
                operation.place,
            )
        self._wait(part, operation, said.delay)
        return None

    def _wait(self, part: Part, operation: Operation, delay: float) -> None:
        now = time.monotonic()
        self._until = now + self._patience if self._until is None else self._until
        if now >= self._until:
            raise DeadlineError(
                f"document '{operation.id}': component '{part.id}' still says LATER",
                operation.place,
            )
        self.due = now + max(delay, 0.0)


def _placed(operation: Operation, source: Operation) -> Operation:
    """An operation of a processor's, standing where the one it came from was written."""
    fields = dict(operation.fields)
    return replace(operation, fields=fields, place=operation.place or source.place)
