"""YQL: what each form means, and what each mistake is told."""

from __future__ import annotations

import json
import math
import re
from pathlib import Path
from typing import Any

import pytest

from siftline.errors import QueryError
from siftline.match.query import (
    All,
    And,
    DotProduct,
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
    Term,
    TermAnnotations,
    Wand,
    WeakAnd,
)
from siftline.match.yql import Statement, parse_yql

PARAMETERS: dict[str, Any] = {
    "model.queryString": "radar who",
    "text": "old rock",
    "blank": " ",
    "hits": "20",
    "ids": "4, 5,'x, y'",
    "list": [7, 8],
    "weights": "{a:1, 'b c':2}",
    "map": {"k": 3},
}


def where(expression: str, **parameters: Any) -> Node:
    text = f"select * from sources * where {expression}"
    return parse_yql(text, PARAMETERS | parameters).where


def term(text: str, field: str = "default", **annotations: Any) -> Term:
    return Term(field, text, TermAnnotations(**annotations))


@pytest.mark.parametrize(
    ("expression", "node"),
    [
        ("true", All()),
        ("false", Nothing()),
        ("TRUE AND false", And((All(), Nothing()))),
        ("a contains 'x' or b contains 'y' and true",
         Or((term("x", "a"), And((term("y", "b"), All()))))),
        ("(a contains 'x' or true) and !(b contains 'y')",
         And((Or((term("x", "a"), All())), Not(term("y", "b"))))),
        ("!(true)", Not(All())),
        ("!true", Not(All())),
        ("a contains \"it's \\\"so\\\" \\u00e9\\n\"", term("it's \"so\" é\n", "a")),
        ("a contains @text", term("old rock", "a")),
        ("a contains ({stem:false, weight:200}'x')", term("x", "a", stem=False, weight=200)),
        ("a contains {prefix:true}'x'", term("x", "a", prefix=True)),
        ("{label:'l'}a contains 'x'", term("x", "a", label="l")),
        ("a contains ([{'ranked':false,'filter':true}]'x')",
         term("x", "a", ranked=False, filter=True)),
        ("a contains ({significance:0.5, unknown:{deep:[1]}}'x')",
         term("x", "a", significance=0.5)),
        ("a contains ({documentFrequency:{frequency:3, count:9}}'x')",
         term("x", "a", significance=math.log(1 + 6.5 / 3.5))),
        ("a contains phrase('x', ({stem:false}'y'))", Phrase("a", ("x", "y"))),
        ("a contains near('x','y')", Near("a", ("x", "y"), 2)),
        ("a contains ({distance:5}onear('x', @text))", Near("a", ("x", "old rock"), 5, True)),
        ("y = 3", Range("y", 3, 3)),
        ("y = true", Range("y", 1, 1)),
        ("y < -2.5", Range("y", -math.inf, -2.5, high_open=True)),
        ("y >= @hits", Range("y", 20, math.inf)),
        ("range(y, 1, Infinity)", Range("y", 1, math.inf)),
        ("{bounds:'leftOpen'}range(y, -Infinity, 3L)", Range("y", -math.inf, 3, low_open=True)),
        ("({bounds:'open'}range(y, 1, 3))", Range("y", 1, 3, True, True)),
        ("y in (1, -2, @ids, @list)", In("y", (1, -2, 4, 5, "x, y", 7, 8))),
        ("y in ('a', \"b\")", In("y", ("a", "b"))),
        ("y in @ids", In("y", (4, 5, "x, y"))),
        ("y matches '^a.c$'", Regex("y", "^a.c$")),
        ("rank(true, a contains 'x', y = 1)", Rank(All(), (term("x", "a"), Range("y", 1, 1)))),
        ("rank(true)", All()),
        ("nonEmpty(a contains 'x')", term("x", "a")),
        ("weakAnd(a contains 'x', y = 1)", WeakAnd((term("x", "a"), Range("y", 1, 1)), 100)),
        ("{targetHits:7}weakAnd(a contains 'x')", WeakAnd((term("x", "a"),), 7)),
        ("{targetHits:5, scoreThreshold:1.5, label:'w'}wand(f, {'a':1, b:2, 3:4})",
         Wand("f", {"a": 1, "b": 2, "3": 4}, 5, 1.5, "w")),
        ("wand(f, @weights)", Wand("f", {"a": 1, "b c": 2})),
        ("wand(f, @map)", Wand("f", {"k": 3})),
        ("dotProduct(f, [[11,2],[12,-3]])", DotProduct("f", {"11": 2, "12": -3})),
        ("{targetHits:@hits}nearestNeighbor(v, q)", NearestNeighbor("v", "q", 20)),
        ("[{'targetNumHits':3}]nearestNeighbor(v, 'q')", NearestNeighbor("v", "q", 3)),
        ("({totalTargetHits:3, approximate:false, hnsw.exploreAdditionalHits:9, label:'n', "
         "distanceThreshold:0.5, hnsw.approximateThreshold:0.1}nearestNeighbor(v, @text))",
         NearestNeighbor("v", "old rock", 3, False, 9, 0.5, "n", {"approximate-threshold": 0.1})),
        ("userQuery()", WeakAnd((term("radar"), term("who")))),
        ("({targetHits:9}userQuery())", WeakAnd((term("radar"), term("who")), 9)),
        ("userInput(@text)", WeakAnd((term("old"), term("rock")))),
        ("userInput('old')", WeakAnd((term("old"),))),
        ("{grammar:'all', defaultIndex:'a'}userInput(@text)",
         And((term("old", "a"), term("rock", "a")))),
        ("{grammar:'raw', defaultIndex:'a'}userInput(@text)", term("old rock", "a")),
        ("{grammar.composite:'or', grammar.syntax:'none'}userInput('+a -b')",
         Or((term("a"), term("b")))),
        ("{targetHits:3}userInput('a -b')", And((WeakAnd((term("a"),), 3), Not(term("b"))))),
        ("{allowEmpty:true}userInput(@blank)", Nothing()),
    ],
)  # fmt: skip
def test_expressions(expression: str, node: Node) -> None:
    assert where(expression) == node


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("select * from sources *", Statement(None, None, All())),
        ("SELECT a, b_c FROM doc WHERE false;", Statement(("a", "b_c"), ("doc",), Nothing())),
        ("select * from sources a, b-c where true limit 31 offset 29 timeout 100;",
         Statement(None, ("a", "b-c"), All(), 31, 29, (), 0.1)),
        ("select * from a where true order by x desc, y, '[relevance]' desc limit @hits",
         Statement(None, ("a",), All(), 20, None,
                   (("x", True), ("y", False), ("[relevance]", True)))),
        ("select * from a where true order by [{\"function\":\"uca\"}]name asc",
         Statement(None, ("a",), All(), order_by=(("name", False),))),
    ],
)  # fmt: skip
def test_statements(text: str, expected: Statement) -> None:
    assert parse_yql(text, PARAMETERS) == expected


@pytest.mark.parametrize(
    ("text", "place", "words"),
    [
        ("select from x", (1, 13), "no viable alternative at input 'x'"),
        ("select * from x\nwhere a contains", (2, 17), "input '<EOF>'"),
        ("select * from x where (a contains 'b'", (1, 38), r"expected \)"),
        ("select * from x where a contains 'b' §", (1, 38), "input '§'"),
        ("select * from x where nearestNeigbor(a,b)", (1, 23), "did you mean 'nearestNeighbor'"),
        ("select * from x where nearestNeighbor(a,b)", (1, 23), "Required annotation 'targetHits'"),
        ("select * from x where {targetHits:0}nearestNeighbor(a,b)", (1, 23), "targetHits"),
        ("select * from x where {targetHits:'ten'}nearestNeighbor(a,b)", (1, 23), "not 'ten'"),
        ("select * from x where {targetHits:1}nearestNeighbor(a)", (1, 37), "takes 2 arguments"),
        ("select * from x where userInput(@nope)", (1, 33), "Input 'nope' is not set"),
        ("select * from x where userInput(@blank)", (1, 33), "only resulted in NullItem"),
        ("select * from x where a contains @nope", (1, 34), "parameter '@nope' is not set"),
        ("select * from x where a matches '('", (1, 33), "not a regular expression"),
        ("select * from x where a matches '(a|a)*$'", (1, 33), "repeat inside a repeat"),
        ("select * from x where a matches '(?=a)'", (1, 33), "a look-around"),
        ("select * from x where a matches 'a{99999999999}'", (1, 33), "not a regular expression"),
        ("select * from x where a = 'text'", (1, 27), "needs a number, not 'text'"),
        ("select * from x where a in (1.5)", (1, 29), "integer and string fields"),
        ("select * from x where range(a, 1, 2, 3)", (1, 23), "takes 3 arguments"),
        ("select * from x where {bounds:'close'}range(a, 1, 2)", (1, 39), "did you mean 'closed'"),
        ("select * from x where wand(f, 'no map')", (1, 31), "weights are expected"),
        ("select * from x where weakAnd(f)", (1, 31), "an expression is expected"),
        ("select * from x where true limit 1.5", (1, 34), "limit needs a whole number"),
        ("select * from x where nonEmpty(a contains '')", (1, 23), "empty part"),
        ("select * from x where true | all(group(a))", (1, 28), "grouping .* is not supported"),
        ("select * from x where f[2] = 7", (1, 23), "sameElement"),
        ("select * from x where f{'k'} contains 'v'", (1, 23), "sameElement"),
        ("select * from x where f contains sameElement(a contains 'b', c < 3)", (1, 34),
         r"sameElement\(\) is not supported"),
        ("select * from x where f contains near('a', !'b')", (1, 44), "excluded word"),
        ("select * from x where {hitLimit:5}range(a, 1, 2)", (1, 35), "hitLimit"),
        *((f"select * from x where {name}('a')", (1, 23), rf"{name}\(\) is not supported")
          for name in ("geoLocation", "predicate", "weightedSet", "uri", "geoBoundingBox")),
        *((f"select * from x where f contains {name}('a')", (1, 34), rf"{name}\(\) is not sup")
          for name in ("fuzzy", "equiv", "alternatives", "text")),
    ],
)  # fmt: skip
def test_mistakes_are_told_with_their_place(text: str, place: tuple[int, int], words: str) -> None:
    with pytest.raises(QueryError, match=words) as caught:
        parse_yql(text, PARAMETERS)
    found = caught.value.place
    assert found is not None and (found.line, found.column) == place
    assert caught.value.message.startswith(
        f"Could not create query from YQL: query:L{place[0]}:{place[1]} "
    )


def test_a_user_query_must_be_set() -> None:
    with pytest.raises(QueryError, match="User query must be set"):
        parse_yql("select * from x where userQuery()", {})


def test_a_streaming_annotation_is_refused() -> None:
    with pytest.raises(QueryError, match="'substring' needs streaming"):
        where("a contains ({substring:true}'x')")
    with pytest.raises(QueryError, match="'significance' must be at least 0"):
        where("a contains ({significance:-1}'x')")


SEEDS = (
    'select doc_id from doc where rank(doc_id contains "71#13",'
    "{targetHits:1}nearestNeighbor(embedding,q))",
    "select doc_id from doc where {targetHits:10}nearestNeighbor(embedding,q)",
    "select doc_id from doc where {targetHits:10, approximate:false}nearestNeighbor(embedding,q)",
)
SEED_TREES = (
    Rank(term("71#13", "doc_id"), (NearestNeighbor("embedding", "q", 1),)),
    NearestNeighbor("embedding", "q", 10),
    NearestNeighbor("embedding", "q", 10, approximate=False),
)


@pytest.mark.parametrize(("text", "tree"), list(zip(SEEDS, SEED_TREES, strict=True)))
def test_queries_of_the_multilingual_post(text: str, tree: Node) -> None:
    statement = parse_yql(text, {})
    assert (statement.select, statement.sources) == (("doc_id",), ("doc",))
    assert statement.where == tree


def test_bodies_in_the_seed_itself() -> None:
    folder = Path(__file__).parents[3] / "shared" / "seeds"
    found = sorted(folder.glob("002*.txt"))
    if not found:
        pytest.skip("../shared/seeds is absent")
    bodies = re.findall(r'"yql": ("(?:[^"\\]|\\.)*")', found[0].read_text())
    assert [json.loads(body) for body in bodies] == list(SEEDS[:2])
    for body in bodies:
        parse_yql(json.loads(body), {})


@pytest.mark.parametrize("form", ["!({})", "({} and true)", "rank({}, true)"])
@pytest.mark.parametrize("levels", [200, 20_000])
def test_nesting_has_a_limit(form: str, levels: int) -> None:
    before, after = form.split("{}")
    text = f"select * from doc where {before * levels}true{after * levels}"
    with pytest.raises(QueryError, match="nested too deeply: at most 150 levels"):
        parse_yql(text, {})
    short = f"select * from doc where {before * 40}true{after * 40}"
    assert parse_yql(short, {}).where is not None
