"""A small writer of ONNX graphs over `onnx.helper`: nodes in order, constants by name."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from siftline.errors import ModelError

#: LayerNormalization entered ONNX in opset 17; every supported runtime reads it.
OPSET = 17
_IR_VERSION = 8
#: protobuf refuses messages of two gigabytes.
_LARGEST = 2**31 - 1


class Graph:
    """Collects nodes and constants; every method returns the name of the value it made."""

    def __init__(self) -> None:
        self._nodes: list[Any] = []
        self._constants: dict[str, Any] = {}
        self._count = 0

    def constant(self, name: str, array: np.ndarray) -> str:
        """An initialiser; a second one of the same name is the first."""
        from onnx import numpy_helper

        if name not in self._constants:
            self._constants[name] = numpy_helper.from_array(np.asarray(array, order="C"), name)
        return name

    def integers(self, *values: int) -> str:
        """A one-dimensional int64 constant."""
        name = "integers_" + "_".join(str(value) for value in values)
        return self.constant(name, np.array(values, np.int64))

    def number(self, value: float) -> str:
        """A float32 scalar constant."""
        return self.constant(f"number_{value!r}", np.array(value, np.float32))

    def add(self, operator: str, *inputs: str, name: str | None = None, **attributes: Any) -> str:
        """One node with one output, called `name` or numbered."""
        return self.add_many(operator, *inputs, names=[name], **attributes)[0]

    def add_many(
        self, operator: str, *inputs: str, names: Sequence[str | None], **attributes: Any
    ) -> list[str]:
        """One node with as many outputs as `names`; None names are numbered."""
        from onnx import helper

        outputs = []
        for name in names:
            self._count += 1
            outputs.append(name or f"{operator.lower()}_{self._count}")
        self._nodes.append(
            helper.make_node(
                operator, inputs, outputs, name=f"{operator}_{self._count}", **attributes
            )
        )
        return outputs

    def linear(self, values: str, name: str, weight: np.ndarray, bias: np.ndarray) -> str:
        """`values @ weight.T + bias` with weight `(out, in)`."""
        product = self.add("MatMul", values, self.constant(f"{name}.weight", weight.T))
        return self.add("Add", product, self.constant(f"{name}.bias", bias))

    def normalize(
        self, values: str, name: str, parameters: tuple[np.ndarray, np.ndarray, float]
    ) -> str:
        """Layer normalisation over the last axis with (weight, bias, epsilon)."""
        weight, bias, epsilon = parameters
        return self.add(
            "LayerNormalization",
            values,
            self.constant(f"{name}.weight", weight),
            self.constant(f"{name}.bias", bias),
            axis=-1,
            epsilon=epsilon,
        )

    def model(self, inputs: Sequence[str], outputs: Sequence[tuple[str, Sequence[Any]]]) -> Any:
        """The ModelProto: int64 `(batch, sequence)` inputs, float32 outputs of the given shapes."""
        from onnx import TensorProto, checker, helper

        graph = helper.make_graph(
            self._nodes,
            "siftline",
            [
                helper.make_tensor_value_info(name, TensorProto.INT64, ["batch", "sequence"])
                for name in inputs
            ],
            [
                helper.make_tensor_value_info(name, TensorProto.FLOAT, list(shape))
                for name, shape in outputs
            ],
            list(self._constants.values()),
        )
        model = helper.make_model(
            graph,
            opset_imports=[helper.make_opsetid("", OPSET)],
            producer_name="siftline",
            ir_version=_IR_VERSION,
        )
        size = model.ByteSize()
        if size > _LARGEST:
            raise ModelError(f"the model needs {size:,} bytes; one ONNX file holds at most 2 GB")
        checker.check_model(model)
        return model
