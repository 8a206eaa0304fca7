"""The query as a value: a tree of what must match, named inputs, a rank profile and limits."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from dataclasses import field as default_field
from typing import Any

from siftline.match.deadline import NEVER, SOFT_FACTOR, Deadline
from siftline.tensor.tensor import Tensor


@dataclass(frozen=True, slots=True)
class TermAnnotations:
    """Annotations of a term; None where not given (spec 3.3)."""

    weight: int = 100
    significance: float | None = None
    ranked: bool = True
    filter: bool = False
    stem: bool = True
    prefix: bool = False
    label: str | None = None


@dataclass(frozen=True, slots=True)
class Term:
    """`field contains "text"`; an index field's text is analysed, several tokens are a phrase."""

    field: str
    text: str
    annotations: TermAnnotations = TermAnnotations()


@dataclass(frozen=True, slots=True)
class Phrase:
    """`field contains phrase("a", "b")`: the words next to each other, in order."""

    field: str
    words: tuple[str, ...]
    annotations: TermAnnotations = TermAnnotations()


@dataclass(frozen=True, slots=True)
class Near:
    """`near` and `onear`: all words within `distance`, in order if `ordered`."""

    field: str
    words: tuple[str, ...]
    distance: int = 2
    ordered: bool = False
    annotations: TermAnnotations = TermAnnotations()


@dataclass(frozen=True, slots=True)
class SearchTerm:
    """What `prepare` makes of a Term, Phrase or Near: the fields it searches and their tokens.

    index: the name in the query, a field or a field set. fields: field → its tokens in the query's
    order, several are a phrase; an attribute without index has one, the whole value. prefix: the
    value begins so (attributes only). near: distance and whether in order, where the tokens need
    not be next to each other.
    """

    index: str
    fields: Mapping[str, tuple[str, ...]]
    weight: int = 100
    significance: float | None = None
    ranked: bool = True
    filter: bool = False
    label: str | None = None
    prefix: bool = False
    near: tuple[int, bool] | None = None


@dataclass(frozen=True, slots=True)
class Range:
    """A numeric interval on an attribute; a single value has both ends equal."""

    field: str
    low: float
    high: float
    low_open: bool = False
    high_open: bool = False


@dataclass(frozen=True, slots=True)
class In:
    """`field in (…)`: equal to one of the values."""

    field: str
    values: tuple[int | str, ...]


@dataclass(frozen=True, slots=True)
class Regex:
    """`field matches "expression"` on a string attribute, unanchored, case-insensitive."""

    field: str
    expression: str


@dataclass(frozen=True, slots=True)
class And:
    """All children."""

    children: tuple[Node, ...]


@dataclass(frozen=True, slots=True)
class Or:
    """Any child."""

    children: tuple[Node, ...]


@dataclass(frozen=True, slots=True)
class Not:
    """Not the child."""

    child: Node


@dataclass(frozen=True, slots=True)
class Rank:
    """Only `matching` must match; the others contribute to ranking."""

    matching: Node
    ranking: tuple[Node, ...]


@dataclass(frozen=True, slots=True)
class WeakAnd:
    """The `target_hits` best documents by the text score of the children (spec 3.4)."""

    children: tuple[Node, ...]
    target_hits: int = 100


@dataclass(frozen=True, slots=True)
class Wand:
    """The `target_hits` best documents by the dot product of integer weights and a weighted set."""

    field: str
    weights: Mapping[str, float]
    target_hits: int = 10
    score_threshold: float = 0.0
    label: str | None = None


@dataclass(frozen=True, slots=True)
class DotProduct:
    """Documents with at least one of the tokens; raw score is the dot product."""

    field: str
    weights: Mapping[str, float]
    label: str | None = None


@dataclass(frozen=True, slots=True)
class NearestNeighbor:
    """The `target_hits` nearest documents: dense by distance, mapped (learned sparse) by product.

    query: the name of the tensor among the query inputs. approximate None means where there is a
    graph that saves something, True where there is one. explore: additional candidates in the
    graph search. settings: rank profile settings
    (`approximate-threshold`, …) that this operator overrides.
    """

    field: str
    query: str
    target_hits: int
    approximate: bool | None = None
    explore: int = 0
    distance_threshold: float | None = None
    label: str | None = None
    settings: Mapping[str, float] = default_field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class All:
    """`true`: every document."""


@dataclass(frozen=True, slots=True)
class Nothing:
    """`false`: no document."""


Node = (
    Term | Phrase | Near | SearchTerm | Range | In | Regex | And | Or | Not | Rank
    | WeakAnd | Wand | DotProduct | NearestNeighbor | All | Nothing
)  # fmt: skip


def walk(node: Node) -> Iterator[Node]:
    """The node and all below it, in the order written."""
    yield node
    if isinstance(node, (And, Or, WeakAnd)):
        for child in node.children:
            yield from walk(child)
    elif isinstance(node, Not):
        yield from walk(node.child)
    elif isinstance(node, Rank):
        yield from walk(node.matching)
        for child in node.ranking:
            yield from walk(child)


@dataclass(frozen=True, slots=True)
class Query:
    """Everything one search needs; immutable.

    inputs: `query(name)` → Tensor or number, already of the declared type. rerank_count and
    global_rerank_count override the profile (0 switches the phase off). exhaustive: score every
    document instead of pruning. select: fields to show, None for all. order_by: (field,
    descending). timeout: the seconds that the request or its query profile states, None where they
    state none; soft_factor: the share of them after which work is left out, None for never.
    deadline: until when it is to be answered, set by whoever searches. parameters: the request
    parameters by full name, query profile included, for `@name` and traces. null: the request says
    nothing to search for; a searcher may.
    """

    root: Node
    profile: str = "default"
    schema: str | None = None
    inputs: Mapping[str, Tensor | float] = default_field(default_factory=dict)
    hits: int = 10
    offset: int = 0
    rerank_count: int | None = None
    global_rerank_count: int | None = None
    summary: str | None = None
    select: tuple[str, ...] | None = None
    order_by: tuple[tuple[str, bool], ...] = ()
    timeout: float | None = None
    soft_factor: float | None = SOFT_FACTOR
    deadline: Deadline = NEVER
    trace_level: int = 0
    exhaustive: bool = False
    language: str | None = None
    rank_properties: Mapping[str, str] = default_field(default_factory=dict)
    parameters: Mapping[str, Any] = default_field(default_factory=dict)
    null: bool = False

    @property
    def properties(self) -> Mapping[str, Any]:
        """The request's parameters; an alias finds its full name's value."""
        return self.parameters

    def with_input(self, name: str, value: Any) -> Query:
        """The query with `query(name)`: a Tensor, number, array or literal.

        The engine gives it the type that the rank profile declares.
        """
        return replace(self, inputs={**self.inputs, name: value})

    def with_hits(self, hits: int, offset: int = 0) -> Query:
        """The query for another page."""
        return replace(self, hits=hits, offset=offset)

    def with_profile(self, profile: str) -> Query:
        """The query ranked by another profile, by its name."""
        return replace(self, profile=profile)

    def with_tree(self, root: Node) -> Query:
        """The query with another tree of what must match."""
        return replace(self, root=root)

    def due(self, started: float | None = None, default: float | None = None) -> Deadline:
        """The deadline of the query's timeout, or of `default` seconds where it states none.

        started: when it came in, of `time.monotonic()`, None for now. NEVER without any timeout.
        """
        timeout = default if self.timeout is None else self.timeout
        if timeout is None:
            return NEVER
        return Deadline.after(timeout, started=started, soft_factor=self.soft_factor)
