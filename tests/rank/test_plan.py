"""What a profile may say: everything wrong is refused when the package opens, with its place."""

from __future__ import annotations

from pathlib import Path

import pytest
from rank_corpus import corpus, no_models

from siftline.errors import ModelError, PackageError
from siftline.rank.plan import Plan, listed_feature, make_plan
from siftline.schema.sd import parse_schema

FIELDS = """
schema d {
  document d {
    field title type string { indexing: index  index: enable-bm25 }
    field plain type string { indexing: index }
    field price type double { indexing: attribute }
    field shown type string { indexing: summary }
    field tags type array<string> { indexing: attribute }
    field ids type tensor<float>(d0[4]) { indexing: attribute }
    field vec type tensor<float>(x[2]) { indexing: attribute }
  }
  onnx-model m { file: models/m.onnx }
  %s
}
"""


def plan(profile: str, name: str = "p") -> Plan:
    schema = parse_schema(FIELDS % profile, "d.sd")
    return make_plan(schema, schema.profile(name), no_models())


def first(expression: str, more: str = "") -> Plan:
    return plan(f"rank-profile p {{ {more}\n first-phase {{ expression: {expression} }} }}")


@pytest.mark.parametrize(
    ("expression", "message"),
    [
        ("bm25(titel)", "schema 'd' has no field 'titel'; did you mean 'title'"),
        ("bm25(plain)", "bm25\\(plain\\) needs 'index: enable-bm25' in field 'plain'"),
        ("bm25(price)", "field 'price' is not a text index"),
        ("bm25(title,plain)", "bm25 takes 1 argument, not 2: 'bm25\\(title,plain\\)'"),
        ("bm26(title)", "unknown function or rank feature 'bm26'; did you mean 'bm25'"),
        ("attribute(shown)", "field 'shown' is not an attribute: add 'attribute'"),
        ("attribute(price,1)", "price is a double, one value"),
        ("attribute(price).count", "double has no output '.count'"),
        ("attribute(tags,x)", "'x' in 'attribute\\(tags,x\\)' is not a whole number"),
        ("closeness(field,price)", "field 'price' is not a tensor attribute, but a double"),
        ("closeness(feild,vec)", "write closeness\\(field,vec\\) or closeness\\(label,vec\\)"),
        ("constant(c)", "unknown constant 'c'"),
        ("fieldMatch(title)", "rank feature 'fieldMatch' is not supported by Siftline"),
        ("attribute(vec)", "the first-phase expression must be a number, but .* tensor<float>"),
        ("sum(attribute(vec), y)", "y"),
        ("term(0)", "has the outputs .significance"),
        ("tokenInputIds(0, attribute(ids))", "must be at least 1"),
        ("sum(tokenInputIds(8))", "at least one tensor of token ids"),
        ("sum(tokenInputIds(8, 3))", "must be an attribute, a query input or a function"),
        ("firstPhase", "'firstPhase' can be used in global or match or second or summary only"),
        ("reciprocal_rank(bm25(title))", "'reciprocal_rank' can be used in global only"),
        ("relevanceScore", "'relevanceScore' can be used in global only"),
        ("onnx(n)", "there is no onnx-model 'n'"),
        ('onnx("models/m.onnx")', "there is no onnx-model 'models/m.onnx'"),
        ("price", "unknown function or rank feature 'price'"),
        ("freshness(price).cubic", "freshness has no output '.cubic'"),
        ("dotProduct(price,v)", "dotProduct needs an array or weighted set"),
        ("tensorFromLabels(price)", "tensorFromLabels needs an attribute"),
        ("1 +", "the expression ends too early"),
    ],
)
def test_first_phase_errors(expression: str, message: str) -> None:
    with pytest.raises(PackageError, match=message) as caught:
        first(expression)
    place = caught.value.place
    assert place is not None and place.file == "d.sd" and place.line == 14


@pytest.mark.parametrize(
    ("functions", "message"),
    [
        ("function f() { expression: g }\nfunction g() { expression: f }", "depends on itself"),
        ("function f() { expression: f() + 1 }", "'f' depends on itself through 'f'"),
        ("function f(x) { expression: f(x) }\nfunction g() { expression: f(1) }", "calls itself"),
        (
            "function f(x) { expression: x }\nfunction g() { expression: f }",
            "takes the arguments \\(x\\): 'f'",
        ),
        (
            "function f(x) { expression: x }\nfunction g() { expression: f(1,2) }",
            "function 'f' takes the arguments \\(x\\): 'f\\(1,2\\)'",
        ),
        ("function f() { expression: 1 }\nfunction g() { expression: f(2) }", "takes no arguments"),
        ("function f(x) { expression: x + }", "the expression ends too early"),
    ],
)
def test_function_errors(functions: str, message: str) -> None:
    with pytest.raises(PackageError, match=message) as caught:
        first("0", functions)
    assert caught.value.place is not None and caught.value.place.line is not None


@pytest.mark.parametrize(
    ("phases", "message"),
    [
        ("second-phase { expression: secondPhase }", "'secondPhase' can be used in"),
        ("second-phase { expression: late }", "'secondPhase' can be used in"),
        ("match-features: fused", "'reciprocal_rank' can be used in global only, not in match"),
        ("global-phase { expression: reciprocal_rank(1 + 2) }", "must be a feature or a function"),
        (
            "global-phase { expression: reciprocal_rank_fusion(bm25(title)) }",
            "at least two arguments",
        ),
        ("global-phase { expression: normalize_linear(bm25(titel)) }", "no field 'titel'"),
        ("second-phase { expression: attribute(vec) }", "the second-phase expression must be"),
    ],
)
def test_phase_errors(phases: str, message: str) -> None:
    profile = f"""rank-profile p {{
      function late() {{ expression: secondPhase + 1 }}
      function fused() {{ expression: reciprocal_rank(bm25(title)) }}
      first-phase {{ expression: 0 }}
      {phases}
    }}"""
    with pytest.raises(PackageError, match=message):
        plan(profile)


def test_strict_profiles_refuse_undeclared_inputs() -> None:
    first("query(anything)")
    with pytest.raises(PackageError, match="query\\(anything\\) is not among the inputs"):
        first("query(anything)", "strict: true")


def test_undeclared_tensors_are_left_to_the_query() -> None:
    first("sum(query(qt) * attribute(vec), x)")


def test_a_missing_model_file_is_an_error_of_the_profile_that_uses_it() -> None:
    plan("rank-profile p { first-phase { expression: 0 } }")
    with pytest.raises(ModelError, match="no file for m"):
        first("sum(onnx(m))")


def test_defaults_of_the_phases() -> None:
    made = plan("rank-profile p { second-phase { expression: 1 } global-phase { expression: 2 } }")
    assert made.second is not None and made.global_ is not None
    assert (made.first.count, made.second.count, made.global_.count) == (10_000, 100, 100)
    assert made.first.drop_limit is None
    unranked = plan("", "unranked")
    assert unranked.second is None


def test_names_of_listed_features() -> None:
    made = plan(
        """rank-profile p {
      function f() { expression: 1 }
      function g(x) { expression: x }
      first-phase { expression: 0 }
      match-features { f bm25( title ) closeness(field, vec) attribute("price") g(2) }
    }"""
    )
    names = [feature.name for feature in made.match_features]
    assert names == ["f", "bm25(title)", "closeness(field,vec)", "attribute(price)", "g(2)"]


def test_features_named_by_a_query() -> None:
    made = first("bm25(title)")
    assert listed_feature(made, "0.5 * bm25(title)").name == "0.5 * bm25(title)"
    with pytest.raises(PackageError, match="no field 'x'"):
        listed_feature(made, "bm25(x)")


def test_a_function_hides_the_feature_of_its_name() -> None:
    documents = [{"price": 3.0}]
    schema = FIELDS % (
        "rank-profile p { function now() { expression: 42 }\n"
        "function random() { expression: attribute(price) }\n"
        "first-phase { expression: now + random } }"
    )
    with corpus(schema, documents) as docs:
        assert docs.rank().scores.tolist() == [45]


def test_the_seeds_profile_needs_its_model(tmp_path: Path) -> None:
    """The phases and functions of the seed parse; only the model's file is asked for."""
    text = (Path(__file__).parent.parent / "golden/seeds/passage.sd").read_text()
    schema = parse_schema(text, "passage.sd")
    with pytest.raises(ModelError, match="no file for minilmranker"):
        make_plan(schema, schema.profile("dense-colbert-mini-lm"), no_models())
