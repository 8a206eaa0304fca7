"""Tiny models with random weights: enough to run every path without downloading anything."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np

from siftline.model.convert.architecture import Encoder, read_encoder
from siftline.model.convert.heads import Head, build

VOCABULARY = 50
BERT_CONFIG: dict[str, object] = {
    "model_type": "bert",
    "architectures": ["BertForMaskedLM"],
    "hidden_size": 16,
    "intermediate_size": 32,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "vocab_size": VOCABULARY,
    "max_position_embeddings": 40,
    "type_vocab_size": 2,
    "layer_norm_eps": 1e-12,
    "hidden_act": "gelu",
}


def bert_weights(seed: int = 0) -> dict[str, np.ndarray]:
    """Weights of BERT_CONFIG with masked-language head, under Hugging Face's names."""
    generator = np.random.default_rng(seed)

    def random(*shape: int) -> np.ndarray:
        return generator.normal(0, 0.3, shape).astype(np.float32)

    weights = {
        "bert.embeddings.word_embeddings.weight": random(VOCABULARY, 16),
        "bert.embeddings.position_embeddings.weight": random(40, 16),
        "bert.embeddings.token_type_embeddings.weight": random(2, 16),
        "bert.embeddings.LayerNorm.gamma": 1 + random(16),
        "bert.embeddings.LayerNorm.beta": random(16),
        "cls.predictions.transform.dense.weight": random(16, 16),
        "cls.predictions.transform.dense.bias": random(16),
        "cls.predictions.transform.LayerNorm.weight": 1 + random(16),
        "cls.predictions.transform.LayerNorm.bias": random(16),
        "cls.predictions.bias": random(VOCABULARY),
    }
    for layer in range(2):
        place = f"bert.encoder.layer.{layer}"
        for name, shape in {
            "attention.self.query": (16, 16),
            "attention.self.key": (16, 16),
            "attention.self.value": (16, 16),
            "attention.output.dense": (16, 16),
            "intermediate.dense": (32, 16),
            "output.dense": (16, 32),
        }.items():
            weights[f"{place}.{name}.weight"] = random(*shape)
            weights[f"{place}.{name}.bias"] = random(shape[0])
        for name in ("attention.output.LayerNorm", "output.LayerNorm"):
            weights[f"{place}.{name}.weight"] = 1 + random(16)
            weights[f"{place}.{name}.bias"] = random(16)
    return weights


def bert_encoder(seed: int = 0) -> Encoder:
    return read_encoder(BERT_CONFIG, bert_weights(seed))


def write_safetensors(path: Path, tensors: dict[str, np.ndarray]) -> None:
    """The file format by hand, so that reading is tested against the specification."""
    header: dict[str, object] = {"__metadata__": {"format": "pt"}}
    offset = 0
    names = {"float32": "F32", "float16": "F16", "uint16": "BF16", "int64": "I64"}
    for name, tensor in tensors.items():
        header[name] = {
            "dtype": names[tensor.dtype.name],
            "shape": list(tensor.shape),
            "data_offsets": [offset, offset + tensor.nbytes],
        }
        offset += tensor.nbytes
    text = json.dumps(header).encode()
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(
        len(text).to_bytes(8, "little") + text + b"".join(t.tobytes() for t in tensors.values())
    )


def write_bert(folder: Path, seed: int = 0) -> Path:
    """A folder with config.json and model.safetensors."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "config.json").write_text(json.dumps(BERT_CONFIG), "utf-8")
    write_safetensors(folder / "model.safetensors", bert_weights(seed))
    return folder


def write_bert_onnx(path: Path, head: Head | None = None, seed: int = 0) -> Path:
    import onnx

    onnx.save_model(build(bert_encoder(seed), head or Head("dense")), str(path))
    return path


def feeds(rows: int = 3, length: int = 9, vocabulary: int = VOCABULARY) -> dict[str, np.ndarray]:
    """Random ids; row r has r padded positions at its end, with other ids under the mask."""
    generator = np.random.default_rng(1)
    ids = generator.integers(3, vocabulary, (rows, length))
    mask = (np.arange(length)[None, :] < length - np.arange(rows)[:, None]).astype(np.int64)
    types = (np.arange(length)[None, :] >= 4).astype(np.int64) * mask
    return {"input_ids": ids, "attention_mask": mask, "token_type_ids": types}
