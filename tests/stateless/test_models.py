"""Models of a package as functions: names, types, bindings, values."""

from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from onnx import TensorProto

from model_package import (
    GOLDEN,
    embedding_table,
    model_server,
    write_identity,
    write_package,
    write_transformer,
)
from siftline.application import Application
from siftline.errors import (
    ModelError,
    PackageError,
    UnboundError,
    UnknownNameError,
    UsageError,
)
from siftline.model.locate import ModelFiles
from siftline.schema.read import read_package
from siftline.stateless.models import Model, ModelsEvaluator, open_models
from siftline.tensor.literal import parse_literal
from siftline.tensor.tensor import Tensor
from siftline.tensor.types import SCALAR, TensorType


def models_of(folder: Path) -> ModelsEvaluator:
    package = read_package(folder)
    return open_models(package, ModelFiles(package))


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> ModelsEvaluator:
    return models_of(model_server(tmp_path_factory.mktemp("models") / "app"))


def types(model: Model) -> dict[str, dict[str, str]]:
    return {
        name: {argument: str(type_) for argument, type_ in function.listed.items()}
        for name, function in model.functions.items()
    }


def test_names_are_paths_without_extension(models: ModelsEvaluator) -> None:
    assert list(models) == [
        "lightgbm_pandas",
        "pairwise_ranker",
        "transformer",
        "unnamed",
        "vespa_example",
        "xgboost_2_2",
    ]
    assert [model.kind for model in models.values()] == [
        "lightgbm",
        "onnx",
        "onnx",
        "xgboost-ubj",
        "expressions",
        "xgboost",
    ]


def test_a_package_of_models_alone_is_an_application(tmp_path: Path) -> None:
    with Application.open(model_server(tmp_path / "app")) as app:
        tokens = np.array([[3, 0, 31]])
        result = app.models["transformer"].function("output").bind("input", tokens).evaluate()
        assert str(result.type) == "tensor<float>(d0[1],d1[3],d2[16])"
        np.testing.assert_array_equal(result.array, embedding_table()[tokens])
        assert app.models.evaluator_of("transformer").function.name == "output"


def test_without_the_element_there_are_no_models(tmp_path: Path) -> None:
    folder = model_server(tmp_path / "app")
    (folder / "services.xml").write_text("<container><search/></container>")
    with Application.open(folder) as app:
        assert len(app.models) == 0
        with pytest.raises(UnknownNameError, match="Available models: none"):
            app.models["transformer"]


def test_types_of_onnx_functions(models: ModelsEvaluator) -> None:
    assert types(models["transformer"]) == {
        "output": {
            "input": "tensor(d0[],d1[])",
            "onnxModel(transformer).output": "tensor<float>(d0[],d1[],d2[16])",
        }
    }
    assert types(models["pairwise_ranker"]) == {
        "out_mul": {
            "left_0": "tensor<float>(d0[2])",
            "right": "tensor<float>(d0[2])",
            "onnxModel(pairwise_ranker).out_mul": "tensor<float>(d0[2])",
        },
        "add": {
            "left_0": "tensor<float>(d0[2])",
            "right": "tensor<float>(d0[2])",
            "onnxModel(pairwise_ranker).add": "tensor<float>(d0[2])",
        },
    }
    assert list(models["transformer"].functions["output"].arguments) == ["input"]


def test_outputs_are_functions_of_the_same_inputs(models: ModelsEvaluator) -> None:
    for name, expected in (("out_mul", [2.0, 12.0]), ("add", [3.0, 7.0])):
        evaluator = models.evaluator_of("pairwise_ranker", name)
        result = evaluator.bind("left_0", [1, 3]).bind("right", "[2,4]").evaluate()
        assert result == Tensor.dense(TensorType.parse("tensor<float>(d0[2])"), expected)


def test_an_onnx_name_binds_too(models: ModelsEvaluator) -> None:
    evaluator = models.evaluator_of("pairwise_ranker", "add")
    result = evaluator.bind("left:0", [1, 3]).bind("right", [2, 4]).evaluate()
    assert result.array.tolist() == [3, 7]


#: ONNX element type → cell type of the tensor, and whether the sum keeps a fraction.
ELEMENTS = {
    TensorProto.FLOAT: "<float>",
    TensorProto.FLOAT16: "<float>",
    TensorProto.UINT8: "<float>",
    TensorProto.INT16: "<float>",
    TensorProto.INT8: "<int8>",
    TensorProto.BOOL: "<int8>",
    TensorProto.INT32: "",
    TensorProto.INT64: "",
    TensorProto.UINT32: "",
    TensorProto.UINT64: "",
    TensorProto.DOUBLE: "",
}


@pytest.mark.parametrize("element", ELEMENTS)
def test_element_types(tmp_path: Path, element: int) -> None:
    folder = write_package(tmp_path / "app")
    write_identity(folder / "models" / "m.onnx", element, ["n", 2])
    function = models_of(folder)["m"].functions["y"]
    cell = ELEMENTS[element]
    assert {str(t) for t in function.listed.values()} == {f"tensor{cell}(d0[],d1[2])"}
    result = models_of(folder).evaluator_of("m").bind("x", "[[0,1],[1,1]]").evaluate()
    assert str(result.type) == f"tensor{cell}(d0[2],d1[2])"
    assert result.array.tolist() == [[0, 1], [1, 1]]


def test_numbers_of_integer_inputs_are_cut_and_kept_in_range(tmp_path: Path) -> None:
    folder = write_package(tmp_path / "app")
    write_identity(folder / "models" / "long.onnx", TensorProto.INT64, [1])
    write_identity(folder / "models" / "byte.onnx", TensorProto.UINT8, [2])
    models = models_of(folder)
    long = models.evaluator_of("long").bind("x", [2.9]).evaluate()
    assert (str(long.type), long.array.tolist()) == ("tensor(d0[1])", [2.0])
    for values in ([256, 0], [-1, 0], [float("nan"), 0]):
        with pytest.raises(UsageError, match="'x' takes uint8"):
            models.evaluator_of("byte").bind("x", np.array(values)).evaluate()
    with pytest.raises(UsageError, match="'x' takes int64"):
        models.evaluator_of("long").bind("x", np.array([2.0**63])).evaluate()


def test_a_model_of_scalars(tmp_path: Path) -> None:
    folder = write_package(tmp_path / "app")
    write_identity(folder / "models" / "m.onnx", TensorProto.FLOAT, [])
    models = models_of(folder)
    assert types(models["m"]) == {"y": {"x": "tensor()", "onnxModel(m).y": "tensor()"}}
    result = models.evaluator_of("m").bind("x", 0.5).evaluate()
    assert (result.type, float(result)) == (SCALAR, 0.5)


def test_trees_follow_the_missing_branch_unless_told(models: ModelsEvaluator) -> None:
    expected = json.loads((GOLDEN / "xgboost_dump.expected.json").read_text())
    row = dict(zip(expected["features"], expected["rows"][0], strict=True))
    evaluator = models.evaluator_of("xgboost_2_2")
    for name, value in row.items():
        if value is not None:
            evaluator.bind(name, value)
    assert float(evaluator.evaluate()) == pytest.approx(expected["values"][0], abs=1e-6)
    nothing = float(models.evaluator_of("xgboost_2_2").evaluate())
    told = float(models.evaluator_of("xgboost_2_2").set_missing_value(5.0).evaluate())
    bound = models.evaluator_of("xgboost_2_2")
    for name in row:
        bound.bind(name, 5)
    assert told == float(bound.evaluate()) != nothing


def test_categories_of_trees_are_texts(models: ModelsEvaluator) -> None:
    expected = json.loads((GOLDEN / "lightgbm_pandas.expected.json").read_text())
    for row, value in zip(expected["rows"], expected["values"], strict=True):
        evaluator = models.evaluator_of("lightgbm_pandas", "lightgbm_pandas")
        for name, cell in zip(expected["features"], row, strict=True):
            if cell is not None:
                evaluator.bind(name, cell)
        assert float(evaluator.evaluate()) == pytest.approx(value, rel=1e-12)


def test_expressions_are_functions_that_call_one_another(models: ModelsEvaluator) -> None:
    first = "{{name:a, x:0}: 1, {name:a, x:1}: 2, {name:a, x:2}: 3}"
    second = "{{x:0}:3, {x:1}:6, {x:2}:9}"
    assert types(models["vespa_example"]) == {
        "foo1": {"input1": "tensor(name{},x[3])", "input2": "tensor(x[3])"},
        "foo2": {"input1": "tensor(name{},x[3])", "input2": "tensor(x[3])"},
        "both": {
            "input1": "tensor(name{},x[3])",
            "input2": "tensor(x[3])",
            "factor": "tensor()",
        },
        "mapped": {"factor": "tensor()"},
        "chosen": {"colour": "tensor()", "attribute(weight)": "tensor()"},
    }
    for name in ("foo1", "foo2"):
        evaluator = models.evaluator_of("vespa_example", name)
        evaluator.bind("input1", first).bind("input2", second)
        # the largest of 1*3*0.5, 2*6*1.5 and 3*9*2.5, times 3
        assert float(evaluator.evaluate()) == 202.5
    both = models.evaluator_of("vespa_example", "both")
    both.bind("input1", first).bind("input2", [3, 6, 9]).bind("factor", 2)
    assert float(both.evaluate()) == 202.5 * 3
    mapped = models.evaluator_of("vespa_example", "mapped").bind("factor", "0.5").evaluate()
    assert mapped == parse_literal(TensorType.parse("tensor(key{})"), '{a:1,"b c":0.5}')


@pytest.mark.parametrize(("colour", "expected"), [('"red"', 1), ("'blue'", 7), (3, 7)])
def test_texts_of_expressions_stand_in_quotes(
    models: ModelsEvaluator, colour: Any, expected: float
) -> None:
    evaluator = models.evaluator_of("vespa_example", "chosen")
    evaluator.bind("colour", colour).bind("attribute(weight)", 7)
    assert float(evaluator.evaluate()) == expected


@pytest.mark.parametrize(
    "value",
    [
        "[[1,2,3]]",
        "tensor<float>(d0[1],d1[3]):[[1,2,3]]",
        "tensor(d0[],d1[]):[[1,2,3]]",
        "tensor<int8>(d0[1],d1[3]):[1,2,3]",
        "{{d0:0,d1:0}:1,{d0:0,d1:1}:2,{d0:0,d1:2}:3}",
        [[1, 2, 3]],
        np.array([[1, 2, 3]], np.int32),
        Tensor.dense(TensorType.parse("tensor<int8>(d0[1],d1[3])"), [1, 2, 3]),
        {"values": [[1, 2, 3]]},
        {"cells": [{"address": {"d0": "0", "d1": str(i)}, "value": i + 1} for i in range(3)]},
    ],
)
def test_forms_of_a_tensor(models: ModelsEvaluator, value: Any) -> None:
    result = models.evaluator_of("transformer").bind("input", value).evaluate()
    np.testing.assert_array_equal(result.array, embedding_table()[[[1, 2, 3]]])


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ("tensor(x[3]):[1,2,3]", "'input' must be of type tensor(d0[],d1[]), not tensor(x[3])"),
        (
            Tensor.dense(TensorType.parse("tensor<float>(x[2])"), [1, 2]),
            "'input' must be of type tensor(d0[],d1[]), not tensor<float>(x[2])",
        ),
        ("5", "'input' must be of type tensor(d0[],d1[]), not tensor()"),
        (5.0, "'input' must be of type tensor(d0[],d1[]), not tensor()"),
        ([1, 2], "'input' must be of type tensor(d0[],d1[]), not tensor(d0[2])"),
        ("", "'input' must be of type tensor(d0[],d1[]), but it is empty"),
    ],
)
def test_a_value_of_another_type_is_refused(
    models: ModelsEvaluator, value: Any, message: str
) -> None:
    with pytest.raises(UsageError) as caught:
        models.evaluator_of("transformer").bind("input", value)
    assert caught.value.message == message


@pytest.mark.parametrize(
    "value", ["[[1,2", "[[1,x]]", "[[1],[2,3]]", "[1,2]", "hello", "{a:1}", [[1], [2, 3]], ["a"]]
)
def test_what_cannot_be_read_names_argument_and_type(models: ModelsEvaluator, value: Any) -> None:
    with pytest.raises(UsageError, match=r"^(.*: )?'input' must be of type tensor\(d0\[\],d1\[\]"):
        models.evaluator_of("transformer").bind("input", value)


def test_numbers_of_trees_must_be_numbers(models: ModelsEvaluator) -> None:
    with pytest.raises(UsageError, match="'age' must be of type tensor"):
        models.evaluator_of("xgboost_2_2").bind("age", "old")
    with pytest.raises(UsageError, match="missing value must be a number"):
        models.evaluator_of("xgboost_2_2").set_missing_value("none")


def test_an_unbound_argument_is_named_with_its_type(models: ModelsEvaluator) -> None:
    with pytest.raises(UnboundError) as caught:
        models.evaluator_of("transformer").set_missing_value(1).evaluate()
    assert caught.value.message == (
        "Missing argument 'input': Must be bound to a value of type tensor(d0[],d1[])"
    )


def test_an_evaluator_is_used_once(models: ModelsEvaluator) -> None:
    evaluator = models.evaluator_of("transformer").bind("input", [[1]])
    evaluator.evaluate()
    for again in (
        evaluator.evaluate,
        lambda: evaluator.bind("input", [[1]]),
        lambda: evaluator.set_missing_value(0),
    ):
        with pytest.raises(UsageError, match="used evaluator"):
            again()


def test_lookup_of_functions() -> None:
    class Named:
        def __init__(self, name: str) -> None:
            self.name = name

    def model(*names: str) -> Model:
        return Model("m", "onnx", lambda: {name: Named(name) for name in names})  # type: ignore[misc]

    assert model("y").find("").name == "y"
    assert model("sig.y", "other.z").find("sig").name == "sig.y"
    assert model("sig.y", "other.z").find("z").name == "other.z"
    assert model("sig.y").find("sig.y").name == "sig.y"
    assert model("y", "z").find("default.z").name == "z"
    assert model("y").find("serving_default").name == "y"
    assert model("serving_default.y").find("serving_default").name == "serving_default.y"
    with pytest.raises(UsageError) as several:
        model("a", "b").find("")
    assert several.value.message == (
        "More than one function is available in model 'm', but no name is given. "
        "Available functions: a, b"
    )
    with pytest.raises(UsageError, match="Multiple functions start by 's' in model 'm'"):
        model("s.a", "s.b").find("s")
    with pytest.raises(UsageError, match="Multiple functions called 'a' in model 'm'"):
        model("s.a", "t.a").find("a")
    with pytest.raises(UnknownNameError, match="No function named 'c'.*functions: a, b"):
        model("a", "b").find("c")


def test_unknown_names_list_what_there_is(models: ModelsEvaluator) -> None:
    with pytest.raises(UnknownNameError, match="No model named 'nope'.*pairwise_ranker"):
        models.evaluator_of("nope")
    with pytest.raises(UnknownNameError, match="'x' is not a valid argument.*input: tensor"):
        models.evaluator_of("transformer").bind("x", 1)
    assert "nope" not in models
    assert models.get("nope") is None
    assert models.get("transformer") is models["transformer"]


def test_evaluators_run_beside_each_other(models: ModelsEvaluator) -> None:
    def run(token: int) -> bool:
        evaluator = models.evaluator_of("transformer").bind("input", [[token % 32]])
        return bool(np.array_equal(evaluator.evaluate().array[0, 0], embedding_table()[token % 32]))

    with ThreadPoolExecutor(8) as pool:
        assert all(pool.map(run, range(200)))


def test_a_model_is_read_once_however_many_ask(tmp_path: Path) -> None:
    folder = write_package(tmp_path / "app")
    write_transformer(folder / "models" / "t.onnx")
    model = models_of(folder)["t"]
    with ThreadPoolExecutor(8) as pool:
        found = list(pool.map(lambda _: id(model.functions), range(16)))
    assert len(set(found)) == 1


def test_damaged_models_are_found_by_load(tmp_path: Path) -> None:
    folder = write_package(tmp_path / "app")
    (folder / "models" / "broken.onnx").write_bytes(b"not a model")
    models = models_of(folder)
    assert list(models) == ["broken"]
    with pytest.raises(ModelError, match=r"broken\.onnx"):
        models.load()


def test_two_files_of_one_name_are_refused(tmp_path: Path) -> None:
    folder = write_package(tmp_path / "app")
    write_transformer(folder / "models" / "a.b.onnx")
    write_transformer(folder / "models" / "a" / "b.onnx")
    with pytest.raises(PackageError, match="would both be model 'a_b'"):
        models_of(folder)


@pytest.mark.parametrize(
    ("name", "content", "error"),
    [
        ("saved.json", "xgboost_saved.json", "dump_model"),
        ("saved_model.pb", None, "TensorFlow"),
    ],
)
def test_models_of_other_kinds_are_refused_by_name(
    tmp_path: Path, name: str, content: str | None, error: str
) -> None:
    folder = write_package(tmp_path / "app")
    data = (GOLDEN / content).read_bytes() if content else b""
    (folder / "models" / name).write_bytes(data)
    with pytest.raises((PackageError, ModelError), match=error) as caught:
        models_of(folder)
    assert name in str(caught.value)


def test_a_model_outside_the_package_is_refused(tmp_path: Path) -> None:
    folder = write_package(tmp_path / "app")
    outside = write_transformer(tmp_path / "outside.onnx")
    (folder / "models" / "link.onnx").symlink_to(outside)
    with pytest.raises(PackageError, match="outside the package"):
        models_of(folder)


def test_a_file_that_settings_provide_is_a_model(tmp_path: Path) -> None:
    folder = write_package(tmp_path / "app")
    (folder / "ext").mkdir()
    (folder / "ext" / "siftline.toml").write_text('[models]\n"models/t.onnx" = "made-up"\n')
    catalogue = tmp_path / "catalogue"
    write_transformer(catalogue / "model.onnx")
    package = read_package(folder)
    models = open_models(package, ModelFiles(package, lambda _: catalogue))
    assert list(models) == ["t"]
    assert list(models["t"].functions) == ["output"]


def write_expressions(tmp_path: Path, body: str) -> ModelsEvaluator:
    folder = write_package(tmp_path / "app")
    (folder / "models" / "m.model").write_text(f"model m {{\n{body}\n}}")
    return models_of(folder)


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ("function a() { expression: b }\nfunction b() { expression: a }", "a -> b -> a"),
        ("function a() { expression: 1 + }", "ends too early"),
        ("function a(x) { expression: x }", "no function without parameters"),
        ("inputs { x tensor(y[2] }", "cannot read"),
        ("inputs { x tensor(y[2]) }\ninputs { x tensor(y[3]) }", "declared twice"),
        ("first-phase { expression: 1 }", "unknown element 'first-phase'"),
        ("constant c { file: none.json type: tensor(x[1]) }", "no file 'none.json'"),
        ("constant c { file: ../../../secret type: tensor(x[1]) }", "outside the package"),
    ],
)
def test_a_wrong_expression_file_is_refused_with_its_place(
    tmp_path: Path, body: str, message: str
) -> None:
    models = write_expressions(tmp_path, body)
    with pytest.raises(PackageError, match=message) as caught:
        models.load()
    assert "models/m.model" in str(caught.value)


def test_functions_that_call_each_other_often_are_read_once(tmp_path: Path) -> None:
    calls = [f"function f{i}() {{ expression: f{i - 1} + f{i - 1} }}" for i in range(1, 60)]
    body = "\n".join(["function f0() { expression: x }", *calls])
    models = write_expressions(tmp_path, body)
    assert float(models.evaluator_of("m", "f59").bind("x", 1).evaluate()) == 2.0**59


def test_dimensions_are_no_arguments(tmp_path: Path) -> None:
    body = "inputs { t tensor(x[2]) }\nfunction a() { expression: max(t, x) + max(u, 1) }"
    models = write_expressions(tmp_path, body)
    assert list(models["m"].functions["a"].arguments) == ["t", "u"]
    assert float(models.evaluator_of("m").bind("t", [3, 5]).bind("u", 0).evaluate()) == 6


def test_declared_inputs_may_be_written_as_query_features(tmp_path: Path) -> None:
    body = "inputs { query(t) tensor(x[2]) }\nfunction a() { expression: sum(query(t)) }"
    models = write_expressions(tmp_path, body)
    assert float(models.evaluator_of("m").bind("t", [3, 5]).evaluate()) == 8


def test_operands_that_do_not_fit_are_a_usage_error(tmp_path: Path) -> None:
    body = "inputs { t tensor(x[2]) }\nfunction a() { expression: if(t, 1, 2) }"
    with pytest.raises(UsageError, match="must be a number"):
        write_expressions(tmp_path, body).evaluator_of("m").bind("t", [3, 5]).evaluate()
