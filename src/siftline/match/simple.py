"""The simple query language: what people type into a search box (spec: Vespa query reference).

Every text is legal. `word`, `"a phrase"`, `-not`, `+must`, `(a b)` any of these, `field:word`,
`word!150` or `word!!` weight, `word*` prefix, `field:<5`, `field:>5`, `field:[1;10]`.
"""

from __future__ import annotations

import math
import re
from collections.abc import Container, Iterator
from dataclasses import dataclass

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
)
from siftline.schema.nearest import nearest

#: Values of `model.type` and of userInput's `grammar`.
QUERY_TYPES = ("all", "any", "weakAnd", "phrase", "web", "tokenize", "linguistics")

_ITEM = re.compile(
    r"""
    (?P<sign>[+-]*)
    (?: (?P<open>\() | (?P<close>\))
      | (?:(?P<field>[A-Za-z_][\w.]*):)?
        (?: "(?P<phrase>[^"]*)"?
          | (?P<interval>\[[^\];\[]*;[^\];\[]*\])
          | (?P<comparison>[<>]=?-?\d+(?:\.\d+)?)
          | (?P<word>[^\s"()]+)
        )
        (?P<weight>!\d+|!+)?
    )
    """,
    re.VERBOSE,
)
_WORD_WEIGHT = re.compile(r"^(?P<word>.*?[^!])(?P<weight>!\d+|!+)$")
_SIMPLE_WORD = re.compile(r"[^\W_]+")


@dataclass(frozen=True, slots=True)
class _Item:
    node: Node
    sign: str


def parse_user_query(
    text: str, type: str, default_field: str, fields: Container[str] | None = None
) -> Node:
    """What the text asks for; Nothing where it holds no word to look for.

    type: one of QUERY_TYPES; terms without a field are on `default_field`. fields: the names that
    count as `field:`, any other is part of its word; None means every name.
    """
    if type not in QUERY_TYPES:
        known = nearest(type, (*QUERY_TYPES, "yql"))
        raise QueryError(f"unknown query type '{type}'{known}")
    if type in ("tokenize", "linguistics"):
        words = [Term(default_field, word) for word in _SIMPLE_WORD.findall(text)]
        return _weak(words)
    if type == "phrase":
        found = tuple(word for word in re.split(r"[\s\"]+", text) if _SIMPLE_WORD.search(word))
        return _phrase(default_field, found, TermAnnotations())
    items = list(_items(text, type, default_field, fields))
    if type == "web":
        items = _alternatives(items)
    return _combined(items, type)


def _combined(items: list[_Item], type: str) -> Node:
    positive = [item for item in items if not item.sign.endswith("-")]
    negative = tuple(Not(item.node) for item in items if item.sign.endswith("-"))
    if not positive:
        return Nothing()
    if type == "any":
        matching = _any(positive)
    elif type == "weakAnd":
        matching = _weak([child for item in positive for child in _flat(item.node)])
    else:
        matching = _joined(And, [item.node for item in positive])
    return And((matching, *negative)) if negative else matching


def _any(items: list[_Item]) -> Node:
    required = [item.node for item in items if item.sign]
    optional = [item.node for item in items if not item.sign]
    if not required:
        return _joined(Or, optional)
    matching = _joined(And, required)
    return Rank(matching, tuple(optional)) if optional else matching


def _flat(node: Node) -> tuple[Node, ...]:
    # A group inside a weakAnd joins it: each word counts for itself.
    return node.children if isinstance(node, Or) else (node,)


def _joined(kind: type[And | Or], nodes: list[Node]) -> Node:
    return nodes[0] if len(nodes) == 1 else kind(tuple(nodes))


def _weak(nodes: list[Term] | list[Node]) -> Node:
    return WeakAnd(tuple(nodes)) if nodes else Nothing()


def _alternatives(items: list[_Item]) -> list[_Item]:
    """`a OR b` of the web language as one item."""
    joined: list[_Item] = []
    pending = False
    for item in items:
        if isinstance(item.node, Term) and item.node.text == "OR" and joined:
            pending = True
        elif pending:
            last = joined.pop()
            joined.append(_Item(Or((*_flat(last.node), item.node)), last.sign))
            pending = False
        else:
            joined.append(item)
    return joined


def _items(
    text: str, type: str, default_field: str, fields: Container[str] | None
) -> Iterator[_Item]:
    group: list[Node] | None = None
    group_sign = ""
    for found in _ITEM.finditer(text):
        sign = found["sign"]
        if found["open"]:
            group, group_sign = ([] if group is None else group), sign or group_sign
        elif found["close"]:
            if group:
                yield _Item(_joined(Or, group), group_sign)
            group, group_sign = None, ""
        else:
            known = fields is None or found["field"] in fields
            exact = type == "web" and sign == "+"
            node = _item_node(found, default_field, known=known, exact=exact)
            if node is None:
                continue
            if group is None:
                yield _Item(node, sign)
            else:
                group.append(node)
    if group:
        yield _Item(_joined(Or, group), group_sign)


def _item_node(
    found: re.Match[str], default_field: str, *, known: bool, exact: bool
) -> Node | None:
    prefix_field = found["field"] if known else None
    field, weight = prefix_field or default_field, found["weight"]
    if found["phrase"] is not None:
        words = tuple(w for w in found["phrase"].split() if _SIMPLE_WORD.search(w))
        node = _phrase(field, words, TermAnnotations(weight=_weight(weight)))
        return None if isinstance(node, Nothing) else node
    if prefix_field and found["interval"]:
        return _interval(field, found["interval"])
    if prefix_field and found["comparison"]:
        return _comparison(field, found["comparison"])
    word = found["word"] or found["interval"] or found["comparison"]
    if found["field"] and not known:
        word = f"{found['field']}:{word}"
    weighted = _WORD_WEIGHT.match(word)
    if weighted and weight is None:
        word, weight = weighted["word"], weighted["weight"]
    prefix = word.endswith("*")
    word = word.rstrip("*") if prefix else word
    if not _SIMPLE_WORD.search(word):
        return None
    notes = TermAnnotations(weight=_weight(weight), prefix=prefix, stem=not exact)
    return Term(field, word, notes)


def _phrase(field: str, words: tuple[str, ...], notes: TermAnnotations) -> Node:
    if not words:
        return Nothing()
    return Term(field, words[0], notes) if len(words) == 1 else Phrase(field, words, notes)


def _weight(text: str | None) -> int:
    if not text:
        return 100
    return int(text[1:]) if text[1:].isdigit() else 100 + 50 * len(text)


def _interval(field: str, text: str) -> Range | Term:
    low, high = (part.strip() for part in text[1:-1].split(";"))
    try:
        return Range(field, float(low) if low else -math.inf, float(high) if high else math.inf)
    except ValueError:
        return Term(field, text)


def _comparison(field: str, text: str) -> Range:
    number = float(text.lstrip("<>="))
    is_open = "=" not in text
    if text.startswith("<"):
        return Range(field, -math.inf, number, high_open=is_open)
    return Range(field, number, math.inf, low_open=is_open)
