"""`/model-evaluation/v1`: the bodies and codes of spec 5 and of the seed's curl calls."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import quote

import numpy as np
import pytest
from serving import clients_of, fruit_package, host_of
from starlette.testclient import TestClient

from model_package import embedding_table, model_server, write_transformer

HOST = {"Host": "localhost:8080"}
BASE = "http://localhost:8080/model-evaluation/v1"

#: What the seed prints for its application of two models.
SEED_LIST = """{
    "pairwise_ranker": "http://localhost:8080/model-evaluation/v1/pairwise_ranker",
    "transformer": "http://localhost:8080/model-evaluation/v1/transformer"
}
"""
SEED_FUNCTION = """{
    "arguments": [
        {
            "name": "input",
            "type": "tensor(d0[],d1[])"
        },
        {
            "name": "onnxModel(transformer).output",
            "type": "tensor<float>(d0[],d1[],d2[16])"
        }
    ],
    "eval": "http://localhost:8080/model-evaluation/v1/transformer/output/eval",
    "function": "output",
    "info": "http://localhost:8080/model-evaluation/v1/transformer/output",
    "model": "transformer"
}
"""


@pytest.fixture(scope="module")
def client(tmp_path_factory: pytest.TempPathFactory) -> Iterator[TestClient]:
    folder = model_server(tmp_path_factory.mktemp("models") / "app")
    with host_of(folder) as host, clients_of(host) as (container, _):
        yield container


def error(client: TestClient, path: str, status: int) -> str:
    response = client.get(f"/model-evaluation/v1{path}", headers=HOST)
    assert response.status_code == status
    assert response.headers["content-type"] == "application/json"
    body = response.json()
    assert list(body) == ["error"]
    return str(body["error"])


def printed(text: str) -> str:
    """As the seed's pipe through a JSON printer shows it."""
    return json.dumps(json.loads(text), indent=4, sort_keys=True) + "\n"


@pytest.fixture(scope="module")
def seed_client(tmp_path_factory: pytest.TempPathFactory) -> Iterator[TestClient]:
    folder = model_server(tmp_path_factory.mktemp("seed") / "app")
    for path in (folder / "models").rglob("*"):
        if path.is_file() and path.stem not in ("transformer", "pairwise_ranker"):
            path.unlink()
    with host_of(folder) as host, clients_of(host) as (container, _):
        yield container


@pytest.mark.parametrize(
    ("path", "expected"), [("/", SEED_LIST), ("/transformer/output", SEED_FUNCTION)]
)
def test_the_seeds_calls_give_the_seeds_json(
    seed_client: TestClient, path: str, expected: str
) -> None:
    response = seed_client.get(f"/model-evaluation/v1{path}", headers=HOST)
    assert response.status_code == 200
    assert printed(response.text) == expected


@pytest.mark.parametrize("path", ["", "/"])
def test_list_of_models(client: TestClient, path: str) -> None:
    response = client.get(f"/model-evaluation/v1{path}", headers={"Host": "search.example:81"})
    names = [
        "lightgbm_pandas", "pairwise_ranker", "transformer", "unnamed", "vespa_example",
        "xgboost_2_2",
    ]  # fmt: skip
    base = "http://search.example:81/model-evaluation/v1"
    assert response.json() == {name: f"{base}/{name}" for name in names}
    assert response.headers["content-type"] == "application/json"


def test_list_of_functions(client: TestClient) -> None:
    for path in ("/transformer", "/transformer/", "/Transformer"):
        response = client.get(f"/model-evaluation/v1{path}", headers=HOST)
        assert response.json() == {
            "model": "transformer",
            "functions": [
                {
                    "function": "output",
                    "info": f"{BASE}/transformer/output",
                    "eval": f"{BASE}/transformer/output/eval",
                    "arguments": [
                        {"name": "input", "type": "tensor(d0[],d1[])"},
                        {
                            "name": "onnxModel(transformer).output",
                            "type": "tensor<float>(d0[],d1[],d2[16])",
                        },
                    ],
                }
            ],
        }
    several = client.get("/model-evaluation/v1/vespa_example", headers=HOST).json()
    assert [function["function"] for function in several["functions"]] == [
        "foo1", "foo2", "both", "mapped", "chosen",
    ]  # fmt: skip


def test_features_of_trees_are_scalar_arguments(client: TestClient) -> None:
    found = client.get("/model-evaluation/v1/xgboost_2_2/xgboost_2_2", headers=HOST).json()
    assert found == {
        "model": "xgboost_2_2",
        "function": "xgboost_2_2",
        "info": f"{BASE}/xgboost_2_2/xgboost_2_2",
        "eval": f"{BASE}/xgboost_2_2/xgboost_2_2/eval",
        "arguments": [
            {"name": name, "type": "tensor()"}
            for name in ("age", "bm25(title)", "clicks", "freshness")
        ],
    }


@pytest.mark.parametrize(
    "path", ["/transformer/eval", "/transformer/output/eval/", "/TRANSFORMER/Output/EVAL"]
)
def test_evaluation(client: TestClient, path: str) -> None:
    response = client.get(f"/model-evaluation/v1{path}", params={"input": "[[1,2,3]]"})
    assert response.status_code == 200
    assert response.headers["content-type"] == "application/json"
    assert response.json() == {
        "type": "tensor<float>(d0[1],d1[3],d2[16])",
        "values": embedding_table()[[[1, 2, 3]]].astype(np.float64).tolist(),
    }


def test_evaluation_by_form(client: TestClient) -> None:
    path = "/model-evaluation/v1/transformer/eval"
    asked = client.get(path, params={"input": "[[4]]"}).content
    assert client.post(path, data={"input": "[[4]]"}).content == asked
    assert client.post(f"{path}?input=[[4]]").content == asked
    assert client.post(f"{path}?input=[[5]]", data={"input": "[[4]]"}).content == asked
    typed = {"Content-Type": "application/x-www-form-urlencoded; charset=UTF-8"}
    body = f"input={quote('{{d0:0,d1:0}:4}')}"
    assert client.post(path, content=body, headers=typed).content == asked


def test_a_json_body_is_not_read(client: TestClient) -> None:
    response = client.post("/model-evaluation/v1/transformer/eval", json={"input": [[4]]})
    assert response.status_code == 400
    assert "Missing argument 'input'" in response.json()["error"]


@pytest.mark.parametrize(
    ("form", "expected"),
    [
        ("short", {"type": "tensor()", "values": [202.5]}),
        ("long", {"type": "tensor()", "cells": [{"address": {}, "value": 202.5}]}),
        ("short-value", [202.5]),
        ("long-value", [{"address": {}, "value": 202.5}]),
        ("string", "tensor():202.5"),
        ("string-long", "tensor():202.5"),
    ],
)
def test_forms_of_a_scalar(client: TestClient, form: str, expected: object) -> None:
    response = client.get(
        "/model-evaluation/v1/vespa_example/foo1/eval",
        params={
            "input1": "{{name:a, x:0}: 1, {name:a, x:1}: 2, {name:a, x:2}: 3}",
            "input2": "{{x:0}:3, {x:1}:6, {x:2}:9}",
            "format.tensors": form,
            "not-an-argument": "7",
        },
    )
    assert response.status_code == 200
    assert response.json() == expected


@pytest.mark.parametrize(
    ("form", "expected"),
    [
        ("short", {"type": "tensor(key{})", "cells": {"a": 1.0, "b c": 0.5}}),
        ("string", 'tensor(key{}):{a:1.0,"b c":0.5}'),
        ("string-long", 'tensor(key{}):{{key:a}:1.0,{key:"b c"}:0.5}'),
    ],
)
def test_forms_of_a_mapped_tensor(client: TestClient, form: str, expected: object) -> None:
    params = {"factor": "0.5", "format.tensors": form}
    response = client.get("/model-evaluation/v1/vespa_example/mapped/eval", params=params)
    assert response.json() == expected


def test_float_cells_print_as_doubles(client: TestClient) -> None:
    params = {"left_0": "[0.1,0.2]", "right": "[1,1]", "format.tensors": "short-value"}
    response = client.get("/model-evaluation/v1/pairwise_ranker/out_mul/eval", params=params)
    assert response.text == "[0.10000000149011612,0.20000000298023224]"


def test_an_onnx_name_with_a_colon_binds_too(client: TestClient) -> None:
    params = {"left:0": "[1,2]", "right": "[1,1]", "format.tensors": "short-value"}
    response = client.get("/model-evaluation/v1/pairwise_ranker/add/eval", params=params)
    assert response.json() == [2.0, 3.0]


def test_missing_values_of_trees(client: TestClient) -> None:
    path = "/model-evaluation/v1/xgboost_2_2/eval"
    bound = {name: "5" for name in ("age", "bm25(title)", "clicks", "freshness")}
    everything = client.get(path, params=bound).json()
    assert client.get(path, params={"missing-value": "5"}).json() == everything
    assert client.get(path).json() != everything
    assert client.get(path).json()["type"] == "tensor()"


def test_categories_of_trees(client: TestClient) -> None:
    path = "/model-evaluation/v1/lightgbm_pandas/eval"
    found = {
        colour: client.get(path, params={"colour": colour, "size": "l", "weight": "1.5"}).text
        for colour in ("red", "green", "sea green")
    }
    assert len(set(found.values())) == 3


@pytest.mark.parametrize(
    ("path", "message"),
    [
        ("/nope", "No model named 'nope'. Available models: lightgbm_pandas, "),
        ("/nope/eval", "No model named 'nope'"),
        ("/eval", "No model named 'eval'"),
        (
            "/transformer/nope",
            "No function named 'nope' in model 'transformer'. Available functions: output",
        ),
        ("/transformer/output/x/eval", "No function named 'output.x' in model 'transformer'"),
        (
            "/pairwise_ranker/eval",
            "More than one function is available in model 'pairwise_ranker', but no name is given."
            " Available functions: out_mul, add",
        ),
        (
            "/transformer/eval?input=tensor(x[1]):[1]",
            "'input' must be of type tensor(d0[],d1[]), not tensor(x[1])",
        ),
        ("/transformer/eval?input=", "'input' must be of type tensor(d0[],d1[]), but it is empty"),
        ("/transformer/eval?input=[[1,", "'input' must be of type tensor(d0[],d1[]): "),
        ("/transformer/eval?input=[[1]]&format.tensors=xml", "unknown format.tensors 'xml'"),
        ("/xgboost_2_2/eval?age=old", "'age' must be of type tensor()"),
        ("/xgboost_2_2/eval?missing-value=none", "the missing value must be a number"),
    ],
)
def test_what_is_wrong_with_a_request_is_404(client: TestClient, path: str, message: str) -> None:
    assert message in error(client, path, 404)


def test_an_unbound_argument_is_400(client: TestClient) -> None:
    assert error(client, "/transformer/eval", 400) == (
        "Missing argument 'input': Must be bound to a value of type tensor(d0[],d1[])"
    )


def test_a_model_that_fails_is_500(client: TestClient) -> None:
    # a row of the table that it does not have
    assert "transformer.onnx failed" in error(client, "/transformer/eval?input=[[99]]", 500)


@pytest.mark.parametrize(
    "path", ["/model-evaluation", "/model-evaluation/", "/model-evaluation/v2/m"]
)
def test_another_version_is_404(client: TestClient, path: str) -> None:
    response = client.get(path)
    assert (response.status_code, response.json()) == (404, {"error": "unknown API version"})


def test_messages_are_escaped(client: TestClient) -> None:
    assert "No model named 'a\"b\\'" in error(client, "/a%22b%5C", 404)


def test_other_methods_are_405(client: TestClient) -> None:
    response = client.put("/model-evaluation/v1/transformer/eval")
    assert response.status_code == 405


def test_a_package_without_the_element_has_no_models(tmp_path: Path) -> None:
    with host_of(fruit_package(tmp_path / "fruit")) as host, clients_of(host) as (container, _):
        assert "<model-evaluation/>" in error(container, "/", 404)


def test_a_damaged_model_is_500_and_harms_no_other(tmp_path: Path) -> None:
    folder = model_server(tmp_path / "app")
    (folder / "models" / "broken.onnx").write_bytes(b"not a model")
    with host_of(folder) as host, clients_of(host) as (container, _):
        assert "broken.onnx" in error(container, "/broken", 500)
        assert "broken.onnx" in error(container, "/broken/eval", 500)
        found = container.get("/model-evaluation/v1/transformer/eval", params={"input": "[[1]]"})
        assert found.status_code == 200
        write_transformer(folder / "models" / "broken.onnx")
        assert container.get("/model-evaluation/v1/broken").status_code == 200
