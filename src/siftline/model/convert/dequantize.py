"""Dynamically quantised int8 ONNX back to float32 weights.

ONNX Runtime's dynamic quantisation turns `MatMul(x, W)` into

    x8, s, z = DynamicQuantizeLinear(x)
    y        = Mul(Cast(MatMulInteger(x8, W8, z, w_zero)), Mul(s, w_scale))

and a table lookup into `DequantizeLinear(Gather(W8, ids), w_scale, w_zero)`. Here the product
becomes `MatMul(x, (W8 - w_zero) * w_scale)` again: the weights keep their rounding, the
activations lose theirs, and the result no longer depends on what else is in the batch.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from siftline.errors import ModelError

_QUANTIZED = frozenset(
    {
        "MatMulInteger",
        "ConvInteger",
        "DynamicQuantizeLinear",
        "DequantizeLinear",
        "QuantizeLinear",
        "QLinearMatMul",
        "QLinearConv",
        "DynamicQuantizeMatMul",
        "MatMulIntegerToFloat",
        "QAttention",
        "QEmbedLayerNormalization",
        "MatMulNBits",
    }
)


def load_onnx(path: Path) -> Any:
    """The ModelProto of a file; ModelError where it is missing, damaged or not ONNX."""
    import onnx
    from google.protobuf.message import DecodeError  # type: ignore[import-untyped]

    try:
        model = onnx.load(str(path))
    except FileNotFoundError:
        raise ModelError(f"there is no model file {path}") from None
    except DecodeError as error:
        raise ModelError(f"{path} is not an ONNX model, or it is cut short: {error}") from None
    if not model.HasField("graph") or not model.graph.node:
        raise ModelError(f"{path} is not an ONNX model: it has no graph")
    return model


def is_quantized(model: Any) -> bool:
    """Whether any operator of the graph works on quantised numbers."""
    return any(node.op_type in _QUANTIZED for node in model.graph.node)


def dequantized(path: Path) -> bytes | str:
    """What a runtime should read for float32 weights: the path itself unless it is int8."""
    model = load_onnx(path)
    if not is_quantized(model):
        return str(path)
    content: bytes = dequantize(model).SerializeToString()
    return content


def dequantize(model: Any) -> Any:
    """A copy of an int8 ModelProto with float32 weights and no quantised operator.

    Raises ModelError naming the operators that were not made by dynamic quantisation.
    """
    from onnx import ModelProto

    copy = ModelProto()
    copy.CopyFrom(model)
    _Rewriter(copy.graph).run()
    left = sorted({node.op_type for node in copy.graph.node if node.op_type in _QUANTIZED})
    if left:
        raise ModelError(f"cannot dequantise the operators {', '.join(left)}")
    return copy


class _Rewriter:
    """Rewrites one GraphProto in place."""

    def __init__(self, graph: Any) -> None:
        from onnx import numpy_helper

        self._graph = graph
        self._to_array = numpy_helper.to_array
        self._from_array = numpy_helper.from_array
        self._constants = {constant.name: constant for constant in graph.initializer}
        self._makers = {name: node for node in graph.node for name in node.output}
        self._users: dict[str, list[Any]] = {}
        for node in graph.node:
            for name in node.input:
                self._users.setdefault(name, []).append(node)
        self._floats: dict[str, str] = {}
        self._replaced: dict[int, list[Any]] = {}
        self._renamed: dict[str, str] = {}

    def run(self) -> None:
        for node in self._graph.node:
            if node.op_type == "MatMulInteger":
                self._product(node)
            elif node.op_type in ("DynamicQuantizeMatMul", "MatMulIntegerToFloat"):
                self._fused_product(node)
            elif node.op_type == "DequantizeLinear":
                self._lookup(node)
        nodes = [n for node in self._graph.node for n in self._replaced.get(id(node), [node])]
        for node in nodes:
            for position, name in enumerate(node.input):
                node.input[position] = self._renamed.get(name, name)
        kept = _reachable(nodes, {value.name for value in self._graph.output})
        del self._graph.node[:]
        self._graph.node.extend(kept)
        used = {name for node in kept for name in node.input}
        constants = [c for c in self._graph.initializer if c.name in used]
        del self._graph.initializer[:]
        self._graph.initializer.extend(constants)

    def _product(self, node: Any) -> None:
        """Replace the scaling Mul of a MatMulInteger by a MatMul of floats."""
        quantize = self._makers.get(node.input[0])
        cast = self._only_user(node.output[0], "Cast")
        scale = self._only_user(cast.output[0], "Mul") if cast else None
        if quantize is None or quantize.op_type != "DynamicQuantizeLinear" or scale is None:
            return
        other = next(name for name in scale.input if name != cast.output[0])
        factors = self._makers.get(other)
        if factors is None or factors.op_type != "Mul" or quantize.output[1] not in factors.input:
            return
        weight_scale = next(name for name in factors.input if name != quantize.output[1])
        zero = node.input[3] if len(node.input) > 3 else ""
        self._replace(scale, quantize.input[0], self._float(node.input[1], weight_scale, zero))

    def _fused_product(self, node: Any) -> None:
        """ONNX Runtime's fused forms, which its optimised files hold."""
        names = [*node.input, "", "", "", ""]
        if node.op_type == "DynamicQuantizeMatMul":
            values, weight, scale, zero, bias = names[:5]
        else:
            quantize = self._makers.get(names[0])
            if quantize is None or quantize.op_type != "DynamicQuantizeLinear":
                return
            values, weight, scale, zero, bias = quantize.input[0], names[1], names[3], *names[5:7]
        self._replace(node, values, self._float(weight, scale, zero), bias)

    def _lookup(self, node: Any) -> None:
        """Make the table behind `DequantizeLinear(Gather(table, …))` a table of floats."""
        gather = self._makers.get(node.input[0])
        zero = node.input[2] if len(node.input) > 2 else ""
        if gather is not None and gather.op_type == "Gather":
            gather.input[0] = self._float(gather.input[0], node.input[1], zero)
            self._renamed[node.output[0]] = gather.output[0]
        elif node.input[0] in self._constants:
            self._renamed[node.output[0]] = self._float(node.input[0], node.input[1], zero)

    def _replace(self, node: Any, values: str, weight: str, bias: str = "") -> None:
        from onnx import helper

        output = node.output[0]
        product = f"{output}_product" if bias else output
        made = [helper.make_node("MatMul", [values, weight], [product], name=node.name)]
        if bias:
            made.append(
                helper.make_node("Add", [product, bias], [output], name=f"{node.name}_bias")
            )
        self._replaced[id(node)] = made

    def _float(self, weight: str, scale: str, zero: str) -> str:
        """The name of a float constant equal to `(weight - zero) * scale`."""
        if weight in self._floats:
            return self._floats[weight]
        for name in (weight, scale):
            if name not in self._constants:
                raise ModelError(f"cannot dequantise '{weight}': '{name}' is not a constant")
        integers = self._to_array(self._constants[weight]).astype(np.float32)
        if zero:
            integers -= self._to_array(self._constants[zero]).astype(np.float32)
        values = integers * self._to_array(self._constants[scale]).astype(np.float32)
        name = f"{weight}_float"
        self._graph.initializer.append(self._from_array(values, name))
        self._floats[weight] = name
        return name

    def _only_user(self, name: str, operator: str) -> Any:
        users = self._users.get(name, [])
        return users[0] if len(users) == 1 and users[0].op_type == operator else None


def _reachable(nodes: list[Any], outputs: set[str]) -> list[Any]:
    """The nodes some output depends on, in their order."""
    needed, kept = set(outputs), []
    for node in reversed(nodes):
        if needed.intersection(node.output):
            needed.update(node.input)
            kept.append(node)
    return kept[::-1]
