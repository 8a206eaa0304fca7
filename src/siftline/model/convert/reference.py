"""The encoders and heads in plain numpy: what a written ONNX file is checked against.

Independent of the graph writer except for the weight names; slow and obvious on purpose.
"""

from __future__ import annotations

import math
from collections.abc import Mapping

import numpy as np

from siftline.errors import ModelError
from siftline.model.convert.architecture import Encoder
from siftline.model.convert.heads import Head, decoder_weight
from siftline.model.convert.transformer import IDS, MASK

_erf = np.vectorize(math.erf, otypes=[np.float64])


def evaluate(encoder: Encoder, head: Head, feeds: Mapping[str, np.ndarray]) -> np.ndarray:
    """The head's output for int `(batch, sequence)` feeds, as float32 computed in float64."""
    hidden = last_hidden_state(encoder, feeds)
    if head.task == "dense":
        result = hidden
    elif head.task == "late-interaction":
        result = hidden @ encoder["projection.weight"].T.astype(np.float64)
        result = result + encoder.weights.get("projection.bias", np.zeros(1))
        result /= np.maximum(np.linalg.norm(result, axis=-1, keepdims=True), 1e-12)
    elif head.task == "cross-encoder":
        pooled = _linear(encoder, "pooler", hidden[:, 0])
        pooled = activate(encoder.shape.pooler_activation, pooled)
        result = _linear(encoder, "classifier", pooled)
    else:
        result = _vocabulary(encoder, head, hidden, np.asarray(feeds[MASK]))
    return np.asarray(result, np.float32)


def last_hidden_state(encoder: Encoder, feeds: Mapping[str, np.ndarray]) -> np.ndarray:
    """float64 `(batch, sequence, hidden)`."""
    ids, mask = np.asarray(feeds[IDS]), np.asarray(feeds[MASK])
    hidden = encoder["word"][ids].astype(np.float64) + encoder["position"][_positions(encoder, ids)]
    if "type" in encoder.weights:
        hidden += encoder["type"][feeds.get("token_type_ids", np.zeros_like(ids))]
    hidden = _norm(encoder, "norm", hidden)
    for layer in range(encoder.shape.layers):
        hidden = _layer(encoder, layer, hidden, mask)
    return hidden


def _positions(encoder: Encoder, ids: np.ndarray) -> np.ndarray:
    offset = encoder.shape.position_offset
    if offset is None:
        return np.broadcast_to(np.arange(ids.shape[1]), ids.shape)
    real = ids != offset
    return np.asarray(np.cumsum(real, axis=1) * real + offset)


def _layer(encoder: Encoder, layer: int, hidden: np.ndarray, mask: np.ndarray) -> np.ndarray:
    heads = encoder.shape.heads
    batch, length, width = hidden.shape

    def split(part: str) -> np.ndarray:
        values = _linear(encoder, f"{layer}.{part}", hidden)
        return np.asarray(
            values.reshape(batch, length, heads, width // heads).transpose(0, 2, 1, 3)
        )

    scores = split("query") @ split("key").transpose(0, 1, 3, 2) / math.sqrt(width // heads)
    scores = np.where(mask[:, None, None, :] > 0, scores, -np.inf)
    scores = np.exp(scores - scores.max(axis=-1, keepdims=True))
    scores /= scores.sum(axis=-1, keepdims=True)
    mixed = (scores @ split("value")).transpose(0, 2, 1, 3).reshape(batch, length, width)
    mixed = _linear(encoder, f"{layer}.attended", mixed)
    attended = _norm(encoder, f"{layer}.attended_norm", mixed + hidden)
    wide = activate(encoder.shape.activation, _linear(encoder, f"{layer}.widen", attended))
    narrow = _linear(encoder, f"{layer}.narrow", wide)
    return np.asarray(_norm(encoder, f"{layer}.norm", narrow + attended))


def _vocabulary(encoder: Encoder, head: Head, hidden: np.ndarray, mask: np.ndarray) -> np.ndarray:
    values = activate(encoder.shape.activation, _linear(encoder, "mlm.dense", hidden))
    logits = _norm(encoder, "mlm.norm", values) @ decoder_weight(encoder).T + encoder["mlm.bias"]
    if head.task == "sparse-logits":
        return np.asarray(logits)
    weights = np.where(mask[:, :, None] > 0, logits, -np.inf).max(axis=1)
    weights = np.maximum(weights, 0.0)
    weights[:, list(head.zeroed)] = 0.0
    for _ in range(head.logarithms):
        weights = np.log1p(weights)
    if head.prune_ratio:
        weights[weights <= head.prune_ratio * weights.max(axis=1, keepdims=True)] = 0.0
    return np.asarray(weights)


def _linear(encoder: Encoder, name: str, values: np.ndarray) -> np.ndarray:
    weight = encoder[f"{name}.weight"].astype(np.float64)
    return np.asarray(values @ weight.T + encoder[f"{name}.bias"])


def _norm(encoder: Encoder, name: str, values: np.ndarray) -> np.ndarray:
    centred = values - values.mean(axis=-1, keepdims=True)
    deviation = np.sqrt((centred**2).mean(axis=-1, keepdims=True) + encoder.shape.epsilon)
    return np.asarray(centred / deviation * encoder[f"{name}.weight"] + encoder[f"{name}.bias"])


def activate(activation: str, values: np.ndarray) -> np.ndarray:
    """The activations `transformer.write_activation` writes."""
    if activation == "gelu":
        return np.asarray(values * 0.5 * (1.0 + _erf(values / math.sqrt(2.0))))
    if activation in ("gelu_new", "gelu_pytorch_tanh"):
        inner = math.sqrt(2.0 / math.pi) * (values + 0.044715 * values**3)
        return np.asarray(values * 0.5 * (1.0 + np.tanh(inner)))
    if activation in ("silu", "swish"):
        return np.asarray(values / (1.0 + np.exp(-values)))
    if activation == "relu":
        return np.asarray(np.maximum(values, 0.0))
    if activation == "tanh":
        return np.asarray(np.tanh(values))
    raise ModelError(f"the activation '{activation}' is not supported")
