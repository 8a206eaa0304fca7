"""The indexing language as objects: what happens to a field's value when a document is fed.

`input text | embed e5 | attribute | index` is one Statement of four steps. A step takes the
current value and gives the next; a null value ends the statement.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, cast, get_args

from siftline.errors import Place


@dataclass(frozen=True, slots=True)
class InputStep:
    """`input field`: read a field of the document."""

    field: str


@dataclass(frozen=True, slots=True)
class LiteralStep:
    """A constant string, number or truth value."""

    value: Any


@dataclass(frozen=True, slots=True)
class ConcatStep:
    """`a . b`: strings joined (null if one is), arrays joined (null is empty)."""

    parts: tuple[Step, ...]


@dataclass(frozen=True, slots=True)
class FirstStep:
    """`a || b`: the first alternative that is not null."""

    alternatives: tuple[Step, ...]


@dataclass(frozen=True, slots=True)
class EmbedStep:
    """`embed [embedder] [arguments]`: text to a tensor of the field's type."""

    embedder: str | None
    arguments: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class ForEachStep:
    """`for_each { script }`: the steps applied to each element; `_` is the element."""

    steps: tuple[Step, ...]


@dataclass(frozen=True, slots=True)
class ElementStep:
    """`_`: the element of the surrounding for_each."""


@dataclass(frozen=True, slots=True)
class CallStep:
    """Any other function, like `lowercase`, `trim`, `split "x"`, `to_int`, `pack_bits`.

    Arithmetic is a call named `+ - * / %` with two steps. Control flow holds steps too:
    `if` (left, comparison, right, then steps, else steps or None), `switch` ((text, steps)
    pairs, default steps or None), `select_input` ((field, steps) pairs).
    """

    name: str
    arguments: tuple[Any, ...] = ()


@dataclass(frozen=True, slots=True)
class OutputStep:
    """`attribute`, `index` or `summary`: write the current value to that side of the field."""

    kind: str
    name: str | None = None


@dataclass(frozen=True, slots=True)
class PipeStep:
    """`a | b` inside parentheses: steps run one after the other as one operand."""

    steps: tuple[Step, ...]


Step = (
    InputStep
    | LiteralStep
    | ConcatStep
    | FirstStep
    | EmbedStep
    | ForEachStep
    | ElementStep
    | CallStep
    | OutputStep
    | PipeStep
)


STEPS: tuple[type, ...] = get_args(Step)


@dataclass(frozen=True, slots=True)
class Script:
    """Statements of steps, run in order."""

    statements: tuple[tuple[Step, ...], ...] = ()
    place: Place | None = field(default=None, compare=False)
    # every query asks which fields are shown and searched, and a script never changes
    _outputs: frozenset[str] = field(init=False, compare=False, repr=False)

    def __post_init__(self) -> None:
        kinds = frozenset(step.kind for step in self.steps() if isinstance(step, OutputStep))
        object.__setattr__(self, "_outputs", kinds)

    def steps(self) -> Iterator[Step]:
        """Every step, nested ones included, in the order written."""
        for statement in self.statements:
            yield from _walk(statement)

    @property
    def outputs(self) -> frozenset[str]:
        """Which of `attribute`, `index`, `summary` the script writes."""
        return self._outputs

    @property
    def inputs(self) -> frozenset[str]:
        """The fields the script reads with `input`."""
        return frozenset(step.field for step in self.steps() if isinstance(step, InputStep))

    @property
    def embedders(self) -> tuple[EmbedStep, ...]:
        """Every embed step, in order."""
        return tuple(step for step in self.steps() if isinstance(step, EmbedStep))


def _walk(steps: tuple[Step, ...]) -> Iterator[Step]:
    for step in steps:
        yield step
        if isinstance(step, ConcatStep):
            yield from _walk(step.parts)
        elif isinstance(step, FirstStep):
            yield from _walk(step.alternatives)
        elif isinstance(step, (ForEachStep, PipeStep)):
            yield from _walk(step.steps)
        elif isinstance(step, CallStep):
            yield from _walk(tuple(_nested(step.arguments)))


def _nested(value: Any) -> Iterator[Step]:
    if isinstance(value, tuple):
        for item in value:
            yield from _nested(item)
    elif isinstance(value, STEPS):
        yield cast(Step, value)
