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
    " model.defaultIndex presentation.format format presentation.summary ranking.sorting ranking.softtimeout.factor"
    " ranking.rerankCount ranking.matching.approximateThreshold p default-index filter select where"
    " grouping ranking.globalPhase.rerankCount model.locale nocache a.b.c"
).split()
TYPES = [
    "application/json", "application/json", "application/json", "application/json",
    "application/json", "application/json; charset=latin-1", "application/x-www-form-urlencoded",
    "application/cbor", "text/plain", "multipart/form-data", "application/vnd.a+json", "", "/", "é",
]  # fmt: skip


def _terms() -> st.SearchStrategy[str]:
    field, word = st.sampled_from(FIELDS), st.sampled_from(WORDS)
    number = st.sampled_from(["1", "0", "-5", "10", "1000000", "x", "-9223372036854775808"])
    simple = st.one_of(
        st.builds("{} contains {}".format, field, word),
        st.builds('{} contains ({{prefix:true}}"{}")'.format, field, word),
        st.builds('{} contains phrase("{}", "b")'.format, field, word),
        st.builds('{} contains near("{}", "b")'.format, field, word),
        st.builds("{} {} {}".format, field, st.sampled_from([">", "<", "=", ">=", "!="]), number),
        st.builds("range({}, {}, {})".format, field, number, number),
        st.builds("{} in ({}, {})".format, field, word, number),
        st.builds('{} matches "{}"'.format, field, st.sampled_from(["a", "(a+)+$", "[", "^.*$"])),
        st.builds("{{targetHits:{}}}nearestNeighbor({}, q)".format, number, field),
        st.builds("{{targetHits:{}}}wand({}, {{a:1}})".format, number, field),
        st.builds("dotProduct({}, {{a:{}}})".format, field, number),
        st.builds("weightedSet({}, {{a:{}}})".format, field, number),
        st.builds('({{targetHits:{}}}userInput("{}"))'.format, number, word),
        st.sampled_from(["true", "false", "userQuery()", "userInput(@p)", "nonEmpty(true)", "x"]),
    )
    joined = st.sampled_from(["{} and {}", "{} or {}", "({}) and !({})", "rank({}, {})",
                              "weakAnd({}, {})", "equiv({}, {})", "{} {}"])  # fmt: skip
    return st.recursive(simple, lambda of: st.builds(str.format, joined, of, of), max_leaves=6)


_TAILS = ["", "", "", "", " limit 3", " offset -1", " order by year desc", " order by gone",
          " timeout 5", " | all(group(year) each(output(count())))", ";", " limit"]  # fmt: skip
YQL = st.builds(
    "select {} from {} where {}{}".format,
    st.sampled_from(["*", "*", "*", "title", "title, year", "gone", ""]),
    st.sampled_from(["music", "music", "music", "sources *", "gone", "sources music, gone", ""]),
    _terms(),
    st.sampled_from(_TAILS),
) | st.text(max_size=20)
_VALUE = st.one_of(st.sampled_from(VALUES), st.text(max_size=8))
_QUERIES = st.fixed_dictionaries(
    {
        "yql": YQL,
        "timeout": st.sampled_from(["2s", "2s", "2s", "1ms", "0"]),
        "ranking": st.sampled_from(["default", "near", "unranked"]),
        "input.query(q)": st.sampled_from(["[1,2]", "[0,0]", "{{x:0}:1,{x:1}:3}"]),
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
