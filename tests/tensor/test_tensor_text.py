"""Literals and JSON forms: every form of spec 3.10, 4.6 and 3.11, both ways."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from siftline.errors import UsageError
from siftline.tensor.json import FORMS, from_json, to_json
from siftline.tensor.literal import format_literal, parse_literal
from siftline.tensor.tensor import Tensor
from siftline.tensor.types import TensorType
from tensor_strategies import tensors


def literal(type_: str, text: str) -> Tensor:
    return parse_literal(TensorType.parse(type_), text)


def read(type_: str, value: object) -> Tensor:
    return from_json(TensorType.parse(type_), value)


@given(tensors(), st.booleans(), st.booleans())
def test_literals_read_back_equal(value: Tensor, typed: bool, long: bool) -> None:
    assert parse_literal(value.type, format_literal(value, typed=typed, long=long)) == value


@given(tensors(), st.sampled_from(FORMS))
def test_json_reads_back_equal(value: Tensor, form: str) -> None:
    written = to_json(value, form)
    if isinstance(written, str):
        written = {"values": written}
    assert from_json(value.type, written) == value


@pytest.mark.parametrize(
    ("type_", "text", "want"),
    [
        ("tensor<float>(x[3])", "[1,2,3]", [1, 2, 3]),
        ("tensor(x[2],y[2])", "[[1,2],[3,4]]", [[1, 2], [3, 4]]),
        ("tensor(x[2],y[2])", "[1, 2, 3, 4]", [[1, 2], [3, 4]]),
        ("tensor<int8>(x[3])", "0B22FF", [11, 34, -1]),
        ("tensor<int8>(x[6])", "FF00118022FE", [-1, 0, 17, -128, 34, -2]),
        ("tensor<float>(x[1])", "3F800000", [1.0]),
        ("tensor<bfloat16>(x[2])", "3F804000", [1.0, 2.0]),
        ("tensor<bfloat16>(x[1])", "[1.00390625]", [1.0]),
        ("tensor(x[2])", "tensor<float>(x[2]):[1,2]", [1, 2]),
        ("tensor(x[2])", "{{x:1}:3}", [0, 3]),
        ("tensor<float>(d0[],d1[])", "[[1,2,3]]", [[1, 2, 3]]),
    ],
)
def test_dense_literals(type_: str, text: str, want: list[float]) -> None:
    assert literal(type_, text).array.tolist() == want


@pytest.mark.parametrize(
    ("type_", "text", "want"),
    [
        ("tensor(k{})", "{a:1.0,\"b c\":2, 'd' : 3}", {("a",): 1, ("b c",): 2, ("d",): 3}),
        ("tensor(x{},y{})", "{{x:a,y:b}:1.0,{y:d,x:c}:2}", {("a", "b"): 1, ("c", "d"): 2}),
        ("tensor(x{},y{})", "{a:{b:1,c:2}}", {("a", "b"): 1, ("a", "c"): 2}),
        ("tensor(k{},x[2])", "{k1:[1,2],k2:[3,4]}", {("k1",): [1, 2], ("k2",): [3, 4]}),
        ("tensor<int8>(k{},x[2])", "{k1:0A0B}", {("k1",): [10, 11]}),
        ("tensor(k{},x[2])", "{{k:a}:[1,2]}", {("a",): [1, 2]}),
        ("tensor(k{},x[2])", "{{k:a,x:1}:5}", {("a",): [0, 5]}),
        ("tensor(k{})", "{}", {}),
    ],
)
def test_mapped_literals(type_: str, text: str, want: dict[tuple[str, ...], object]) -> None:
    got = {key: block.tolist() for key, block in literal(type_, text).as_dict().items()}
    assert got == want


@pytest.mark.parametrize(
    ("type_", "text", "message"),
    [
        ("tensor(x[3])", "[1,2]", "needs 3 values, got 2"),
        ("tensor(x[3])", "[1,2", "<text>:1:4: .*unexpected end of text"),
        ("tensor(x[3])", "[1,\na,2]", "must be a number, not 'a'"),
        ("tensor(x[2])", "[[1],[2,3]]", "different lengths"),
        ("tensor(k{})", "{a:1,a:2}", "label is given twice"),
        ("tensor(k{})", "{{k:a}:1,{k:a}:2}", "two cells at"),
        ("tensor(k{})", "[1]", "object of labels for 'k'"),
        ("tensor(k{})", "{a:}", "<text>:1:4: .*unexpected '}'"),
        ("tensor(k{})", "{{j:a}:1}", "address of k, not j"),
        ("tensor(x[2])", "{{x:2}:1}", "no index '2'"),
        ("tensor(x[2])", "tensor(y[2]):[1,2]", "expected a tensor of type"),
        ("tensor<int8>(x[2])", "0B2", "not hex digits"),
        ("tensor<int8>(x[1])", "[200]", "-128..127"),
        ("tensor<float>(x[1])", "[1e300]", "finite"),
        ("tensor(x[1])", "[NaN]", "finite"),
    ],
)
def test_bad_literals_say_what_is_wrong(type_: str, text: str, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        literal(type_, text)


@pytest.mark.parametrize(
    ("type_", "value", "want"),
    [
        ("tensor(x[2])", [1, 2], {(): [1, 2]}),
        ("tensor(x[2])", {"values": [1, 2]}, {(): [1, 2]}),
        ("tensor<int8>(x[2])", {"values": "0BFF"}, {(): [11, -1]}),
        ("tensor(x[2])", {"type": "tensor(x[2])", "values": [1, 2]}, {(): [1, 2]}),
        ("tensor(k{})", {"a": 1.0}, {("a",): 1}),
        ("tensor(k{})", {"cells": 1.0}, {("cells",): 1}),
        ("tensor(k{})", {"cells": {"a": 1.0}}, {("a",): 1}),
        ("tensor(k{})", {"cells": [{"address": {"k": "a"}, "value": 2.0}]}, {("a",): 2}),
        ("tensor(k{})", [{"address": {"k": 3}, "value": 2.0}], {("3",): 2}),
        ("tensor(k{},x[2])", {"a": [1, 2]}, {("a",): [1, 2]}),
        ("tensor(k{},x[2])", {"blocks": {"a": [1, 2]}}, {("a",): [1, 2]}),
        ("tensor<int8>(k{},x[2])", {"blocks": {"a": "0102"}}, {("a",): [1, 2]}),
        (
            "tensor(j{},k{},x[2])",
            {"blocks": [{"address": {"j": "a", "k": "b"}, "values": [1, 2]}]},
            {("a", "b"): [1, 2]},
        ),
    ],
)
def test_json_input_forms(type_: str, value: object, want: dict[tuple[str, ...], object]) -> None:
    got = {key: block.tolist() for key, block in read(type_, value).as_dict().items()}
    assert got == want


@pytest.mark.parametrize(
    ("type_", "value", "message"),
    [
        ("tensor(x[2])", [1, "2"], "must be numbers"),
        ("tensor(x[2])", [True, False], "must be numbers"),
        ("tensor(x[2])", "0102", "cannot be a string"),
        ("tensor(x[2])", {"type": "tensor(x[3])", "values": [1, 2]}, "expected a tensor of type"),
        ("tensor(x[2])", None, "must be numbers"),
        ("tensor(k{})", {"a": "NaN"}, "must be a number"),
        ("tensor(k{})", [{"label": "a"}], "object of address and value"),
        ("tensor(x[2])", [math.nan, 1.0], "finite"),
        ("tensor(x[2])", [[1, 2], [3, 4]], "needs 2 values, got 4"),
    ],
)
def test_bad_json_says_what_is_wrong(type_: str, value: object, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        read(type_, value)


def test_output_forms_by_kind() -> None:
    dense = literal("tensor<float>(x[2],y[1])", "[[1],[2.5]]")
    assert to_json(dense) == {"type": "tensor<float>(x[2],y[1])", "values": [[1.0], [2.5]]}
    assert to_json(dense, "hex-value") == "3F80000040200000"
    one = literal("tensor(k{})", "{b:2,10:1,9:3}")
    assert to_json(one) == {"type": "tensor(k{})", "cells": {"9": 3.0, "10": 1.0, "b": 2.0}}
    assert list(to_json(one, "short-value")) == ["9", "10", "b"]  # type: ignore[call-overload]
    mixed = literal("tensor<int8>(k{},x[2])", "{a:[1,2]}")
    assert to_json(mixed) == {"type": "tensor<int8>(k{},x[2])", "blocks": {"a": [1, 2]}}
    assert to_json(mixed, "hex") == {"type": "tensor<int8>(k{},x[2])", "blocks": {"a": "0102"}}
    assert to_json(mixed, "long-value") == [
        {"address": {"k": "a", "x": "0"}, "value": 1},
        {"address": {"k": "a", "x": "1"}, "value": 2},
    ]
    two = literal("tensor(j{},k{})", "{{j:a,k:b}:1}")
    assert to_json(two) == {
        "type": "tensor(j{},k{})",
        "cells": [{"address": {"j": "a", "k": "b"}, "value": 1.0}],
    }
    blocks = literal("tensor(j{},k{},x[1])", "{{j:a,k:b}:[1]}")
    assert to_json(blocks, "short-value") == [{"address": {"j": "a", "k": "b"}, "values": [1.0]}]
    assert to_json(Tensor.scalar(2.5)) == {"type": "tensor()", "values": [2.5]}
    assert to_json(Tensor.scalar(2.5), "long") == {
        "type": "tensor()",
        "cells": [{"address": {}, "value": 2.5}],
    }
    assert to_json(Tensor.scalar(math.inf), "short-value") == [None]
    with pytest.raises(UsageError, match="unknown tensor form 'tiny'"):
        to_json(dense, "tiny")


def test_float_cells_print_as_the_double_of_the_float() -> None:
    value = literal("tensor<float>(x[1])", "[0.2]")
    assert to_json(value, "short-value") == [0.20000000298023224]


@pytest.mark.parametrize(
    ("type_", "text", "want", "cells"),
    [
        ("tensor(x[])", "{{x:2}:5,{x:0}:1}", "tensor(x[3])", [1.0, 0.0, 5.0]),
        ("tensor(x[],y[2])", "{{x:1,y:0}:7}", "tensor(x[2],y[2])", [[0.0, 0.0], [7.0, 0.0]]),
        ("tensor(k{},x[])", "{{k:a,x:1}:7}", "tensor(k{},x[2])", [0.0, 7.0]),
        ("tensor(k{},x[])", "{{k:a}:[1,2]}", "tensor(k{},x[2])", [1.0, 2.0]),
    ],
)
def test_addresses_say_how_large_an_unbound_dimension_is(
    type_: str, text: str, want: str, cells: list[float]
) -> None:
    value = parse_literal(TensorType.parse(type_), text)
    assert str(value.type) == want
    assert value.cells[0].tolist() == cells


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{{x:999999999,y:999999999}:1}", "more than 4194304 cells"),
        (f"{{{{x:{'9' * 5000},y:0}}:1}}", "needs an index of x, y"),
        ("{{x:a,y:0}:1}", "needs an index of x, y"),
    ],
)
def test_addresses_that_give_no_size_are_refused(text: str, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        parse_literal(TensorType.parse("tensor(x[],y[])"), text)


def test_an_index_of_thousands_of_digits_is_refused() -> None:
    with pytest.raises(UsageError, match="has no index"):
        parse_literal(TensorType.parse("tensor(x[3])"), f"{{{{x:{'1' * 5000}}}:1}}")


@pytest.mark.parametrize("text", ["[" * 20_000 + "]" * 20_000, "[" * 20_000, "{a:" * 20_000])
def test_a_literal_nested_without_end(text: str) -> None:
    with pytest.raises(UsageError):
        literal("tensor<float>(x[2])", text)
