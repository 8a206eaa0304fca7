"""Partial updates: every operation of the document JSON format on every type it applies to."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from siftline.errors import DocumentError, Place
from siftline.feed.operation import DocumentId, Operation
from siftline.feed.updates import apply_update, updated_fields
from siftline.schema.definition import Field, FieldType, Schema
from siftline.tensor.json import from_json
from siftline.tensor.types import TensorType


def of(kind: str, element: str | None = None, key: str | None = None) -> FieldType:
    inner = FieldType(element) if element else None
    return FieldType(kind, inner, FieldType(key) if key else None)


TYPES = {
    "title": of("string"),
    "n": of("int"),
    "x": of("double"),
    "list": of("array", "int"),
    "words": of("array", "string"),
    "tags": of("weightedset", "string"),
    "counts": of("weightedset", "string"),
    "by": of("map", "int", "string"),
    "person": FieldType("struct", struct="person"),
    "people": FieldType("array", FieldType("struct", struct="person")),
    "dense": FieldType("tensor", tensor=TensorType.parse("tensor<float>(x[3])")),
    "sparse": FieldType("tensor", tensor=TensorType.parse("tensor<float>(a{})")),
    "mixed": FieldType("tensor", tensor=TensorType.parse("tensor<float>(a{},x[2])")),
    "pairs": FieldType("tensor", tensor=TensorType.parse("tensor(a{},b{})")),
}
SCHEMA = Schema(
    "doc",
    {
        name: Field(
            name,
            type_,
            hints={"weightedset": "create-if-nonexistent; remove-if-zero"}
            if name == "counts"
            else {},
        )
        for name, type_ in TYPES.items()
    },
    structs={"person": {"name": of("string"), "age": of("int"), "tags": TYPES["tags"]}},
)


def update(changes: dict[str, Any], *, create: bool = False) -> Operation:
    identity = DocumentId("n", "doc", "", "1")
    return Operation("update", identity, changes, create=create, place=Place("feed", 3))


def after(stored: dict[str, Any], changes: dict[str, Any]) -> dict[str, Any] | None:
    before = dict(stored)
    result = apply_update(SCHEMA, stored, update(changes))
    assert stored == before
    return result


def cells(field: str, document: dict[str, Any] | None) -> dict[Any, Any]:
    type_ = TYPES[field].tensor
    assert document is not None and type_ is not None
    tensor = from_json(type_, document[field]).as_dict()
    return {",".join(address): block.tolist() for address, block in tensor.items()}


@pytest.mark.parametrize(
    ("stored", "changes", "expected"),
    [
        ({"title": "a"}, {"title": {"assign": "b"}}, {"title": "b"}),
        ({"title": "a", "n": 1}, {"title": {"assign": None}}, {"n": 1}),
        ({"title": "a"}, {"title": {"assign": ""}}, {}),
        ({}, {"n": {"assign": "5"}}, {"n": 5}),
        ({"n": 1}, {"n": {"increment": 2}}, {"n": 3}),
        ({}, {"n": {"decrement": 2}}, {"n": -2}),
        ({"n": 7}, {"n": {"multiply": 1.5}}, {"n": 10}),
        ({"n": -7}, {"n": {"divide": 2}}, {"n": -3}),
        ({"n": 7}, {"n": {"divide": -2.0}}, {"n": -3}),
        ({"x": 1}, {"x": {"divide": 4}}, {"x": 0.25}),
        ({"x": 0.5}, {"x": {"increment": 1, "multiply": 2}}, {"x": 3.0}),
        ({"list": [1]}, {"list": {"add": [2, 1]}}, {"list": [1, 2, 1]}),
        ({}, {"list": {"add": [2]}}, {"list": [2]}),
        ({"list": [1, 2, 1]}, {"list": {"remove": [1, 9]}}, {"list": [2]}),
        ({"list": [1]}, {"list": {"remove": [1]}}, {}),
        ({"list": [1, 2]}, {"list[1]": {"assign": 5}}, {"list": [1, 5]}),
        ({"list": [1, 2]}, {"list[2]": {"assign": 5}}, {"list": [1, 2]}),
        ({}, {"list[0]": {"assign": 5}}, {}),
        ({"list": [1, 2]}, {"list[0]": {"increment": 5}}, {"list": [6, 2]}),
        ({"list": [1, 2]}, {"list[0]": {"remove": 0}}, {"list": [2]}),
        ({"list": [1, 2]}, {"list": {"match": {"element": 1, "assign": 5}}}, {"list": [1, 5]}),
        ({"words": ["a"]}, {"words[0]": {"assign": ""}}, {"words": [""]}),
        ({"tags": {"a": 1}}, {"tags": {"add": {"b": 2, "a": 3}}}, {"tags": {"a": 3, "b": 2}}),
        ({"tags": {"a": 1, "b": 2}}, {"tags": {"remove": {"a": 0}}}, {"tags": {"b": 2}}),
        ({"tags": {"a": 1}}, {"tags": {"remove": {"a": 0}}}, {}),
        ({"tags": {"a": 1}}, {"tags{a}": {"assign": 9}}, {"tags": {"a": 9}}),
        ({}, {'tags{"a b}"}': {"assign": 9}}, {"tags": {"a b}": 9}}),
        (
            {"tags": {"a": 1}},
            {"tags": {"match": {"element": "a", "increment": 4}}},
            {"tags": {"a": 5}},
        ),
        (
            {"tags": {"a": 1}},
            {"tags": {"match": {"element": "b", "increment": 4}}},
            {"tags": {"a": 1}},
        ),
        ({}, {"tags": {"match": {"element": "b", "increment": 4}}}, {}),
        ({}, {"counts": {"match": {"element": "b", "increment": 4}}}, {"counts": {"b": 4}}),
        ({"counts": {"a": 4, "b": 1}}, {"counts{a}": {"decrement": 4}}, {"counts": {"b": 1}}),
        ({"by": {"a": 1}}, {"by{b}": {"assign": 2}}, {"by": {"a": 1, "b": 2}}),
        ({"by": {"a": 1}}, {"by{a}": {"increment": 2}}, {"by": {"a": 3}}),
        ({"by": {"a": 1}}, {"by{b}": {"increment": 2}}, {"by": {"a": 1}}),
        ({"by": {"a": 1, "b": 2}}, {"by{a}": {"remove": 0}}, {"by": {"b": 2}}),
        ({"by": {"a": 1}}, {"by{a}": {"remove": 0}}, {}),
        ({}, {"person": {"assign": {"name": "x"}}}, {"person": {"name": "x"}}),
        ({}, {"person.age": {"increment": 3}}, {"person": {"age": 3}}),
        (
            {"person": {"age": 3}},
            {"person.tags{a}": {"assign": 1}},
            {"person": {"age": 3, "tags": {"a": 1}}},
        ),
        ({"person": {"age": 3}}, {"person.age": {"assign": None}}, {}),
        (
            {"people": [{"age": 3}]},
            {"people[0].name": {"assign": "x"}},
            {"people": [{"age": 3, "name": "x"}]},
        ),
        ({"people": [{"age": 3}]}, {"people[1].name": {"assign": "x"}}, {"people": [{"age": 3}]}),
    ],
)
def test_operations_on_values(
    stored: dict[str, Any], changes: dict[str, Any], expected: dict[str, Any]
) -> None:
    assert after(stored, changes) == expected


DENSE = {"dense": [1, 2, 3]}
SPARSE = {"sparse": {"a": 1, "b": 2}}
MIXED = {"mixed": {"a": [1, 2]}}


@pytest.mark.parametrize(
    ("field", "stored", "change", "expected"),
    [
        (
            "dense",
            DENSE,
            {
                "modify": {
                    "operation": "replace",
                    "cells": [{"address": {"x": "1"}, "value": 9}],
                }
            },
            {"": [1, 9, 3]},
        ),
        (
            "dense",
            DENSE,
            {"modify": {"operation": "multiply", "cells": {"0": 3, "2": 2}}},
            {"": [3, 2, 6]},
        ),
        (
            "sparse",
            SPARSE,
            {"modify": {"operation": "add", "cells": {"a": 3, "c": 2}}},
            {"a": 4, "b": 2},
        ),
        (
            "sparse",
            SPARSE,
            {"modify": {"operation": "add", "create": True, "cells": {"c": 2}}},
            {"a": 1, "b": 2, "c": 2},
        ),
        (
            "sparse",
            SPARSE,
            {"modify": {"operation": "multiply", "create": True, "cells": {"c": 2, "b": 3}}},
            {"a": 1, "b": 6, "c": 2},
        ),
        ("sparse", SPARSE, {"add": {"cells": {"c": 5, "a": 7}}}, {"a": 7, "b": 2, "c": 5}),
        ("sparse", {}, {"add": {"cells": {"c": 5}}}, {"c": 5}),
        ("sparse", SPARSE, {"remove": {"addresses": [{"a": "a"}]}}, {"b": 2}),
        (
            "mixed",
            MIXED,
            {"add": {"cells": [{"address": {"a": "b", "x": 1}, "value": 4}]}},
            {"a": [1, 2], "b": [0, 4]},
        ),
        ("mixed", MIXED, {"add": {"blocks": {"b": [5, 6]}}}, {"a": [1, 2], "b": [5, 6]}),
        (
            "mixed",
            MIXED,
            {"modify": {"operation": "multiply", "blocks": {"a": [5, 6], "b": [1, 1]}}},
            {"a": [5, 12]},
        ),
        (
            "mixed",
            MIXED,
            {
                "modify": {
                    "operation": "multiply",
                    "create": True,
                    "cells": [{"address": {"a": "b", "x": "0"}, "value": 5}],
                }
            },
            {"a": [1, 2], "b": [5, 1]},
        ),
        (
            "pairs",
            {
                "pairs": {
                    "cells": [
                        {"address": {"a": "1", "b": "1"}, "value": 1},
                        {"address": {"a": "1", "b": "2"}, "value": 2},
                        {"address": {"a": "2", "b": "1"}, "value": 3},
                    ]
                }
            },
            {"remove": {"addresses": [{"a": "1"}]}},
            {"2,1": 3},
        ),
    ],
)
def test_operations_on_tensors(
    field: str, stored: dict[str, Any], change: dict[str, Any], expected: dict[str, Any]
) -> None:
    assert cells(field, after(stored, {field: change})) == expected


def test_a_tensor_without_cells_is_not_set() -> None:
    gone = {"remove": {"addresses": [{"a": "a"}, {"a": "b"}]}}
    assert after(SPARSE, {"sparse": gone}) == {}
    assert after({}, {"sparse": gone}) == {}
    assert after({}, {"dense": {"modify": {"operation": "add", "cells": {"0": 1}}}}) == {}


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"nn": {"assign": 1}}, "No field 'nn'"),
        ({"a.b": {"assign": 1}}, "No field 'a'"),
        ({"person.size": {"assign": 1}}, 'no member "size" (it has name, age, tags)'),
        ({"person": {"assign": {"age": "x"}}}, "person.age: expected a whole number"),
        ({"person": {"assign": [1]}}, "expected an object for struct person"),
        ({"tags{a": {"assign": 1}}, "not a path like"),
        ({"": {"assign": 1}}, "No field ''"),
        ({"n": 5}, "expected an update operation"),
        ({"n": {}}, "expected an update operation"),
        ({"n": {"inc": 5}}, 'unknown update operation "inc" (known: assign, add'),
        ({"n": {"add": [5]}}, "'add' does not apply to type int"),
        ({"n": {"assign": "x"}}, "expected a whole number (int)"),
        ({"n": {"increment": 2**31}}, "2147483649 is outside int"),
        ({"n": {"divide": 0}}, "cannot divide by 0"),
        ({"x": {"multiply": 1e308, "increment": 1e308, "divide": 1e-10}}, "not a finite number"),
        ({"title": {"increment": 1}}, "'increment' does not apply to type string"),
        ({"n[1]": {"assign": 1}}, "type int has no elements"),
        ({"list{a}": {"assign": 1}}, 'expected the number of an element, got "a"'),
        ({"list": {"match": {"increment": 1}}}, 'expected {"element": key'),
        ({"tags": {"match": {"element": "a"}}}, "'match' names no operation"),
        ({"dense": {"add": {"cells": {"0": 1}}}}, "has no mapped dimension"),
        ({"dense": {"modify": {"operation": "x", "cells": {}}}}, "unknown tensor modification"),
        ({"dense": {"modify": {"operation": "add", "cells": {"3": 1}}}}, "has no position"),
        ({"sparse": {"remove": {"addresses": [{"b": "1"}]}}}, "expected labels of a"),
        ({"sparse": {"modify": {"operation": "add"}}}, "needs cells or blocks"),
        ({"sparse": {"increment": 1}}, "'increment' does not apply to type tensor"),
    ],
)
def test_what_cannot_be_done_is_told_and_nothing_changes(
    changes: dict[str, Any], says: str
) -> None:
    stored = {"n": 1, "x": 1.0, "list": [1], "dense": [1, 2, 3], "sparse": {"a": 1}}
    before = dict(stored)
    with pytest.raises(DocumentError) as error:
        apply_update(SCHEMA, stored, update({"title": {"assign": "new"}, **changes}))
    assert str(error.value).startswith("feed:3: document 'id:n:doc::1', field ")
    assert says in str(error.value)
    assert stored == before


def test_a_missing_document_is_left_missing_unless_created() -> None:
    change = {"n": {"increment": 1}}
    assert apply_update(SCHEMA, None, update(change)) is None
    assert apply_update(SCHEMA, None, update(change, create=True)) == {"n": 1}
    assert apply_update(SCHEMA, None, update({}, create=True)) == {}


def test_the_fields_an_update_touches() -> None:
    changes = {"tags{a[0]}": {"assign": 1}, "list[3]": {"assign": 1}, "n": {"assign": 1}}
    assert updated_fields(update(changes)) == {"tags", "list", "n"}


@given(st.integers(-1000, 1000), st.integers(-1000, 1000))
def test_a_step_of_arithmetic_and_its_opposite_cancel(start: int, step: int) -> None:
    there = after({"n": start}, {"n": {"increment": step}})
    assert there is not None
    assert after(there, {"n": {"decrement": step}}) == {"n": start}


@given(st.dictionaries(st.text("abc", min_size=1), st.integers(1, 9)), st.text("abc", min_size=1))
def test_adding_a_key_and_removing_it_leaves_the_others(tags: dict[str, int], key: str) -> None:
    there = after({"tags": tags}, {"tags": {"add": {key: 5}}})
    assert there is not None and there["tags"][key] == 5
    back = after(there, {"tags": {"remove": {key: 0}}})
    others = {k: weight for k, weight in tags.items() if k != key}
    assert back == ({"tags": others} if others else {})
