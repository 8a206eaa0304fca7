"""Binding a query to its schema: fields, analysis, tensors, and what is refused."""

from __future__ import annotations

from typing import Any

import pytest
from match_corpus import PROFILE, SCHEMA, dense, field, prepared, sparse

from siftline.errors import QueryError
from siftline.match.query import (
    All,
    And,
    In,
    Near,
    NearestNeighbor,
    Node,
    Not,
    Nothing,
    Or,
    Phrase,
    Range,
    Rank,
    Regex,
    SearchTerm,
    Term,
    TermAnnotations,
    Wand,
)
from siftline.schema.definition import FieldSet, RankProfile, Schema
from siftline.tensor.tensor import Tensor
from siftline.tensor.types import TensorType


def words(index: str, **fields: str) -> SearchTerm:
    return SearchTerm(index, {name: tuple(text.split("|")) for name, text in fields.items()})


@pytest.mark.parametrize(
    ("node", "bound"),
    [
        (Term("title", "Héllo"), words("title", title="hello")),
        (Term("title", "71#13"), words("title", title="71|13")),
        (Term("default", "Red"), words("default", title="red", body="red")),
        (Phrase("title", ("New", "York-City")), words("title", title="new|york|city")),
        (Term("tag", "Red oak"), words("tag", tag="Red oak")),
        (Term("mixed", "x"), words("mixed", title="x", tag="x")),
        (Term("mixed", "7"), Or((words("mixed", title="7", tag="7"), Range("year", 7, 7)))),
        (Term("year", "7"), Range("year", 7, 7)),
        (Term("year", "x"), Nothing()),
        (Term("open", "true"), Range("open", 1, 1)),
        (Term("title", "..."), Nothing()),
        (Term("sddocname", "doc"), All()),
        (Term("sddocname", "other"), Nothing()),
        (In("year", (1, "2")), In("year", (1, 2))),
        (In("tag", (1, "b")), In("tag", ("1", "b"))),
        (Not(Term("title", "a")), Not(words("title", title="a"))),
        (Near("title", ("A", "b"), 4, True),
         SearchTerm("title", {"title": ("a", "b")}, near=(4, True))),
        (Term("title", "a", TermAnnotations(150, 2.5, False, True, label="l")),
         SearchTerm("title", {"title": ("a",)}, 150, 2.5, False, True, "l")),
    ],
)  # fmt: skip
def test_leaves(node: Node, bound: Node) -> None:
    assert prepared(node).root == bound


def test_stemming_follows_the_field_and_the_annotation() -> None:
    stemmed = field("text", "string", "index")
    schema = Schema("doc", {"text": stemmed, "exact": field("exact", "string", "index",
                    match="word")})  # fmt: skip
    made = prepared(And((
        Term("text", "running dogs"),
        Term("text", "running", TermAnnotations(stem=False)),
        Term("exact", "Running Dogs"),
    )), schema)  # fmt: skip
    assert [term.fields for term in made.terms] == [
        {"text": ("run", "dog")},
        {"text": ("running",)},
        {"exact": ("running dogs",)},
    ]
    spanish = prepared(Term("text", "corriendo"), schema, language="es").terms[0]
    assert spanish.fields == {"text": ("corr",)}


def test_default_without_such_a_field_set_finds_nothing() -> None:
    schema = Schema("doc", {"title": SCHEMA.fields["title"]})
    assert prepared(Term("default", "a"), schema).root == Nothing()


def test_aliases_are_fields() -> None:
    own = field("title", "string", "index", stemming="none", aliases=("headline",))
    schema = Schema("doc", {"title": own}, {"default": FieldSet("default", ("headline",))})
    assert prepared(Term("headline", "a"), schema).terms == (words("headline", title="a"),)
    assert prepared(Term("default", "a"), schema).terms == (words("default", title="a"),)


def test_terms_are_the_positive_ones_in_order() -> None:
    tree = Rank(
        And((Term("title", "a"), Not(Term("title", "no")), Term("title", "a"))),
        (Or((Term("body", "b"), NearestNeighbor("vec", "q", 1))),),
    )
    made = prepared(tree, inputs={"q": dense(1, 2)})
    assert made.terms == (
        words("title", title="a"),
        words("title", title="a"),
        words("body", body="b"),
    )
    assert made.neighbors == (NearestNeighbor("vec", "q", 1),)
    assert made.tensors == {"q": dense(1, 2)}


def test_a_declared_default_is_the_query_tensor() -> None:
    assert prepared(NearestNeighbor("vec", "given", 1)).tensors == {"given": dense(1, 0)}


@pytest.mark.parametrize(
    ("node", "query", "message"),
    [
        (Term("titel", "a"), {}, "no field or field set 'titel'.*did you mean 'title'"),
        (Term("note", "a"), {}, "neither a text index nor an attribute"),
        (Term("vec", "a"), {}, "neither a text index nor an attribute"),
        (Range("title", 1, 2), {}, "it is not an attribute"),
        (Range("tag", 1, 2), {}, "it holds string, not int"),
        (Regex("year", "a"), {}, "it holds int, not string"),
        (In("price", (1,)), {}, "only supported for integer and string fields. The field price"),
        (In("year", ("x",)), {}, "needs whole numbers"),
        (In("note", ("x",)), {}, "neither an index nor an attribute"),
        (Wand("year", {"a": 1}), {}, "neither a weightedset attribute nor a tensor"),
        (Wand("unindexed", {"a": 1}), {}, "neither a weightedset attribute nor a tensor"),
        (NearestNeighbor("title", "q", 1), {}, "needs a tensor attribute"),
        (NearestNeighbor("vec", "q", 1), {}, r"send|needs the parameter input.query\(q\)"),
        (NearestNeighbor("vec", "number", 1), {}, "to be a tensor, but it is the number 0.5"),
        (NearestNeighbor("vec", "q", 1), {"q": sparse({"a": 1.0})}, "does not fit field 'vec'"),
        (NearestNeighbor("vec", "q", 1),
         {"q": Tensor.dense(TensorType.parse("tensor<float>(x[3])"), [1, 2, 3])},
         "does not fit field 'vec'"),
        (NearestNeighbor("vec", "q", 1), {"q": dense(1, float("nan"))}, "not a finite number"),
        (NearestNeighbor("unindexed", "s", 1), {"s": sparse({})}, "sparse-index in"),
    ],
)  # fmt: skip
def test_mistakes(node: Node, query: dict[str, Any], message: str) -> None:
    with pytest.raises(QueryError, match=message):
        prepared(node, inputs=query)


def test_hamming_needs_int8() -> None:
    kind = "tensor<int8>(x[2])"
    schema = Schema("doc", {"v": field("v", kind, "attribute", distance_metric="hamming")})
    floats = Tensor.dense(TensorType.parse("tensor<float>(x[2])"), [1, 2])
    with pytest.raises(QueryError, match="must have int8 cells"):
        prepared(NearestNeighbor("v", "q", 1), schema, inputs={"q": floats})


def test_settings_and_properties_of_the_query_win() -> None:
    profile = RankProfile(
        "p",
        inputs=PROFILE.inputs,
        rank_properties={"a": "1", "b": "1"},
        settings={"approximate-threshold": "0.3", "post-filter-threshold": "x"},
    )
    made = prepared(All(), SCHEMA, profile, rank_properties={"b": "2"})
    assert [made.rank_property(name) for name in "abc"] == ["1", "2", None]
    assert made.setting("approximate-threshold", 0.02) == 0.3
    assert made.setting("other", 0.5) == 0.5
    own = {"ranking.matching.approximateThreshold": "0.9"}
    assert prepared(All(), SCHEMA, profile, parameters=own).setting(
        "approximate-threshold", 0.02
    ) == 0.9  # fmt: skip
    with pytest.raises(QueryError, match="must be a number, not 'x'"):
        made.setting("post-filter-threshold", 1.0)
