"""Searchers: what becomes of a query on its way to the engine, and of its result behind it."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any, TypeVar

from siftline.errors import SiftlineError
from siftline.match.deadline import NEVER, Deadline
from siftline.match.query import Query
from siftline.process.components import Part
from siftline.process.faults import user_code, wrong_return
from siftline.respond.filling import fill
from siftline.respond.hits import Coverage, Result
from siftline.respond.problems import SearchError

T = TypeVar("T")

#: Where a chain ends: a query to its hits, not filled yet.
Source = Callable[[Query], Result]

#: Request parameters to the query they mean.
MakeQuery = Callable[..., Query]

#: Characters of a query that an error shows.
_SHOWN = 80


class Searcher(ABC):
    """A stop on the way of queries: it may change the query, the result, or answer itself.

    One object serves every query, from several threads at once. `close` is called when the
    application is closed.
    """

    @abstractmethod
    def search(self, query: Query, execution: Execution) -> Result:
        """The answer to the query, most often what `execution.search(query)` gives, changed.

        Hits come without their fields; `execution.fill` fetches them. What is left unfilled is
        filled when the last searcher has returned.
        """

    def close(self) -> None:
        """Let go of what the searcher holds."""
        return None


@dataclass(frozen=True, slots=True)
class _Run:
    """One query's way through a chain; `below` are the errors that came from outside of it."""

    parts: Sequence[Part]
    source: Source
    make: MakeQuery
    deadline: Deadline
    below: list[SiftlineError] = field(default_factory=list)


class Execution:
    """The rest of the chain, as one searcher sees it."""

    def __init__(self, run: _Run, position: int = 0) -> None:
        self._run = run
        self._position = position

    def search(self, query: Query) -> Result:
        """What the searchers behind this one, and in the end the engine, answer.

        It can be called any number of times, also for another query, which has the time of the
        first. Errors of theirs come out, DeadlineError among them: let them pass.
        """
        parts = self._run.parts
        if query.deadline == NEVER:
            query = replace(query, deadline=self._run.deadline)
        if self._position == len(parts):
            return self._outside(partial(self._run.source, query))
        part = parts[self._position]
        self._outside(partial(query.deadline.check, f"searcher '{part.id}'"))
        about = f"on query '{shown(query)}'"
        with user_code(part.id, about, self._run.below):
            result = part.call(query, Execution(self._run, self._position + 1))
        if not isinstance(result, Result):
            raise wrong_return(part.id, about, result, "Result")
        return result

    def fill(self, result: Result, summary: str | None = None) -> Result:
        """The result with the fields of a summary class, None for those the query asks for.

        Fields fetched for a searcher are not shown unless the query asks for them.
        """
        return self._outside(partial(fill, result, summary))

    def request(self, **parameters: Any) -> Query:
        """Another query, from request parameters: `execution.request(yql="…", hits=5)`."""
        return self._outside(partial(self._run.make, **parameters))

    def _outside(self, call: Callable[[], T]) -> T:
        try:
            return call()
        except SiftlineError as error:
            self._run.below.append(error)
            raise


class SearchChain:
    """The searchers that a query passes, in order, and whether the engine stands behind them."""

    def __init__(self, id_: str, parts: Sequence[Part], *, ends: bool = True) -> None:
        self.id = id_
        self.parts = tuple(parts)
        self._ends = ends

    def search(self, query: Query, source: Source, make: MakeQuery) -> Result:
        """The chain's answer, unfilled hits among it.

        ComponentError: a searcher raises or returns no Result; what QueryError and the like mean
        stays as it is. DeadlineError where the searchers were not done in the query's time.
        """
        end = source if self._ends else self._nothing
        result = Execution(_Run(self.parts, end, make, query.deadline)).search(query)
        if self.parts:
            query.deadline.check(f"search chain '{self.id}'")
        return result

    def _nothing(self, query: Query) -> Result:
        message = f"search chain '{self.id}' has no source; let it inherit from 'vespa'"
        return Result((), 0, Coverage(0), errors=(SearchError(9, message),))


def shown(query: Query) -> str:
    """The query as it was asked, shortened."""
    properties = query.properties
    text = str(properties.get("yql") or properties.get("query") or query.root)
    return text if len(text) <= _SHOWN else f"{text[: _SHOWN - 1]}…"
