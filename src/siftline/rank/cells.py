"""Scalar functions and operators on arrays of cells, and lambdas made of them (spec 2.1, 2.5).

Each takes and gives numpy arrays. The four operations of arithmetic, comparisons and the like are
exact in the cells' own float type; every other function computes in double and its result is
rounded by the caller.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping

import numpy as np

from siftline.errors import QueryError
from siftline.rank.expand import expand
from siftline.rank.nodes import (
    Binary,
    Boolean,
    Call,
    If,
    In,
    Lambda,
    Node,
    Number,
    Reference,
    String,
    Switch,
    Unary,
)
from siftline.tensor.algebra import CellFunction
from siftline.tensor.text import text_number

_BIT_COUNTS = np.array([bin(byte).count("1") for byte in range(256)], np.float64)
_ERF = np.frompyfunc(math.erf, 1, 1)


def _double(function: Callable[..., np.ndarray]) -> CellFunction:
    """`function` computed in double precision."""

    def widened(*cells: np.ndarray) -> np.ndarray:
        return function(*(np.asarray(each, np.float64) for each in cells))

    return widened


def _bytes(cells: np.ndarray) -> np.ndarray:
    """Cells as the unsigned bytes of their int8 values; numbers outside wrap around."""
    return np.nan_to_num(np.asarray(cells, np.float64)).astype(np.int64).astype(np.uint8)


def _bit(cells: np.ndarray, positions: np.ndarray) -> np.ndarray:
    at = np.nan_to_num(np.asarray(positions, np.float64), nan=-1.0).astype(np.int64)
    inside = (at >= 0) & (at < 8)
    bits = (_bytes(cells) >> np.where(inside, at, 0)) & 1
    return np.asarray(inside & (bits == 1))


def _hamming(left: np.ndarray, right: np.ndarray) -> np.ndarray:
    return np.asarray(_BIT_COUNTS[_bytes(left) ^ _bytes(right)])


def _approximately(left: np.ndarray, right: np.ndarray) -> np.ndarray:
    """`~=`: equal, or finite and within a millionth of the larger."""
    bound = 1e-6 * np.maximum(np.abs(left), np.abs(right))
    return np.asarray((left == right) | (np.isfinite(bound) & (np.abs(left - right) <= bound)))


def _elu(cells: np.ndarray) -> np.ndarray:
    return np.where(cells < 0, np.expm1(cells), cells)


def _sigmoid(cells: np.ndarray) -> np.ndarray:
    return np.asarray(1.0 / (1.0 + np.exp(-cells)))


def _ldexp(cells: np.ndarray, exponents: np.ndarray) -> np.ndarray:
    clipped = np.clip(np.nan_to_num(exponents), -5000, 5000)
    return np.asarray(np.ldexp(cells, np.trunc(clipped).astype(np.int32)))


def _erf(cells: np.ndarray) -> np.ndarray:
    return np.asarray(_ERF(cells), np.float64)


UNARY_FUNCTIONS: dict[str, CellFunction] = {
    "acos": _double(np.arccos),
    "asin": _double(np.arcsin),
    "atan": _double(np.arctan),
    "ceil": np.ceil,
    "cos": _double(np.cos),
    "cosh": _double(np.cosh),
    "cube": _double(lambda x: x * x * x),
    "elu": _double(_elu),
    "erf": _double(_erf),
    "exp": _double(np.exp),
    "fabs": np.fabs,
    "floor": np.floor,
    "isNan": np.isnan,
    "log": _double(np.log),
    "log10": _double(np.log10),
    "relu": lambda x: np.maximum(x, 0),
    "sigmoid": _double(_sigmoid),
    "sin": _double(np.sin),
    "sinh": _double(np.sinh),
    "sqrt": np.sqrt,
    "square": np.square,
    "tan": _double(np.tan),
    "tanh": _double(np.tanh),
}

BINARY_FUNCTIONS: dict[str, CellFunction] = {
    "atan2": _double(np.arctan2),
    "bit": _bit,
    "fmod": _double(np.fmod),
    "hamming": _hamming,
    "ldexp": _double(_ldexp),
    "max": np.maximum,
    "min": np.minimum,
    "pow": _double(np.power),
}

SCALAR_FUNCTIONS: dict[str, CellFunction] = UNARY_FUNCTIONS | BINARY_FUNCTIONS

UNARY_OPERATORS: dict[str, CellFunction] = {"-": np.negative, "!": lambda x: x == 0}

BINARY_OPERATORS: dict[str, CellFunction] = {
    "+": np.add,
    "-": np.subtract,
    "*": np.multiply,
    "/": np.divide,
    "%": _double(np.fmod),
    "^": _double(np.power),
    "==": np.equal,
    "!=": np.not_equal,
    "~=": _double(_approximately),
    "<": np.less,
    "<=": np.less_equal,
    ">": np.greater,
    ">=": np.greater_equal,
    "&&": lambda x, y: (x != 0) & (y != 0),
    "||": lambda x, y: (x != 0) | (y != 0),
}


def lambda_function(function: Lambda) -> CellFunction:
    """A lambda as a function of cells; its body is computed in double.

    QueryError for a body that reads anything but the parameters or uses a tensor function.
    """
    return cell_function(function.body, function.parameters)


def cell_function(body: Node, parameters: tuple[str, ...]) -> CellFunction:
    """An expression of scalars as a function of one array for each parameter."""
    compute = _compile(body, frozenset(parameters))

    def function(*cells: np.ndarray) -> np.ndarray:
        bound = (np.asarray(each, np.float64) for each in cells)
        return np.asarray(compute(dict(zip(parameters, bound, strict=True))), np.float64)

    return function


_Cells = Mapping[str, np.ndarray]


def _compile(node: Node, names: frozenset[str]) -> Callable[[_Cells], np.ndarray]:
    """A node as a function of the arrays bound to names."""
    if isinstance(node, (In, Switch)):
        return _compile(expand(node), names)
    if isinstance(node, Reference) and node.bare and node.name in names:
        name = node.name
        return lambda cells: cells[name]
    if isinstance(node, (Number, String, Boolean)):
        constant = np.array(constant_number(node))
        return lambda cells: constant
    if isinstance(node, If):
        condition, yes, no = (_compile(n, names) for n in (node.condition, node.yes, node.no))
        return lambda cells: np.where(condition(cells) != 0, yes(cells), no(cells))
    function, operands = _scalar_call(node)
    parts = [_compile(operand, names) for operand in operands]
    return lambda cells: np.asarray(function(*(part(cells) for part in parts)), np.float64)


def _scalar_call(node: Node) -> tuple[CellFunction, tuple[Node, ...]]:
    if isinstance(node, Unary):
        return UNARY_OPERATORS[node.operator], (node.operand,)
    if isinstance(node, Binary):
        return BINARY_OPERATORS[node.operator], (node.left, node.right)
    if isinstance(node, Call) and node.name in SCALAR_FUNCTIONS:
        return SCALAR_FUNCTIONS[node.name], node.arguments
    raise QueryError(
        f"'{node}' cannot stand in a function of cells, which sees only its parameters", node.place
    )


def constant_number(node: Number | String | Boolean) -> float:
    """The number that a constant stands for."""
    return text_number(node.text) if isinstance(node, String) else float(node.value)
