"""Instructions of a program: one for each distinct part of an expression, operands first."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass, field

import numpy as np

from siftline.errors import QueryError, UsageError
from siftline.rank.nodes import Node, Reference
from siftline.rank.values import FeatureSource, Value, checked


@dataclass(frozen=True, slots=True)
class Step:
    """How one part of an expression was computed, for how many documents.

    way: `once`, `vectorised`, `per document`, `feature` or `kernel NAME`.
    """

    expression: str
    way: str
    documents: int


@dataclass(eq=False, slots=True)
class Run:
    """One execution: the features read so far, and the steps taken if they are to be told."""

    source: FeatureSource
    explaining: bool = False
    steps: list[Step] = field(default_factory=list)
    _features: dict[Reference, Value] = field(default_factory=dict)

    @property
    def count(self) -> int:
        """The number of documents."""
        return self.source.count

    def feature(self, reference: Reference) -> Value:
        """A feature's value, asked for once."""
        found = self._features.get(reference)
        if found is None:
            found = checked(self.source.feature(reference), self.count, str(reference))
            self._features[reference] = found
        return found


#: What an instruction does: the values of its operands to its own value and the way it went.
Action = Callable[[Run, Sequence[Value]], tuple[Value, str]]


@dataclass(frozen=True, slots=True)
class Instruction:
    """A part of the expression, the positions of its operands, and what to do with them."""

    node: Node
    operands: tuple[int, ...]
    action: Action


class Instructions:
    """A list of instructions in which equal parts stand once."""

    def __init__(self) -> None:
        self.items: list[Instruction] = []
        self._known: dict[Hashable, int] = {}

    def add(
        self, node: Node, operands: tuple[int, ...], action: Action, detail: Hashable = None
    ) -> int:
        """The position of an instruction; `detail` is what its node says besides its operands."""
        key = (type(node), detail, operands)
        if key not in self._known:
            self._known[key] = len(self.items)
            self.items.append(Instruction(node, operands, action))
        return self._known[key]

    def run(self, run: Run, position: int) -> Value:
        """Execute up to `position` and give its value; QueryError has the place of the part."""
        values: list[Value] = []
        with np.errstate(all="ignore"):
            for item in self.items[: position + 1]:
                try:
                    value, way = item.action(run, [values[i] for i in item.operands])
                except QueryError:
                    raise
                except UsageError as error:
                    message = f"{error.message} in '{item.node}'"
                    raise QueryError(message, error.place or item.node.place) from None
                values.append(value)
                if run.explaining:
                    run.steps.append(Step(str(item.node), way, run.count))
        return values[position]
