"""Field values checked against their types."""

from __future__ import annotations

import json
import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from siftline.errors import DocumentError, Place
from siftline.feed.operation import DocumentId, Operation
from siftline.feed.values import check_fields, check_value
from siftline.schema.definition import Field, FieldType, Schema
from siftline.tensor.json import from_json
from siftline.tensor.tensor import Tensor
from siftline.tensor.types import TensorType


def simple(kind: str) -> FieldType:
    return FieldType(kind)


def array(kind: str) -> FieldType:
    return FieldType("array", element=FieldType(kind))


def weighted(kind: str) -> FieldType:
    return FieldType("weightedset", element=FieldType(kind))


def mapping(key: str, kind: str) -> FieldType:
    return FieldType("map", element=FieldType(kind), key=FieldType(key))


def tensor(text: str) -> FieldType:
    return FieldType("tensor", tensor=TensorType.parse(text))


def check(type_: FieldType, value: Any) -> Any:
    return check_value(Field("f", type_), value)


TEXT = st.text(st.characters(exclude_categories=["Cs"]))
INTS = st.integers(-(2**31), 2**31 - 1)


@pytest.mark.parametrize(
    ("type_", "given_value", "expected"),
    [
        (simple("string"), "", None),
        (simple("string"), " ", " "),
        (simple("int"), 0, 0),
        (simple("int"), "-128", -128),
        (simple("int"), np.int64(7), 7),
        (simple("byte"), 127, 127),
        (simple("long"), -(2**63), -(2**63)),
        (simple("float"), "1.5e3", 1500.0),
        (simple("float"), np.float32(0.5), 0.5),
        (simple("double"), 3, 3),
        (simple("bool"), False, False),
        (simple("bool"), None, None),
        (array("string"), [], None),
        (array("string"), ["a", ""], ["a", ""]),
        (array("int"), ("1", 2), [1, 2]),
        (weighted("string"), {}, None),
        (weighted("string"), {"a": "3"}, {"a": 3}),
        (weighted("int"), {"07": 1, 8: 2}, {"7": 1, "8": 2}),
        (mapping("string", "int"), {"a": 1}, {"a": 1}),
        (mapping("int", "string"), {1: ""}, {"1": ""}),
        (mapping("bool", "int"), {True: 1}, {"true": 1}),
    ],
)
def test_values_take_the_form_of_their_type(
    type_: FieldType, given_value: Any, expected: Any
) -> None:
    found = check(type_, given_value)
    assert found == expected and type(found) is type(expected)
    json.dumps(found)


@pytest.mark.parametrize(
    ("type_", "value", "says"),
    [
        (simple("string"), 5, "expected a text, got 5"),
        (simple("string"), ["a"], 'expected a text, got ["a"]'),
        (simple("string"), "\ud800", "half of a surrogate pair"),
        (simple("int"), 1.0, "expected a whole number (int), got 1.0"),
        (simple("int"), True, "expected a whole number (int), got true"),
        (simple("int"), 2**31, "2147483648 is outside int"),
        (simple("byte"), -129, "-129 is outside byte, -128 to 127"),
        (simple("long"), 10**4000, "is outside long"),
        (simple("int"), "1_000", "expected a whole number"),
        (simple("float"), math.nan, "NaN is not a finite number of type float"),
        (simple("double"), -math.inf, "not a finite number"),
        (simple("float"), 1e39, "not a finite number of type float"),
        (simple("double"), 10**400, "not a finite number"),
        (simple("float"), "nan", "expected a number (float)"),
        (simple("double"), {}, "expected a number (double), got {}"),
        (simple("bool"), 1, "expected true or false, got 1"),
        (array("int"), "12", 'expected an array for array<int>, got "12"'),
        (array("int"), [1, None], "element 1: expected a value of type int, got null"),
        (array("int"), [1, "x"], 'element 1: expected a whole number (int), got "x"'),
        (weighted("string"), ["a"], "expected an object of weights"),
        (weighted("string"), {"a": 1.5}, "expected a whole number"),
        (weighted("int"), {"a": 1}, "expected a whole number"),
        (mapping("string", "int"), [1], "expected an object for map<string,int>"),
        (mapping("string", "int"), {"a": None}, "expected a value of type int"),
        (tensor("tensor<float>(x[3])"), [1, 2], "tensor<float>(x[3])"),
        (tensor("tensor<float>(x[2])"), [1, math.nan], "finite"),
        (tensor("tensor<float>(x[2])"), np.array([1, math.inf]), "finite"),
        (tensor("tensor<int8>(x[1])"), [300], "-128..127"),
        (tensor("tensor(x{})"), "text", "f"),
    ],
)
def test_what_does_not_fit_is_told_with_field_and_value(
    type_: FieldType, value: Any, says: str
) -> None:
    with pytest.raises(DocumentError) as error:
        check(type_, value)
    assert str(error.value).startswith("field 'f': ") and says in str(error.value)


def test_tensors_take_their_json_form() -> None:
    type_ = TensorType.parse("tensor<float>(x[3])")
    forms: list[Any] = [
        [1, 2, 3],
        {"values": [1, 2, 3]},
        np.array([1.0, 2.0, 3.0]),
        Tensor.dense(type_, [1, 2, 3]),
    ]
    for form in forms:
        found = check(FieldType("tensor", tensor=type_), form)
        assert from_json(type_, json.loads(json.dumps(found))) == Tensor.dense(type_, [1, 2, 3])
    with pytest.raises(DocumentError, match=r"expected tensor\(x\[3\]\), got tensor<float>"):
        check(tensor("tensor(x[3])"), Tensor.dense(type_, [1, 2, 3]))


@given(
    st.one_of(
        st.tuples(st.just(simple("string")), TEXT.filter(bool)),
        st.tuples(st.just(simple("int")), INTS),
        st.tuples(st.just(simple("double")), st.floats(allow_nan=False, allow_infinity=False)),
        st.tuples(st.just(simple("bool")), st.booleans()),
        st.tuples(st.just(array("string")), st.lists(TEXT, min_size=1)),
        st.tuples(st.just(weighted("string")), st.dictionaries(TEXT, INTS, min_size=1)),
        st.tuples(st.just(mapping("string", "int")), st.dictionaries(TEXT, INTS, min_size=1)),
    )
)
def test_a_value_of_its_type_comes_back_and_checking_again_changes_nothing(
    case: tuple[FieldType, Any],
) -> None:
    type_, value = case
    assert check(type_, value) == value
    assert check(type_, json.loads(json.dumps(check(type_, value)))) == value


SCHEMA = Schema(
    "doc",
    {
        "title": Field("title", simple("string")),
        "year": Field("year", simple("int")),
        "vector": Field("vector", simple("int"), inside=False),
    },
)


def put(fields: dict[str, Any]) -> Operation:
    return Operation("put", DocumentId("n", "doc", "", "1"), fields, place=Place("feed", 3))


def test_fields_not_set_are_left_out() -> None:
    assert check_fields(SCHEMA, put({"title": "", "year": 1})) == {"year": 1}
    assert check_fields(SCHEMA, put({})) == {}


@pytest.mark.parametrize(
    ("fields", "says"),
    [
        ({"yaer": 1}, "No field 'yaer' in the structure of type 'doc' (did you mean 'year'?)"),
        ({"other": 1}, "No field 'other' in the structure of type 'doc' (it has title, year)"),
        ({"vector": 1}, "field 'vector': it is made by schema 'doc'"),
        ({"year": "x"}, "field 'year': expected a whole number (int), got \"x\""),
    ],
)
def test_a_bad_field_is_told_with_document_and_place(fields: dict[str, Any], says: str) -> None:
    with pytest.raises(DocumentError) as error:
        check_fields(SCHEMA, put(fields))
    assert str(error.value).startswith("feed:3: document 'id:n:doc::1', field ")
    assert says in str(error.value)
