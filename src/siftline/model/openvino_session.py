"""Sessions on OpenVINO: bf16 where the processor has it, shapes prepared once each."""

from __future__ import annotations

import threading
from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from siftline.errors import MissingExtraError, ModelError, UsageError
from siftline.model.convert.dequantize import dequantized
from siftline.model.session import Execution, Port, Precision, check_feeds, check_outputs

if TYPE_CHECKING:
    from openvino import Core

_HINTS = {"fp32": "f32", "bf16": "bf16"}

_one_core = threading.Lock()


def openvino_core() -> Core:
    """The process's only OpenVINO core; MissingExtraError where OpenVINO is not installed."""
    with _one_core:
        return _core()


@cache
def _core() -> Core:
    # OpenVINO's plugin for processors changes the signal stack of the thread that makes it, and
    # puts the one before back when it goes. Two that do not go in reverse order leave a stack that
    # is freed, on which the next signal, Ctrl-C say, ends the process.
    try:
        import openvino
    except ImportError:
        raise MissingExtraError("the runtime openvino", "openvino") from None
    return openvino.Core()


class OpenVinoSession:
    """A model run by OpenVINO on the processor; an int8 file is dequantised first.

    OpenVINO would run MatMulInteger node by node; as float weights the whole graph is fused and
    runs in bf16, which keeps fp32's ranking where int8 activations lose some of it.
    """

    def __init__(self, path: Path, execution: Execution, precision: Precision | None) -> None:
        core = openvino_core()
        _check(path, execution)
        capable = "BF16" in core.get_property("CPU", "OPTIMIZATION_CAPABILITIES")
        if precision == "bf16" and not capable:
            raise UsageError("this processor has no bf16; use precision 'fp32'")
        chosen = precision or ("bf16" if capable else "fp32")
        properties: dict[str, Any] = {
            "INFERENCE_PRECISION_HINT": _HINTS[chosen],
            "PERFORMANCE_HINT": "LATENCY",
        }
        if execution.threads is not None:
            properties["INFERENCE_NUM_THREADS"] = execution.threads
        try:
            model = core.read_model(dequantized(path))
            self._compiled = core.compile_model(model, "CPU", properties)
        except RuntimeError as error:
            raise ModelError(
                f"{path} is not an ONNX model that can be run, or it is damaged: "
                f"{' '.join(str(error).split())[:500]}"
            ) from None
        self._path = path
        self._local = threading.local()
        self.inputs = tuple(_port(value) for value in self._compiled.inputs)
        self.outputs = tuple(_port(value) for value in self._compiled.outputs)
        self.runtime = f"openvino {chosen}"
        self.scaled_together = False

    def run(
        self, feeds: Mapping[str, np.ndarray], outputs: Sequence[str] | None = None
    ) -> dict[str, np.ndarray]:
        """See Session.run."""
        checked = check_feeds(feeds, self.inputs, self._path)
        names = check_outputs(outputs, self.outputs)
        try:
            results = self._request().infer(checked, share_inputs=True)
        except RuntimeError as error:
            raise ModelError(f"{self._path} failed: {' '.join(str(error).split())}") from None
        return {name: results[name] for name in names}

    def _request(self) -> Any:
        """One request for each thread: a request runs one inference at a time."""
        if not hasattr(self._local, "request"):
            self._local.request = self._compiled.create_infer_request()
        return self._local.request


def _check(path: Path, execution: Execution) -> None:
    """UsageError for what OpenVINO has no counterpart of."""
    if execution.parallel:
        raise UsageError(
            f"{path}: OpenVINO has no execution-mode parallel; use sequential, or the runtime"
            " onnxruntime in ext/siftline.toml"
        )
    if execution.gpu is not None:
        raise UsageError(
            f"{path}: gpu-device is CUDA's, which OpenVINO has not; remove it, or use the runtime"
            " onnxruntime in ext/siftline.toml"
        )


def _port(value: Any) -> Port:
    shape = tuple(
        dimension.get_length() if dimension.is_static else None for dimension in value.partial_shape
    )
    return Port(value.any_name, np.dtype(value.element_type.to_dtype()), shape)
