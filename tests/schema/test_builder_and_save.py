"""The Python builder, and packages that are saved and read back equal."""

import dataclasses
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import siftline
import tensor_strategies
from siftline.errors import PackageError
from siftline.schema import builder, write
from siftline.schema.definition import (
    Constant,
    DocumentSummary,
    Expression,
    Field,
    FieldSet,
    FieldType,
    Function,
    Hnsw,
    Input,
    OnnxModel,
    Phase,
    RankProfile,
    Schema,
)
from siftline.schema.field_type import parse_field_type
from siftline.schema.indexing import parse_script
from siftline.schema.package import (
    Component,
    ModelReference,
    Package,
    QueryProfile,
    Services,
    Settings,
    SparseQuery,
)
from siftline.schema.read import read_package
from siftline.schema.sd import parse_schema
from siftline.tensor.tensor import Tensor
from siftline.tensor.types import TensorType

BOOKS = """
schema book {
  document book {
    field title type string {
      indexing: index | summary
      index: enable-bm25
      match: text
      alias: name
    }
  }
  field vector type tensor<float>(x[4]) {
    indexing: input title | embed e5 | attribute | index
    attribute { distance-metric: angular
      paged }
    index { hnsw { max-links-per-node: 8 } }
  }
  fieldset default { fields: title }
  document-summary short { summary title {} }
  onnx-model m { file: models/m.onnx
    input x: y }
  rank-profile base {
    inputs { query(q) tensor<float>(x[4]): [1, 2, 3, 4]  query(w) double: 0.5 }
    constants { pi: 3.25 }
    function y() { expression: query(q) * pi }
    function f(a, b) { expression: a + b }
    first-phase { expression: bm25(title) }
    second-phase { rerank-count: 24
      expression: onnx(m){d0:0} }
    match-features: bm25(title) closeness(field, vector)
    rank-properties { bm25(title).k1: 1.1 }
    num-threads-per-search: 4
  }
  rank-profile child inherits base { global-phase { expression: y } }
}
"""


def books() -> Package:
    schema = builder.Schema(
        "book",
        builder.Field(
            "title", "string", "index | summary", index="enable-bm25", match="text", alias="name"
        ),  # fmt: skip
        builder.Field(
            "vector",
            "tensor<float>(x[4])",
            "input title | embed e5 | attribute | index",
            inside=False,
            attribute="paged",
            distance_metric="angular",
            hnsw=Hnsw(links=8),
        ),
        fieldsets={"default": ["title"]},
        summaries={"short": "title"},
        onnx_models=[OnnxModel("m", "models/m.onnx", {"x": "y"})],
        rank_profiles=[
            builder.RankProfile(
                "base",
                inputs={"q": "tensor<float>(x[4]): [1, 2, 3, 4]", "w": "double: 0.5"},
                constants={"pi": 3.25},
                functions={"y": "query(q) * pi", "f(a, b)": "a + b"},
                first_phase="bm25(title)",
                second_phase=builder.Phase("onnx(m){d0:0}", rerank_count=24),
                match_features=["bm25(title)", "closeness(field, vector)"],
                rank_properties={"bm25(title).k1": 1.1},
                settings={"num-threads-per-search": 4},
            ),
            builder.RankProfile("child", inherits="base", global_phase="y"),
        ],
    )
    return builder.Application(
        "books",
        schema,
        components=[
            builder.Component(
                "e5",
                "hugging-face-embedder",
                {"transformer-model": "models/e5.onnx", "tokenizer-model": "models/t.json"},
                {"max-tokens": 128, "normalize": True, "prepend/query": "query:"},
            )
        ],
        models={"models": "multilingual-e5-small"},
        query_profiles={"default": {"ranking": "child", "hits": 5}},
    )


def test_builder_makes_what_the_reader_makes() -> None:
    assert books().schema() == parse_schema(BOOKS)


def test_builder_is_the_librarys_front() -> None:
    for name in ("Application", "Component", "Field", "Phase", "RankProfile", "Schema"):
        assert getattr(siftline, name) is getattr(builder, name)


def test_saved_package_reads_back_equal(tmp_path: Path) -> None:
    package = books()
    folder = package.save(tmp_path / "books")
    found = read_package(folder)
    assert found == package
    assert found.query_profile().fields == {"ranking": "child", "hits": "5"}
    other = package.save(tmp_path / "elsewhere")
    assert read_package(other) == package
    assert sorted(p.name for p in tmp_path.iterdir()) == ["books", "elsewhere"]


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: builder.Field("a", "strng"), "did you mean 'string'"),
        (lambda: builder.Field("a", "string", "indx"), "did you mean 'index'"),
        (lambda: builder.Field("a", "string", "index", index="bm25"), "Field a: unknown element"),
        (lambda: builder.Field("a", "string", "index", stemming="no"), "'stemming' is 'no'"),
        (lambda: builder.RankProfile("p", settings={"num-thread": 1}), "unknown setting"),
        (lambda: builder.RankProfile("p", inputs={"q": "tensr(x[1])"}), "unknown input type"),
        (lambda: builder.RankProfile("p", inputs={"q": "tensor(x[1]): [1, 2]"}), "input q"),
        (lambda: builder.RankProfile("p", inputs={"q": "double: x"}), "not a number"),
        (lambda: builder.Component("c", "colbert", {}), "did you mean 'colbert-embedder'"),
        (
            lambda: builder.Component("c", "colbert-embedder", {"transformer": "a"}),
            "did you mean 'transformer-model'",
        ),
        (lambda: builder.Schema("s", builder.Field("a", "int"), fieldsets={"d": "b"}), "'b'"),
        (
            lambda: builder.Schema("s", builder.Field("a", "int"), builder.Field("a", "int")),
            "field 'a' twice",
        ),
        (
            lambda: builder.Application(
                "p",
                builder.Schema("s", builder.Field("v", "tensor(x[1])", "embed e5 | attribute")),
            ),
            "embeds with 'e5'",
        ),
        (lambda: builder.Schema("s", constants={"pi": 3.14}), "must be a tensor"),  # type: ignore[dict-item]
    ],
)
def test_builder_names_what_is_wrong(make: Any, message: str) -> None:
    with pytest.raises(PackageError, match=message):
        make()


def test_services_stay_as_written_while_they_say_the_same(tmp_path: Path) -> None:
    folder = books().save(tmp_path / "a")
    text = (folder / "services.xml").read_text().replace("<search />", "<search/> <!-- kept -->")
    (folder / "services.xml").write_text(text)
    package = read_package(folder)
    assert "<!-- kept -->" in (package.save(tmp_path / "b") / "services.xml").read_text()
    services = dataclasses.replace(package.services, threads_per_search=3)
    changed = dataclasses.replace(package, services=services)
    assert "<!-- kept -->" not in (changed.save(tmp_path / "c") / "services.xml").read_text()


def test_saving_keeps_model_files_and_what_else_is_there(tmp_path: Path) -> None:
    folder = books().save(tmp_path / "a")
    for name in ("models/m.onnx", "models/e5.onnx", "README.md", "schemas/old.sd"):
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_text(name)
    (folder / "schemas/old.sd").unlink()
    package = read_package(folder)
    copy = package.save(tmp_path / "b")
    assert (copy / "models/m.onnx").read_text() == "models/m.onnx"
    assert not (copy / "README.md").exists()
    package.save(folder)
    assert (folder / "README.md").read_text() == "README.md"
    assert (folder / "models/e5.onnx").exists()
    assert sorted(p.name for p in tmp_path.iterdir()) == ["a", "b"]


def test_a_package_that_would_not_read_back_leaves_nothing(tmp_path: Path) -> None:
    profile = RankProfile("p", first_phase=Phase(Expression("a } b {")))
    schema = Schema("s", {}, rank_profiles={"p": profile})
    with pytest.raises(PackageError):
        Package("s", {"s": schema}).save(tmp_path / "s")
    assert list(tmp_path.iterdir()) == []
    file = tmp_path / "file"
    file.write_text("x")
    with pytest.raises(PackageError, match="is a file"):
        books().save(file)
    assert file.read_text() == "x"


def test_a_crash_while_saving_keeps_the_old_package(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = books().save(tmp_path / "a")

    def fail(*_: object) -> None:
        raise OSError("disk full")

    monkeypatch.setattr(write, "_carry", fail)
    with pytest.raises(OSError, match="disk full"):
        books().save(folder)
    assert read_package(folder) == books() or read_package(folder).name == "a"
    assert sorted(p.name for p in tmp_path.iterdir()) == ["a"]


# --- any package ------------------------------------------------------------------------------

NAMES = st.sampled_from(["alpha", "b_2", "Gamma", "delta", "expression", "rank", "match"])
WORDS = st.text("abcXYZ ./<>&'-_é", min_size=1, max_size=8).map(str.strip).filter(bool)
PLAIN = st.text("abcXYZ-_.", min_size=1, max_size=8)
EXPRESSIONS = st.sampled_from(
    [
        "1",
        "firstPhase * 2 + 1",
        "tensor(x[2]):[1,2]",
        "query(q){x:0} + if (1 < 2, 3, 4)",
        'sum(\n  query(a)\n    * 3,\n  x\n) == "a { b"',
        "switch (1) { case 1: 2 }",
    ]
).map(Expression)
TEXT_SCRIPTS = st.sampled_from(
    [
        "",
        "index",
        "summary | index",
        "index; summary",
        'lowercase . ": {" | summary',
        "attribute",
        'if ("a: b" == "x") { index }',
    ]
).map(parse_script)
TYPES = st.sampled_from(
    ["string", "array<string>", "weightedset<string>", "int", "map<string,int>", "tensor(a{})"]
).map(parse_field_type)


@st.composite
def fields(draw: st.DrawFn, name: str) -> Field:
    type_ = draw(TYPES)
    text = type_.kind in ("string", "array", "weightedset")
    script = draw(TEXT_SCRIPTS) if text else parse_script("summary")
    options = draw(st.frozensets(st.sampled_from(["fast-search", "paged", "fast-rank"])))
    match = draw(st.sampled_from([None, "text", "word", "exact", "cased"]))
    settings_ = draw(st.sampled_from([{}, {"max-length": "9"}, {"exact-terminator": "@ {"}]))
    hints = draw(st.sampled_from([{}, {"id": "7"}, {"dictionary": "hash; cased"}]))
    struct_fields = {}
    if type_.kind == "map":
        key = FieldType("string")
        struct_fields = {"key": Field("key", key, parse_script("attribute"))}
    return Field(
        name,
        type_,
        script,
        bm25="index" in script.outputs and draw(st.booleans()),
        distance_metric=draw(st.sampled_from(["euclidean", "angular"])),
        attribute_options=options,
        match=match,
        match_settings=settings_,
        stemming=draw(st.sampled_from(["best", "none"])),
        normalize=draw(st.booleans()),
        rank=draw(st.sampled_from(["normal", "filter"])),
        weight=draw(st.sampled_from([100, 7])),
        hints=hints,
        struct_fields=struct_fields,
    )


INPUTS = st.one_of(
    st.builds(lambda d: (None, d), st.one_of(st.none(), st.floats(-9, 9))),
    tensor_strategies.tensors().map(lambda t: (t.type, t)),
    tensor_strategies.tensor_types().map(lambda t: (t, None)),
)
FEATURES = st.lists(
    st.sampled_from(["firstPhase", "attributeMatch(a).x", 'f("a b", g(c))']).map(Expression),
    max_size=2,
    unique=True,
).map(tuple)
PHASES = st.builds(
    Phase,
    st.one_of(st.none(), EXPRESSIONS),
    st.one_of(st.none(), st.integers(0, 99)),
    st.one_of(st.none(), st.floats(-9, 9)),
    st.one_of(st.none(), st.integers(0, 99)),
)


def named(names: st.SearchStrategy[str], make: Any, most: int = 2) -> st.SearchStrategy[Any]:
    def build(found: set[str]) -> st.SearchStrategy[Any]:
        return st.fixed_dictionaries({name: make(name) for name in sorted(found)})

    return st.sets(names, max_size=most).flatmap(build)


def onnx_model(name: str) -> st.SearchStrategy[OnnxModel]:
    ports = st.dictionaries(st.sampled_from(["a", "in put", "x.y"]), NAMES, max_size=2)
    return st.builds(
        OnnxModel,
        st.just(name),
        PLAIN,
        ports,
        ports,
        st.one_of(st.none(), st.integers(1, 9)),
        st.sampled_from([{}, {"gpu-device": "0"}]),
    )


def constant(name: str) -> st.SearchStrategy[Constant]:
    files = st.sampled_from([None, "constants/x.json", "../y.json"])
    tensors = st.builds(Constant, st.just(name), tensor_strategies.tensors(), files)
    return st.one_of(tensors, st.builds(Constant, st.just(name), st.floats(-9, 9)))


def function(name: str) -> st.SearchStrategy[Function]:
    parameters = st.lists(NAMES, max_size=2, unique=True).map(tuple)
    return st.builds(Function, st.just(name), parameters, EXPRESSIONS, st.booleans())


def profile(name: str) -> st.SearchStrategy[RankProfile]:
    made = st.builds(
        RankProfile,
        st.just(name),
        st.just(("default",)),
        inputs=named(NAMES, lambda n: INPUTS.map(lambda i: Input(n, *i))),
        constants=named(NAMES, constant),
        functions=named(NAMES, function),
        onnx_models=named(NAMES, onnx_model),
        first_phase=st.one_of(st.none(), PHASES),
        second_phase=st.one_of(st.none(), PHASES),
        global_phase=st.one_of(st.none(), PHASES),
        match_features=st.one_of(st.none(), FEATURES),
        summary_features=st.one_of(st.none(), FEATURES),
        rank_properties=st.dictionaries(st.sampled_from(["bm25(a).k1", "k: l"]), PLAIN),
        settings=st.sampled_from([{}, {"termwise-limit": "0.1", "rank-features": "a b"}]),
        strict=st.just(False),
    )
    return made.map(_inheriting)


def _inheriting(made: RankProfile) -> RankProfile:
    """Features that are empty may still name a profile that they come from."""
    if made.match_features == ():
        return dataclasses.replace(made, match_features_inherits="default")
    return made


@st.composite
def schemas(draw: st.DrawFn, name: str) -> Schema:
    own = draw(named(NAMES.filter(lambda n: n != "rank"), lambda n: fields(name=n), 3))
    synthetic = Field(
        "made",
        parse_field_type("tensor<float>(x[3])"),
        parse_script('"a: b" | embed e5 | attribute | index'),
        inside=False,
        hnsw=draw(st.sampled_from([Hnsw(), Hnsw(4, 9)])),
        aliases=("other",),
    )
    summary = DocumentSummary("short", {"x": "made", "made": "made"}, ("default",), True, True)
    inner = RankProfile("outer.inner", ("outer",))
    profiles = draw(named(st.sampled_from(["outer", "p-2"]), profile))
    if "outer" in profiles and draw(st.booleans()):
        profiles = {**profiles, "outer.inner": inner}
    x2 = TensorType.parse("tensor<bfloat16>(x[2])")
    constants = {"c": Constant("c", Tensor.dense(x2, [1, 0.5]), "constants/x.json")}
    return Schema(
        name,
        {**own, "made": synthetic},
        {"default": FieldSet("default", tuple([*own, "other"]))},
        profiles,
        draw(st.sampled_from([{}, constants])),
        draw(named(NAMES, onnx_model)),
        {"short": summary},
        draw(st.sampled_from([{}, {"person": {"name": FieldType("string")}}])),
        draw(st.sampled_from([{}, {"documentid": "attribute"}])),
    )


@st.composite
def packages(draw: st.DrawFn) -> Package:
    found = draw(named(st.sampled_from(["one", "two"]), schemas))
    references = st.builds(ModelReference, WORDS, st.one_of(st.none(), WORDS))
    component = Component(
        "e5",
        "hugging-face-embedder",
        {"transformer-model": draw(references)},
        draw(st.sampled_from([{}, {"max-tokens": "3", "prepend/query": "q: <&", "prepend/x": ""}])),
    )
    services = Services(
        {"e5": component},
        draw(PLAIN) if found else "content",
        tuple(found),
        draw(st.integers(1, 4)) if found else 1,
        draw(st.booleans()),
    )
    options = st.sampled_from([{}, {"e5": {"mask-queries": "none", "x": [1, 2.5, True]}}])
    made = Settings(
        sparse_queries=draw(st.sampled_from([{}, {"e5": SparseQuery("idf", 'a"b', None, 0.5)}])),
        embedder_options=draw(options),
        models=draw(st.dictionaries(WORDS, WORDS, max_size=2)),
        runtime=draw(st.sampled_from([{}, {"name": "openvino", "threads": 3}])),
        query_encodings=draw(st.sampled_from([None, 0, 1, 1000, 1 << 20, 3 << 29])),
    )
    queries = st.dictionaries(WORDS, WORDS, max_size=2)
    profiles = {
        name: QueryProfile(
            name,
            () if name == "default" else ("default",),
            values,
            frozenset(list(values)[:1]),
        )
        for name, values in zip(["default", "x"], [draw(queries), draw(queries)], strict=True)
    }
    return Package(draw(WORDS), found, services, made, profiles)


@settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
@given(package=packages())
def test_any_package_reads_back_equal(
    package: Package, tmp_path_factory: pytest.TempPathFactory
) -> None:
    folder = package.save(tmp_path_factory.mktemp("any") / "package")
    assert read_package(folder) == package
