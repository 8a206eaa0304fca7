"""Sessions on ONNX Runtime."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from mmap import ACCESS_READ, mmap
from pathlib import Path
from threading import Lock
from typing import Any

import numpy as np

from siftline.errors import ModelError
from siftline.model.parallel import available_threads
from siftline.model.session import Execution, Port, Precision, check_feeds, check_outputs

_DTYPES = {
    "tensor(float)": np.float32,
    "tensor(double)": np.float64,
    "tensor(float16)": np.float16,
    "tensor(int64)": np.int64,
    "tensor(int32)": np.int32,
    "tensor(int16)": np.int16,
    "tensor(int8)": np.int8,
    "tensor(uint64)": np.uint64,
    "tensor(uint32)": np.uint32,
    "tensor(uint16)": np.uint16,
    "tensor(uint8)": np.uint8,
    "tensor(bool)": np.bool_,
    "tensor(string)": np.object_,
}
_ERRORS_ONLY = 4
_CUDA, _CPU = "CUDAExecutionProvider", "CPUExecutionProvider"


class OnnxSession:
    """A model run by ONNX Runtime, an int8 file as it is unless precision is fp32."""

    def __init__(self, path: Path, execution: Execution, precision: Precision | None) -> None:
        self._path = path
        self._precision = precision
        self._session = self._open(execution)
        one = execution.threads == 1 or execution.gpu is not None
        self._alone: Any = self._session if one else None
        self._lock = Lock()
        self.workers = 1 if one else execution.threads or available_threads()
        self.inputs = tuple(_port(path, value) for value in self._session.get_inputs())
        self.outputs = tuple(_port(path, value) for value in self._session.get_outputs())
        self.runtime = "onnxruntime" if execution.gpu is None else "onnxruntime cuda"
        self.scaled_together = precision != "fp32" and quantises_activations(path)

    def _open(self, execution: Execution) -> Any:
        import onnxruntime

        options = onnxruntime.SessionOptions()
        options.log_severity_level = _ERRORS_ONLY
        options.inter_op_num_threads = (execution.across or 1) if execution.parallel else 1
        if execution.parallel:
            options.execution_mode = onnxruntime.ExecutionMode.ORT_PARALLEL
        if execution.threads is not None:
            options.intra_op_num_threads = execution.threads
        source: str | bytes = str(self._path)
        if self._precision == "fp32":
            from siftline.model.convert.dequantize import dequantized

            source = dequantized(self._path)
        providers: list[Any] = [_CPU]
        if execution.gpu is not None:
            require_cuda(self._path)
            providers.insert(0, (_CUDA, {"device_id": str(execution.gpu)}))
        try:
            session = onnxruntime.InferenceSession(source, options, providers=providers)
        except runtime_errors() as error:
            raise ModelError(
                f"{self._path} is not an ONNX model that can be run, or it is damaged: "
                f"{_line(error)}"
            ) from None
        if execution.gpu is not None and _CUDA not in session.get_providers():
            raise ModelError(f"{self._path} asks for GPU {execution.gpu}, which cannot be used")
        return session

    def run(
        self, feeds: Mapping[str, np.ndarray], outputs: Sequence[str] | None = None
    ) -> dict[str, np.ndarray]:
        """See Session.run."""
        return self._run(self._session, feeds, outputs)

    def run_alone(
        self, feeds: Mapping[str, np.ndarray], outputs: Sequence[str] | None = None
    ) -> dict[str, np.ndarray]:
        """See Parallel.run_alone; opens the model a second time, with one thread, on first use."""
        with self._lock:
            if self._alone is None:
                self._alone = self._open(Execution(threads=1))
        return self._run(self._alone, feeds, outputs)

    def _run(
        self, session: Any, feeds: Mapping[str, np.ndarray], outputs: Sequence[str] | None
    ) -> dict[str, np.ndarray]:
        checked = check_feeds(feeds, self.inputs, self._path)
        names = check_outputs(outputs, self.outputs)
        try:
            values = session.run(names, checked)
        except runtime_errors() as error:
            raise ModelError(f"{self._path} failed: {_line(error)}") from None
        return dict(zip(names, values, strict=True))


def quantises_activations(path: Path) -> bool:
    """Whether the file has operators that quantise their input while running."""
    with path.open("rb") as file, mmap(file.fileno(), 0, access=ACCESS_READ) as data:
        return data.find(b"DynamicQuantize") >= 0


def require_cuda(who: object) -> None:
    """ModelError, which names who asks for a GPU, unless this ONNX Runtime has CUDA."""
    import onnxruntime

    available = onnxruntime.get_available_providers()
    if _CUDA not in available:
        raise ModelError(
            f"{who} asks for a GPU, but this ONNX Runtime has no CUDA (it has"
            f" {', '.join(available)}): remove gpu-device, or install onnxruntime-gpu"
        )


def _port(path: Path, value: Any) -> Port:
    if value.type not in _DTYPES:
        raise ModelError(f"{path}: '{value.name}' has the unsupported type {value.type}")
    return Port(value.name, np.dtype(_DTYPES[value.type]), tuple(value.shape))


def runtime_errors() -> tuple[type[Exception], ...]:
    """ONNX Runtime's exceptions, which share no base of their own."""
    from onnxruntime.capi import onnxruntime_pybind11_state as state

    own = [kind for kind in vars(state).values() if isinstance(kind, type)]
    return (RuntimeError, *(kind for kind in own if issubclass(kind, Exception)))


def _line(error: Exception) -> str:
    return " ".join(str(error).split())
