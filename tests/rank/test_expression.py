"""Parsing and printing of ranking expressions (spec 2.5, 2.8)."""

from __future__ import annotations

import pytest
from hypothesis import given

from expression_strategies import any_nodes
from siftline.errors import PackageError, Place, QueryError, UsageError
from siftline.rank.expression import parse_expression
from siftline.rank.nodes import (
    Binary,
    Call,
    If,
    Node,
    Number,
    Reduce,
    Reference,
    Slice,
    String,
    Unary,
    UnpackBits,
    free_references,
    substitute,
    walk,
)

A, B, C = (Reference(name) for name in "abc")


@given(any_nodes())
def test_printing_and_parsing_are_inverse(node: Node) -> None:
    assert parse_expression(str(node)) == node


@pytest.mark.parametrize(
    ("text", "node"),
    [
        ("a/b*c", Binary("*", Binary("/", A, B), C)),
        ("a*b/c", Binary("*", A, Binary("/", B, C))),
        ("a%b/c", Binary("/", Binary("%", A, B), C)),
        ("a/b%c", Binary("/", A, Binary("%", B, C))),
        ("a-b+c", Binary("+", Binary("-", A, B), C)),
        ("a+b-c", Binary("+", A, Binary("-", B, C))),
        ("a-b-c", Binary("-", Binary("-", A, B), C)),
        ("a^b^c", Binary("^", A, Binary("^", B, C))),
        ("-a^b", Binary("^", Unary("-", A), B)),
        ("a^-b", Binary("^", A, Unary("-", B))),
        ("!a && b", Binary("&&", Unary("!", A), B)),
        ("a || b && c", Binary("||", A, Binary("&&", B, C))),
        ("a < b == c", Binary("==", Binary("<", A, B), C)),
        ("a + b < c", Binary("<", Binary("+", A, B), C)),
        ("- -a", Unary("-", Unary("-", A))),
        ("a --b", Binary("-", A, Unary("-", B))),
    ],
)
def test_precedence(text: str, node: Node) -> None:
    assert parse_expression(text) == node


@pytest.mark.parametrize(
    ("text", "canonical"),
    [
        ("bm25( title )", "bm25(title)"),
        ("closeness(field, vec)", "closeness(field,vec)"),
        ("fieldMatch(title).queryCompleteness", "fieldMatch(title).queryCompleteness"),
        ("term(0) . weight", "term(0).weight"),
        ("attribute(map.key)", "attribute(map.key)"),
        ("onnx('models/x.onnx').out_1", 'onnx("models/x.onnx").out_1'),
        ("onnx(r){d0:0, d1:0}", "onnx(r){d0:0,d1:0}"),
        ("lex()", "lex"),
        ("t[3]", "t[3]"),
        ("t{foo}", "t{foo}"),
        ('t{"in"}', 't{"in"}'),
        ("t{x:(i+1),y:-2}", 't{x:(i + 1),y:"-2"}'),
        ("sum(t)", "reduce(t,sum)"),
        ("sum(t, x, y)", "reduce(t,sum,x,y)"),
        ("max(t)", "reduce(t,max)"),
        ("max(a,b,c)", "reduce(a,max,b,c)"),
        ("rename(t,(a,b),(c,d))", "rename(t,(a,b),(c,d))"),
        ("range(x[3])", "tensor(x[3])(x)"),
        ("diag(x[3],y[3])", "tensor(x[3],y[3])(if(x == y, 1, 0))"),
        ("tensor(y[2],x[1])(x+y)", "tensor(x[1],y[2])(x + y)"),
        ("tensor(x[2]):{{x:1}:3}", "tensor(x[2]):[0,3]"),
        ("tensor(k{},x[2]):{a:[1,2]}", "tensor(k{},x[2]):{a:[1,2]}"),
        ("tensor(x[2],k{}):{{k:a}:[1,b]}", "tensor(k{},x[2]):{a:[1,b]}"),
        ("unpack_bits(t)", "unpack_bits(t)"),
        ("unpack_bits(t, int8, little)", "unpack_bits(t,int8,little)"),
        ("1.50e3", "1500"),
        ("0.1", "0.1"),
        ("1e300", "1e+300"),
        ("# note\n a # more\n + b", "a + b"),
        ("switch(v){case 1: a, default: c}", "switch(v){case 1: a, default: c}"),
        ("x in [1,-2,'s']", 'x in [1, -2, "s"]'),
    ],
)
def test_canonical_text(text: str, canonical: str) -> None:
    assert str(parse_expression(text)) == canonical


def test_the_maxsim_of_the_colbert_packages() -> None:
    text = "sum(reduce(sum(query(qt) * unpack_bits(attribute(tok)), x), max, dt), qt) / 32.0"
    product = Binary(
        "*",
        Reference("query", (Reference("qt"),)),
        UnpackBits(Reference("attribute", (Reference("tok"),))),
    )
    best = Reduce(Reduce(product, "sum", ("x",)), "max", ("dt",))
    assert parse_expression(text) == Binary("/", Reduce(best, "sum", ("qt",)), Number(32))


def test_a_maximum_of_two_is_a_reduction_only_by_name() -> None:
    assert parse_expression("max(a, b)") == Call("max", (A, B))
    assert parse_expression("max(a, 1)") == Call("max", (A, Number(1)))
    assert parse_expression("reduce(a, max, b)") == Reduce(A, "max", ("b",))


def test_arguments_keep_their_text() -> None:
    node = parse_expression('f("a b", c, 3).x')
    assert isinstance(node, Reference)
    assert (node.texts, node.output, node.bare) == (("a b", "c", "3"), "x", False)
    assert node.arguments[0] == String("a b")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a +", "a.sd:10:7: the expression ends too early"),
        ("a b", "a.sd:10:7: unexpected 'b'"),
        ("a\n + $", r"a.sd:11:4: unexpected character '\$'"),
        ("1 + exp(a,b)", "a.sd:10:9: exp takes 1 argument, not 2"),
        ("sum()", "sum needs arguments"),
        ("map(t,3)", "expected a function like"),
        ("map(t,f(x,y)(x))", "expected a function of 1 parameters"),
        ("map(t,g(x)(x))", "expected a function like"),
        ("reduce(t,mean,x)", "unknown aggregator 'mean'"),
        ("sum(t,\n 1)", "a.sd:11:2: expected the name of a dimension, not '1'"),
        ("tensor(x[])(x)", "needs a size"),
        ("tensor(k{})(k)", "indexed dimensions only"),
        ("tensor(x[2]):[1]", "needs 2 values, got 1"),
        ("tensor(k{}):[1]", "needs labels for 'k'"),
        ("tensor(k{}):{a:1,a:2}", "gives a label twice"),
        ("tensor<half>(x[2])(x)", "unknown cell type 'half'"),
        ("cell_cast(t,half)", "unknown cell type 'half'"),
        ("unpack_bits(t,float,middle)", "big or little, not 'middle'"),
        ("t{x:1,y}", "names each dimension once"),
        ("range(3)", "dimension and its size"),
        ("1e999", "finite"),
        ("", "ends too early"),
        ("bm25(title,(a,b))", "expected an expression, not the list"),
    ],
)
def test_errors_have_line_and_column_of_the_file(text: str, message: str) -> None:
    with pytest.raises(PackageError, match=message) as found:
        parse_expression(text, Place("a.sd", 10, 5))
    assert found.value.place is not None
    assert found.value.place.file == "a.sd"


def test_the_error_class_is_the_callers() -> None:
    with pytest.raises(QueryError):
        parse_expression("a +", error=QueryError)


def test_nodes_know_their_place() -> None:
    node = parse_expression("1 +\n  bm25(title)", Place("a.sd", 3, 9))
    assert isinstance(node, Binary)
    assert str(node.right.place) == "a.sd:4:3"
    assert str(node.place) == "a.sd:3:9"


def test_long_and_deep_expressions() -> None:
    long = parse_expression(" + ".join(["a"] * 3000))
    assert str(long).count("+") == 2999
    assert parse_expression("(" * 3000 + "a" + ")" * 3000) == A


def test_numbers_are_not_negative() -> None:
    with pytest.raises(UsageError, match="not negative"):
        Number(-1)


def test_walking_and_substituting() -> None:
    node = parse_expression("map(t, f(a)(a + 1)) + a * bm25(f) + tensor(x[2])(x * a)")
    assert [str(r) for r in free_references(node)] == ["t", "a", "bm25(f)", "a"]
    got = substitute(node, {"a": Number(7), "t": If(A, B, C)})
    assert str(got) == ("map(if(a, b, c),f(a)(a + 1)) + 7 * bm25(f) + tensor(x[2])(x * 7)")
    assert sum(isinstance(each, Slice) for each in walk(parse_expression("t[t[1]]"))) == 2
