"""The simple query language: every text means something."""

from __future__ import annotations

import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from siftline.errors import QueryError
from siftline.match.query import (
    And,
    Node,
    Not,
    Nothing,
    Or,
    Phrase,
    Range,
    Rank,
    Term,
    TermAnnotations,
    WeakAnd,
    walk,
)
from siftline.match.simple import QUERY_TYPES, parse_user_query


def t(text: str, field: str = "default", **annotations: Any) -> Term:
    return Term(field, text, TermAnnotations(**annotations))


@pytest.mark.parametrize(
    ("text", "type_", "node"),
    [
        ("a b", "weakAnd", WeakAnd((t("a"), t("b")))),
        ("a b", "all", And((t("a"), t("b")))),
        ("a b", "any", Or((t("a"), t("b")))),
        ("a", "all", t("a")),
        ("a -b", "all", And((t("a"), Not(t("b"))))),
        ("a -b", "any", And((t("a"), Not(t("b"))))),
        ("-b", "weakAnd", Nothing()),
        ("+a b", "any", Rank(t("a"), (t("b"),))),
        ("+a +b", "any", And((t("a"), t("b")))),
        ("(a b) c", "all", And((Or((t("a"), t("b"))), t("c")))),
        ("(a b) c", "weakAnd", WeakAnd((t("a"), t("b"), t("c")))),
        ("-(a b) c", "all", And((t("c"), Not(Or((t("a"), t("b"))))))),
        ("(a", "all", t("a")),
        ('"new york" x', "all", And((Phrase("default", ("new", "york")), t("x")))),
        ('"new york', "all", Phrase("default", ("new", "york"))),
        ('"new"', "all", t("new")),
        ("title:a", "all", t("a", "title")),
        ('title:"a b"', "all", Phrase("title", ("a", "b"))),
        ("a!150 b!! c!", "all", And((t("a", weight=150), t("b", weight=200), t("c", weight=150)))),
        ("ab*", "all", t("ab", prefix=True)),
        ("year:<5", "all", Range("year", -math.inf, 5, high_open=True)),
        ("year:>5", "all", Range("year", 5, math.inf, low_open=True)),
        ("year:[1;10]", "all", Range("year", 1, 10)),
        ("year:[;10]", "all", Range("year", -math.inf, 10)),
        ("who's state-of-the-art?", "all", And((t("who's"), t("state-of-the-art?")))),
        ("a & b ...", "all", And((t("a"), t("b")))),
        ("a b", "phrase", Phrase("default", ("a", "b"))),
        ("a OR b c", "web", And((Or((t("a"), t("b"))), t("c")))),
        ("+a b", "web", And((t("a", stem=False), t("b")))),
        ("it's +a (b)", "tokenize",
         WeakAnd((t("it"), t("s"), t("a"), t("b")))),
        ("a", "linguistics", WeakAnd((t("a"),))),
        ("", "weakAnd", Nothing()),
        ("...", "phrase", Nothing()),
    ],
)  # fmt: skip
def test_meaning(text: str, type_: str, node: Node) -> None:
    assert parse_user_query(text, type_, "default") == node


def test_only_known_fields_stand_before_a_colon() -> None:
    known = {"title", "year"}
    assert parse_user_query("note:a year:>5", "all", "default", known) == And(
        (t("note:a"), Range("year", 5, math.inf, low_open=True))
    )
    assert parse_user_query("note:[1;2]", "all", "default", known) == t("note:[1;2]")


def test_an_unknown_type_names_the_nearest() -> None:
    with pytest.raises(QueryError, match="did you mean 'weakAnd'"):
        parse_user_query("a", "weakand", "default")


@given(st.text(max_size=40), st.sampled_from(QUERY_TYPES))
def test_every_text_is_legal(text: str, type_: str) -> None:
    node = parse_user_query(text, type_, "default")
    leaves = [n for n in walk(node) if isinstance(n, Term)]
    assert all(any(c.isalnum() for c in leaf.text) for leaf in leaves)


@given(st.text('ab+-()"!:*[];<>1 ', max_size=30), st.sampled_from(QUERY_TYPES))
def test_every_combination_of_signs_is_legal(text: str, type_: str) -> None:
    parse_user_query(text, type_, "default")
