"""Rankings of many queries: plain words, any depth, in order, and on disk as they come."""

import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from siftline.application import Application
from siftline.errors import QueryError, UsageError
from siftline.experiment.mining.rankings import RankingFile, deepened, in_order, rank_all, rank_one
from siftline.match.query import And, NearestNeighbor, Not, Or, Rank, Term, Wand
from small_package import write_package

SCHEMA = """schema note {
  document note {
    field title type string { indexing: index
      index: enable-bm25 }
    field price type int { indexing: attribute }
    field vec type tensor<float>(x[2]) {
      indexing: attribute
      attribute { distance-metric: euclidean }
    }
  }
  fieldset default { fields: title }
  rank-profile text { first-phase { expression: bm25(title) } }
  rank-profile near {
    inputs { query(q) tensor<float>(x[2]) }
    first-phase { expression: closeness(field, vec) }
  }
}
"""
NEAREST = """<query-profile id="near">
  <field name="ranking">near</field>
  <field name="yql">select * from note where {targetHits:2}nearestNeighbor(vec, q)</field>
  <field name="input.query(q)">[0, 0]</field>
</query-profile>
"""


@pytest.fixture(scope="module")
def notes(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Application]:
    """500 notes; note n is n away from the query of "near", and all say "word"."""
    package = write_package(tmp_path_factory.mktemp("package") / "notes", SCHEMA)
    profiles = package / "search" / "query-profiles"
    profiles.mkdir(parents=True)
    (profiles / "near.xml").write_text(NEAREST)
    with Application.open(package) as application:
        application.feed(
            {"_id": f"n{n}", "title": f"word title{n}", "price": n, "vec": [n, 0]}
            for n in range(500)
        )
        yield application


def test_a_ranking_is_as_deep_as_asked(notes: Application) -> None:
    assert rank_one(notes, "near", "any", 7) == [f"n{n}" for n in range(7)]
    assert rank_one(notes, "near", "any", 450) == [f"n{n}" for n in range(450)]
    assert len(rank_one(notes, "text", "word", 450)) == 450


def test_no_sign_in_a_text_is_an_operator(notes: Application) -> None:
    assert rank_one(notes, "text", "-title3", 9) == ["n3"]
    assert rank_one(notes, "text", 'price:9 "title3 (', 9) == ["n3"]
    assert rank_one(notes, "text", "?!", 9) == []
    with pytest.raises(QueryError, match="'txt'"):
        rank_one(notes, "txt", "word", 9)


def test_rankings_come_in_the_order_of_the_texts(notes: Application) -> None:
    texts = [f"title{n}" for n in range(0, 500, 7)]
    assert list(rank_all(notes, "text", texts, 1)) == [[f"n{n}"] for n in range(0, 500, 7)]


def test_only_what_chooses_documents_gets_deeper() -> None:
    near, wand, term = NearestNeighbor("v", "q", 5), Wand("w", {"a": 1}, 200), Term("t", "x")
    tree = Or((And((near, Not(near))), Rank(near, (near,)), wand, term))
    deep = NearestNeighbor("v", "q", 99)
    assert deepened(tree, 99) == Or((And((deep, Not(near))), Rank(deep, (near,)), wand, term))


def test_items_are_worked_on_together_and_few_are_taken_ahead() -> None:
    meeting = threading.Barrier(4, timeout=30)
    taken = []

    def items() -> Iterator[int]:
        for n in range(1000):
            taken.append(n)
            yield n

    def meet(n: int) -> int:
        if n < 4:
            meeting.wait()
        if n == 20:
            raise ValueError("bad item")
        return n * n

    results = in_order(meet, items(), 4)
    assert [next(results) for _ in range(20)] == [n * n for n in range(20)]
    with pytest.raises(ValueError, match="bad item"):
        next(results)
    assert len(taken) < 40


@given(st.lists(st.lists(st.text(max_size=3), max_size=4), max_size=6), st.data())
def test_a_torn_file_goes_on_behind_its_last_whole_line(
    tmp_path_factory: pytest.TempPathFactory, rankings: list[list[str]], data: st.DataObject
) -> None:
    path, about = tmp_path_factory.mktemp("r") / "rankings", {"depth": 3}
    file = RankingFile(path, about)
    head = path.stat().st_size
    for names in rankings:
        file.add(names)
    file.close()
    cut = data.draw(st.integers(head, path.stat().st_size))
    whole = path.read_bytes()[:cut].count(b"\n") - 1
    with path.open("r+b") as torn:
        torn.truncate(cut)
    again = RankingFile(path, about)
    assert again.count == whole
    for names in rankings[whole:]:
        again.add(names)
    assert list(again) == rankings
    again.remove()
    assert not path.exists()


def test_a_file_about_something_else_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "rankings"
    RankingFile(path, {"depth": 3, "profile": "bm25"}).close()
    with pytest.raises(UsageError, match=r"rankings:? .*depth: 3, now 4\); remove it"):
        RankingFile(path, {"depth": 4, "profile": "bm25"})
    path.write_text("no JSON")
    with pytest.raises(UsageError, match="or of none"):
        RankingFile(path, {"depth": 4})
