"""Values of expressions by hand (spec 2.1, 2.5, 2.8, Appendix A and C)."""

from __future__ import annotations

import math

import pytest

from siftline.errors import QueryError
from siftline.rank.expression import parse_expression
from siftline.rank.interpret import evaluate
from siftline.rank.nodes import Reference
from siftline.tensor.literal import parse_literal
from siftline.tensor.tensor import Tensor
from siftline.tensor.text import text_number
from siftline.tensor.types import TensorType
from tensor_strategies import close


class Scope:
    def __init__(self, **values: float | Tensor) -> None:
        self.values = values

    def feature(self, reference: Reference) -> Tensor:
        value = self.values[str(reference)]
        return value if isinstance(value, Tensor) else Tensor.scalar(value)


def tensor(text: str) -> Tensor:
    type_, _, literal = text.partition(":")
    return parse_literal(TensorType.parse(type_), literal)


def number(text: str, **values: float | Tensor) -> float:
    return float(evaluate(parse_expression(text), Scope(**values)))


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("2 + 3 * 4", 14),
        ("2 ^ 3 ^ 2", 512),
        ("-2 ^ 2", 4),
        ("12 / 2 * 3", 18),
        ("12 * 6 / 3", 24),
        ("7 % 4 / 2", 1.5),
        ("-7 % 4", -3),
        ("10 - 2 + 3", 11),
        ("1 / 0", math.inf),
        ("0 / 0", math.nan),
        ("log(-1)", math.nan),
        ("!0 + !3", 1),
        ("2 && 0 || 3", 1),
        ("1 < 2 == true", 1),
        ("1 ~= 1.0000001", 1),
        ("1 ~= 1.00001", 0),
        ("0 ~= 0", 1),
        ('"a" == "a"', 1),
        ('"a" == "b"', 0),
        ('"b" in ["a", "b"]', 1),
        ("3 in [1, -3]", 0),
        ("if(2 > 1, 10, 20)", 10),
        ("if(0, 10, 20, 0.3)", 20),
        ("switch(2){case 1: 10, case 2: 20, default: 30}", 20),
        ('switch("x"){case "y": 1, default: 7}', 7),
        ("acos(1)", 0),
        ("atan2(1, 1)", math.pi / 4),
        ("bit(9, 0) + bit(9, 3) * 2 + bit(9, 1) * 4", 3),
        ("bit(-1, 7)", 1),
        ("bit(9, 8)", 0),
        ("ceil(1.2) + floor(-1.2)", 0),
        ("cosh(0) + sinh(0)", 1),
        ("elu(-1)", math.exp(-1) - 1),
        ("elu(2)", 2),
        ("erf(0.5)", math.erf(0.5)),
        ("fmod(-7, 4)", -3),
        ("hamming(3, 5)", 2),
        ("hamming(-1, 0)", 8),
        ("isNan(0/0)", 1),
        ("ldexp(3, 2)", 12),
        ("log10(1000)", 3),
        ("max(2, 3) + min(2, 3)", 5),
        ("pow(2, 10)", 1024),
        ("relu(-3) + relu(3)", 3),
        ("sigmoid(0)", 0.5),
        ("square(3) + cube(2)", 17),
        ("sqrt(2)", math.sqrt(2)),
        ("tanh(1) + tan(1)", math.tanh(1) + math.tan(1)),
        ("exp(1)", math.e),
        (
            "sin(1) + asin(1) + cos(1) + atan(1)",
            math.sin(1) + math.asin(1) + math.cos(1) + math.atan(1),
        ),
        ("fabs(-2)", 2),
    ],
)
def test_scalars(text: str, value: float) -> None:
    assert number(text) == pytest.approx(value, nan_ok=True)


def test_nan_poisons_comparisons_and_sums() -> None:
    assert math.isnan(number("a + 1", a=math.nan))
    assert number("a == a", a=math.nan) == 0
    assert number("if(a > 0, 1, 2)", a=math.nan) == 2


T2 = tensor("tensor<float>(x[2]):[3,4]")
K = tensor("tensor<float>(k{}):{a:1,b:2}")
MIXED = tensor("tensor<float>(k{},x[2]):{a:[1,2],b:[3,4]}")


@pytest.mark.parametrize(
    ("text", "want"),
    [
        ("map(t, f(v)(v * v + 1))", "tensor<float>(x[2]):[10,17]"),
        ("t * 2", "tensor<float>(x[2]):[6,8]"),
        ("join(t, k, f(a,b)(a - b))", "tensor<float>(k{},x[2]):{a:[2,3],b:[1,2]}"),
        (
            "merge(k, tensor<float>(k{}):{b:5,c:7}, f(a,b)(a - b))",
            "tensor<float>(k{}):{a:1,b:-3,c:7}",
        ),
        ("k * tensor<float>(k{}):{b:5,c:7}", "tensor<float>(k{}):{b:10}"),
        ("reduce(m, max, k)", "tensor<float>(x[2]):[3,4]"),
        ("sum(m, x)", "tensor<float>(k{}):{a:3,b:7}"),
        ("max(m, k)", "tensor<float>(x[2]):[3,4]"),
        ("max(t, n)", "tensor<float>(x[2]):[3.5,4]"),
        ("sum(m)", "tensor():10"),
        ("avg(m) + count(m) + median(m) + prod(t)", "tensor():21"),
        ("m{a}", "tensor<float>(x[2]):[1,2]"),
        ("m{k:b,x:1}", "tensor():4"),
        ("m{k:c}", "tensor<float>(x[2]):[0,0]"),
        ("m[1]", "tensor<float>(k{}):{a:2,b:4}"),
        ("t[0] + t[n - 2.5]", "tensor():7"),
        ("k{(2 - 1)}", "tensor():0"),
        ("rename(m, (k,x), (y,z))", "tensor<float>(y{},z[2]):{a:[1,2],b:[3,4]}"),
        ("concat(t, n, x)", "tensor<float>(x[3]):[3,4,3.5]"),
        ("tensor(x[2],y[2])(x * 10 + y)", "tensor(x[2],y[2]):[[0,1],[10,11]]"),
        ("tensor<int8>(x[2])(t{x:(1 - x)} + n)", "tensor<int8>(x[2]):[7,6]"),
        ("tensor(k{}):{a:n,b:sum(t)}", "tensor(k{}):{a:3.5,b:7}"),
        ("tensor<int8>(x[2]):[n, -2.5]", "tensor<int8>(x[2]):[3,-2]"),
        ("cell_cast(t, double) / 2", "tensor(x[2]):[1.5,2]"),
        ("unpack_bits(tensor<int8>(x[1]):[9])", "tensor<float>(x[8]):[0,0,0,0,1,0,0,1]"),
        ("matmul(t, m, x)", "tensor<float>(k{}):{a:11,b:25}"),
        ("l1_normalize(k, k)", "tensor<float>(k{}):{a:0.33333334,b:0.6666667}"),
        ("l2_normalize(t, x)", "tensor<float>(x[2]):[0.6,0.8]"),
        ("cosine_similarity(t, t, x)", "tensor():1"),
        ("euclidean_distance(t, tensor(x[2]):[0,0], x)", "tensor():5"),
        ("argmax(m, k)", "tensor<float>(k{},x[2]):{a:[0,0],b:[1,1]}"),
        ("argmin(t)", "tensor<float>(x[2]):[1,0]"),
        ("softmax(tensor(x[2]):[0,0], x)", "tensor(x[2]):[0.5,0.5]"),
        ("xw_plus_b(t, m, k, x)", "tensor<float>(k{}):{a:12,b:27}"),
        ("expand(t, d)", "tensor<float>(d[1],x[2]):[[3,4]]"),
        ("diag(x[2],y[2])", "tensor(x[2],y[2]):[[1,0],[0,1]]"),
        ("range(x[3])", "tensor(x[3]):[0,1,2]"),
        ("t > 3", "tensor<float>(x[2]):[0,1]"),
        ("t in [4, 5]", "tensor<float>(x[2]):[0,1]"),
        ("if(n > 1, t, t * 2)", "tensor<float>(x[2]):[3,4]"),
    ],
)
def test_tensors(text: str, want: str) -> None:
    got = evaluate(parse_expression(text), Scope(t=T2, k=K, m=MIXED, n=3.5))
    assert close(got, tensor(want)), got


def test_an_empty_document_has_maxsim_zero() -> None:
    nothing = Tensor.empty(TensorType.parse("tensor<float>(dt{},x[2])"))
    query = tensor("tensor<float>(qt{},x[2]):{0:[1,0]}")
    assert number("sum(reduce(sum(q * d, x), max, dt), qt)", q=query, d=nothing) == 0.0


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("reduce(t, sum, y)", "<text>:1:1: .*no dimension 'y' to reduce in 'reduce"),
        ("1 + m{c}{x:5}", "no index '5'"),
        ("if(t, 1, 2)", "condition must be a number"),
        ("map(t, f(x)(x + n))", "'n' cannot stand in a function of cells"),
        ("tensor(i[2])(t)", "cell must be a number"),
        ("reduce(m * expand(m, y), sum){(n)}{(n)}", "dimensions, so an address must name them"),
        ("unpack_bits(t)", "needs int8 cells"),
        ("merge(t, k, f(x,y)(x))", "same dimensions"),
    ],
)
def test_errors_name_the_part(text: str, message: str) -> None:
    with pytest.raises(QueryError, match=message):
        evaluate(parse_expression(text), Scope(t=T2, k=K, m=MIXED, n=3.5))


def test_the_number_of_a_text_is_exact_and_stable() -> None:
    assert text_number("apple") == text_number("apple") != text_number("pear")
    assert text_number("apple").is_integer()
    assert 0 <= text_number("") < 2**53
