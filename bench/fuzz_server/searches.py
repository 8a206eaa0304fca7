"""Strategies for queries at `/search/`: YQL with and without mistakes, parameters, bodies."""

from __future__ import annotations

import json
from typing import Any
from urllib.parse import urlencode

from hypothesis import strategies as st

from bench.fuzz_server.documents import JSON

METHODS = ["GET", "GET", "POST", "POST", "POST", "PUT", "DELETE", "OPTIONS", "HEAD", "BREW"]
FIELDS = ["title", "year", "tags", "votes", "weights", "vector", "default", "gone", "sddocname"]
WORDS = [
    "a", "red", '"red"', '"red apple"', "1", "-1", "1e400", "9" * 25, "true", "@p", '""',
    "'é'", "{", "",
]  # fmt: skip
#: Values of parameters, right for some of them and wrong for the others.
VALUES = [
    "1", "0", "-1", "400", "9" * 20, "1.5", "NaN", "true", "", "default", "near", "music", "gone",
    "[1,2]", "{{x:0}:1}", "embed(a)", "5s", "1ms", "*", "%", "\x00", "\ud7ff", "a b", "+a -b",
    "(((", "-year", "any", "en", "cbor", "xml",
]  # fmt: skip
PARAMETERS = (
    "yql query type ranking ranking.profile hits offset timeout queryProfile restrict sources"
    " summary language trace.level input.query(q) ranking.features.query(q) model.type"
    " model.defaultIndex presentation.format format presentation.summary ranking.sorting"
    " ranking.softtimeout.factor ranking.rerankCount ranking.matching.approximateThreshold p"
    " default-index filter select where grouping ranking.globalPhase.rerankCount model.locale"
    " nocache a.b.c"
).split()
TYPES = [
    "application/json", "application/json", "application/json", "application/json",
    "application/json", "application/json; charset=latin-1", "application/x-www-form-urlencoded",
    "application/cbor", "text/plain", "multipart/form-data", "application/vnd.a+json", "", "/", "é",
]  # fmt: skip


_TEXT = st.sampled_from(["title", "tags", "votes", "default"])
_WORD = st.sampled_from(["red", "apple", "pie", "a", "green apple", "", "é", "x" * 300])
_NUMBER = st.sampled_from(["1", "0", "3", "10", "1000000", "-5", "-9223372036854775808", "9" * 25])
_MANY = st.sampled_from(["1", "3", "100", "1000000"])
#: Terms that are right, but for a value here and there.
RIGHT = st.one_of(
    st.builds('{} contains "{}"'.format, _TEXT, _WORD),
    st.builds('tags contains ({{prefix:true}}"{}")'.format, _WORD),
    st.builds('title contains {}("{}", "{}")'.format,
              st.sampled_from(["phrase", "near", "onear"]), _WORD, _WORD),
    st.builds("year {} {}".format, st.sampled_from([">", "<", "=", ">=", "!="]), _NUMBER),
    st.builds("range(year, {}, {})".format, _NUMBER, _NUMBER),
    st.builds("year in ({}, {})".format, _NUMBER, _NUMBER),
    st.builds('tags in ("{}", "b")'.format, _WORD),
    st.builds("{{targetHits:{}}}nearestNeighbor(vector, q)".format, _MANY),
    st.builds("{{targetHits:{}, approximate:false}}nearestNeighbor(vector, q)".format, _MANY),
    st.builds('({{targetHits:{}}}wand(votes, {{"a":{}}}))'.format, _MANY, _NUMBER),
    st.builds('dotProduct(votes, {{"a":{}}})'.format, _NUMBER),
    st.builds('({{targetHits:{}}}userInput("{}"))'.format, _MANY, _WORD),
    st.builds('({{grammar:"{}"}}userInput(@p))'.format,
              st.sampled_from(["any", "all", "phrase", "web", "raw", "gone"])),
    st.sampled_from(["true", "false", "userQuery()"]),
)  # fmt: skip
_FIELD, _TOKEN = st.sampled_from(FIELDS), st.sampled_from(WORDS)
#: Terms of which little fits together.
WRONG = st.one_of(
    st.builds("{} contains {}".format, _FIELD, _TOKEN),
    st.builds('{} contains ({{prefix:true}}"{}")'.format, _FIELD, _TOKEN),
    st.builds('{} contains near("{}", "b")'.format, _FIELD, _TOKEN),
    st.builds("{} {} {}".format, _FIELD, st.sampled_from([">", "=", "!="]), _TOKEN),
    st.builds("range({}, {}, {})".format, _FIELD, _TOKEN, _NUMBER),
    st.builds("{} in ({}, {})".format, _FIELD, _TOKEN, _NUMBER),
    st.builds('{} matches "{}"'.format, st.sampled_from(["tags", "tags", "year", "title"]),
              st.sampled_from(["a", "(a+)+$", "(a|a)*$", "[", "^.*$", "(?=a)", "a{1000}"])),
    st.builds("{{targetHits:{}}}nearestNeighbor({}, q)".format, _NUMBER, _FIELD),
    st.builds("weightedSet({}, {{a:{}}})".format, _FIELD, _NUMBER),
    st.sampled_from(["userInput(@gone)", "nonEmpty(true)", "x", "equiv(true, true)"]),
)  # fmt: skip


def _terms() -> st.SearchStrategy[str]:
    """Mostly right ones, joined."""
    joined = st.sampled_from(["{} and {}", "{} or {}", "{} and !({})", "rank({}, {})",
                              "weakAnd({}, {})", "({} or {})"])  # fmt: skip
    right = st.recursive(RIGHT, lambda of: st.builds(str.format, joined, of, of), max_leaves=6)
    return st.one_of(right, right, right, st.builds(str.format, joined, right, WRONG))


_TAILS = [
    *[""] * 8, " limit 3", " limit 0", " order by year", " limit 5 offset 4", " offset -1", ";",
    " order by year desc", " order by gone", " timeout 5", " limit",
    " | all(group(year) each(output(count())))",
]  # fmt: skip
YQL = st.builds(
    "select {} from {} where {}{}".format,
    st.sampled_from(["*", "*", "*", "*", "title, year", "gone"]),
    st.sampled_from([*["music"] * 5, "sources *", "sources music, gone", "gone"]),
    _terms(),
    st.sampled_from(_TAILS),
) | st.text(max_size=20)
_VALUE = st.one_of(st.sampled_from(VALUES), st.text(max_size=8))
_QUERIES = st.fixed_dictionaries(
    {
        "yql": YQL,
        "timeout": st.sampled_from([*["2s"] * 10, "1ms", "0"]),
        "ranking": st.sampled_from(["near"] * 6 + ["default", "unranked"]),
        "input.query(q)": st.sampled_from(["[1,2]", "[0,0]", "[1e38,-1e38]", "{{x:0}:1,{x:1}:3}"]),
        "query": st.sampled_from(["red", "red apple", "-red", "+(a b)", '"red', "", "title:red"]),
        "p": _VALUE,
    }
)
_ANY = st.dictionaries(st.sampled_from(PARAMETERS) | st.text(max_size=5), _VALUE, max_size=3)
#: Names and values for a query string: mostly a query, with something else about it.
PAIRS: st.SearchStrategy[dict[str, Any]] = st.one_of(
    st.builds(lambda query, more: {**query, **more}, _QUERIES, st.just({}) | _ANY), _ANY
)
#: As above with values and members of any kind, for a JSON body.
OBJECTS = PAIRS | st.dictionaries(st.sampled_from(PARAMETERS), JSON, max_size=4)
#: Deeper than Python nests.
_DEEP = (
    b"[" * 100_000,
    b'{"a":' * 50_000,
    b'{"yql":"select * from music where ' + b"(" * 20_000 + b'"}',
    b'{"yql":"select * from music where ' + b"!(" * 500 + b"true" + b")" * 500 + b'"}',
)
BODIES = st.one_of(
    OBJECTS.map(lambda value: json.dumps(value).encode()),
    OBJECTS.map(lambda value: json.dumps(value).encode()),
    OBJECTS.map(lambda value: json.dumps(value).encode()[:-1]),
    PAIRS.map(lambda value: urlencode(value).encode()),
    JSON.map(lambda value: json.dumps(value).encode()),
    st.binary(max_size=40),
    st.sampled_from(_DEEP),
)
ACCEPTS = ["*/*", "application/json", "application/cbor", "text/event-stream", "text/html", "a;q=x"]
STATUSES = (200, 400, 404, 405, 406, 413, 415, 422, 431, 501, 503, 504)
