"""Importing, making and configuring the components of a package."""

import sys
from pathlib import Path
from typing import Any

import pytest
from packages import NOTES, document_chain, search_chain, write

import siftline
from siftline.errors import PackageError
from siftline.process.modules import PREFIX, ComponentModules

PASS = """
    from siftline.process import Searcher

    class Pass(Searcher):
        def search(self, query, execution):
            return execution.search(query)
"""


def part(app: Any) -> Any:
    """The only searcher's object."""
    (found,) = app.chains._search["default"].parts
    return found.target


def test_modules_of_the_same_name_do_not_clash(tmp_path: Path) -> None:
    for name in ("one", "two"):
        write(
            tmp_path / name,
            document_chain("work.mark"),
            work="""
                from words import WORD
                import deep.inner
                def mark(operation):
                    return operation.with_fields(text=WORD + deep.inner.END)
            """,
            words=f"WORD = '{name}'",
            deep__inner="from .other import END",
            deep__other="END = '!'",
        )
    with siftline.open(tmp_path / "one") as one, siftline.open(tmp_path / "two") as two:
        for app, text in ((one, "one!"), (two, "two!")):
            app.feed(NOTES[:1])
            assert app.get("a")["text"] == text  # type: ignore[index]
    assert "words" not in sys.modules and "work" not in sys.modules
    assert not [name for name in sys.modules if name.startswith(PREFIX)]


def test_a_package_is_opened_again_with_changed_code(tmp_path: Path) -> None:
    for word in ("old", "new"):
        # the same length and, most likely, the same second: no cached byte code may stand
        folder = write(
            tmp_path / "app",
            document_chain("work.mark"),
            work=f"mark = lambda operation: None\ndef mark(o): return o.with_fields(text='{word}')",
        )
        with siftline.open(folder) as app:
            app.feed([{"_id": word, "text": ""}])
            assert app.get(word)["text"] == word  # type: ignore[index]
    assert not list(folder.rglob("__pycache__"))


def test_imports_inside_functions_and_of_installed_modules(tmp_path: Path) -> None:
    (tmp_path / "words.py").write_text("import json\nfrom string import digits\nVALUE = 3\n")
    (tmp_path / "string.py").write_text("digits = 'own'\n")
    (tmp_path / "late.py").write_text(
        "def value():\n    import words\n    from words import json\n    return words.VALUE, json\n"
    )
    modules = ComponentModules(tmp_path)
    late, words = modules.load("late"), modules.load("words")
    assert late.value() == (3, sys.modules["json"]) and words.digits == "own"
    assert modules.names == ["late", "string", "words"]
    assert words.__name__.startswith(PREFIX)
    modules.close()
    with pytest.raises(ModuleNotFoundError):
        modules.load("words")
    # what was made of the modules lives on
    assert words.VALUE == 3


COMPONENT = """
    from collections.abc import Mapping
    from dataclasses import dataclass, field
    from enum import Enum
    from typing import Annotated, Literal
    from siftline.process import (
        Embedder, Embedders, ModelsEvaluator, Package, Searcher,
    )

    class Mode(Enum):
        fast = 1
        exact = 2

    @dataclass(frozen=True)
    class Inner:
        x: float = 0.5

    @dataclass(frozen=True)
    class Pairwise:
        depth: int
        mode: Mode = Mode.fast
        kind: Literal["a", "b"] = "a"
        on: bool = False
        names: tuple[str, ...] = ()
        numbers: list[int] = field(default_factory=list)
        weights: Mapping[str, float] = field(default_factory=dict)
        inner: Inner = Inner()
        top_k: int | None = None

    class Base(Searcher):
        def search(self, query, execution):
            return execution.search(query)

    class Everything(Base):
        def __init__(self, models: ModelsEvaluator, first: Embedder, package: Package,
                     all_of_them: Embedders, b: Annotated[Embedder, "second-one"],
                     config: Pairwise, unknown: int = 3, *more: str):
            self.given = dict(vars(), self=None)

    class Only(Base):
        def __init__(self, whichever: Embedder):
            self.embedder = whichever

    class Models(Base):
        def __init__(self, models: ModelsEvaluator):
            pass

    class Untyped(Base):
        def __init__(self, thing):
            pass

    class Number(Base):
        def __init__(self, size: int):
            pass

    class Configured(Base):
        def __init__(self, settings: Pairwise):
            self.settings = settings

    class Raises(Base):
        def __init__(self):
            raise RuntimeError("no")

    class Plain:
        def search(self, query, execution):
            return execution.search(query)

    class Half(Searcher):
        pass

    def short(query):
        return None

    VALUE = 3
"""

EMBEDDER = (
    '<component id="{}" type="hugging-face-tokenizer"><model path="tokenizer.json"/></component>'
)
CONFIG = """<config name="work.pairwise">
    <depth>20</depth> <mode>exact</mode> <kind>b</kind> <on>true</on>
    <names><item>x</item><item>y</item></names> <numbers><item>1</item></numbers>
    <weights><item key="a b">0.5</item></weights> <inner><x>2</x></inner> <top-k>5</top-k>
</config>"""


def searcher(id_: str, inside: str = "", beside: str = "") -> str:
    element = f'<searcher id="{id_}">{inside}</searcher>'
    return f'{beside}<search><chain id="default" inherits="vespa">{element}</chain></search>'


def test_everything_that_can_be_given(tmp_path: Path) -> None:
    beside = "<model-evaluation/>" + EMBEDDER.format("first") + EMBEDDER.format("second-one")
    container = searcher("work.Everything", CONFIG, beside)
    folder = write(tmp_path / "app", container, work=COMPONENT)
    make_tokenizer(folder)
    with siftline.open(folder) as app:
        given = part(app).given
        assert given["models"] is app.models and given["package"] is app.package
        assert given["first"] is app.embedders["first"] and given["all_of_them"] is app.embedders
        assert given["b"] is app.embedders["second-one"] and given["unknown"] == 3
        config = given["config"]
        assert (config.depth, config.mode.name, config.kind, config.on) == (20, "exact", "b", True)
        assert config.names == ("x", "y") and config.numbers == [1] and config.top_k == 5
        assert config.weights == {"a b": 0.5} and config.inner.x == 2.0


def make_tokenizer(folder: Path) -> None:
    from tokenizers import Tokenizer, models

    Tokenizer(models.WordLevel({"a": 0, "[UNK]": 1}, unk_token="[UNK]")).save(
        str(folder / "tokenizer.json")
    )


def test_the_only_embedder_needs_no_name(tmp_path: Path) -> None:
    folder = write(
        tmp_path / "app", searcher("work.Only", beside=EMBEDDER.format("e")), work=COMPONENT
    )
    make_tokenizer(folder)
    with siftline.open(folder) as app:
        assert part(app).embedder is app.embedders["e"]


def test_a_configuration_of_defaults_needs_no_element(tmp_path: Path) -> None:
    container = searcher("work.Configured", "<config name='x'><depth>1</depth></config>")
    with siftline.open(write(tmp_path / "app", container, work=COMPONENT)) as app:
        assert part(app).settings.depth == 1 and part(app).settings.inner.x == 0.5


@pytest.mark.parametrize(
    ("id_", "inside", "message"),
    [
        ("wrok.Pass", "", r"'wrok.Pass': there is no ext/components/wrok.py; did you mean 'work'"),
        ("work.Passs", "", r"module 'work' has no 'Passs'"),
        ("work.Only", "", r"'work.Only', parameter 'whichever': services.xml has no embedder .*"),
        ("work.Models", "", r"parameter 'models': services.xml has no <model-evaluation/>"),
        ("work.Untyped", "", r"parameter 'thing': it has no type.*there is: Package, Embedders"),
        ("work.Number", "", r"parameter 'size': nothing of type int can be given; there is: Pack"),
        ("work.Configured", "", r"parameter 'settings': no <config>: no value for 'depth'"),
        (
            "work.Configured",
            "<config name='a.pairwise'><dept>1</dept></config>",
            "unknown value 'dept'; did you mean 'depth'",
        ),
        (
            "work.Configured",
            "<config name='a.pairwise'><depth>many</depth></config>",
            "depth: expected a whole number, got 'many'",
        ),
        (
            "work.Configured",
            "<config name='a'><depth>1</depth></config><config name='b'><depth>1</depth></config>",
            "no <config> is named like it or like Pairwise",
        ),
        ("work.Base", "<config name='a'><b>1</b></config>", "no parameter that is a dataclass"),
        ("work.short", "", r"must be a function of \(query, execution\), not of \(query\)"),
        ("work.Raises", "", "work.py:[0-9]+: component 'work.Raises' cannot be made: RuntimeErr"),
        ("work.Half", "", "'work.Half' cannot be made: TypeError: .*abstract"),
        ("work.Plain", "", "'work.Plain' is no Searcher; let the class inherit from"),
        ("work.VALUE", "", "'work.VALUE' is int, expected a class that is a Searcher"),
        (
            "broken.X",
            "",
            "ext/components/broken.py:2: .*'broken.X' cannot be imported: SyntaxError",
        ),
        ("missing.X", "", "missing.py:1: .* cannot be imported: ModuleNotFoundError: .*'nowhere'"),
        ("leaves.X", "", "leaves.py:1: .* cannot be imported: SystemExit: 2"),
        ("package.X", "", "module 'package' has no 'X'"),
    ],
)
def test_refused_when_the_package_is_opened(
    tmp_path: Path, id_: str, inside: str, message: str
) -> None:
    folder = write(
        tmp_path / "app",
        searcher(id_, inside),
        work=COMPONENT,
        broken="x = 1\nclass (",
        missing="import nowhere",
        leaves="raise SystemExit(2)",
        package____init__="",
    )
    with pytest.raises(PackageError, match=message) as error:
        siftline.open(folder)
    assert error.value.place is not None and error.value.place.line is not None
    assert not [name for name in sys.modules if name.startswith(PREFIX)]
    with pytest.raises(PackageError):
        siftline.open(folder)  # the index was let go


def test_components_are_closed_with_their_application(tmp_path: Path) -> None:
    code = """
        from siftline.process import DocumentProcessor
        closed = []
        class A(DocumentProcessor):
            def process(self, operation): return None
            def close(self): closed.append(type(self).__name__)
        class B(A): pass
    """
    app = siftline.open(write(tmp_path / "app", document_chain("work.A", "work.B"), work=code))
    closed = app.chains.documents.parts[0].call.__globals__["closed"]
    app.close()
    assert closed == ["B", "A"]


def test_a_close_that_raises_keeps_nothing_open(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    code = """
        from siftline.process import Searcher
        class A(Searcher):
            def search(self, query, execution): return execution.search(query)
            def close(self): raise OSError("stuck")
    """
    folder = write(tmp_path / "app", search_chain("work.A"), work=code)
    for _ in range(2):
        siftline.open(folder).close()
    assert "closing component 'work.A': OSError: stuck" in caplog.text
    assert not [name for name in sys.modules if name.startswith(PREFIX)]


def test_a_package_without_files_has_no_code(tmp_path: Path) -> None:
    import dataclasses

    from siftline.application import Application
    from siftline.schema.read import read_package

    read = read_package(write(tmp_path / "app", search_chain("work.Pass"), work=PASS))
    with pytest.raises(PackageError, match="save the package first"):
        Application(dataclasses.replace(read, folder=None), tmp_path / "data")


def test_a_saved_package_runs(tmp_path: Path) -> None:
    from siftline.schema.read import read_package

    read_package(write(tmp_path / "app", search_chain("work.Pass"), work=PASS)).save(
        tmp_path / "copy"
    )
    with siftline.open(tmp_path / "copy") as app:
        app.feed(NOTES)
        assert app.query(query="moon").ids == ["id:app:note::c"]
