"""Request parameters to a query: names, profiles, inputs, limits."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pytest
from match_corpus import DENSE, PROFILE, SCHEMA, SPARSE, dense, sparse

from siftline.errors import QueryError, SiftlineError
from siftline.match.query import All, NearestNeighbor, Not, Query, Rank, Term, WeakAnd
from siftline.match.request import parse_request
from siftline.schema.definition import RankProfile, Schema
from siftline.schema.package import Component, Package, QueryProfile, Services
from siftline.tensor.tensor import Tensor
from siftline.tensor.types import TensorType

ONE = {"e5": Component("e5", "hugging-face-embedder")}
TWO = ONE | {"splade": Component("splade", "splade-embedder")}
Given = Mapping[str, Any]


def package(
    components: Mapping[str, Component] = ONE,
    profiles: Mapping[str, QueryProfile] | None = None,
    schemas: tuple[Schema, ...] = (SCHEMA,),
) -> Package:
    services = Services(components, content_id="msmarco")
    return Package("app", {s.name: s for s in schemas}, services, query_profiles=profiles or {})


class Embedder:
    """Keeps what it was asked for and gives a tensor of ones."""

    def __init__(self) -> None:
        self.calls: list[tuple[str | None, str, TensorType]] = []

    def __call__(self, id_: str | None, text: str, type_: TensorType) -> Tensor:
        self.calls.append((id_, text, type_))
        return dense(1, 1) if type_ == DENSE else sparse({"a": 1.0})


def parse(given: Given, whole: Package | None = None) -> Query:
    base = {} if {"yql", "query", "queryProfile"} & given.keys() else {"yql": "select * from doc"}
    return parse_request(base | dict(given), whole or package(), Embedder())


def test_defaults() -> None:
    query = parse({})
    assert (query.root, query.profile, query.schema) == (All(), "default", "doc")
    assert (query.hits, query.offset, query.timeout, query.trace_level) == (10, 0, None, 0)
    assert (query.rerank_count, query.global_rerank_count, query.exhaustive) == (None, None, False)
    assert (query.select, query.summary, query.order_by, query.language) == (None, None, (), None)


@pytest.mark.parametrize(
    ("given", "field", "value"),
    [
        ({"hits": 3}, "hits", 3),
        ({"count": "3"}, "hits", 3),
        ({"start": "7"}, "offset", 7),
        ({"ranking": "semantic"}, "profile", "semantic"),
        ({"RANKING": "semantic"}, "profile", "semantic"),
        ({"ranking.profile": "semantic"}, "profile", "semantic"),
        ({"ranking": {"profile": "semantic"}}, "profile", "semantic"),
        ({"ranking": {"secondPhase": {"rerankCount": 5}}}, "rerank_count", 5),
        ({"ranking.rerankCount": 5}, "rerank_count", 5),
        ({"ranking.globalPhase.rerankCount": 0}, "global_rerank_count", 0),
        ({"ranking.matching.exhaustive": "true"}, "exhaustive", True),
        ({"ranking.sorting": "+year -price name"}, "order_by",
         (("year", False), ("price", True), ("name", True))),
        ({"rankproperty.bm25(title).k1": 2}, "rank_properties", {"bm25(title).k1": "2"}),
        ({"summary": "short"}, "summary", "short"),
        ({"lang": "sw"}, "language", "sw"),
        ({"tracelevel": 2}, "trace_level", 2),
        ({"trace": {"level": 2}}, "trace_level", 2),
        ({"timeout": 2}, "timeout", 2.0),
        ({"timeout": "2"}, "timeout", 2.0),
        ({"timeout": "1.5s"}, "timeout", 1.5),
        ({"timeout": "1500ms"}, "timeout", 1.5),
        ({"yql": "select * from doc timeout 250"}, "timeout", 0.25),
        ({}, "soft_factor", 0.7),
        ({"ranking.softtimeout.factor": "0.5"}, "soft_factor", 0.5),
        ({"ranking.softtimeout.enable": "false"}, "soft_factor", None),
        ({"ranking.softtimeout.enable": True}, "soft_factor", 0.7),
        ({"yql": "select title,tag from doc"}, "select", ("title", "tag")),
        ({"yql": "select * from msmarco"}, "schema", "doc"),
        ({"yql": "select * from sources *"}, "schema", "doc"),
        ({"yql": "select * from doc limit 31 offset 29", "hits": 5}, "hits", 2),
        ({"yql": "select * from doc limit 31 offset 29", "hits": 5}, "offset", 29),
        ({"yql": "select * from doc limit 5", "offset": 3}, "offset", 0),
        ({"yql": "select * from doc offset 3"}, "hits", 10),
        ({"yql": "select * from doc limit 3 offset 5"}, "hits", 0),
        ({"query": "a b"}, "root", WeakAnd((Term("default", "a"), Term("default", "b")))),
        ({"query": "a", "type": "all", "default-index": "title"}, "root", Term("title", "a")),
        ({"query": "note:x", "type": "all"}, "root", Term("note", "x")),
        ({"query": "other:x", "type": "all"}, "root", Term("default", "other:x")),
        ({"query": "select * from doc where !(true)", "type": "yql"}, "root", Not(All())),
        ({"model": {"queryString": "a", "type": "any"},
          "yql": "select * from doc where userQuery()"}, "root", Term("default", "a")),
    ],
)  # fmt: skip
def test_parameters(given: Given, field: str, value: object) -> None:
    assert getattr(parse(given), field) == value


@pytest.mark.parametrize(
    ("name", "value", "expected"),
    [
        ("q", "[1,2]", dense(1, 2)),
        ("q", [1, 2], dense(1, 2)),
        ("q", {"values": [1, 2]}, dense(1, 2)),
        ("q", "tensor<float>(x[2]):[1,2]", dense(1, 2)),
        ("q", np.array([1, 2]), dense(1, 2)),
        ("q", Tensor.dense(TensorType.parse("tensor(x[2])"), [1, 2]), dense(1, 2)),
        ("s", "{a:1.5, 'b c':2}", sparse({"a": 1.5, "b c": 2})),
        ("s", {"a": 1.5}, sparse({"a": 1.5})),
        ("number", "2.5", 2.5),
        ("number", 3, 3.0),
        ("undeclared", "0.25", 0.25),
    ],
)
def test_inputs(name: str, value: Any, expected: Tensor | float) -> None:
    for parameter in (f"input.query({name})", f"ranking.features.query({name})"):
        assert parse({parameter: value}).inputs == {name: expected}
    assert parse({"input": {f"query({name})": value}}).inputs == {name: expected}


@pytest.mark.parametrize(
    ("value", "call"),
    [
        ("embed(query:Bandari kubwa nchini Kenya iko wapi?)",
         (None, "query:Bandari kubwa nchini Kenya iko wapi?")),
        ("embed(one, two)", (None, "one, two")),
        ("embed('some text')", (None, "some text")),
        ('embed("a \\"b\\"")', (None, 'a "b"')),
        ('embed(e5, "text (here)")', ("e5", "text (here)")),
        ("embed(e5, 'text')", ("e5", "text")),
        ("embed(@query)", (None, "who (is) it")),
        ("embed(e5, @query)", ("e5", "who (is) it")),
        ("embed(e5,@own)", ("e5", "mine")),
        ("embed(@model.queryString)", (None, "who (is) it")),
    ],
)  # fmt: skip
def test_embed(value: str, call: tuple[str | None, str]) -> None:
    embedder = Embedder()
    given = {"query": "who (is) it", "own": "mine", "input.query(q)": value}
    query = parse_request(given, package(), embedder)
    assert embedder.calls == [(*call, DENSE)]
    assert query.inputs == {"q": dense(1, 1)}


def test_the_declared_type_decides_what_is_embedded() -> None:
    embedder = Embedder()
    given = {"query": "x", "input.query(q)": "embed(e5, @query)",
             "input.query(s)": "embed(splade, @query)"}  # fmt: skip
    parse_request(given, package(TWO), embedder)
    assert embedder.calls == [("e5", "x", DENSE), ("splade", "x", SPARSE)]


def test_bodies_of_the_multilingual_post() -> None:
    embedder = Embedder()
    fields = {**SCHEMA.fields, "doc_id": SCHEMA.fields["tag"], "embedding": SCHEMA.fields["vec"]}
    schema = Schema("doc", fields, rank_profiles={"semantic": RankProfile("semantic",
                    inputs=PROFILE.inputs)})  # fmt: skip
    body = {
        "yql": 'select doc_id from doc where rank(doc_id contains "71#13",'
        "{targetHits:1}nearestNeighbor(embedding,q))",
        "input.query(q)": "embed(query:Bandari kubwa nchini Kenya iko wapi?)",
        "ranking": "semantic",
        "hits": 0,
    }
    query = parse_request(body, package(schemas=(schema,)), embedder)
    neighbor = NearestNeighbor("embedding", "q", 1)
    assert query.root == Rank(Term("doc_id", "71#13"), (neighbor,))
    assert (query.hits, query.profile, query.select) == (0, "semantic", ("doc_id",))
    assert embedder.calls == [(None, "query:Bandari kubwa nchini Kenya iko wapi?", DENSE)]
    body["yql"] = "select doc_id from doc where {targetHits:10}nearestNeighbor(embedding,q)"
    assert parse_request(body, package(schemas=(schema,)), embedder).root == NearestNeighbor(
        "embedding", "q", 10
    )


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"input.query(q)": "[1,2,3]"},
         r"Could not set 'ranking.features.query\(q\)' to '\[1,2,3\]': "
         r"Require a tensor of type tensor<float>\(x\[2\]\)"),
        ({"input.query(q)": "nonsense"}, "Require a tensor of type"),
        ({"input.query(q)": {"a": 1}}, "Require a tensor of type"),
        ({"input.query(q)": 5}, "Require a tensor of type"),
        ({"input.query(q)": sparse({"a": 1})}, "it is a tensor of type"),
        ({"input.query(qq)": "[3,5,7]"},
         r"Expected 'query\(qq\)' to be a tensor, but it is the string '\[3,5,7\]'.*declare"),
        ({"input.query(number)": "abc"}, "it is declared as a double"),
        ({"input.query(q)": "embed(e5, 'x'"}, "does not end by '\\)'"),
        ({"input.query(q)": "embed(nope, 'x')"},
         "Can't find embedder 'nope'. Valid embedders are e5"),
        ({"input.query(q)": "embed(@nope)"}, "Could not find parameter 'nope'"),
        ({"ranking": "semantik"},
         "schema 'doc' does not contain requested rank profile 'semantik'.*'semantic'"),
        ({"yql": "select * from dok"},
         "Could not resolve source ref 'dok'. Valid source refs are doc, msmarco"),
        ({"restrict": "dok"}, "Could not resolve source ref 'dok'"),
        ({"hits": 401}, r"^hits: 401 hits requested, configured limit: 400\.$"),
        ({"offset": 1001}, r"1001 offset requested, configured limit: 1000\."),
        ({"yql": "select * from doc limit 500"}, "500 hits requested"),
        ({"hits": "many"}, "'hits' must be a whole number from 0, not 'many'"),
        ({"hits": -1}, "'hits' must be"),
        ({"timeout": "soon"}, "must be a duration"),
        ({"ranking.softtimeout.factor": "1.5"}, "a number from 0 to 1"),
        ({"ranking.softtimeout.factor": "half"}, "a number from 0 to 1"),
        ({"ranking.softtimeout.enable": "maybe"}, "true or false"),
        ({"maxHits": 9}, "maxHits must be specified in a query profile"),
        ({"queryProfile": "nope"}, "there is no query profile 'nope'"),
        ({"ranking.matching.exhaustive": "maybe"}, "true or false"),
        ({"select": {"where": {}}}, "JSON 'select'"),
        ({"query": "-a"}, "Null query"),
        ({"query": ""}, "Null query"),
        ({"query": "a", "type": "al"}, "unknown query type 'al'"),
    ],
)  # fmt: skip
def test_mistakes(given: Given, words: str) -> None:
    with pytest.raises(QueryError, match=words):
        parse(given)


def test_several_embedders_need_a_name() -> None:
    given = {"query": "a", "input.query(q)": "embed(@query)"}
    with pytest.raises(QueryError, match="Multiple embedders .* Valid embedders are e5,splade"):
        parse(given, package(TWO))
    with pytest.raises(QueryError, match="services.xml has none"):
        parse(given, package({}))


def test_query_profiles_lie_under_the_request() -> None:
    profiles = {
        "default": QueryProfile("default", fields={"hits": "20", "maxHits": "1000",
                                                   "timeout": "5s", "greeting": "hi"}),
        "other": QueryProfile("other", ("default",), {"count": "30", "query": "%{greeting} you"}),
        "fixed": QueryProfile("fixed", (), {"hits": "2"}, frozenset({"hits"})),
    }  # fmt: skip
    whole = package(profiles=profiles)
    assert (parse({}, whole).hits, parse({}, whole).timeout) == (20, 5.0)
    assert parse({"hits": 900}, whole).hits == 900
    other = parse({"queryProfile": "other", "greeting": "hey"}, whole)
    assert other.hits == 30
    assert other.root == WeakAnd((Term("default", "hey"), Term("default", "you")))
    yql = "select * from doc"
    assert parse({"queryProfile": "fixed", "yql": yql, "hits": 9}, whole).hits == 2
    assert parse({"queryProfile": "fixed", "yql": f"{yql} limit 9"}, whole).hits == 9


def test_ranking_that_names_a_query_profile_takes_its_yql() -> None:
    own = QueryProfile("semantic", fields={"yql": "select * from doc where false", "hits": "4"})
    whole = package(profiles={"semantic": own})
    query = parse_request({"ranking": "semantic", "query": "a"}, whole, Embedder())
    assert (type(query.root).__name__, query.hits, query.profile) == ("Nothing", 4, "semantic")
    bare = parse({"ranking": "semantic", "yql": "select * from doc"}, whole)
    assert (bare.root, bare.hits) == (All(), 10)


def test_yql_of_the_request_keeps_what_else_the_named_profile_sets() -> None:
    own = QueryProfile("semantic", fields={"yql": "select * from doc where false", "hits": "4"})
    whole = package(profiles={"semantic": own})
    given = {"ranking": "semantic", "yql": "select * from doc", "query": "a"}
    query = parse(given, whole)
    assert (query.root, query.hits) == (All(), 4)


def test_parameters_are_kept_for_later() -> None:
    query = parse({"presentation": {"timing": True}, "own": {"a": 1}, "query": "x"})
    assert query.parameters["presentation.timing"] is True
    assert query.parameters["timing"] is True
    assert query.parameters["own"] == {"a": 1} and query.parameters["own.a"] == 1


def test_several_schemas_leave_the_choice_open() -> None:
    second = Schema("second", {}, rank_profiles={"only": RankProfile("only")})
    whole = package(schemas=(SCHEMA, second))
    assert parse({"yql": "select * from sources *"}, whole).schema is None
    assert parse({"yql": "select * from second", "ranking": "only"}, whole).schema == "second"
    assert parse({"yql": "select * from sources *", "restrict": "second"}, whole).schema == "second"
    with pytest.raises(SiftlineError, match="no schema to search"):
        parse({"yql": "select * from doc", "restrict": "second"}, whole)
