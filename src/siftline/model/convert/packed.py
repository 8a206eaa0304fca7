"""The 4-bit multilingual-e5-small file: blocks of 32 weights in 18 bytes.

Little-endian. Magic `E5S1`, u32 version; 7 × i32 hidden, layers, heads, ff, vocabulary, positions,
types; f32 epsilon; i32. Then the tokenizer: i32 pieces, 4 × i32, u64 blob bytes, (pieces + 1) ×
u32, pieces × f32, blob; i32; u32 n and n bytes. Then i32 tensors, each: u16 name length, name, u8
type, u32 elements, u64 absolute offset, u64 bytes. Type 0 is f32. Otherwise a block is an fp16
scale and 16 bytes: low nibbles are weights 0-15, high nibbles 16-31, each minus 8, times the
scale.
"""

from __future__ import annotations

import struct
from pathlib import Path

import numpy as np

from siftline.errors import ModelError
from siftline.model.convert.architecture import Encoder, EncoderShape

_MAGIC = b"E5S1"
_BLOCK = 32
_BLOCK_BYTES = 18
_TABLES = {"pos": "position"}
_LAYER_NAMES = {
    "q": "query",
    "k": "key",
    "v": "value",
    "ao": "attended",
    "fi": "widen",
    "fo": "narrow",
    "aln": "attended_norm",
    "oln": "norm",
}


def read_packed(path: Path) -> Encoder:
    """The encoder of such a file with float32 weights; ModelError where it is not one."""
    data = path.read_bytes()
    if data[:4] != _MAGIC:
        raise ModelError(f"{path} is not a 4-bit e5 file: it does not start with {_MAGIC!r}")
    try:
        return _read(data)
    except (struct.error, ValueError, IndexError, UnicodeDecodeError) as error:
        raise ModelError(f"{path} is cut short or damaged: {error}") from None


def _read(data: bytes) -> Encoder:
    hidden, layers, heads, wide, vocabulary, positions, types = struct.unpack_from("<7i", data, 8)
    (epsilon,) = struct.unpack_from("<f", data, 36)
    shape = EncoderShape(
        layers=layers,
        heads=heads,
        hidden=hidden,
        vocabulary=vocabulary,
        max_length=positions,
        epsilon=float(np.float32(epsilon)),
        activation="gelu",
        type_ids=types > 1,
    )
    matrices = {
        "word": (vocabulary, hidden),
        "position": (positions, hidden),
        "type": (types, hidden),
        "widen.weight": (wide, hidden),
        "narrow.weight": (hidden, wide),
    } | {f"{part}.weight": (hidden, hidden) for part in ("query", "key", "value", "attended")}
    weights = {}
    for name, kind, elements, offset, length in _entries(data, _after_tokenizer(data)):
        ours = _name(name)
        values = _values(data[offset : offset + length], kind, elements)
        part = ours.split(".", 1)[-1] if ours[0].isdigit() else ours
        weights[ours] = values.reshape(matrices.get(part, (-1,)))
    return Encoder(shape, weights)


def _after_tokenizer(data: bytes) -> int:
    """Offset of the tensor count."""
    at = 44
    (pieces,) = struct.unpack_from("<i", data, at)
    (blob,) = struct.unpack_from("<Q", data, at + 20)
    at += 28 + 4 * (pieces + 1) + 4 * pieces + blob
    (normaliser,) = struct.unpack_from("<I", data, at + 4)
    return int(at + 8 + normaliser)


def _entries(data: bytes, at: int) -> list[tuple[str, int, int, int, int]]:
    (count,) = struct.unpack_from("<i", data, at)
    at += 4
    entries = []
    for _ in range(count):
        (length,) = struct.unpack_from("<H", data, at)
        name = data[at + 2 : at + 2 + length].decode("ascii")
        kind, elements, offset, size = struct.unpack_from("<BIQQ", data, at + 2 + length)
        at += 2 + length + 21
        entries.append((name, kind, elements, offset, size))
    return entries


def _name(name: str) -> str:
    """`emb.ln.w` → `norm.weight`, `l3.q.b` → `3.query.bias`, `emb.word` → `word`."""
    parts = name.split(".")
    last = {"w": "weight", "b": "bias"}.get(parts[-1], parts[-1])
    if parts[0] == "emb":
        return f"norm.{last}" if parts[1] == "ln" else _TABLES.get(parts[1], parts[1])
    return f"{int(parts[0][1:])}.{_LAYER_NAMES[parts[1]]}.{last}"


def _values(data: bytes, kind: int, elements: int) -> np.ndarray:
    if kind == 0:
        return np.frombuffer(data, "<f4", elements)
    blocks = np.frombuffer(data, np.uint8, -(-elements // _BLOCK) * _BLOCK_BYTES)
    blocks = blocks.reshape(-1, _BLOCK_BYTES)
    scales = np.ascontiguousarray(blocks[:, :2]).view("<f2").astype(np.float32)
    nibbles = np.concatenate([blocks[:, 2:] & 15, blocks[:, 2:] >> 4], axis=1)
    values = (nibbles.astype(np.float32) - 8.0) * scales
    return values.reshape(-1)[:elements]
