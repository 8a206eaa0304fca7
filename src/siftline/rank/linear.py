"""An expression as a linear combination: Σ weight · term, as `siftline tune` varies it."""

from __future__ import annotations

from siftline.errors import UsageError
from siftline.rank.nodes import Binary, Node, Number, Unary


def linear_terms(node: Node) -> list[tuple[float, Node]]:
    """The weights and terms that a sum is made of, in the order written.

    `0.2 * a + 1.1 * b - c / 2` is (0.2, a), (1.1, b), (-0.5, c). UsageError where it is no sum of
    at least two terms.
    """
    terms = _terms(node, 1.0)
    if len(terms) < 2:
        raise UsageError(f"'{node}' is not a linear combination of two terms or more")
    return terms


def _terms(node: Node, sign: float) -> list[tuple[float, Node]]:
    match node:
        case Binary("+", left, right):
            return _terms(left, sign) + _terms(right, sign)
        case Binary("-", left, right):
            return _terms(left, sign) + _terms(right, -sign)
        case Unary("-", operand):
            return _terms(operand, -sign)
        case Binary("*", Number(value), term) | Binary("*", term, Number(value)):
            return [(sign * value, term)]
        case Binary("/", term, Number(value)) if value:
            return [(sign / value, term)]
    return [(sign, node)]
