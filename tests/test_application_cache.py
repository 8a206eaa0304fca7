"""The cache of query encodings in an application: on, switched off, and never stale."""

from pathlib import Path

import pytest

import siftline
from siftline.application import Application

SERVICES = """<services version="1.0">
  <container id="default" version="1.0">
    <component id="words" type="splade-embedder">
      <transformer-model path="models/splade/model.onnx"/>
      <tokenizer-model path="models/splade/tokenizer.json"/>
    </component>
    <search/><document-api/>
  </container>
  <content id="notes" version="1.0">
    <documents><document type="note" mode="index"/></documents>
  </content>
</services>
"""

SCHEMA = """schema note {
  document note {
    field text type string { indexing: index | summary }
  }
  field words type tensor<float>(token{}) { indexing: input text | embed words | attribute }
  rank-profile sparse {
    inputs { query(q) tensor<float>(token{}) }
    first-phase { expression: sum(query(q) * attribute(words)) }
  }
}
"""

TEXTS = ["a cat sat on the mat", "dogs bark at night", "the night is dark"]


@pytest.fixture
def package(tmp_path: Path) -> Path:
    folder = tmp_path / "notes"
    (folder / "schemas").mkdir(parents=True)
    (folder / "services.xml").write_text(SERVICES)
    (folder / "schemas" / "note.sd").write_text(SCHEMA)
    settings(folder, "")
    return folder


def settings(package: Path, text: str) -> None:
    (package / "ext").mkdir(exist_ok=True)
    models = '[models]\n"models/splade" = "splade-tiny"\n'
    (package / "ext" / "siftline.toml").write_text(models + text)


def ask(app: Application, text: str) -> list[tuple[str, float]]:
    result = app.query(
        yql="select * from note where true",
        ranking="sparse",
        hits=100,
        **{"input.query(q)": "embed(words, @t)", "t": text},
    )
    return [(hit.id, hit.relevance) for hit in result]


def feed(app: Application) -> None:
    app.feed([{"_id": str(i), "text": text} for i, text in enumerate(TEXTS)])


@pytest.mark.model
def test_a_question_asked_again_is_not_encoded_again(package: Path) -> None:
    with siftline.open(package) as app:
        feed(app)
        first = ask(app, "cats at night")
        assert ask(app, "cats at night") == first and len(first) == 3
        statistics = app.query_cache.statistics()
        assert (statistics.hits, statistics.misses, statistics.limit) == (1, 1, 32 << 20)
    with siftline.open(package, query_cache=0) as app:
        assert ask(app, "cats at night") == first
        assert ask(app, "cats at night") == first
        assert app.query_cache.statistics().misses == 0


@pytest.mark.model
def test_the_package_says_how_much_is_kept(package: Path) -> None:
    settings(package, '[cache]\nquery-encodings = "2 MiB"\n')
    with siftline.open(package) as app:
        assert app.query_cache.limit == 2 << 20
    settings(package, "[cache]\nquery-encodings = 0\n")
    with siftline.open(package) as app:
        assert app.query_cache.limit == 0
    with siftline.open(package, query_cache=1000) as app:
        assert app.query_cache.limit == 1000


@pytest.mark.model
def test_weights_that_the_corpus_gives_are_never_old(package: Path) -> None:
    settings(
        package,
        '[schemas.note]\nsparse-index = ["words"]\n[embedders.words]\nquery = "idf"\n',
    )
    with siftline.open(package) as app:
        feed(app)
        before = dict(ask(app, "cat night"))
        app.feed([{"_id": f"n{i}", "text": "night night night"} for i in range(20)])
        after = dict(ask(app, "cat night"))
        night = "id:notes:note::1"
        assert after[night] < before[night]
        assert app.query_cache.statistics().misses == 0
