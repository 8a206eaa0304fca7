"""Reading safetensors files and the 4-bit e5 file, written here byte by byte."""

from __future__ import annotations

import json
import struct
from pathlib import Path

import numpy as np
import pytest
from small_models import write_bert, write_safetensors

from siftline.errors import ModelError
from siftline.model.convert.architecture import read_config, read_encoder
from siftline.model.convert.heads import Head
from siftline.model.convert.make import make_onnx
from siftline.model.convert.packed import read_packed
from siftline.model.convert.reference import evaluate
from siftline.model.convert.weights import read_safetensors, read_weights
from siftline.tensor.bits import compress_bfloat16


def test_every_type(tmp_path: Path) -> None:
    values = np.array([[1.5, -2.25, 3.0]], np.float32)
    write_safetensors(
        tmp_path / "w",
        {
            "single": values,
            "half": values.astype(np.float16),
            "brain": compress_bfloat16(values),
            "ids": np.arange(4),
        },
    )
    read = read_safetensors(tmp_path / "w")
    for name in ("single", "half", "brain"):
        assert read[name].dtype == np.float32
        np.testing.assert_array_equal(read[name], values)
    np.testing.assert_array_equal(read["ids"], np.arange(4))


def test_as_the_library_writes_it(tmp_path: Path) -> None:
    library = pytest.importorskip("safetensors.numpy")
    tensors = {"a": np.eye(3, dtype=np.float32), "b": np.arange(5, dtype=np.int64)}
    library.save_file(tensors, str(tmp_path / "w"))
    for name, tensor in read_safetensors(tmp_path / "w").items():
        np.testing.assert_array_equal(tensor, tensors[name])


def test_shards(tmp_path: Path) -> None:
    write_safetensors(tmp_path / "one", {"a": np.ones(2, np.float32)})
    write_safetensors(tmp_path / "two", {"b": np.zeros(3, np.float32)})
    index = {"weight_map": {"a": "one", "b": "two"}}
    (tmp_path / "model.safetensors.index.json").write_text(json.dumps(index))
    assert sorted(read_weights(tmp_path)) == ["a", "b"]


@pytest.mark.parametrize("cut", [4, 60, -8])
def test_a_file_cut_short(tmp_path: Path, cut: int) -> None:
    folder = write_bert(tmp_path)
    path = folder / "model.safetensors"
    path.write_bytes(path.read_bytes()[:cut])
    with pytest.raises(ModelError, match="cut short"):
        read_weights(folder)


def test_not_safetensors(tmp_path: Path) -> None:
    path = tmp_path / "model.safetensors"
    with pytest.raises(ModelError, match="there is no weight file"):
        read_safetensors(path)
    path.write_bytes(b"")
    with pytest.raises(ModelError, match="is empty"):
        read_safetensors(path)
    path.write_bytes(struct.pack("<Q", 5) + b"hello" + b"world")
    with pytest.raises(ModelError, match="header is not JSON"):
        read_safetensors(path)


def test_a_weight_that_is_missing(tmp_path: Path) -> None:
    folder = write_bert(tmp_path)
    tensors = dict(read_weights(folder))
    del tensors["bert.encoder.layer.1.output.dense.bias"]
    with pytest.raises(ModelError, match=r"the weights lack 'encoder.layer.1.output.dense.bias'"):
        read_encoder(read_config(folder), tensors)


def packed_file(tensors: dict[str, np.ndarray], sizes: tuple[int, ...]) -> bytes:
    """The layout of the 4-bit file: matrices in 4-bit blocks, vectors as f32."""
    head = b"E5S1" + struct.pack("<I7ifi", 1, *sizes, 1e-12, 32)
    pieces = 3
    tokenizer = struct.pack("<5iQ", pieces, 0, 1, 2, 3, 6)
    tokenizer += struct.pack("<4I", 0, 2, 4, 6) + struct.pack("<3f", 0, 0, 0) + b"abcdef"
    tokenizer += struct.pack("<iI", 0, 5) + b"rules" + struct.pack("<i", len(tensors))
    blobs = [pack(values) if values.ndim == 2 else values.tobytes() for values in tensors.values()]
    size = sum(2 + len(name) + 21 for name in tensors)
    offset = len(head) + len(tokenizer) + size
    entries = b""
    for (name, values), blob in zip(tensors.items(), blobs, strict=True):
        entries += struct.pack("<H", len(name)) + name.encode()
        entries += struct.pack("<BIQQ", int(values.ndim == 2), values.size, offset, len(blob))
        offset += len(blob)
    return head + tokenizer + entries + b"".join(blobs)


def pack(values: np.ndarray) -> bytes:
    """Values that are multiples of 0.25 between -2 and 1.75, in blocks of 32."""
    blob = b""
    for block in values.reshape(-1, 32):
        codes = np.rint(block / 0.25).astype(int) + 8
        blob += np.float16(0.25).tobytes() + bytes((codes[:16] | (codes[16:] << 4)).tolist())
    return blob


@pytest.fixture
def packed(tmp_path: Path) -> tuple[Path, dict[str, np.ndarray]]:
    generator = np.random.default_rng(3)
    hidden, wide, vocabulary, positions = 16, 32, 10, 8

    def matrix(*shape: int) -> np.ndarray:
        return (generator.integers(-8, 8, shape) * 0.25).astype(np.float32)

    def vector(size: int) -> np.ndarray:
        return generator.normal(1, 0.1, size).astype(np.float32)

    tensors = {
        "emb.word": matrix(vocabulary, hidden),
        "emb.pos": matrix(positions, hidden),
        "emb.type": matrix(2, hidden),
        "emb.ln.w": vector(hidden),
        "emb.ln.b": vector(hidden),
    }
    for part in ("q", "k", "v", "ao"):
        tensors[f"l0.{part}.w"] = matrix(hidden, hidden)
        tensors[f"l0.{part}.b"] = vector(hidden)
    tensors["l0.fi.w"], tensors["l0.fi.b"] = matrix(wide, hidden), vector(wide)
    tensors["l0.fo.w"], tensors["l0.fo.b"] = matrix(hidden, wide), vector(hidden)
    for part in ("aln", "oln"):
        tensors[f"l0.{part}.w"], tensors[f"l0.{part}.b"] = vector(hidden), vector(hidden)
    path = tmp_path / "tiny-q4.bin"
    path.write_bytes(packed_file(tensors, (hidden, 1, 4, wide, vocabulary, positions, 2)))
    return path, tensors


def test_the_packed_file(packed: tuple[Path, dict[str, np.ndarray]]) -> None:
    path, tensors = packed
    encoder = read_packed(path)
    assert (encoder.shape.layers, encoder.shape.heads, encoder.shape.max_length) == (1, 4, 8)
    for ours, theirs in {
        "word": "emb.word",
        "position": "emb.pos",
        "norm.weight": "emb.ln.w",
        "0.query.weight": "l0.q.w",
        "0.attended.bias": "l0.ao.b",
        "0.widen.weight": "l0.fi.w",
        "0.narrow.weight": "l0.fo.w",
        "0.attended_norm.weight": "l0.aln.w",
        "0.norm.bias": "l0.oln.b",
    }.items():
        np.testing.assert_array_equal(encoder[ours], tensors[theirs])


def test_the_packed_file_as_onnx(packed: tuple[Path, dict[str, np.ndarray]]) -> None:
    path, _ = packed
    out = path.parent / "model.onnx"
    assert make_onnx(path.parent, out, task="dense") < 1e-4
    assert out.is_file()


def test_a_damaged_packed_file(packed: tuple[Path, dict[str, np.ndarray]]) -> None:
    path, _ = packed
    path.write_bytes(path.read_bytes()[:300])
    with pytest.raises(ModelError, match="cut short or damaged"):
        read_packed(path)
    path.write_bytes(b"GGUF" + bytes(100))
    with pytest.raises(ModelError, match="not a 4-bit e5 file"):
        read_packed(path)


def test_reference_ignores_padding(tmp_path: Path) -> None:
    encoder = read_encoder(read_config(write_bert(tmp_path)), read_weights(tmp_path))
    ids = np.array([[3, 4, 5, 0, 0]])
    mask = np.array([[1, 1, 1, 0, 0]])
    padded = evaluate(encoder, Head("dense"), {"input_ids": ids, "attention_mask": mask})
    bare = {"input_ids": ids[:, :3], "attention_mask": mask[:, :3]}
    np.testing.assert_allclose(padded[:, :3], evaluate(encoder, Head("dense"), bare), atol=1e-6)
