"""Chains and handlers of services.xml: read, put in order, written back, refused."""

import itertools
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from siftline.errors import PackageError
from siftline.schema.chains import (
    Chain,
    ChainedComponent,
    Checkpoint,
    HandlerComponent,
    order,
    resolve_chain,
)
from siftline.schema.package import Package
from siftline.schema.read import read_package
from siftline.schema.services import parse_services

WHOLE = """<services>
  <container id="default">
    <search>
      <searcher id="words.Spelling"><provides>spelled</provides></searcher>
      <chain id="base" inherits="vespa">
        <phase id="rewriting"><before>rawQuery</before></phase>
        <searcher id="words.Synonyms" before="rewriting" after="spelled"/>
        <searcher idref="words.Spelling"/>
      </chain>
      <chain id="default" inherits="base" excludes="words.Synonyms">
        <searcher id="ranking.Pairwise">
          <config name="ranking.pairwise">
            <depth>20</depth>
            <models><item>small</item><item>large</item></models>
            <weights><item key="a b">1</item><item key="c">2</item></weights>
          </config>
        </searcher>
      </chain>
    </search>
    <document-processing>
      <chain id="default"><documentprocessor id="words.clean"/></chain>
      <chain id="vectors" inherits="indexing"><documentprocessor id="words.Vector"/></chain>
    </document-processing>
    <handler id="models.Handler">
      <binding>http://*/models/*</binding><binding>http://*/m</binding>
    </handler>
  </container>
  <content id="docs">
    <documents><document-processing cluster="default" chain="vectors"/></documents>
  </content>
</services>
"""


def test_chains_are_values() -> None:
    services = parse_services(WHOLE)
    spelling = ChainedComponent("words.Spelling", provides=("spelled",), shared=True)
    pairwise = ChainedComponent(
        "ranking.Pairwise",
        config={
            "ranking.pairwise": {
                "depth": "20",
                "models": ("small", "large"),
                "weights": {"a b": "1", "c": "2"},
            }
        },
    )
    assert services.search_chains == {
        "base": Chain(
            "base",
            inherits=("vespa",),
            components=(
                ChainedComponent("words.Synonyms", before=("rewriting",), after=("spelled",)),
                spelling,
            ),
            checkpoints=(Checkpoint("rewriting", before=("rawQuery",)),),
        ),
        "default": Chain("default", ("base",), ("words.Synonyms",), (pairwise,)),
    }
    assert services.document_chains["vectors"].components == (ChainedComponent("words.Vector"),)
    assert services.document_chain == "vectors"
    assert services.handlers == {
        "models.Handler": HandlerComponent("models.Handler", ("http://*/models/*", "http://*/m"))
    }
    assert services.python_components == (
        "words.Synonyms", "words.Spelling", "ranking.Pairwise", "words.clean", "words.Vector",
        "models.Handler",
    )  # fmt: skip


def test_inherited_components_come_first_and_excluded_ones_not_at_all() -> None:
    chains = parse_services(WHOLE).search_chains
    base = resolve_chain(chains, "base", "search")
    assert [c.id for c in base.components] == ["words.Spelling", "words.Synonyms"] and base.ends
    default = resolve_chain(chains, "default", "search")
    assert [c.id for c in default.components] == ["words.Spelling", "ranking.Pairwise"]
    assert default.ends
    assert resolve_chain(chains, "vespa", "search").components == ()
    documents = parse_services(WHOLE).document_chains
    assert not resolve_chain(documents, "default", "document").ends


def test_a_components_own_definition_replaces_the_inherited_one() -> None:
    chains = {
        "a": Chain("a", components=(ChainedComponent("m.X", provides=("old",)),)),
        "b": Chain("b", ("a",), components=(ChainedComponent("m.X", provides=("new",)),)),
    }
    (only,) = resolve_chain(chains, "b", "search").components
    assert only.provides == ("new",)


def test_written_back_equal(tmp_path: Path) -> None:
    services = parse_services(WHOLE.replace("<content", "<!-- ... --><content"))
    package = Package("app", {}, services)
    package.save(tmp_path / "app")
    assert "<!-- ... -->" in (tmp_path / "app" / "services.xml").read_text()
    source, built = services.source, Package("app", {}, parse_services(WHOLE))
    object.__setattr__(built.services, "source", None)
    built.save(tmp_path / "built")
    assert (tmp_path / "built" / "services.xml").read_text() != source
    assert read_package(tmp_path / "built").services == services


def test_components_travel_with_a_saved_package(tmp_path: Path) -> None:
    first = tmp_path / "first"
    (first / "ext" / "components" / "deep").mkdir(parents=True)
    (first / "services.xml").write_text(WHOLE)
    (first / "ext" / "components" / "deep" / "words.py").write_text("x = 1\n")
    read_package(first).save(tmp_path / "second")
    copied = tmp_path / "second" / "ext" / "components" / "deep" / "words.py"
    assert copied.read_text() == "x = 1\n"


def names(*components: ChainedComponent) -> list[str]:
    return [c.id for c in order("chain", components, (), "search")]


def test_order_as_written_where_nothing_is_said() -> None:
    parts = [ChainedComponent(f"m.{name}") for name in "cab"]
    assert names(*parts) == ["m.c", "m.a", "m.b"]


def test_everybody_who_provides_a_name_comes_before_those_after_it() -> None:
    late = ChainedComponent("m.late", after=("x",))
    one, two = (
        ChainedComponent("m.one", provides=("x",)),
        ChainedComponent("m.two", provides=("x",)),
    )
    assert names(late, one, two) == ["m.one", "m.two", "m.late"]
    early = ChainedComponent("m.early", before=("x",))
    assert names(one, two, early) == ["m.early", "m.one", "m.two"]


def test_a_star_is_first_or_last() -> None:
    first, last = ChainedComponent("m.first", before=("*",)), ChainedComponent("m.z", after=("*",))
    middle = ChainedComponent("m.middle")
    assert names(last, middle, first) == ["m.first", "m.middle", "m.z"]


def test_the_phases_of_vespas_chains_are_checkpoints() -> None:
    a = ChainedComponent("m.a", after=("blendedResult",))
    b = ChainedComponent("m.b", before=("transformedQuery",))
    assert names(a, b) == ["m.b", "m.a"]


@given(st.permutations(range(5)), st.sets(st.tuples(st.integers(0, 4), st.integers(0, 4))))
def test_every_order_holds_its_constraints(written: list[int], pairs: set[tuple[int, int]]) -> None:
    """Constraints from a lower to a higher number can always be kept."""
    wanted = {(low, high) for low, high in pairs if low < high}
    components = [
        ChainedComponent(
            f"m.c{n}",
            before=tuple(f"m.c{high}" for low, high in wanted if low == n and high % 2),
            after=tuple(f"m.c{low}" for low, high in wanted if high == n and not high % 2),
        )
        for n in written
    ]
    found = names(*components)
    assert sorted(found) == sorted(c.id for c in components)
    for low, high in wanted:
        assert found.index(f"m.c{low}") < found.index(f"m.c{high}")
    expected = [list(p) for p in itertools.permutations(range(5)) if fits(p, wanted)]
    assert [int(name[-1]) for name in found] in expected
    if not wanted:
        assert found == [f"m.c{n}" for n in written]


def fits(order_: tuple[int, ...], wanted: set[tuple[int, int]]) -> bool:
    return all(order_.index(low) < order_.index(high) for low, high in wanted)


CHAIN = "<services><container id='c'><search>\n{}\n</search></container></services>"
HANDLERS = (
    "<services><container>\n<handler id='m.X'><binding>{}</binding></handler>\n"
    "<handler id='m.Y'><binding>{}</binding></handler></container></services>"
)
DOCUMENTS = (
    "<services><container id='c'><document-processing>\n{}\n</document-processing></container>"
    "<content id='x'><documents>\n\n<document-processing chain='{}'/></documents></content>"
    "</services>"
)


@pytest.mark.parametrize(
    ("text", "message", "line"),
    [
        (CHAIN.format("<chain id='a' inherits='vepsa'/>"), "no search chain 'vepsa'; did you", 2),
        (CHAIN.format("<chain id='a' inherits='a'/>"), "inherits itself: a -> a", 2),
        (CHAIN.format("<chain id='vespa'/>"), "'vespa' is a built-in one", 2),
        (CHAIN.format("<chain id='a'/>\n<chain id='a'/>"), "defined twice", 3),
        (CHAIN.format("<chian id='a'/>"), "unknown element <chian>.*did you mean 'chain'", 2),
        (CHAIN.format("<chain id='a'><federation/></chain>"), "unknown element <federation>", 2),
        (CHAIN.format("<chain id='a'><searcher id='m.X'><b/></searcher></chain>"), "unknown el", 2),
        (CHAIN.format("<chain id='a'><searcher id='../m.X'/></chain>"), "no Python component", 2),
        (CHAIN.format("<chain id='a' inherit='vespa'/>"), "attribute 'inherit'.*'inherits'", 2),
        (
            CHAIN.format("<chain id='a'>\n<searcher id='m.X' after='blendResult'/></chain>"),
            "'m.X' of chain 'a' .* 'blendResult', which nothing .*'blendedResult'",
            3,
        ),
        (
            CHAIN.format(
                "<chain id='a'>\n<searcher id='m.X' after='m.Y'/>\n<searcher id='m.Y' after='m.X'/>"
                "</chain>"
            ),
            "chain 'a' has no order: m.[XY] before m.[XY] before m.[XY]",
            3,
        ),
        (CHAIN.format("<searcher id='m.X'/>"), "'m.X' is in no chain", 2),
        (CHAIN.format("<chain id='a'><searcher idref='m.X'/></chain>"), "outside the chains", 2),
        (
            CHAIN.format("<chain id='a'><searcher id='m.X'/>\n<searcher id='m.X'/></chain>"),
            "is in chain 'a' twice",
            3,
        ),
        (CHAIN.format("<chain id='a' excludes='m.X'/>"), "excludes 'm.X', which it does not", 2),
        (DOCUMENTS.format("<chain id='a'/>", "b"), "no document chain 'b'", 5),
        (DOCUMENTS.format("<chain id='a'/>", "a"), "'a' must inherit from 'indexing'", 5),
        (DOCUMENTS.format("<chain id='default' inherits='indexing'/>", "default"), "twice", 5),
        (
            DOCUMENTS.format(
                "<chain id='a'><documentprocessor id='m.X' after='indexingStart'/></chain>", "a"
            ),
            "indexing scripts run behind the whole chain",
            2,
        ),
        (
            "<services><container>\n<handler id='m.X'/></container></services>",
            "'m.X' has no <binding>",
            2,
        ),
        (HANDLERS.format("/models/*", "http://*/m"), "'/models/\\*' is no binding", 2),
        (HANDLERS.format("http://*/m", "http://*/m"), "is bound to handler 'm.X' already", 3),
        (
            CHAIN.format(
                "<chain id='a'><searcher id='m.X'><config name='c'>\nx</config></searcher></chain>"
            ),
            "holds elements, not text",
            2,
        ),
    ],
)
def test_refused_with_their_line(text: str, message: str, line: int) -> None:
    with pytest.raises(PackageError, match=message) as error:
        parse_services(text)
    assert error.value.place is not None and error.value.place.line == line
