"""Hypothesis strategies for expressions and the features they read."""

from __future__ import annotations

from dataclasses import dataclass

from hypothesis import strategies as st

from siftline.rank.cells import BINARY_FUNCTIONS, UNARY_FUNCTIONS
from siftline.rank.nodes import (
    PRECEDENCE,
    Binary,
    Boolean,
    Call,
    CellCast,
    Concat,
    Generate,
    If,
    In,
    Join,
    Lambda,
    Map,
    Merge,
    Node,
    Number,
    Reduce,
    Reference,
    Rename,
    Slice,
    String,
    Switch,
    TensorLiteral,
    Unary,
    UnpackBits,
)
from siftline.tensor.algebra import AGGREGATORS
from siftline.tensor.types import CELL_TYPES, TensorType

NAMES = st.sampled_from(["a", "bm25", "query", "x", "tensors", "inside", "f", "e2"])
LABELS = st.one_of(st.sampled_from(["a", "7", "in", "d e", '"', "03", "-1"]), st.text(min_size=1))
DENSE_TYPES = st.sampled_from(["tensor(x[2])", "tensor<float>(x[1],y[2])", "tensor<int8>(x[3])"])


def numbers() -> st.SearchStrategy[Node]:
    floats = st.floats(0, allow_infinity=False).map(abs)
    return st.one_of(st.integers(0, 20), floats).map(lambda n: Number(float(n)))


def leaves() -> st.SearchStrategy[Node]:
    names = NAMES.map(Reference)
    return st.one_of(numbers(), st.text().map(String), st.booleans().map(Boolean), names)


def literals(cells: st.SearchStrategy[Node]) -> st.SearchStrategy[Node]:
    dense = st.tuples(cells, cells).map(
        lambda c: TensorLiteral(TensorType.parse("tensor(x[2])"), (((), c),))
    )
    mixed = st.lists(st.tuples(LABELS, cells, cells), unique_by=lambda e: e[0], max_size=2).map(
        lambda entries: TensorLiteral(
            TensorType.parse("tensor<float>(k{},x[2])"),
            tuple(((label,), (one, two)) for label, one, two in entries),
        )
    )
    sparse = st.lists(st.tuples(LABELS, LABELS, cells), unique_by=lambda e: e[:2], max_size=2).map(
        lambda entries: TensorLiteral(
            TensorType.parse("tensor(j{},k{})"),
            tuple(((one, two), (cell,)) for one, two, cell in entries),
        )
    )
    return st.one_of(dense, mixed, sparse)


def inner(nodes: st.SearchStrategy[Node]) -> st.SearchStrategy[Node]:
    """Every kind of node over the given parts; they need not make sense."""
    some = st.lists(nodes, min_size=1, max_size=3).map(tuple)
    names = st.lists(NAMES, unique=True, max_size=2).map(tuple)
    one = st.builds(Lambda, st.just(("x",)), nodes)
    two = st.builds(Lambda, st.just(("x", "y")), nodes)
    parts = st.one_of(LABELS, nodes)
    named = st.lists(st.tuples(NAMES, parts), unique_by=lambda e: e[0], min_size=1, max_size=2)
    return st.one_of(
        st.builds(Unary, st.sampled_from("-!"), nodes),
        st.builds(Binary, st.sampled_from(sorted(PRECEDENCE)), nodes, nodes),
        st.builds(In, nodes, some),
        st.builds(If, nodes, nodes, nodes, st.none() | nodes),
        st.builds(Switch, nodes, st.lists(st.tuples(nodes, nodes), max_size=2).map(tuple), nodes),
        st.builds(Reference, NAMES.filter(lambda n: n != "f"), some, st.none() | NAMES),
        st.builds(lambda n, a: Call(n, (a,)), st.sampled_from(sorted(UNARY_FUNCTIONS)), nodes),
        st.builds(
            lambda n, a, b: Call(n, (a, b)), st.sampled_from(sorted(BINARY_FUNCTIONS)), nodes, nodes
        ),
        st.builds(lambda a, b, d: Call("matmul", (a, b, Reference(d))), nodes, nodes, NAMES),
        st.builds(Map, nodes, one),
        st.builds(Join, nodes, nodes, two),
        st.builds(Merge, nodes, nodes, two),
        st.builds(Reduce, nodes, st.sampled_from(AGGREGATORS), names),
        st.builds(Rename, nodes, st.just(("a", "b")), st.just(("c", "d"))),
        st.builds(Concat, nodes, nodes, NAMES),
        st.builds(CellCast, nodes, st.sampled_from(CELL_TYPES)),
        st.builds(UnpackBits, nodes, st.sampled_from(CELL_TYPES), st.booleans()),
        st.builds(Generate, DENSE_TYPES.map(TensorType.parse), nodes),
        st.builds(Slice, nodes, named.map(tuple)),
        st.builds(lambda t, label: Slice(t, ((None, label),)), nodes, parts),
        literals(nodes),
    )


def any_nodes() -> st.SearchStrategy[Node]:
    """Expressions of every kind, sensible or not."""
    return st.recursive(leaves(), inner, max_leaves=12)


@dataclass(frozen=True)
class Typed:
    """An expression that makes sense, and the dimensions of its value."""

    node: Node
    dimensions: frozenset[str] = frozenset()


#: Features of the compiler's tests: types of one dimension name agree, so that all join.
SCALARS = ("query(w)", "attribute(price)", "bm25(title)", "missing")
TENSORS = {
    "query(q)": "tensor<float>(x[8])",
    "query(s)": "tensor<float>(t{})",
    "query(qt)": "tensor<float>(qt{},x[8])",
    "query(qd)": "tensor(j[2],x[8])",
    "attribute(v)": "tensor<float>(x[8])",
    "attribute(d)": "tensor(j[2])",
    "attribute(w)": "tensor<float>(t{})",
    "attribute(dt)": "tensor<float>(dt{},x[8])",
    "attribute(bits)": "tensor<int8>(dt{},x[1])",
    "attribute(m)": "tensor<float>(dt{},t{})",
}
INEXACT = ("exp", "log", "sigmoid", "tanh", "erf")
EXACT = ("fabs", "floor", "square", "relu", "isNan")


def _feature(text: str) -> Reference:
    name, _, rest = text.rstrip(")").partition("(")
    return Reference(name, (Reference(rest),) if rest else ())


@st.composite
def conditions(draw: st.DrawFn) -> Node:
    """Numbers compared exactly: nothing that depends on rounding."""
    left, right = (_feature(draw(st.sampled_from(SCALARS))) for _ in range(2))
    if draw(st.booleans()):
        return In(left, (right, Unary("-", Number(1)), Number(0.25)))
    return Binary(draw(st.sampled_from(["<", "<=", "==", "!=", "&&", "||", "~="])), left, right)


@st.composite
def scalars(draw: st.DrawFn, depth: int) -> Node:
    """An expression whose value is a number."""
    kind = draw(st.integers(0, 8 if depth else 1))
    smaller = scalars(depth - 1) if depth else st.nothing()
    if kind == 0:
        return Number(draw(st.integers(0, 8)) / 4)
    if kind == 1:
        return _feature(draw(st.sampled_from(SCALARS)))
    if kind == 2:
        return Binary(draw(st.sampled_from(["+", "-", "*", "/"])), draw(smaller), draw(smaller))
    if kind == 3:
        return Call(draw(st.sampled_from(INEXACT + EXACT)), (draw(smaller),))
    if kind == 4:
        return If(draw(conditions()), draw(smaller), draw(smaller))
    if kind == 5:
        cases = ((Number(1), draw(smaller)), (_feature("bm25(title)"), draw(smaller)))
        return Switch(_feature("attribute(price)"), cases, draw(smaller))
    if kind == 6:
        return draw(maxima(depth - 1))
    tensor = draw(tensor_nodes(depth - 1))
    aggregator = draw(st.sampled_from(AGGREGATORS))
    return Reduce(tensor.node, aggregator)


@st.composite
def maxima(draw: st.DrawFn, depth: int) -> Node:
    """MaxSim and near misses of it."""
    query = draw(st.sampled_from(["query(q)", "query(qt)", "query(qd)", "attribute(v)"]))
    tokens: Node = _feature(draw(st.sampled_from(["attribute(dt)", "attribute(bits)"])))
    if tokens == _feature("attribute(bits)") and draw(st.booleans()):
        tokens = UnpackBits(tokens, "float", draw(st.booleans()))
    factors = [_feature(query), tokens]
    if draw(st.booleans()):
        factors.reverse()
    product: Node = Binary("*", *factors)
    if draw(st.booleans()):
        body = Binary("*", Reference("b"), Reference("a"))
        product = Join(factors[0], factors[1], Lambda(("a", "b"), body))
    best: Node = Reduce(Reduce(product, "sum", ("x",)), "max", ("dt",))
    if draw(st.booleans()):
        best = Call("max", (Reduce(product, "sum", ("x",)), Reference("dt")))
    return Reduce(best, "sum")


@st.composite
def tensor_nodes(draw: st.DrawFn, depth: int) -> Typed:
    """An expression whose value is a tensor, if the depth allows."""
    kind = draw(st.integers(0, 9)) if depth > 0 else 0
    if kind == 0:
        name = draw(st.sampled_from(sorted(TENSORS)))
        type_ = TensorType.parse(TENSORS[name])
        return Typed(_feature(name), frozenset(d.name for d in type_.dimensions))
    part = draw(tensor_nodes(depth - 1))
    node, dimensions = part.node, part.dimensions
    if kind == 1:
        return Typed(Call(draw(st.sampled_from(INEXACT + EXACT)), (node,)), dimensions)
    if kind == 2:
        other = draw(scalars(depth - 1))
        return Typed(Binary(draw(st.sampled_from(["+", "*", "/"])), node, other), dimensions)
    if kind == 3:
        other_part = draw(tensor_nodes(depth - 1))
        operator = draw(st.sampled_from(["+", "-", "*"]))
        both = dimensions | other_part.dimensions
        return Typed(Binary(operator, node, other_part.node), both)
    if kind == 4:
        body = Binary("-", Reference("x"), Binary("*", Reference("y"), Number(2)))
        return Typed(Merge(node, Unary("-", node), Lambda(("x", "y"), body)), dimensions)
    if kind == 5 and dimensions:
        gone = draw(st.sets(st.sampled_from(sorted(dimensions)), min_size=1))
        aggregator = draw(st.sampled_from(AGGREGATORS))
        return Typed(Reduce(node, aggregator, tuple(sorted(gone))), dimensions - gone)
    if kind == 6 and "x" in dimensions:
        renamed = Rename(Rename(node, ("x",), ("k",)), ("k",), ("x",))
        return Typed(renamed, dimensions)
    if kind == 7 and "x" in dimensions:
        addresses: tuple[tuple[str | None, str | Node], ...] = (("x", "0"),)
        if draw(st.booleans()):
            addresses = (("x", _feature(draw(st.sampled_from(SCALARS)))),)
        return Typed(Slice(node, addresses), dimensions - {"x"})
    if kind == 8 and dimensions:
        return Typed(CellCast(node, draw(st.sampled_from(["double", "float"]))), dimensions)
    body = Binary("*", Reference("a"), Binary("+", Reference("a"), Number(1)))
    return Typed(Map(node, Lambda(("a",), body)), dimensions)
