"""Packages with models and nothing else: small ONNX files, trees and expressions."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
from onnx import TensorProto, helper, numpy_helper, save_model

GOLDEN = Path(__file__).parent / "golden" / "trees"

SERVICES = """<services version="1.0">
  <container id="default" version="1.0">
    <model-evaluation/>
  </container>
</services>
"""

#: The `.model` file: foo1 is Appendix A's example, with weights that give its 202.5.
EXAMPLE = """model example {

    # scalars need no declaration
    inputs {
        input1 tensor(name{},x[3])
        input2 tensor(x[3])
    }

    constants {
        constant1 tensor(x[3]): [0.5, 1.5, 2.5]
        constant2: 3.0
    }

    constant constant1asLarge {
        file: constant1asLarge.json
        type: tensor(x[3])
    }

    function foo1() {
        expression: reduce(sum(input1 * input2, name) * constant1asLarge, max, x) * constant2
    }
    function foo2() {
        expression: reduce(sum(input1 * input2, name) * constant1, max, x) * constant2
    }
    function scaled(value) {
        expression: value * factor
    }
    function both() {
        expression: foo1 + scaled(foo2())
    }
    function mapped() {
        expression: tensor(key{}):{a:1, "b c":factor}
    }
    function chosen() {
        expression: if(colour in ["red", "green"], 1, attribute(weight))
    }
}
"""


def write_package(folder: Path, services: str = SERVICES) -> Path:
    """`folder` with services.xml and an empty `models/`."""
    (folder / "models").mkdir(parents=True)
    (folder / "services.xml").write_text(services)
    return folder


def embedding_table() -> np.ndarray:
    """What the transformer gives for each token id, `(32, 16)` float32."""
    return (np.arange(32 * 16, dtype=np.float32).reshape(32, 16) / 7).astype(np.float32)


def write_transformer(path: Path, output: str = "output") -> Path:
    """`input` int64 [batch, sequence] → float [batch, sequence, 16]: a row of the table each."""
    graph = helper.make_graph(
        [helper.make_node("Gather", ["table", "input"], [output])],
        "transformer",
        [helper.make_tensor_value_info("input", TensorProto.INT64, ["batch", "sequence"])],
        [helper.make_tensor_value_info(output, TensorProto.FLOAT, ["batch", "sequence", 16])],
        [numpy_helper.from_array(embedding_table(), "table")],
    )
    return _save(graph, path)


def write_pairs(path: Path, kind: int = TensorProto.FLOAT, size: object = 2) -> Path:
    """Two inputs `left:0` and `right`, two outputs: their product `out/mul`, their sum `add`."""
    names = ["left:0", "right"]
    graph = helper.make_graph(
        [
            helper.make_node("Mul", names, ["out/mul"]),
            helper.make_node("Add", names, ["add"]),
        ],
        "pairs",
        [helper.make_tensor_value_info(name, kind, [size]) for name in names],
        [helper.make_tensor_value_info(name, kind, [size]) for name in ("out/mul", "add")],
    )
    return _save(graph, path)


def write_identity(path: Path, kind: int, shape: list[object]) -> Path:
    """`x` → `y`, the same values."""
    graph = helper.make_graph(
        [helper.make_node("Identity", ["x"], ["y"])],
        "identity",
        [helper.make_tensor_value_info("x", kind, shape)],
        [helper.make_tensor_value_info("y", kind, shape)],
    )
    return _save(graph, path)


def _save(graph: object, path: Path) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)
    save_model(model, path)
    return path


def model_server(folder: Path) -> Path:
    """A package with every kind of model."""
    write_package(folder)
    models = folder / "models"
    write_transformer(models / "transformer.onnx")
    write_pairs(models / "pairwise_ranker.onnx")
    (models / "vespa").mkdir()
    (models / "vespa" / "example.model").write_text(EXAMPLE)
    (models / "vespa" / "constant1asLarge.json").write_text("[0.5, 1.5, 2.5]")
    for source, target in (
        ("xgboost_dump.json", "xgboost.2.2.json"),
        ("xgboost_unnamed.ubj", "unnamed.ubj"),
        ("xgboost_unnamed-features.txt", "unnamed-features.txt"),
        ("lightgbm_pandas.json", "lightgbm_pandas.json"),
    ):
        shutil.copy(GOLDEN / source, models / target)
    (models / "tokenizer.json").write_text('{"version": "1.0", "model": {}}')
    return folder
