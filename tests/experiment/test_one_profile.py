"""A package cut down to one profile of examples/beir: what is kept, and that it still ranks."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from small_beir import write_beir

from siftline.application import Application
from siftline.errors import UsageError
from siftline.experiment.mining.index import text_package
from siftline.experiment.mining.mine import mine
from siftline.experiment.mining.one_profile import for_profile
from siftline.experiment.mining.settings import Mining
from siftline.experiment.profiles import collection_index, silent
from siftline.schema.package import Package
from siftline.schema.read import read_package

BEIR = Path(__file__).parents[2] / "examples" / "beir"


@pytest.fixture(scope="module")
def package() -> Package:
    return read_package(BEIR)


@pytest.mark.parametrize(
    ("profile", "made", "profiles"),
    [
        ("bm25", {"contents"}, {"bm25"}),
        ("dense", {"contents", "embedding"}, {"dense"}),
        ("sparse-idf", {"contents", "sparse"}, {"sparse-idf", "sparse"}),
        (
            "dense-colbert",
            {"contents", "embedding", "tokens"},
            {"dense-colbert", "dense", "colbert"},
        ),
        (
            "dense-colbert-cross",
            {"contents", "embedding", "tokens", "token_ids"},
            {"dense-colbert-cross", "cross", "colbert"},
        ),
    ],
)
def test_only_what_a_profile_needs_is_kept(
    package: Package, profile: str, made: set[str], profiles: set[str]
) -> None:
    (schema,) = for_profile(package, profile).schemas.values()
    assert set(schema.fields) == {"title", "text"} | made
    assert set(schema.rank_profiles) == profiles
    whole = package.schema()
    assert schema.profile(profile) == whole.profile(profile)


def test_settings_of_what_is_gone_are_gone(package: Package) -> None:
    settings = for_profile(package, "dense").settings
    assert (settings.sparse_index, dict(settings.sparse_queries)) == (frozenset(), {})
    assert for_profile(package, "sparse").settings.sparse_index == {"passage.sparse"}
    with pytest.raises(UsageError, match="no rank profile 'bm52'; did you mean 'bm25'"):
        for_profile(package, "bm52")


def test_a_fed_package_needs_no_model_for_bm25(package: Package, tmp_path: Path) -> None:
    with Application(for_profile(package, "bm25"), tmp_path) as application:
        application.feed([{"_id": "a", "title": "Red", "text": "apple"}, {"_id": "b"}])
        assert application.query(query="apple", ranking="bm25").ids == ["id:beir:passage::a"]


def test_an_index_of_the_profile_is_made_and_used_again(tmp_path: Path) -> None:
    data = write_beir(
        tmp_path / "food", {"a": "apple pie", "b": "apple"}, {"q": "apple"}, train={"q": {"a": 1}}
    )
    app = tmp_path / "app"
    read_package(BEIR).save(app)
    for _ in range(2):
        mined = mine(app, data, tmp_path / "rows.jsonl", Mining(negatives=1))
        assert (mined.rows, mined.negatives) == (1, 1)
    made = tmp_path / "app.siftline"
    assert [path.name for path in (made / "mine" / "bm25").iterdir()] == ["food"]
    assert not (made / "eval").exists()


def test_an_index_that_eval_made_is_used(tmp_path: Path) -> None:
    data = write_beir(tmp_path / "d", {"a": "x", "b": "x y"}, {"q": "x"}, train={"q": {"a": 1}})
    app = text_package().save(tmp_path / "app")
    with collection_index(app, data, None, silent):
        pass
    assert mine(app, data, tmp_path / "rows.jsonl", Mining(negatives=1)).rows == 1
    assert not (tmp_path / "app.siftline" / "mine").exists()


def test_a_package_with_searchers_of_its_own_stays_whole() -> None:
    package = read_package(BEIR.with_name("model-evaluation"))
    assert for_profile(package, "default") is package


@pytest.mark.model
def test_a_sparse_profile_mines_with_its_model_alone(
    tmp_path: Path, model_folder: Callable[[str], Path]
) -> None:
    corpus = {
        "pie": "A pie is baked from dough and apples.",
        "tart": "How to bake a tart with pears.",
        "rain": "Rain falls from clouds over the sea.",
        "sun": "The sun is a star.",
    }
    queries = {"q1": "recipe for apple pie", "q2": "why does it rain"}
    data = write_beir(
        tmp_path / "food", corpus, queries, train={"q1": {"pie": 1}, "q2": {"rain": 1}}
    )
    model_folder("splade-tiny")
    app, out = tmp_path / "app", tmp_path / "rows.jsonl"
    read_package(BEIR).save(app)
    mine(app, data, out, Mining(profile="sparse", depth=5, negatives=1))
    first, second = map(json.loads, out.read_text().splitlines())
    assert (first["pos"], first["negs"]) == (corpus["pie"], [corpus["tart"]])
    assert second["pos"] == corpus["rain"]
    assert second["negs"][0] != corpus["rain"]
