"""ONNX files as functions: one for each output (spec 5.1, 2.7)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from siftline.errors import ModelError, UsageError
from siftline.model.cells import cell_type
from siftline.model.session import Port, Session
from siftline.rank.models import legal_name
from siftline.stateless.function import Compute, Function
from siftline.tensor.tensor import Tensor
from siftline.tensor.types import SCALAR, Dimension, TensorType

#: Dimensions d0 to d9: the eleventh, d10, would sort before d2.
MOST_DIMENSIONS = 10


def onnx_functions(name: str, path: Path, session: Session) -> dict[str, Function]:
    """The functions of an ONNX model by name; characters that no name can have become `_`.

    ModelError for a model that two names would be one in, or with values that are no tensors of
    numbers.
    """
    inputs = _by_legal_name(path, session.inputs)
    outputs = _by_legal_name(path, session.outputs)
    arguments = {legal: _type(path, port) for legal, port in inputs.items()}
    aliases = {port.name: legal for legal, port in inputs.items()}
    functions = {}
    for legal, port in outputs.items():
        output = _type(path, port)
        functions[legal] = Function(
            legal,
            arguments,
            _runner(session, inputs, port.name),
            output,
            described={f"onnxModel({name}).{legal}": output},
            aliases=aliases,
        )
    return functions


def _by_legal_name(path: Path, ports: Sequence[Port]) -> dict[str, Port]:
    found: dict[str, Port] = {}
    for port in ports:
        legal = legal_name(port.name)
        if legal in found:
            raise ModelError(
                f"{path}: '{port.name}' and '{found[legal].name}' would both be named '{legal}'"
            )
        found[legal] = port
    return found


def _type(path: Path, port: Port) -> TensorType:
    if port.dtype.kind not in "biuf":
        raise ModelError(f"{path}: '{port.name}' is no tensor of numbers, so it has no tensor type")
    if len(port.shape) > MOST_DIMENSIONS:
        raise ModelError(
            f"{path}: '{port.name}' has {len(port.shape)} dimensions, more than {MOST_DIMENSIONS}"
        )
    return _dense_type(
        port.dtype, [size if isinstance(size, int) and size > 0 else None for size in port.shape]
    )


def _dense_type(dtype: np.dtype, sizes: Sequence[int | None]) -> TensorType:
    if not sizes:
        return SCALAR
    return TensorType(
        cell_type(dtype),
        tuple(Dimension(f"d{i}", mapped=False, size=size) for i, size in enumerate(sizes)),
    )


def _runner(session: Session, inputs: Mapping[str, Port], output: str) -> Compute:
    def compute(values: Mapping[str, Tensor]) -> Tensor:
        feeds = {port.name: _feed(name, port, values[name]) for name, port in inputs.items()}
        return _tensor(session.run(feeds, [output])[output])

    return compute


def _feed(name: str, port: Port, value: Tensor) -> np.ndarray:
    """The cells in the element type of the model's input."""
    cells = np.asarray(value.array)
    if port.dtype.kind == "b":
        return np.asarray(cells != 0)
    if port.dtype.kind in "iu":
        return _whole(name, port.dtype, cells)
    return cells.astype(port.dtype)


def _whole(name: str, dtype: np.dtype, cells: np.ndarray) -> np.ndarray:
    """Cells as integers, cut towards zero; UsageError for one that is none of the type."""
    wide = cells.astype(np.float64)
    limits = np.iinfo(dtype)
    # the bounds of 64-bit types round up to a number outside as a double
    fits = np.isfinite(wide) & (wide >= limits.min) & (wide < float(limits.max) + 1)
    if not np.all(fits):
        wrong = wide[~fits].ravel()[0]
        raise UsageError(f"'{name}' takes {dtype}, which has no {wrong}")
    return wide.astype(dtype)


def _tensor(values: np.ndarray) -> Tensor:
    """An output as a tensor with the dimensions d0, d1, …"""
    array = np.asarray(values)
    type_ = _dense_type(array.dtype, array.shape)
    return Tensor(type_, ((),), array.astype(type_.dtype)[None])
