"""Tree models: the packages' own predictions, and the rules where Vespa's differ."""

from __future__ import annotations

import json
import struct
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from siftline.errors import ModelError, UsageError
from siftline.model.trees.forest import Forest
from siftline.model.trees.lightgbm import read_lightgbm
from siftline.model.trees.read import read_forest, tree_kind
from siftline.model.trees.xgboost_json import read_xgboost_json
from siftline.tensor.text import text_number

GOLDEN = Path(__file__).parents[1] / "golden" / "trees"

EXPECTED = sorted(path.name.removesuffix(".expected.json") for path in GOLDEN.glob("*.expected.*"))


def model_file(name: str) -> Path:
    found = [GOLDEN / f"{name}{suffix}" for suffix in (".json", ".ubj")]
    return next(path for path in found if path.is_file())


def cell(value: Any) -> float:
    if value is None:
        return float("nan")
    return text_number(value) if isinstance(value, str) else float(value)


def golden_rows(name: str, forest: Forest) -> tuple[np.ndarray, np.ndarray]:
    """Rows in the order of the forest's features, and what the package predicted."""
    expected = json.loads((GOLDEN / f"{name}.expected.json").read_text())
    columns = [expected["features"].index(feature) for feature in forest.features]
    rows = np.array([[cell(row[column]) for column in columns] for row in expected["rows"]])
    return rows, np.array(expected["values"])


def split(feature: str = "a", condition: float = 1.0, **more: Any) -> dict[str, Any]:
    return {
        "nodeid": 0, "split": feature, "split_condition": condition, "yes": 1, "no": 2,
        "children": [{"nodeid": 1, "leaf": 10.0}, {"nodeid": 2, "leaf": 20.0}],
    } | more  # fmt: skip


def lightgbm(objective: str = "regression", **node: Any) -> dict[str, Any]:
    tree = {
        "split_feature": 0, "threshold": 1.0, "decision_type": "<=", "default_left": True,
        "left_child": {"leaf_value": 1.0}, "right_child": {"leaf_value": 2.0},
    } | node  # fmt: skip
    return {
        "objective": objective,
        "feature_names": ["a", "b"],
        "tree_info": [{"tree_structure": tree}],
    }


def value(forest: Forest, *row: float) -> float:
    result = forest.evaluate(np.array([row]))
    assert result.shape == (1,)
    return float(result[0])


def test_there_are_models_of_every_kind() -> None:
    assert {tree_kind(model_file(name)) for name in EXPECTED} == {
        "xgboost",
        "xgboost-ubj",
        "lightgbm",
    }


@pytest.mark.parametrize("name", EXPECTED)
def test_values_are_those_of_the_package(name: str) -> None:
    forest = read_forest(model_file(name))
    rows, expected = golden_rows(name, forest)
    assert len(np.unique(expected)) > 5
    assert np.isnan(rows).any() or name == "lightgbm_codes"
    # XGBoost predicts in float32
    np.testing.assert_allclose(
        forest.evaluate(rows), expected, rtol=2e-6 if "xgb" in name else 1e-12, atol=1e-6
    )


@pytest.mark.parametrize("name", EXPECTED)
def test_the_kernel_and_its_twin_agree_to_the_bit(name: str) -> None:
    forest = read_forest(model_file(name))
    random = np.random.default_rng(5)
    rows = random.normal(size=(200, len(forest.features)))
    rows[random.random(rows.shape) < 0.2] = np.nan
    for column, feature in enumerate(forest.features):
        if feature in forest.texts:
            rows[:, column] = random.choice([*forest.categories, np.nan, 1.0], len(rows))
    np.testing.assert_array_equal(forest.evaluate(rows), forest.evaluate_numpy(rows))


@given(
    rows=st.lists(
        st.lists(st.floats(width=32) | st.just(float("nan")), min_size=4, max_size=4), max_size=8
    )
)
def test_any_row_has_a_value(rows: list[list[float]]) -> None:
    forest = read_forest(GOLDEN / "xgboost_dump.json")
    matrix = np.array(rows).reshape(-1, len(forest.features))
    values = forest.evaluate(matrix)
    assert np.all(np.isfinite(values))
    np.testing.assert_array_equal(values, forest.evaluate_numpy(matrix))


def test_xgboost_compares_below_a_condition_of_32_bits() -> None:
    forest = read_xgboost_json([split(condition=0.1)])
    single = float(np.float32(0.1))
    assert single > 0.1
    assert value(forest, np.nextafter(single, 0)) == 10
    assert value(forest, single) == 20


@pytest.mark.parametrize(("missing", "leaf"), [(1, 10.0), (2, 20.0), (None, 20.0)])
def test_xgboost_sends_missing_values_where_the_node_says(missing: int | None, leaf: float) -> None:
    more: dict[str, Any] = {} if missing is None else {"missing": missing}
    assert value(read_xgboost_json([split(**more)]), float("nan")) == leaf


def test_xgboost_adds_trees_in_order_without_a_base_score() -> None:
    trees = [{"nodeid": 0, "leaf": leaf} for leaf in (0.1, 0.2, 0.3)]
    forest = read_xgboost_json(trees)
    assert forest.features == ()
    assert value(forest) == 0.1 + 0.2 + 0.3 != 0.3 + 0.2 + 0.1


def test_lightgbm_reads_at_most_as_below() -> None:
    forest = read_lightgbm(lightgbm())
    assert value(forest, 1.0) == 2
    assert value(forest, np.nextafter(1.0, 0)) == 1


@pytest.mark.parametrize(("default_left", "leaf"), [(True, 1.0), (False, 2.0)])
def test_lightgbm_sends_missing_values_to_the_default(default_left: bool, leaf: float) -> None:
    assert value(read_lightgbm(lightgbm(default_left=default_left)), float("nan")) == leaf


@pytest.mark.parametrize(
    ("objective", "expected"),
    [
        ("regression", 1.0),
        ("binary sigmoid:1", 1 / (1 + np.exp(-1.0))),
        ("cross_entropy", 1 / (1 + np.exp(-1.0))),
        ("poisson", np.e),
        ("gamma", np.e),
        ("tweedie", np.e),
        ("lambdarank", 1.0),
    ],
)
def test_lightgbm_transforms_by_objective(objective: str, expected: float) -> None:
    assert value(read_lightgbm(lightgbm(objective)), 0.0) == pytest.approx(expected, rel=1e-15)


def test_lightgbm_categories_are_texts_of_the_frame() -> None:
    dump = lightgbm(decision_type="==", threshold="0||2", default_left=False)
    dump |= {"pandas_categorical": [["red", "green", "blue"]]}
    forest = read_lightgbm(dump)
    assert forest.texts == {"a"}
    found = [value(forest, text_number(text)) for text in ("red", "green", "blue", "pink")]
    assert found == [1, 2, 1, 2]
    assert value(forest, float("nan")) == 2


def test_lightgbm_categories_without_a_frame_are_numbers() -> None:
    forest = read_lightgbm(lightgbm(decision_type="==", threshold="0||3"))
    assert not forest.texts
    assert [value(forest, n) for n in (0, 1, 3, float("nan"))] == [1, 2, 1, 1]


def test_a_single_leaf_is_a_forest() -> None:
    dump = {"feature_names": [], "tree_info": [{"tree_structure": {"leaf_value": 0.25}}]}
    assert value(read_lightgbm(dump)) == 0.25


def test_the_features_beside_a_binary_model_name_its_columns(tmp_path: Path) -> None:
    model = tmp_path / "m.ubj"
    model.write_bytes((GOLDEN / "xgboost_unnamed.ubj").read_bytes())
    assert set(read_forest(model).features) <= {"f0", "f1", "f2", "f3"}
    (tmp_path / "m-features.txt").write_text("w\nx\ny\nz\n")
    assert set(read_forest(model).features) <= {"w", "x", "y", "z"}
    (tmp_path / "m-features.txt").write_text("w\nx\n")
    with pytest.raises(ModelError, match="names 2 features, the model has .*4"):
        read_forest(model)


def test_the_base_score_of_a_classifier_goes_through_the_logit() -> None:
    forest = read_forest(GOLDEN / "xgboost_logistic.ubj")
    assert forest.base != 0
    assert -1 < forest.base < 1
    assert forest.transform == "none"


def test_save_model_as_json_is_refused_with_the_way_out() -> None:
    with pytest.raises(ModelError, match="dump_model") as caught:
        tree_kind(GOLDEN / "xgboost_saved.json")
    assert "xgboost_saved.json" in str(caught.value)


@pytest.mark.parametrize(
    "content", ["", "{}", "[]", "[1, 2]", '{"version": "1.0", "model": {"vocab": {}}}', "null"]
)
def test_other_json_is_no_tree_model(tmp_path: Path, content: str) -> None:
    path = tmp_path / "tokenizer.json"
    path.write_text(content)
    assert tree_kind(path) is None


def damaged() -> Iterator[tuple[str, str]]:
    yield json.dumps([split()])[:-3], "not JSON"
    yield json.dumps([split(split_condition=None)]), "split_condition"
    yield json.dumps([split(split_condition=[1, 2])]), "categorical"
    yield json.dumps([split(yes=7)]), "no child 7"
    yield json.dumps([split(children=[{"nodeid": 1, "leaf": "x"}, {"nodeid": 2}])]), "'leaf'"
    yield json.dumps([split(), 5]), "an object"
    yield json.dumps(lightgbm(split_feature=9)), "2 names"
    yield json.dumps(lightgbm(decision_type=">")), "decision_type"
    yield json.dumps(lightgbm(left_child=None)), "left_child"
    yield json.dumps(lightgbm(threshold="high")), "expected a number"
    yield json.dumps(lightgbm() | {"num_tree_per_iteration": 3}), "3 classes"
    yield json.dumps(lightgbm() | {"tree_info": 3}), "tree_info"
    yield json.dumps(lightgbm() | {"pandas_categorical": [["a"], ["b"]]}), "never vary"
    yield '[{"nodeid":' + "[" * 100_000, "not JSON"


@pytest.mark.parametrize(("content", "message"), list(damaged()))
def test_a_damaged_model_is_named(tmp_path: Path, content: str, message: str) -> None:
    path = tmp_path / "model.json"
    path.write_text(content)
    with pytest.raises(ModelError, match=message) as caught:
        read_forest(path)
    assert "model.json" in str(caught.value)


@pytest.mark.parametrize("kept", [0, 1, 5, 100, 1000, -1])
def test_a_binary_model_cut_short_is_named(tmp_path: Path, kept: int) -> None:
    path = tmp_path / "model.ubj"
    path.write_bytes((GOLDEN / "xgboost_logistic.ubj").read_bytes()[:kept])
    with pytest.raises(ModelError, match="model.ubj"):
        read_forest(path)


@given(at=st.integers(0, 2615), byte=st.integers(0, 255))
@settings(max_examples=200)
def test_a_changed_byte_never_does_worse_than_a_model_error(at: int, byte: int) -> None:
    from siftline.model.trees.ubjson import parse_ubjson
    from siftline.model.trees.xgboost_ubj import read_xgboost_ubj

    data = bytearray((GOLDEN / "xgboost_unnamed.ubj").read_bytes())
    data[at % len(data)] = byte
    try:
        forest = read_xgboost_ubj(parse_ubjson(bytes(data)))
    except ModelError:
        return
    assert forest.evaluate(np.zeros((1, len(forest.features)))).shape == (1,)


WRONG = [None, 5, -1, "x", [], {}, [1], [[1]], {"a": 1}, True, float("inf"), 10**12]


@pytest.mark.parametrize("name", ["lightgbm_pandas", "lightgbm_codes", "xgboost_dump"])
@given(data=st.data())
def test_a_changed_value_never_does_worse_than_a_model_error(
    name: str, data: st.DataObject
) -> None:
    dump = json.loads((GOLDEN / f"{name}.json").read_text())
    inside: Any = dump
    while True:
        keys = sorted(inside) if isinstance(inside, dict) else list(range(len(inside)))
        key = data.draw(st.sampled_from(keys))
        below = inside[key]
        if not (isinstance(below, (dict, list)) and below and data.draw(st.integers(0, 9))):
            break
        inside = below
    inside[key] = data.draw(st.sampled_from(WRONG))
    try:
        forest = read_xgboost_json(dump) if name == "xgboost_dump" else read_lightgbm(dump)
    except ModelError:
        return
    assert forest.evaluate(np.zeros((1, len(forest.features)))).shape == (1,)


def test_a_circle_of_nodes_is_refused() -> None:
    from siftline.model.trees.xgboost_ubj import read_xgboost_ubj

    tree = {
        "left_children": [1, 0, -1], "right_children": [2, 2, -1], "split_indices": [0, 0, 0],
        "split_conditions": [0.5, 0.5, 1.0], "default_left": [0, 0, 0],
    }  # fmt: skip
    model: dict[str, Any] = {
        "learner": {
            "gradient_booster": {"name": "gbtree", "model": {"trees": [tree]}},
            "learner_model_param": {"base_score": "0.5"},
            "objective": {"name": "reg:squarederror"},
        }
    }
    with pytest.raises(ModelError, match="comes back"):
        read_xgboost_ubj(model)
    tree["left_children"] = [1, -1, -1]
    assert value(read_xgboost_ubj(model), 0.7) == 1.5
    for key, content in (("num_class", "3"), ("num_target", "2")):
        param = model["learner"]["learner_model_param"] | {key: content}
        with pytest.raises(ModelError, match=key):
            read_xgboost_ubj({"learner": model["learner"] | {"learner_model_param": param}})


def test_ubjson_reads_every_type() -> None:
    from siftline.model.trees.ubjson import parse_ubjson

    data = (
        b"{i\x01a[i\x05U\xffI\x01\x00l\x00\x00\x01\x00" + b"d" + struct.pack(">f", 0.5) + b"]"
        b"i\x01bTi\x01cSi\x02hii\x01dZi\x01e[$i#i\x03\x01\x02\xffi\x01f{#i\x01i\x01xD"
        + struct.pack(">d", 0.1)
        + b"}"
    )
    found = parse_ubjson(data)
    assert found["a"] == [5, 255, 256, 256, 0.5]
    assert (found["b"], found["c"], found["d"]) == (True, "hi", None)
    assert found["e"].tolist() == [1, 2, -1]
    assert found["f"] == {"x": 0.1}


def test_rows_of_another_width_are_refused() -> None:
    forest = read_forest(GOLDEN / "xgboost_dump.json")
    with pytest.raises(UsageError, match="rows of as many"):
        forest.evaluate(np.zeros((2, 1)))
