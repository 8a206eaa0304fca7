"""Dequantised files equal the float model with rounded weights, in every form ORT writes."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from small_models import bert_encoder, feeds, write_bert_onnx

from siftline.errors import ModelError
from siftline.model.convert.architecture import Encoder
from siftline.model.convert.dequantize import dequantize, is_quantized, load_onnx
from siftline.model.convert.heads import Head, Task
from siftline.model.convert.quantize import dequantize_file, optimize_file, quantize_file
from siftline.model.convert.reference import evaluate
from siftline.model.session import open_session


def rounded(encoder: Encoder, model_path: Path) -> Encoder:
    """The encoder with every weight that the int8 file holds replaced by its rounded value."""
    from onnx import numpy_helper

    arrays = {c.name: numpy_helper.to_array(c) for c in load_onnx(model_path).graph.initializer}
    weights = dict(encoder.weights)
    for name, array in arrays.items():
        if not name.endswith("_quantized"):
            continue
        base = name.removesuffix("_quantized")
        zero = arrays[f"{base}_zero_point"].astype(np.float32)
        values = (array.astype(np.float32) - zero) * arrays[f"{base}_scale"]
        weights[base] = values if base in ("word", "position", "type") else values.T
    return Encoder(encoder.shape, weights)


@pytest.fixture(scope="module")
def quantized(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("int8")
    path = write_bert_onnx(folder / "fp32.onnx")
    quantize_file(path, folder / "int8.onnx")
    return folder / "int8.onnx"


def test_equals_the_rounded_weights(quantized: Path, tmp_path: Path) -> None:
    dequantize_file(quantized, tmp_path / "back.onnx")
    assert not is_quantized(load_onnx(tmp_path / "back.onnx"))
    encoder = rounded(bert_encoder(), quantized)
    output = open_session(tmp_path / "back.onnx").run(feeds())["last_hidden_state"]
    expected = evaluate(encoder, Head("dense"), feeds())
    real = feeds()["attention_mask"] > 0
    np.testing.assert_allclose(output[real], expected[real], atol=5e-5)
    unrounded = evaluate(bert_encoder(), Head("dense"), feeds())
    assert np.abs(expected - unrounded)[real].max() > 1e-3


def test_fused_operators(quantized: Path, tmp_path: Path) -> None:
    """ONNX Runtime's optimised int8 files have DynamicQuantizeMatMul and MatMulIntegerToFloat."""
    optimize_file(quantized, tmp_path / "fused.onnx")
    kinds = {node.op_type for node in load_onnx(tmp_path / "fused.onnx").graph.node}
    assert kinds & {"DynamicQuantizeMatMul", "MatMulIntegerToFloat"}
    plain, fused = tmp_path / "plain.onnx", tmp_path / "back.onnx"
    dequantize_file(quantized, plain)
    dequantize_file(tmp_path / "fused.onnx", fused)
    assert not is_quantized(load_onnx(fused))
    left, right = (open_session(path).run(feeds()) for path in (plain, fused))
    np.testing.assert_allclose(left["last_hidden_state"], right["last_hidden_state"], atol=5e-5)


@pytest.mark.parametrize("task", ["sparse", "dense"])
def test_the_source_is_left_alone(tmp_path: Path, task: Task) -> None:
    path = write_bert_onnx(tmp_path / "fp32.onnx", Head(task))
    quantize_file(path, tmp_path / "int8.onnx")
    model = load_onnx(tmp_path / "int8.onnx")
    before = model.SerializeToString()
    dequantize(model)
    assert model.SerializeToString() == before


def test_what_dynamic_quantisation_did_not_make() -> None:
    from onnx import TensorProto, helper

    graph = helper.make_graph(
        [helper.make_node("QuantizeLinear", ["x", "s", "z"], ["y"])],
        "g",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, [2])],
        [helper.make_tensor_value_info("y", TensorProto.UINT8, [2])],
        [
            helper.make_tensor("s", TensorProto.FLOAT, [], [0.1]),
            helper.make_tensor("z", TensorProto.UINT8, [], [0]),
        ],
    )
    with pytest.raises(ModelError, match="cannot dequantise the operators QuantizeLinear"):
        dequantize(helper.make_model(graph))


def test_a_second_quantisation_is_refused(quantized: Path, tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="is quantised already"):
        quantize_file(quantized, tmp_path / "twice.onnx")
    assert not list(tmp_path.iterdir())
