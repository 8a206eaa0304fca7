"""The compiler: an expression as a program over all candidates of a phase.

An expression becomes a list of instructions, equal parts once. Each runs in the cheapest way that
its operands allow: once, where they are the same for every document; vectorised, for numbers and
tensors without mapped dimensions; by a kernel, for the patterns of `siftline.rank.patterns`; and
everything else document by document, with the tensor functions that the interpreter uses.
`Program.explain` tells which way each part went.
"""

from __future__ import annotations

from siftline.errors import QueryError
from siftline.rank.instructions import Instructions, Run, Step
from siftline.rank.lowering import lower
from siftline.rank.nodes import Node
from siftline.rank.values import FeatureSource, Value, finished

__all__ = ["FeatureSource", "Program", "Step", "Value", "compile_expression"]


class Program:
    """An expression over all candidates; immutable, shared by threads.

    Called with a feature source it gives a column `(n,)` float64, a Tensor where the value is the
    same for every document, or a Batch of one tensor for each. It equals the interpreter on every
    document, but that kernels round differently and that an `if` computes both branches, which
    must have one type. QueryError with the place of the part at fault.
    """

    def __init__(self, node: Node, instructions: Instructions, root: int) -> None:
        self.node = node
        self._instructions = instructions
        self._root = root

    def __call__(self, source: FeatureSource) -> Value:
        """The value for every document of the source."""
        return finished(self._instructions.run(Run(source), self._root))

    def explain(self, source: FeatureSource) -> tuple[Step, ...]:
        """Run, and tell for each part which way it was computed, operands first."""
        run = Run(source, explaining=True)
        self._instructions.run(run, self._root)
        return tuple(run.steps)


def compile_expression(node: Node) -> Program:
    """The expression as a program; QueryError for what can never be computed."""
    instructions = Instructions()
    try:
        return Program(node, instructions, lower(node, instructions))
    except RecursionError:
        raise QueryError("the expression is nested too deeply", node.place) from None
