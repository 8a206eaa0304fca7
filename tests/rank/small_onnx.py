"""Small ONNX models, built here: a masked sequence model and a plain one."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

VOCABULARY, WIDTH = 200, 4


def weights(seed: int = 0) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Token embeddings, type embeddings, output weights."""
    random = np.random.default_rng(seed)
    shapes = [(VOCABULARY, WIDTH), (2, WIDTH), (WIDTH, 1)]
    tables = [random.normal(0, 1, shape).astype(np.float32) for shape in shapes]
    return tables[0], tables[1], tables[2]


def write_sequence_model(
    path: Path, *, batch: str | int = "batch", length: str | int = "sequence", masked: bool = True
) -> Path:
    """input_ids, attention_mask, token_type_ids → logits, pooled/mean, hidden; a masked mean."""
    tokens, types, output = weights()
    nodes = [
        helper.make_node("Gather", ["tokens", "input_ids"], ["t"]),
        helper.make_node("Gather", ["types", "token_type_ids"], ["k"]),
        helper.make_node("Add", ["t", "k"], ["hidden"]),
        helper.make_node("Cast", ["attention_mask"], ["m"], to=TensorProto.FLOAT),
        helper.make_node("Unsqueeze", ["m", "last"], ["m3"]),
        helper.make_node("Mul", ["hidden", "m3"], ["h"])
        if masked
        else helper.make_node("Add", ["hidden", "m3"], ["h"]),
        helper.make_node("ReduceSum", ["h", "middle"], ["s"], keepdims=0),
        helper.make_node("ReduceSum", ["m3", "middle"], ["n"], keepdims=0),
        helper.make_node("Div", ["s", "n"], ["pooled/mean"]),
        helper.make_node("MatMul", ["pooled/mean", "output"], ["logits"]),
    ]
    shape = [batch, length]
    names = ("input_ids", "attention_mask", "token_type_ids")
    graph = helper.make_graph(
        nodes,
        "masked",
        [helper.make_tensor_value_info(name, TensorProto.INT64, shape) for name in names],
        [
            helper.make_tensor_value_info("logits", TensorProto.FLOAT, [batch, 1]),
            helper.make_tensor_value_info("pooled/mean", TensorProto.FLOAT, [batch, WIDTH]),
            helper.make_tensor_value_info("hidden", TensorProto.FLOAT, [batch, length, WIDTH]),
        ],
        [
            numpy_helper.from_array(tokens, "tokens"),
            numpy_helper.from_array(types, "types"),
            numpy_helper.from_array(output, "output"),
            numpy_helper.from_array(np.array([2], np.int64), "last"),
            numpy_helper.from_array(np.array([1], np.int64), "middle"),
        ],
    )
    return _save(graph, path)


def logit(ids: Sequence[int], types: Sequence[int]) -> float:
    """The logit of one sequence without padding."""
    tokens, kinds, output = weights()
    hidden = tokens[list(ids)] + kinds[list(types)]
    return float(hidden.mean(axis=0) @ output[:, 0])


def write_sum_model(path: Path, *, batch: str | int = "batch") -> Path:
    """a `[batch, 2]` float and b `[batch, 2]` int32 → total `[batch, 2]` = a + b, count int64."""
    nodes = [
        helper.make_node("Cast", ["b"], ["c"], to=TensorProto.FLOAT),
        helper.make_node("Add", ["a", "c"], ["total"]),
        helper.make_node("Cast", ["total"], ["whole"], to=TensorProto.INT64),
    ]
    graph = helper.make_graph(
        nodes,
        "sum",
        [
            helper.make_tensor_value_info("a", TensorProto.FLOAT, [batch, 2]),
            helper.make_tensor_value_info("b", TensorProto.INT32, [batch, 2]),
        ],
        [
            helper.make_tensor_value_info("total", TensorProto.FLOAT, [batch, 2]),
            helper.make_tensor_value_info("whole", TensorProto.INT64, [batch, 2]),
        ],
    )
    return _save(graph, path)


def _save(graph: onnx.GraphProto, path: Path) -> Path:
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)])
    model.ir_version = 8
    onnx.checker.check_model(model)
    onnx.save(model, path)
    return path
