"""Damaged files: whatever is cut out or put in, the answer is a value or one PackageError."""

import time
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from siftline.errors import PackageError
from siftline.schema.check import check_schema
from siftline.schema.indexing import parse_script
from siftline.schema.query_profiles import parse_query_profile
from siftline.schema.sd import parse_profiles, parse_schema
from siftline.schema.services import parse_services
from siftline.schema.settings import parse_settings

ROOT = Path(__file__).parents[2]
WHOLE = {
    name: (ROOT / "examples" / "beir" / name).read_text(encoding="utf-8")
    for name in ("schemas/passage.sd", "services.xml", "ext/siftline.toml")
} | {
    "rich.sd": """schema s { document s { struct p { field a type int {} }
  field t type string { indexing: index | summary  index: enable-bm25
    match { exact exact-terminator: "@@" } alias: u
    indexing { input t | for_each { trim . "x" } | index; } }
  field m type map<string, p> { struct-field key { indexing: attribute } } }
  document-summary d inherits default { summary t { source: t } from-disk }
  rank-profile r inherits default { inputs { query(q) tensor(x[2]): [1, 2] }
    constants { c: 1.5  d tensor(k{}): {a: 1, "b c": 2} }
    function inline f(a, b) { expression { if (a > b, "x", {y:1}) } }
    match-features inherits default { f }  rank-properties { "a b": "c" } } }"""
}


def read(name: str, text: str) -> None:
    if name.endswith(".sd"):
        check_schema(parse_schema(text, name))
    elif name.endswith(".xml"):
        parse_services(text)
    else:
        parse_settings(text)


@st.composite
def damaged(draw: st.DrawFn) -> tuple[str, str]:
    name = draw(st.sampled_from(sorted(WHOLE)))
    text = WHOLE[name]
    for _ in range(draw(st.integers(1, 3))):
        start = draw(st.integers(0, len(text)))
        end = min(len(text), start + draw(st.sampled_from([0, 1, 2, 20, 400])))
        put = draw(st.sampled_from(["", "{", "}", ":", '"', "(", ")", "#", "\n", "x", "é", "|", "<", " a: b", "\x00"]))  # fmt: skip # noqa: E501
        text = text[:start] + put + text[end:]
    return name, text


@given(damaged())
def test_damage_gives_one_error_with_a_place(case: tuple[str, str]) -> None:
    try:
        read(*case)
    except PackageError as error:
        assert error.place is not None and error.message


@given(st.text("abc{}()[]|;:.\"'#\n <>=,_-0123", max_size=40))
def test_any_text_is_read_or_refused(text: str) -> None:
    for parse in (parse_schema, parse_profiles, parse_script, parse_query_profile, parse_settings):
        try:
            parse(text)
        except PackageError as error:
            assert error.message


@pytest.mark.parametrize(
    "text",
    [
        "schema s { document s { field a type string { indexing: " + "{" * 3000,
        "schema s { rank-profile p { first-phase { expression { " + "(" * 20000,
        "schema s { rank-profile p { first-phase { expression: " + "{a:" * 2000,
        "schema s { rank-profile p { match-features: " + "a(" * 3000,
        'schema s { document s { field a type string { indexing: "' + "a" * 50000,
        "schema s { " + "a " * 20000,
        "{" * 20000,
        "schema s { " + "a { " * 5000 + "}" * 5001,
        "schema s { document s { field a type " + "array<" * 5000 + "int" + ">" * 5000 + " {} } }",
        "schema s { document s { field a type string { indexing: "
        + "(" * 5000
        + "index"
        + ")" * 5000
        + " } } }",
        "schema s { document s { field a type string { indexing: index"
        + " | trim" * 20000
        + " | x } } }",
    ],
    ids=[
        "braces",
        "raw",
        "line-braces",
        "features",
        "string",
        "words",
        "open",
        "deep",
        "type",
        "parentheses",
        "long",
    ],
)
def test_hostile_text_is_refused_quickly(text: str) -> None:
    start = time.perf_counter()
    with pytest.raises(PackageError):
        parse_schema(text, "s.sd")
    assert time.perf_counter() - start < 5


@pytest.mark.parametrize(
    "read_",
    [
        lambda: parse_services("<a>" * 5000 + "</a>" * 5000),
        lambda: parse_settings("a = " + "[" * 20000),
        lambda: parse_profiles(
            "rank-profile p { inputs { query(q) tensor(x[2]): " + "[" * 5000 + "]" * 5000 + " } }"
        ),
    ],
    ids=["xml", "toml", "literal"],
)
def test_deep_nesting_is_refused(read_: Callable[[], object]) -> None:
    with pytest.raises(PackageError):
        read_()
