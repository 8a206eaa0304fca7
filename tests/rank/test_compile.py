"""The compiler equals the interpreter, and recognises what it has kernels for."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from expression_strategies import TENSORS, scalars, tensor_nodes
from siftline.errors import Place, QueryError
from siftline.rank.compile import Program, Value, compile_expression
from siftline.rank.expression import parse_expression
from siftline.rank.interpret import evaluate
from siftline.rank.nodes import Node, Reference
from siftline.rank.values import row
from siftline.tensor.batch import DenseBatch, RaggedBatch, SparseBatch, TensorBatch, stack
from siftline.tensor.literal import parse_literal
from siftline.tensor.tensor import Tensor
from siftline.tensor.types import TensorType
from tensor_strategies import QUARTERS, close, tensors


class Features:
    """A feature source from a table of values by name."""

    def __init__(self, count: int, values: Mapping[str, Value]) -> None:
        self.count = count
        self.values = values
        self.asked: list[str] = []

    def feature(self, reference: Reference) -> Value:
        self.asked.append(str(reference))
        return self.values[str(reference)]


class Document:
    """The interpreter's scope over one document of the table."""

    def __init__(self, features: Features, document: int) -> None:
        self.features = features
        self.document = document

    def feature(self, reference: Reference) -> Tensor:
        return row(self.features.values[str(reference)], self.document)


@st.composite
def features(draw: st.DrawFn, count: int | None = None) -> Features:
    if count is None:
        count = draw(st.integers(1, 4))
    column = st.lists(QUARTERS, min_size=count, max_size=count).map(np.array)
    values: dict[str, Value] = {
        "query(w)": Tensor.scalar(draw(QUARTERS)),
        "attribute(price)": draw(column),
        "bm25(title)": draw(column),
        "missing": np.full(count, np.nan),
    }
    for name, text in TENSORS.items():
        type_ = TensorType.parse(text)
        if name.startswith("query"):
            values[name] = draw(tensors(type_))
        else:
            rows = st.lists(st.none() | tensors(type_), min_size=count, max_size=count)
            values[name] = stack(type_, draw(rows))
    return Features(count, values)


def check(node: Node, source: Features) -> None:
    """Program and interpreter agree on every document, or both refuse."""
    try:
        want = [evaluate(node, Document(source, i)) for i in range(source.count)]
    except QueryError:
        with pytest.raises(QueryError):
            compile_expression(node)(source)
        return
    got = compile_expression(node)(source)
    for i, value in enumerate(want):
        assert close(row(got, i), value, 1e-4), f"document {i} of {node}"


@settings(suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large])
@given(scalars(4), features())
def test_scalar_programs_equal_the_interpreter(node: Node, source: Features) -> None:
    check(node, source)


@settings(suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large])
@given(tensor_nodes(4).map(lambda typed: typed.node), features())
def test_tensor_programs_equal_the_interpreter(node: Node, source: Features) -> None:
    check(node, source)


@pytest.mark.parametrize(
    "text",
    [
        "concat(attribute(v), query(q), x)",
        "concat(attribute(v), attribute(price), x)",
        "tensor(x[2]):[attribute(price), query(w)]",
        "tensor<float>(k{}):{a:attribute(price), b:1}",
        "tensor(i[3])(attribute(v){x:(i)})",
        "tensor(i[3])(i * query(w))",
        "tensor(i[2],j[3])(i * 10 + j)",
        "tensor(i[2])(max(i, attribute(price)))",
        "rename(attribute(w), t, u) * query(s)",
        "unpack_bits(attribute(bits))",
        "unpack_bits(attribute(bits), int8, little)",
        "cell_cast(attribute(dt), int8)",
        "attribute(w){a}",
        "attribute(m){dt:0,t:a}",
        "attribute(m){dt:(attribute(price))}",
        "attribute(v)[1] + attribute(d)[attribute(price)]",
        "query(qt){a}",
        "if(attribute(price) > 0, attribute(v), query(q))",
        "if(attribute(price) > 0, attribute(w), query(s))",
        "if(query(w) > 0, attribute(v), query(q))",
        "max(attribute(price), query(w)) + max(attribute(v), x)",
        "max(attribute(price), missing)",
        "min(attribute(price), lex)",
        "softmax(attribute(v), x)",
        "l2_normalize(attribute(d), j)",
        "cosine_similarity(query(q), attribute(v), x)",
        "euclidean_distance(query(q), attribute(v), x)",
        "matmul(query(qd), attribute(v), x)",
        "argmax(attribute(w))",
        "xw_plus_b(attribute(v), query(qd), attribute(d), x)",
        "expand(attribute(v), batch)",
        "hamming(attribute(bits), attribute(bits))",
        'attribute(title) == "text"',
        "sum(attribute(v) * attribute(v))",
        "sum(query(q) * attribute(v) * attribute(price))",
        "sum(query(s) * attribute(w), t)",
        "sum(reduce(sum(query(qt) * attribute(dt), x), max, dt), qt) / 32",
        "reduce(sum(query(qt) * attribute(dt), x), max, dt)",
        "sum(reduce(sum(query(qt) * attribute(dt), x), max, dt) * 2, qt)",
    ],
)
@settings(max_examples=8, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large])
@given(source=features())
def test_every_kind_of_node_equals_the_interpreter(text: str, source: Features) -> None:
    count = source.count
    extra: dict[str, Value] = {
        "lex": np.arange(count, dtype=float),
        "attribute(title)": np.ones(count),
    }
    check(parse_expression(text), Features(count, {**source.values, **extra}))


@settings(max_examples=10, suppress_health_check=list(HealthCheck))
@given(st.one_of(scalars(3), tensor_nodes(3).map(lambda t: t.node)), features(0))
def test_no_candidates_give_no_rows(node: Node, source: Features) -> None:
    try:
        got = compile_expression(node)(source)
    except QueryError:
        return
    assert isinstance(got, Tensor) or len(got) == 0


def source_of(count: int = 2, **values: str) -> Features:
    """Features from `name=type:literal;literal`; names of documents' batches begin with d."""
    table: dict[str, Value] = {}
    for name, text in values.items():
        type_text, _, literals = text.partition(":")
        type_ = TensorType.parse(type_text)
        rows = [parse_literal(type_, t) if t else None for t in literals.split(";")]
        first = rows[0] or Tensor.empty(type_)
        table[name] = stack(type_, rows) if name.startswith("d") else first
    return Features(count, table)


def ways(program: Program, source: Features) -> dict[str, str]:
    return {step.expression: step.way for step in program.explain(source)}


@pytest.mark.parametrize(
    "text",
    [
        "sum(reduce(sum(qq * dd, xx), max, tok), qtok)",
        "sum(reduce(sum(dd * qq, xx), max, tok))",
        "sum(max(sum(join(qq, dd, f(a,b)(b * a)), xx), tok), qtok)",
        "reduce(reduce(reduce(qq * dd, sum, xx), max, tok), sum)",
    ],
)
def test_maxsim_is_recognised_by_its_shape(text: str) -> None:
    source = source_of(
        3,
        qq="tensor<float>(qtok{},xx[2]):{a:[1,0],b:[0,1]}",
        dd="tensor<float>(tok{},xx[2]):{0:[1,2],1:[3,0]};;{0:[-1,-1]}",
    )
    program = compile_expression(parse_expression(text))
    assert program.explain(source)[-1].way == "kernel maxsim"
    value = program(source)
    assert isinstance(value, np.ndarray)
    assert value.tolist() == [5.0, 0.0, -2.0]


def test_maxsim_of_packed_bits_as_in_the_specification() -> None:
    """Appendix C: tokens -86 and 15, query rows 0.5·[1,1,0…] and 0.5·[0,0,0,0,1,1,1,1]: 2.5."""
    source = source_of(
        1,
        qt="tensor<float>(s{},x[8]):{0:[.5,.5,0,0,0,0,0,0],1:[0,0,0,0,.5,.5,.5,.5]}",
        dt="tensor<int8>(t{},x[1]):{0:[-86],1:[15]}",
    )
    text = "sum(reduce(sum(qt*unpack_bits(dt),x),max,t),s)"
    program = compile_expression(parse_expression(text))
    assert program.explain(source)[-1].way == "kernel maxsim_bits"
    assert program(source).tolist() == [2.5]  # type: ignore[union-attr]
    assert float(evaluate(parse_expression(text), Document(source, 0))) == 2.5


@pytest.mark.parametrize(
    ("text", "way"),
    [
        ("sum(qs * ds)", "kernel sparse_dot"),
        ("sum(ds * qs, t)", "kernel sparse_dot"),
        ("sum(qv * dv)", "kernel dense_dot"),
        ("sum(dv * qv, x)", "kernel dense_dot"),
        ("sum(dv * dv)", "vectorised"),
        ("sum(ds * ds)", "vectorised"),
        ("sum(ds * dt)", "per document"),
        ("sum(qs - ds)", "vectorised"),
        ("sum(ds - qs)", "vectorised"),
        ("qk - dm", "vectorised"),
        ("qk * ds", "per document"),
        ("sum(qs * qs)", "once"),
        ("sum(reduce(sum(qv * dm, x), max, k))", "kernel maxsim"),
        ("reduce(sum(qv * dm, x), max, k)", "kernel maxsim"),
        ("reduce(sum(qm * dm, x), max, k)", "kernel maxima"),
        ("reduce(sum(dm * qj, x), max, k)", "kernel maxima"),
        ("sum(reduce(sum(qk * dm, x), max, k))", "as written"),
        ("sum(reduce(sum(qm * dm, x), max, k) * 2, j)", "vectorised"),
        ("sum(ds * 2 + dn)", "vectorised"),
        ("dn - ds", "vectorised"),
        ("sum(dm * dv, x)", "vectorised"),
        ("max(dm * qv, k)", "vectorised"),
        ("dm * qj", "per document"),
        ("median(dm)", "vectorised"),
    ],
)
def test_explain_tells_the_way(text: str, way: str) -> None:
    source = source_of(
        qs="tensor<float>(t{}):{a:2,b:3,c:1}",
        ds="tensor<float>(t{}):{b:2,d:9};{a:1,c:4}",
        qv="tensor<float>(x[2]):[1,2]",
        dv="tensor<float>(x[2]):[3,4];[5,6]",
        dm="tensor<float>(k{},x[2]):{a:[3,4]};{b:[1,1],c:[0,2]}",
        qm="tensor<float>(j{},x[2]):{a:[3,4]}",
        qj="tensor(j[2],x[2]):[1,2,3,4]",
        qk="tensor<float>(k{},x[2]):{b:[3,4]}",
        dn="tensor():1;2",
        dt="tensor<float>(t{}):{b:2,d:9};{a:1,c:4}",
    )
    node = parse_expression(text)
    step = compile_expression(node).explain(source)[-1]
    assert step.way == way
    check(node, source)


def test_sparse_dot_of_the_splade_sample() -> None:
    source = source_of(
        2,
        qs="tensor<float>(t{}):{star:2.859375,unseen:3}",
        ds="tensor<float>(t{}):{star:2.828125,war:1};{war:2}",
    )
    got = compile_expression(parse_expression("sum(qs * ds)"))(source)
    assert got.tolist() == pytest.approx([8.0866699, 0.0])  # type: ignore[union-attr]


def test_query_parts_are_computed_once_and_equal_parts_share() -> None:
    source = source_of(qv="tensor<float>(x[2]):[3,4]", dv="tensor<float>(x[2]):[3,4];[5,6]")
    node = parse_expression("sum(l2_normalize(qv,x) * dv) + sum(l2_normalize(qv,x) * dv)")
    steps = compile_expression(node).explain(source)
    assert [s.way for s in steps if "reduce(qv * qv,sum,x)" in s.expression][0] == "once"
    assert len([s for s in steps if s.way == "kernel dense_dot"]) == 1
    assert sorted(source.asked) == ["dv", "qv"]
    got = compile_expression(node)(source)
    assert got.tolist() == pytest.approx([10.0, 2 * (15 + 24) / 5])  # type: ignore[union-attr]


def test_a_blend_is_vectorised() -> None:
    source = Features(3, {"a": np.array([1.0, 2, 3]), "b": np.array([0.5, 0, np.nan])})
    node = parse_expression("0.2 * a + 1.1 * b - if(a > 1, 1, 0)")
    program = compile_expression(node)
    assert {step.way for step in program.explain(source)} == {"once", "feature", "vectorised"}
    got = np.asarray(program(source))
    np.testing.assert_allclose(got, np.array([0.75, -0.6, np.nan]))


def test_results_have_the_form_of_their_type() -> None:
    source = source_of(
        qv="tensor<float>(x[2]):[3,4]",
        dv="tensor<float>(x[2]):[3,4];",
        ds="tensor<float>(t{}):{a:1};{b:2}",
        dm="tensor<float>(k{},x[2]):{a:[3,4]};",
    )
    forms = {
        "dv * 2": DenseBatch,
        "ds * 2": SparseBatch,
        "dm * 2": RaggedBatch,
        "dm * ds": TensorBatch,
        "qv * 2": Tensor,
        "sum(dv)": np.ndarray,
    }
    for text, form in forms.items():
        assert isinstance(compile_expression(parse_expression(text))(source), form), text


def test_errors_have_the_place_of_the_part() -> None:
    source = source_of(dv="tensor<float>(x[2]):[3,4];[5,6]", qs="tensor<float>(x{}):{a:1}")
    node = parse_expression("1 +\n  sum(dv * qs)", Place("a.sd", 7, 3))
    message = "a.sd:8:[0-9]+: dimension 'x' is mapped in one"
    with pytest.raises(QueryError, match=message):
        compile_expression(node)(source)
    with pytest.raises(QueryError, match=message):
        evaluate(node, Document(source, 0))
    bad = parse_expression("if(dv, 1, 2)")
    with pytest.raises(QueryError, match="condition must be a number"):
        compile_expression(bad)(source)
    with pytest.raises(QueryError, match="feature dv has 2 values for 3 documents"):
        compile_expression(parse_expression("dv"))(Features(3, source.values))


def test_a_long_sum_runs() -> None:
    source = Features(2, {"a": np.array([1.0, 2.0])})
    node = parse_expression(" + ".join(["a"] * 3000))
    assert compile_expression(node)(source).tolist() == [3000.0, 6000.0]  # type: ignore[union-attr]
    assert float(evaluate(node, Document(source, 1))) == 6000.0
