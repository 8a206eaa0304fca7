"""Rank profiles: their elements, what is refused, and inheritance."""

from pathlib import Path

import pytest

from siftline.errors import PackageError, UsageError
from siftline.schema.check import check_schema
from siftline.schema.definition import Phase, RankProfile, Schema
from siftline.schema.files import PackageFiles
from siftline.schema.sd import parse_profiles, parse_schema
from siftline.tensor.tensor import Tensor
from siftline.tensor.types import TensorType

FIELDS = """
  document s {
    field title type string { indexing: index
      index: enable-bm25 }
    field price type double { indexing: attribute }
    field v type tensor<float>(x[2]) { indexing: attribute | index }
  }
"""


def schema(profiles: str, files: PackageFiles | None = None) -> Schema:
    return parse_schema(f"schema s {{{FIELDS}{profiles}\n}}", "s.sd", files=files)


def profile(body: str) -> RankProfile:
    return schema(f"rank-profile p {{\n{body}\n}}").rank_profiles["p"]


def refusal(profiles: str) -> str:
    with pytest.raises(PackageError) as error:
        check_schema(schema(profiles))
    return str(error.value)


def test_every_element() -> None:
    made = profile("""
        strict: true
        inputs {
          query(q) tensor<float>(x[2]): [1, 2]
          query(m) tensor(k{}) : {a: 1,
                                  "b c": 2}
          query(w) double: 0.5   plain
          other float
          query(t) tensor<float>(x[2]): tensor<float>(x[2]):[3,4]
        }
        constants {
          pi: 3.25
          constant(c) tensor(x[2]): [1, 2]
        }
        function inline f(a, b) { expression: a + b }
        macro g() { expression {
          f(1, 2)   # a comment
            * query(w)
        } }
        onnx-model m { file: models/m.onnx  input "in put": g  output out: o
          gpu-device: 0
          intraop-threads: 2 }
        first-phase { keep-rank-count: 50  rank-score-drop-limit: -1.5  expression: g() + m{x:0} }
        second-phase { expression { if (price > 1, {a:{b:1}}, 2) } total-rerank-count: 7 }
        global-phase { rerank-count: 5 }
        match-features: title bm25(title) attribute(price).x closeness(field, v)
        summary-features { firstPhase
          query(w) }
        rank-features: title
        rank-properties { bm25(title).k1: 1.1
          "other key": "v w" }
        num-threads-per-search: 4
        approximate-threshold : 0.1
        ignore-default-rank-features
    """)
    x2 = TensorType.parse("tensor<float>(x[2])")
    assert made.strict
    assert made.inputs["q"].default == Tensor.dense(x2, [1, 2])
    assert made.inputs["t"].default == Tensor.dense(x2, [3, 4])
    assert made.inputs["m"].default == Tensor.blocks(
        TensorType.parse("tensor(k{})"), {"a": 1, "b c": 2}
    )
    assert (made.inputs["w"].type, made.inputs["w"].default) == (None, 0.5)
    assert made.inputs["plain"].default is None and made.inputs["other"].type is None
    assert made.constants["pi"].value == 3.25
    assert made.constants["c"].value == Tensor.dense(TensorType.parse("tensor(x[2])"), [1, 2])
    assert made.functions["f"].parameters == ("a", "b") and made.functions["f"].inline
    assert made.functions["g"].expression.text.split() == ["f(1,", "2)", "*", "query(w)"]
    model = made.onnx_models["m"]
    assert (dict(model.inputs), dict(model.outputs)) == ({"in put": "g"}, {"out": "o"})
    assert (model.threads, dict(model.options)) == (2, {"gpu-device": "0"})
    assert made.first_phase and made.first_phase.expression
    assert (made.first_phase.rerank_count, made.first_phase.score_drop_limit) == (50, -1.5)
    assert made.first_phase.expression.text == "g() + m{x:0}"
    assert made.second_phase and made.second_phase.expression
    assert made.second_phase.expression.text == "if (price > 1, {a:{b:1}}, 2)"
    assert made.global_phase == Phase(rerank_count=5)
    assert [f.text for f in made.match_features or ()] == [
        "title",
        "bm25(title)",
        "attribute(price).x",
        "closeness(field, v)",
    ]
    assert [f.text for f in made.summary_features or ()] == ["firstPhase", "query(w)"]
    assert dict(made.rank_properties) == {"bm25(title).k1": "1.1", "other key": "v w"}
    assert dict(made.settings) == {
        "rank-features": "title",
        "num-threads-per-search": "4",
        "approximate-threshold": "0.1",
        "ignore-default-rank-features": "",
    }


def test_expressions_know_where_they_begin() -> None:
    made = schema("rank-profile p {\n  first-phase {\n    expression {\n\n      a\n    }\n  }\n}")
    phase = made.rank_profiles["p"].first_phase
    assert phase and phase.expression and str(phase.expression.place) == "s.sd:12:7"
    features = profile("match-features:  a  b").match_features
    assert features and features[1].place and features[1].place.column == 21


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ("match-phase { attribute: price }", "'match-phase' in rank profile 'p' is not supported"),
        ("mutate { on-match { price += 1 } }", "'mutate' in rank profile 'p' is not supported"),
        ("diversity { attribute: price }", "'diversity'"),
        ("weakand { stopword-limit: 0.1 }", "'weakand'"),
        ("significance { use-model: true }", "'significance'"),
        ("rank-type title: tags", "'rank-type'"),
        ("filter-threshold: 0.1", "'filter-threshold'"),
        ("frist-phase { }", "did you mean 'first-phase'"),
        ("first-phase { rerank-count: 1 }", "did you mean 'keep-rank-count'"),
        ("num-threads-per-search: many", "expected a number"),
        ("function f { expression: 1 }", "is not a function"),
        ("function f() { }", "needs one 'expression: …'"),
        ("function f() { expression: 1 }\nfunction f() { expression: 2 }", "given twice"),
        ("inputs { query(q) tensor<float>(x[2]): [1, 2, 3] }", "input 'q'"),
        ("inputs { query(q) string: x }", "type string is not supported"),
        ("inputs { query(q) }\ninputs { query(q) }", "given twice"),
        ("inputs { 7 }", "cannot read '7' in inputs"),
        ("constants { c }", "constant 'c' has no value"),
        ("constants { c: [1] }", "needs a tensor type"),
        ("constants { c tensor(x[1]): file:c.json }", "can only be read with its package"),
        ("onnx-model m { url: x }", "'url' in onnx-model 'm' is not supported"),
        ("onnx-model m { }", "needs one 'file"),
        ("first-phase { expression: nix() }", "has no function 'nix'"),
        ("first-phase { expression: nix }", "has no function 'nix'"),
        ("first-phase { expression: attribute(prize) }", "did you mean 'price'"),
        ("first-phase { expression: attribute(title) }", "needs 'attribute' in its indexing"),
        ("first-phase { expression: bm25(price) }", "needs 'index: enable-bm25'"),
        ("first-phase { expression: closeness(field, w) }", "names field 'w'"),
        ("first-phase { expression: onnx(m) }", "there is no onnx-model 'm'"),
        ("match-features: nix", "has no function 'nix'"),
        (
            "onnx-model m { file: m.onnx\ninput a: b }\nfirst-phase { expression: onnx(m) }",
            "which is no function of rank profile 'p'",
        ),
        (
            "onnx-model m { file: m.onnx\ninput a: attribute(b) }\n"
            "first-phase { expression: onnx(m) }",
            "input 'a' of onnx-model 'm' is attribute(b), which does not exist",
        ),
        ("strict: true\nfirst-phase { expression: query(w) }", "does not declare query(w)"),
    ],
)
def test_refused_with_a_place(body: str, message: str) -> None:
    text = refusal(f"rank-profile p {{\n{body}\n}}")
    assert message in text
    assert text.startswith("s.sd:") and text.split(":")[1].isdigit()


def test_place_inside_an_expression() -> None:
    text = refusal("rank-profile p {\n first-phase {\n  expression: 1 + attribute(nix)\n }\n}")
    assert text.startswith("s.sd:10:19:")


def test_function_parameters_may_name_fields() -> None:
    check_schema(
        schema("""rank-profile p {
          function weighted(f) { expression: attribute(f) * 2 }
          first-phase { expression: weighted(price) }
        }""")
    )


PARENTS = """
  rank-profile a {
    inputs { query(x) }
    function f() { expression: 1 }
    first-phase { expression: f }
    second-phase { rerank-count: 10
      expression: f + 1 }
    match-features: f
    rank-properties { k: 1 }
  }
  rank-profile b {
    inputs { query(y) }
    function g() { expression: 2 }
    num-threads-per-search: 2
  }
"""


def test_merged_by_name_and_inner_settings_alone() -> None:
    made = schema(
        PARENTS
        + """
        rank-profile c inherits a, b {
          function f() { expression: 3 }
          second-phase { rerank-count: 50 }
          rank-properties { l: 2 }
        }"""
    ).profile("c")
    assert set(made.inputs) == {"x", "y"}
    assert {n: f.expression.text for n, f in made.functions.items()} == {"f": "3", "g": "2"}
    assert made.second_phase and made.second_phase.expression
    assert (made.second_phase.rerank_count, made.second_phase.expression.text) == (50, "f + 1")
    assert dict(made.rank_properties) == {"k": "1", "l": "2"}
    assert dict(made.settings) == {"num-threads-per-search": "2"}
    assert [f.text for f in made.match_features or ()] == ["f"]
    assert made.inherits == ()


def test_features_are_replaced_added_or_cleared() -> None:
    made = schema(
        PARENTS
        + """
        rank-profile c inherits a { match-features { f firstPhase } }
        rank-profile d inherits a { match-features inherits a { firstPhase f } }
        rank-profile e inherits a { match-features {} }"""
    )
    texts = {
        name: [f.text for f in made.profile(name).match_features or ()] for name in ("c", "d", "e")
    }
    assert texts == {"c": ["f", "firstPhase"], "d": ["f", "firstPhase"], "e": []}
    assert made.profile("e").match_features == ()
    assert made.profile("b").match_features is None


def test_built_in_profiles() -> None:
    made = schema("rank-profile p inherits default { second-phase { expression: firstPhase } }")
    for name in ("default", "p"):
        phase = made.profile(name).first_phase
        assert phase and phase.expression and phase.expression.text == "nativeRank"
    phase = made.profile("unranked").first_phase
    assert phase and phase.expression and phase.expression.text == "0"
    own = schema("rank-profile default { first-phase { expression: bm25(title) } }")
    phase = own.profile().first_phase
    assert phase and phase.expression and phase.expression.text == "bm25(title)"


def test_first_phase_with_settings_alone_keeps_native_rank() -> None:
    phase = profile_of("first-phase { keep-rank-count: 5 }").first_phase
    assert phase and phase.expression
    assert (phase.expression.text, phase.rerank_count) == ("nativeRank", 5)


def profile_of(body: str) -> RankProfile:
    return schema(f"rank-profile p {{\n{body}\n}}").profile("p")


def test_count_of_all_nodes_bounds_this_one() -> None:
    phase = profile_of(
        "second-phase { total-rerank-count: 30\nrerank-count: 50\nexpression: 1 }"
    ).second_phase
    assert phase and phase.rerank_count == 30


def test_schema_constants_and_models_are_there(tmp_path: Path) -> None:
    (tmp_path / "constants").mkdir()
    (tmp_path / "constants" / "c.json").write_text('{"type": "tensor(x[2])", "values": [1, 2]}')
    made = schema(
        "constant c { file: constants/c.json  type: tensor(x[2]) }"
        "\nonnx-model m { file: m.onnx }\nrank-profile p {}",
        PackageFiles(tmp_path),
    ).profile("p")
    assert made.constants["c"].value == Tensor.dense(TensorType.parse("tensor(x[2])"), [1, 2])
    assert set(made.onnx_models) == {"m"}


def test_inner_profiles_inherit_their_outer() -> None:
    made = schema("""
        rank-profile outer {
          function f() { expression: 1 }
          first-phase { expression: f }
          rank-profile inner { second-phase { expression: f } }
        }""")
    assert set(made.rank_profiles) == {"outer", "outer.inner"}
    inner = made.profile("outer.inner")
    assert set(inner.functions) == {"f"} and inner.second_phase is not None


def test_conflicts_cycles_and_unknown_parents() -> None:
    conflict = """
        rank-profile d { function f() { expression: 9 } }
        rank-profile e inherits a, d {}"""
    assert "inherits different function 'f' from 'a' and 'd'" in refusal(PARENTS + conflict)
    phases = """
        rank-profile d { first-phase { expression: 9 } }
        rank-profile e inherits a, d {}"""
    assert "different expression of first-phase" in refusal(PARENTS + phases)
    cycle = "rank-profile a inherits b {}\nrank-profile b inherits a {}"
    assert "circle: a → b → a" in refusal(cycle)
    assert "inherits 'nix'" in refusal("rank-profile a inherits nix {}")
    with pytest.raises(UsageError, match="did you mean 'default'"):
        schema("").profile("defalt")


def test_settled_conflict_is_none() -> None:
    made = schema(
        PARENTS
        + """
        rank-profile d { function f() { expression: 9 } }
        rank-profile e inherits a, d { function f() { expression: 7 } }"""
    )
    assert made.profile("e").functions["f"].expression.text == "7"


def test_profile_files(tmp_path: Path) -> None:
    (tmp_path / "schemas").mkdir()
    (tmp_path / "schemas" / "long.expression").write_text("1 + # one\n 2\n")
    found = parse_profiles(
        "rank-profile a { first-phase { expression: file:long } }\nrank-profile b {}",
        files=PackageFiles(tmp_path),
    )
    assert [p.name for p in found] == ["a", "b"]
    assert found[0].first_phase and found[0].first_phase.expression
    assert found[0].first_phase.expression.text.split() == ["1", "+", "2"]
    with pytest.raises(PackageError, match="known: rank-profile"):
        parse_profiles("schema s {}")
    with pytest.raises(PackageError, match="no file 'nix.expression'"):
        parse_profiles(
            "rank-profile a { first-phase { expression: file:nix } }",
            files=PackageFiles(tmp_path),
        )
