"""The tree over a snapshot, against sets computed by brute force from the documents."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from match_corpus import dense, fill, names, prepared, sparse

from siftline.index.snapshot import Snapshot
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
from siftline.match.retrieve import retrieve

WORDS = "ash Birch cedar".split()
Document = Mapping[str, Any]

optional_text = st.one_of(st.none(), st.lists(st.sampled_from(WORDS), max_size=5).map(" ".join))
documents = st.fixed_dictionaries(
    {
        "title": optional_text,
        "tag": st.one_of(st.none(), st.sampled_from(["Red oak", "red oak", "blue"])),
        "cased": st.sampled_from(["Red", "red"]),
        "year": st.one_of(st.none(), st.integers(-3, 3)),
        "price": st.one_of(st.none(), st.sampled_from([0.5, 1.5, -2.0])),
        "open": st.one_of(st.none(), st.booleans()),
        "numbers": st.one_of(st.none(), st.lists(st.integers(0, 4), max_size=3)),
        "names": st.one_of(st.none(), st.lists(st.sampled_from(WORDS), max_size=2)),
        "weighted": st.one_of(
            st.none(), st.dictionaries(st.sampled_from(WORDS), st.integers(-2, 3))
        ),
    }
)

words = st.sampled_from([*WORDS, "ASH", "none"])
leaves = st.one_of(
    st.builds(Term, st.just("title"), words),
    st.builds(Term, st.sampled_from(["tag", "names", "weighted"]), st.sampled_from(
        ["RED OAK", "blue", "red", *WORDS])),
    st.builds(Term, st.just("cased"), st.sampled_from(["Red", "red", "RED"])),
    st.builds(Term, st.just("mixed"), st.sampled_from(["ash", "blue", "2"])),
    st.builds(
        Term, st.just("tag"), st.sampled_from(["re", "B", "x"]),
        st.just(TermAnnotations(prefix=True)),
    ),
    st.builds(Phrase, st.just("title"), st.lists(words, min_size=2, max_size=3).map(tuple)),
    st.builds(
        Near, st.just("title"), st.lists(words, min_size=1, max_size=3, unique=True).map(tuple),
        st.integers(0, 3), st.booleans(),
    ),
    st.builds(
        Range, st.sampled_from(["year", "price", "numbers", "open"]),
        st.sampled_from([-math.inf, -2, 0, 1]), st.sampled_from([math.inf, -2, 0, 1.5]),
        st.booleans(), st.booleans(),
    ),
    st.builds(In, st.sampled_from(["year", "numbers"]), st.lists(
        st.sampled_from([0, 1, -3, 2**40]), max_size=3).map(tuple)),
    st.builds(In, st.sampled_from(["tag", "names"]), st.lists(
        st.sampled_from(["BLUE", "cedar"]), max_size=2).map(tuple)),
    st.builds(In, st.just("title"), st.lists(words, max_size=2).map(tuple)),
    st.builds(Regex, st.sampled_from(["tag", "names"]), st.sampled_from(["^RED", "d$", "i.c", ""])),
    st.just(All()),
    st.just(Nothing()),
)  # fmt: skip
trees = st.recursive(
    leaves,
    lambda inner: st.one_of(
        st.builds(And, st.lists(inner, min_size=1, max_size=3).map(tuple)),
        st.builds(Or, st.lists(inner, min_size=1, max_size=3).map(tuple)),
        st.builds(Not, inner),
        st.builds(Rank, inner, st.lists(inner, max_size=2).map(tuple)),
        st.builds(WeakAnd, st.lists(inner, min_size=1, max_size=3).map(tuple), st.just(1000)),
    ),
    max_leaves=6,
)


def holds(node: Node, document: Document) -> bool:
    """Whether the document matches, from its plain values."""
    match node:
        case And(children):
            return all(holds(child, document) for child in children)
        case Or(children) | WeakAnd(children):
            return any(holds(child, document) for child in children)
        case Not(child):
            return not holds(child, document)
        case Rank(matching):
            return holds(matching, document)
    return isinstance(node, All) or leaf_holds(node, document)


def leaf_holds(node: Node, document: Document) -> bool:
    match node:
        case Term(field, text, notes):
            return any(_word(document, name, text, notes.prefix) for name in _members(field))
        case Phrase(_, wanted):
            have = _tokens(document)
            want = [w.lower() for w in wanted]
            return any(have[i : i + len(want)] == want for i in range(len(have)))
        case Near(_, wanted, distance, ordered):
            return _near(_tokens(document), [w.lower() for w in wanted], distance, ordered)
        case Range(field, low, high, low_open, high_open):
            return any(
                (low < v if low_open else low <= v) and (v < high if high_open else v <= high)
                for v in _values(document, field)
            )
        case In(field, wanted_values):
            if field == "title":
                return any(_word(document, field, str(value)) for value in wanted_values)
            lowered = {_lower(value) for value in wanted_values}
            return any(_lower(value) in lowered for value in _values(document, field))
        case Regex(field, expression):
            return any(
                re.search(expression, value, re.IGNORECASE) for value in _values(document, field)
            )
    return False


def _members(field: str) -> tuple[str, ...]:
    return ("title", "tag", "year") if field == "mixed" else (field,)


def _word(document: Document, field: str, text: str, prefix: bool = False) -> bool:
    if field == "title":
        return text.lower() in _tokens(document)
    if field == "year":
        return text.isdigit() and document["year"] == int(text)
    values = [v if field == "cased" else v.lower() for v in _values(document, field)]
    wanted = text if field == "cased" else text.lower()
    return any(v.startswith(wanted) if prefix else v == wanted for v in values)


def _tokens(document: Document) -> list[str]:
    return (document["title"] or "").lower().split()


def _values(document: Document, field: str) -> list[Any]:
    value = document[field]
    if value is None:
        # an unset bool is false
        return []
    return list(value) if isinstance(value, (list, dict)) else [value]


def _lower(value: Any) -> Any:
    return value.lower() if isinstance(value, str) else value


def _near(have: list[str], wanted: list[str], distance: int, ordered: bool) -> bool:
    for start in range(len(have)):
        window = have[start : start + distance + 1]
        if not ordered and all(word in window for word in wanted):
            return True
        if ordered and window[0] == wanted[0] and _in_order(window, wanted):
            return True
    return False


def _in_order(window: list[str], wanted: list[str]) -> bool:
    rest = iter(window)
    return all(word in rest for word in wanted)


@given(st.lists(st.lists(documents, max_size=5), min_size=1, max_size=3), st.data())
def test_trees_match_what_brute_force_says(
    batches: list[list[Document]], data: st.DataObject
) -> None:
    numbered, number = [], 0
    for batch in batches:
        numbered.append({f"id:n:doc::{number + i}": d for i, d in enumerate(batch)})
        number += len(batch)
    by_id = {id_: document for batch in numbered for id_, document in batch.items()}
    removed = data.draw(st.lists(st.sampled_from(sorted(by_id)), max_size=3, unique=True)
                        if by_id else st.just([]))  # fmt: skip
    with TemporaryDirectory() as folder, fill(Path(folder), numbered, removed) as index:
        snapshot = index.snapshot()
        for tree in data.draw(st.lists(trees, min_size=1, max_size=4)):
            found = retrieve(snapshot, prepared(tree))
            expected = [i for i in by_id if i not in removed and holds(tree, by_id[i])]
            assert snapshot.ids(found.documents) == expected
            assert (np.diff(found.documents) > 0).all()
            assert found.scores.tolist() == [0.0] * len(expected)


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """Nine documents: x = 10, 20 … 90, tag t1 … t9 (all), weights and sparse vectors."""
    batch = {}
    for i in range(1, 10):
        batch[f"id:n:doc::{i}"] = {
            "title": " ".join(["apple"] * i + ["pear"] * (10 - i)),
            "body": "apple" if i == 5 else "plum",
            "names": [f"t{t}" for t in range(i, 10)],
            "year": i,
            "vec": [10.0 * i, 0.0],
            "plain": [10.0 * i, 0.0] if i != 4 else None,
            "sparse": {"a": float(i), "b": float(10 - i)} if i != 3 else None,
            "weighted": {"a": i, "B": 1} if i % 2 else {"c": 2},
            "coded": {"7": i, "8": -1},
        }
    items = list(batch.items())
    with fill(tmp_path_factory.mktemp("small"), [dict(items[:4]), dict(items[4:])]) as index:
        yield index.snapshot()


def found(snapshot: Snapshot, root: Node, **query: Any) -> dict[str, list[float]]:
    """Names of the candidates → their columns, in the columns' order."""
    candidates = retrieve(snapshot, prepared(root, **query))
    columns = list(candidates.columns.values())
    rows = [[float(column[i]) for column in columns] for i in range(len(candidates))]  # type: ignore[index]
    return dict(zip(names(snapshot, candidates.documents), rows, strict=True))


INPUTS = {"q": dense(62, 0), "s": sparse({"a": 1.0, "b": 0.5, "zzz": 3.0})}


def test_weak_and_exposes_the_best(small: Snapshot) -> None:
    words = (Term("title", "apple"), Term("title", "pear"))
    # Each word is in every document, so shorter distance to an even mixture wins.
    few = found(small, WeakAnd(words, 3), hits=2)
    assert list(few) == ["4", "5", "6"]
    assert len(found(small, WeakAnd(words, 3), hits=4, offset=2)) == 6
    everything = found(small, WeakAnd((*words, Range("year", 9, 9)), 100))
    assert len(everything) == 9


def test_weak_and_gives_others_no_score(small: Snapshot) -> None:
    tree = WeakAnd((Range("year", 1, 2), Term("body", "apple")), 2)
    assert list(found(small, tree, hits=1)) == ["1", "5"]
    assert list(found(small, And((tree, Range("year", 2, 9))), hits=1)) == ["2", "5"]


def test_a_filter_stands_before_choosing(small: Snapshot) -> None:
    nearest = NearestNeighbor("vec", "q", 3)
    assert list(found(small, nearest, inputs=INPUTS)) == ["5", "6", "7"]
    tagged = And((nearest, Term("names", "t9"), Range("year", 1, 5)))
    assert list(found(small, tagged, inputs=INPUTS)) == ["3", "4", "5"]
    inside_or = And((Or((nearest, Range("year", 1, 1))), Range("year", 1, 4)))
    assert list(found(small, inside_or, inputs=INPUTS)) == ["1", "2", "3", "4"]
    excluding = And((nearest, Not(Range("year", 6, 6))))
    assert list(found(small, excluding, inputs=INPUTS)) == ["5", "7", "8"]


def test_raw_scores_are_of_the_operators_that_matched(small: Snapshot) -> None:
    tree = Or((NearestNeighbor("vec", "q", 1, label="n"), Range("year", 1, 1)))
    assert found(small, tree, inputs=INPUTS) == {"1": [0, 0], "6": [1 / 3, 1 / 3]}
    both = Or((NearestNeighbor("vec", "q", 1), NearestNeighbor("vec", "q", 2)))
    assert found(small, both, inputs=INPUTS) == {
        "6": [pytest.approx(2 / 3)],
        "7": [pytest.approx(1 / 9)],
    }


def test_rank_scores_only_what_matches(small: Snapshot) -> None:
    tree = Rank(Range("year", 1, 3), (NearestNeighbor("vec", "q", 1), Term("body", "plum")))
    assert found(small, tree, inputs=INPUTS) == {"1": [0], "2": [0], "3": [1 / 33]}
    assert found(small, Not(NearestNeighbor("vec", "q", 8)), inputs=INPUTS) == {"1": []}


def test_sparse_neighbors(small: Snapshot) -> None:
    """Products i + (10 - i) / 2, document 3 has no vector."""
    tree = NearestNeighbor("sparse", "s", 2)
    assert found(small, tree, inputs=INPUTS) == {"8": [9.0], "9": [9.5]}
    inside = And((NearestNeighbor("sparse", "s", 2), Range("year", 1, 4)))
    assert found(small, inside, inputs=INPUTS) == {"2": [6.0], "4": [7.0]}
    far = NearestNeighbor("sparse", "s", 9, distance_threshold=-9.0)
    assert list(found(small, far, inputs=INPUTS)) == ["8", "9"]


def test_dot_product_and_wand(small: Snapshot) -> None:
    dot = found(small, DotProduct("weighted", {"A": 2.0, "b": 10.0, "zzz": 1.0}))
    assert dot == {str(i): [2.0 * i + 10] for i in (1, 3, 5, 7, 9)}
    wand = Wand("weighted", {"a": 1.0, "c": 3.0}, 3)
    assert found(small, wand) == {"2": [6.0], "7": [7.0], "9": [9.0]}
    assert found(small, Wand("weighted", {"a": 1.0}, 9, 5.0)) == {"7": [7.0], "9": [9.0]}
    assert found(small, And((wand, Range("year", 1, 4)))) == {"2": [6.0], "3": [3.0], "4": [6.0]}
    numbers = found(small, DotProduct("coded", {"7": 2.0, "8": 1.0, "x": 5.0}))
    assert numbers == {str(i): [2.0 * i - 1] for i in range(1, 10)}
    assert found(small, Wand("sparse", {"a": 1.0, "b": 0.5}, 1)) == {"9": [9.5]}
    assert len(found(small, DotProduct("sparse", {"b": 1.0}))) == 8


@pytest.mark.parametrize(
    "tree",
    [
        WeakAnd((Term("title", "apple"), Term("default", "pear"),
                 Phrase("title", ("apple", "pear"))), 4),
        NearestNeighbor("vec", "q", 4),
        NearestNeighbor("sparse", "s", 4),
        And((NearestNeighbor("sparse", "s", 4), Range("year", 2, 7))),
    ],
)  # fmt: skip
def test_exhaustive_finds_the_same(small: Snapshot, tree: Node) -> None:
    usual = found(small, tree, inputs=INPUTS, hits=4)
    assert usual == found(small, tree, inputs=INPUTS, hits=4, exhaustive=True)


def test_an_unset_number_is_in_no_range(tmp_path: Path) -> None:
    with fill(tmp_path, [{"id:n:doc::1": {}, "id:n:doc::2": {"year": 0}}]) as index:
        every = Range("year", -math.inf, math.inf)
        assert list(found(index.snapshot(), every)) == ["2"]


def test_an_empty_index_has_no_candidates(tmp_path: Path) -> None:
    with fill(tmp_path, [{}]) as index:
        for tree in (All(), Not(Nothing()), NearestNeighbor("vec", "q", 3),
                     NearestNeighbor("sparse", "s", 3), WeakAnd((Term("title", "a"),)),
                     DotProduct("weighted", {"a": 1.0}), Term("title", "a")):  # fmt: skip
            assert found(index.snapshot(), tree, inputs=INPUTS) == {}
