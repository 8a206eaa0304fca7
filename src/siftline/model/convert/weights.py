"""Reading safetensors files: header length (8 bytes), JSON header, raw little-endian data.

Format: https://github.com/huggingface/safetensors#format. Read here so that building an ONNX file
needs neither torch nor bfloat16 support in numpy.
"""

from __future__ import annotations

import json
import mmap
from pathlib import Path

import numpy as np

from siftline.errors import ModelError

_DTYPES: dict[str, np.dtype] = {
    "F64": np.dtype("<f8"),
    "F32": np.dtype("<f4"),
    "F16": np.dtype("<f2"),
    "BF16": np.dtype("<u2"),
    "I64": np.dtype("<i8"),
    "I32": np.dtype("<i4"),
    "I16": np.dtype("<i2"),
    "I8": np.dtype("i1"),
    "U8": np.dtype("u1"),
    "BOOL": np.dtype("?"),
}


def read_safetensors(path: Path) -> dict[str, np.ndarray]:
    """Every tensor of the file by name; floating types as float32, integers as stored.

    float32 tensors are read-only views of the mapped file. Raises ModelError naming the file where
    it is missing, cut short or not in this format.
    """
    try:
        with path.open("rb") as file:
            data = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
    except FileNotFoundError:
        raise ModelError(f"there is no weight file {path}") from None
    except ValueError:
        raise ModelError(f"{path} is empty, not a safetensors file") from None
    start, header = _header(path, data)
    return {
        name: _tensor(path, name, entry, memoryview(data)[start:])
        for name, entry in header.items()
        if name != "__metadata__"
    }


def _header(path: Path, data: mmap.mmap) -> tuple[int, dict[str, dict[str, object]]]:
    length = int.from_bytes(data[:8], "little")
    if len(data) < 8 + length:
        raise ModelError(f"{path} is not a safetensors file, or it is cut short")
    try:
        header = json.loads(data[8 : 8 + length])
    except ValueError:
        raise ModelError(f"{path} is not a safetensors file: its header is not JSON") from None
    return 8 + length, header


def _tensor(path: Path, name: str, entry: dict[str, object], data: memoryview) -> np.ndarray:
    dtype: str = str(entry["dtype"])
    shape, offsets = entry["shape"], entry["data_offsets"]
    if dtype not in _DTYPES:
        raise ModelError(f"{path}: tensor '{name}' has the unsupported type {dtype}")
    if not isinstance(shape, list) or not isinstance(offsets, list):
        raise ModelError(f"{path}: tensor '{name}' has a malformed header entry")
    start, end = (int(offset) for offset in offsets)
    if end > len(data):
        raise ModelError(f"{path} is cut short: tensor '{name}' ends at byte {end}")
    array: np.ndarray = np.frombuffer(data[start:end], dtype=_DTYPES[dtype]).reshape(shape)
    if dtype == "BF16":
        array = (array.astype(np.uint32) << 16).view(np.float32)
    elif dtype in ("F64", "F16"):
        array = array.astype(np.float32)
    return array


def read_weights(folder: Path) -> dict[str, np.ndarray]:
    """All tensors of a model folder: `model.safetensors`, or its shards by their index file."""
    index = folder / "model.safetensors.index.json"
    if not index.is_file():
        return read_safetensors(folder / "model.safetensors")
    shards = sorted(set(json.loads(index.read_text("utf-8"))["weight_map"].values()))
    weights: dict[str, np.ndarray] = {}
    for shard in shards:
        weights.update(read_safetensors(folder / shard))
    return weights
