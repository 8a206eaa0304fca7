"""One interface for running a model, whatever runs it: named arrays in, named arrays out."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, Protocol, get_args

import numpy as np

from siftline.errors import ModelError, UsageError

Runtime = Literal["auto", "onnxruntime", "openvino"]
Precision = Literal["fp32", "bf16"]
RUNTIMES: tuple[str, ...] = get_args(Runtime)
PRECISIONS: tuple[str, ...] = get_args(Precision)
#: Endings of the names of TorchScript files.
TORCH_SCRIPT = (".pt", ".pth")


@dataclass(frozen=True, slots=True)
class Port:
    """An input or output: a number for each fixed dimension, a name or None for a free one."""

    name: str
    dtype: np.dtype
    shape: tuple[int | str | None, ...]


class Session(Protocol):
    """An open model; `run` may be called from several threads at once."""

    @property
    def inputs(self) -> tuple[Port, ...]:
        """What the model needs."""

    @property
    def outputs(self) -> tuple[Port, ...]:
        """What the model gives."""

    @property
    def runtime(self) -> str:
        """What runs it and in which precision, as `onnxruntime` or `openvino bf16`."""

    @property
    def scaled_together(self) -> bool:
        """Whether a row's output depends on the rows beside it.

        It does where activations are quantised while running: one scale fits the whole batch.
        """

    def run(
        self, feeds: Mapping[str, np.ndarray], outputs: Sequence[str] | None = None
    ) -> dict[str, np.ndarray]:
        """The named outputs, or all, for one array per input.

        Integer feeds are converted to the input's integer type, floating feeds to its floating
        type. Raises ModelError for a missing or unknown name and where the runtime fails.
        """


@dataclass(frozen=True, slots=True)
class Execution:
    """How a runtime is to work: threads, order, device.

    threads: of one operator; None leaves it to the runtime (one per core). parallel: operators that
    do not depend on each other run at the same time, `across` of them. gpu: the number of a CUDA
    device, None for the processor.
    """

    threads: int | None = None
    across: int | None = None
    parallel: bool = False
    gpu: int | None = None

    def __post_init__(self) -> None:
        for name, count in (("threads", self.threads), ("interop-threads", self.across)):
            if count is not None and count < 1:
                raise UsageError(f"{name} must be at least 1, not {count}")


def open_session(
    path: Path | str,
    *,
    runtime: Runtime = "auto",
    threads: int | None = None,
    precision: Precision | None = None,
    execution: Execution | None = None,
) -> Session:
    """Open an ONNX file, or TorchScript that is named as in `TORCH_SCRIPT`.

    runtime: `auto` is ONNX Runtime, which takes every ONNX file as it is; TorchScript is run by
    torch, whatever the runtime. threads: of one run; None leaves it to the runtime (one per core).
    precision: None keeps ONNX Runtime's file as it is and gives OpenVINO bf16 where the processor
    has it; `fp32` dequantises an int8 file first; `bf16` needs OpenVINO. execution: more than
    threads, in their place. Raises ModelError where the file is missing, damaged or not a model, or
    no device is what `execution` asks for, UsageError where a runtime has nothing of the kind,
    MissingExtraError where OpenVINO or torch is not installed.
    """
    if runtime not in RUNTIMES:
        raise UsageError(f"unknown runtime '{runtime}' (known: {', '.join(RUNTIMES)})")
    if precision is not None and precision not in PRECISIONS:
        raise UsageError(f"unknown precision '{precision}' (known: {', '.join(PRECISIONS)})")
    execution = execution or Execution(threads)
    path = Path(path)
    if not path.is_file():
        raise ModelError(f"there is no model file {path}")
    if path.suffix in TORCH_SCRIPT and precision != "bf16":
        from siftline.model.torch_session import TorchScriptSession

        return TorchScriptSession(path, execution)
    if runtime == "openvino" and path.suffix not in TORCH_SCRIPT:
        from siftline.model.openvino_session import OpenVinoSession

        return OpenVinoSession(path, execution, precision)
    if precision == "bf16":
        raise UsageError("precision 'bf16' needs the runtime openvino and an ONNX file")
    from siftline.model.onnx_session import OnnxSession

    return OnnxSession(path, execution, precision)


def require(session: Session, *, inputs: Iterable[str] = (), outputs: Iterable[str] = ()) -> None:
    """Raise ModelError unless the model has these inputs and outputs; text as in Vespa."""
    for kind, wanted, ports in (
        ("input", inputs, session.inputs),
        ("output", outputs, session.outputs),
    ):
        names = [port.name for port in ports]
        for name in wanted:
            if name not in names:
                raise ModelError(
                    f"Model does not contain required {kind}: '{name}'. "
                    f"Model contains: {','.join(names)}"
                )


def check_feeds(
    feeds: Mapping[str, np.ndarray], inputs: Sequence[Port], path: Path
) -> dict[str, np.ndarray]:
    """The feeds in the types the model wants; ModelError where names or kinds do not fit."""
    names = [port.name for port in inputs]
    for name in feeds:
        if name not in names:
            raise ModelError(
                f"Model does not contain required input: '{name}'. "
                f"Model contains: {','.join(names)}"
            )
    return {port.name: _feed(feeds, port, path) for port in inputs}


def _feed(feeds: Mapping[str, np.ndarray], port: Port, path: Path) -> np.ndarray:
    if port.name not in feeds:
        raise ModelError(f"{path}: input '{port.name}' is missing (given: {','.join(feeds)})")
    array = np.asarray(feeds[port.name])
    if array.dtype == port.dtype:
        return array
    if array.dtype.kind in "iub" and port.dtype.kind in "iub":
        return array.astype(port.dtype)
    if array.dtype.kind in "iubf" and port.dtype.kind == "f":
        return array.astype(port.dtype)
    raise ModelError(f"{path}: input '{port.name}' takes {port.dtype}, not {array.dtype}")


def check_outputs(outputs: Sequence[str] | None, ports: Sequence[Port]) -> list[str]:
    """The names to return; ModelError for one the model does not have."""
    names = [port.name for port in ports]
    if outputs is None:
        return names
    for name in outputs:
        if name not in names:
            raise ModelError(
                f"Model does not contain required output: '{name}'. "
                f"Model contains: {','.join(names)}"
            )
    return list(outputs)
