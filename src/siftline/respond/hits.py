"""The answer to a query as values: hits with their fields and scores, counts, trace, errors."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from siftline.respond.problems import SearchError
from siftline.respond.trace import Trace
from siftline.tensor.tensor import Tensor

if TYPE_CHECKING:
    from siftline.respond.filling import Stored

#: A feature's value for one hit.
FeatureValue = float | Tensor


@dataclass(frozen=True, slots=True)
class Hit:
    """One document of the answer.

    relevance: the score of the last phase that ranked it. fields: the summary, tensors as Tensor.
    match_features and summary_features are None where the profile lists none. scores: phase
    (`first-phase`, `second-phase`, `global-phase`) → the score it gave; a phase that did not score
    the hit is left out. stored: where the fields of an unfilled hit are fetched from.
    """

    id: str
    relevance: float
    fields: Mapping[str, Any] = field(default_factory=dict)
    match_features: Mapping[str, FeatureValue] | None = None
    summary_features: Mapping[str, FeatureValue] | None = None
    scores: Mapping[str, float] = field(default_factory=dict)
    source: str = "content"
    stored: Stored | None = field(default=None, compare=False, repr=False)

    def __getitem__(self, name: str) -> Any:
        return self.fields[name]

    def with_fields(self, **fields: Any) -> Hit:
        """The hit with these fields, shown whatever the query asks to see."""
        stored = self.stored
        if stored is not None:
            stored = replace(stored, fetched=stored.fetched.difference(fields))
        return replace(self, fields={**self.fields, **fields}, stored=stored)

    def filled(self, fields: Mapping[str, Any], stored: Stored | None, id_: str) -> Hit:
        """The hit with exactly these fields, this origin and this id."""
        # the constructor takes a third of the time of `replace`, and every hit of an answer is here
        return Hit(
            id_,
            self.relevance,
            fields,
            self.match_features,
            self.summary_features,
            self.scores,
            self.source,
            stored,
        )

    def with_relevance(self, relevance: float) -> Hit:
        """The hit with another score; its place among the hits is yours to change."""
        return replace(self, relevance=relevance)


@dataclass(frozen=True, slots=True)
class Coverage:
    """How much of the corpus was searched; `degraded` names the reasons why not all of it."""

    documents: int
    percent: int = 100
    degraded: frozenset[str] = frozenset()

    @property
    def full(self) -> bool:
        """Whether every document was searched."""
        return self.percent == 100 and not self.degraded


@dataclass(frozen=True, slots=True)
class Timing:
    """Seconds for matching and ranking, for filling the summaries, and for everything."""

    query: float
    summary: float
    search: float


@dataclass(frozen=True, slots=True)
class Result:
    """The hits of one page, best first, and how many documents matched in all.

    tensors: the tensor form in which the query wants its answer rendered.
    """

    hits: tuple[Hit, ...]
    total: int
    coverage: Coverage
    trace: Trace | None = None
    errors: tuple[SearchError, ...] = ()
    timing: Timing | None = None
    tensors: str = "short"

    def __len__(self) -> int:
        return len(self.hits)

    def __iter__(self) -> Iterator[Hit]:
        return iter(self.hits)

    def __getitem__(self, position: int) -> Hit:
        return self.hits[position]

    @property
    def ids(self) -> list[str]:
        """The ids of the hits, best first."""
        return [hit.id for hit in self.hits]

    def with_hits(self, hits: Iterable[Hit], total: int | None = None) -> Result:
        """The result with these hits in this order; total: documents that matched, None as is."""
        return replace(self, hits=tuple(hits), total=self.total if total is None else total)

    def to_json(self, *, tensors: str | None = None) -> dict[str, Any]:
        """Vespa's result JSON (spec 3.11); `tensors` is a form like `short`, None the query's."""
        from siftline.respond.render import to_json

        return to_json(self, tensors=tensors or self.tensors)
