"""The encoder of the BERT family as ONNX nodes."""

from __future__ import annotations

import numpy as np

from siftline.errors import ModelError
from siftline.model.convert.architecture import Encoder
from siftline.model.convert.graph import Graph

IDS, MASK, TYPES = "input_ids", "attention_mask", "token_type_ids"

#: Added to the attention score of a padded position; exp(-10000) is 0 in every float type, and
#: unlike the lowest float it stays finite when two masks are added.
_MASKED = -10000.0


def input_names(encoder: Encoder) -> list[str]:
    """The graph's inputs, each int64 `(batch, sequence)`."""
    return [IDS, MASK, TYPES] if encoder.shape.type_ids else [IDS, MASK]


def write_encoder(graph: Graph, encoder: Encoder) -> str:
    """Nodes up to the last hidden state `(batch, sequence, hidden)`; returns its name."""
    hidden = _embeddings(graph, encoder)
    mask = _attention_mask(graph)
    for layer in range(encoder.shape.layers):
        hidden = _layer(graph, encoder, layer, hidden, mask)
    return hidden


def _embeddings(graph: Graph, encoder: Encoder) -> str:
    words = graph.add("Gather", graph.constant("word", encoder["word"]), IDS)
    total = graph.add("Add", words, _positions(graph, encoder))
    if encoder.shape.type_ids:
        types = graph.add("Gather", graph.constant("type", encoder["type"]), TYPES)
        total = graph.add("Add", total, types)
    elif "type" in encoder.weights:
        total = graph.add("Add", total, graph.constant("type", encoder["type"][0]))
    return _norm(graph, encoder, "norm", total)


def _positions(graph: Graph, encoder: Encoder) -> str:
    table = graph.constant("position", encoder["position"])
    offset = encoder.shape.position_offset
    if offset is None:
        length = graph.add("Slice", graph.add("Shape", IDS), graph.integers(1), graph.integers(2))
        return graph.add("Slice", table, graph.integers(0), length, graph.integers(0))
    padding = graph.constant("padding", np.array(offset, np.int64))
    real = graph.add("Cast", graph.add("Not", graph.add("Equal", IDS, padding)), to=7)
    axis = graph.constant("length_axis", np.array(1, np.int64))
    counted = graph.add("Mul", graph.add("CumSum", real, axis), real)
    return graph.add("Gather", table, graph.add("Add", counted, padding))


def _attention_mask(graph: Graph) -> str:
    """`(batch, 1, 1, sequence)`: 0 where the mask is 1, a large negative where it is 0."""
    wide = graph.add("Unsqueeze", MASK, graph.integers(1))
    wide = graph.add("Unsqueeze", wide, graph.integers(2))
    real = graph.add("Cast", wide, to=1)
    missing = graph.add("Sub", graph.number(1.0), real)
    return graph.add("Mul", missing, graph.number(_MASKED))


def _layer(graph: Graph, encoder: Encoder, layer: int, hidden: str, mask: str) -> str:
    attended = _attention(graph, encoder, layer, hidden, mask)
    attended = _linear(graph, encoder, f"{layer}.attended", attended)
    attended = graph.add("Add", attended, hidden)
    attended = _norm(graph, encoder, f"{layer}.attended_norm", attended)
    wide = _linear(graph, encoder, f"{layer}.widen", attended)
    wide = write_activation(graph, encoder.shape.activation, wide)
    narrow = _linear(graph, encoder, f"{layer}.narrow", wide)
    return _norm(graph, encoder, f"{layer}.norm", graph.add("Add", narrow, attended))


def _attention(graph: Graph, encoder: Encoder, layer: int, hidden: str, mask: str) -> str:
    shape = encoder.shape
    size = shape.hidden // shape.heads
    apart = graph.integers(0, 0, shape.heads, size)

    def heads(part: str, order: list[int]) -> str:
        values = _linear(graph, encoder, f"{layer}.{part}", hidden)
        return graph.add("Transpose", graph.add("Reshape", values, apart), perm=order)

    queries = heads("query", [0, 2, 1, 3])
    keys = heads("key", [0, 2, 3, 1])
    values = heads("value", [0, 2, 1, 3])
    scores = graph.add("MatMul", queries, keys)
    scores = graph.add("Div", scores, graph.number(float(np.sqrt(size))))
    scores = graph.add("Softmax", graph.add("Add", scores, mask), axis=-1)
    mixed = graph.add("Transpose", graph.add("MatMul", scores, values), perm=[0, 2, 1, 3])
    return graph.add("Reshape", mixed, graph.integers(0, 0, shape.hidden))


def _linear(graph: Graph, encoder: Encoder, name: str, values: str) -> str:
    return graph.linear(values, name, encoder[f"{name}.weight"], encoder[f"{name}.bias"])


def _norm(graph: Graph, encoder: Encoder, name: str, values: str) -> str:
    parameters = (encoder[f"{name}.weight"], encoder[f"{name}.bias"], encoder.shape.epsilon)
    return graph.normalize(values, name, parameters)


def write_activation(graph: Graph, activation: str, values: str) -> str:
    """One of the activations that Hugging Face names in a configuration."""
    if activation in ("relu", "tanh"):
        return graph.add(activation.capitalize(), values)
    if activation in ("silu", "swish"):
        return graph.add("Mul", values, graph.add("Sigmoid", values))
    if activation == "gelu":
        inner = graph.add("Erf", graph.add("Div", values, graph.number(float(np.sqrt(2.0)))))
    elif activation in ("gelu_new", "gelu_pytorch_tanh"):
        cubed = graph.add("Pow", values, graph.number(3.0))
        bent = graph.add("Add", values, graph.add("Mul", cubed, graph.number(0.044715)))
        scaled = graph.add("Mul", bent, graph.number(float(np.sqrt(2.0 / np.pi))))
        inner = graph.add("Tanh", scaled)
    else:
        raise ModelError(
            f"the activation '{activation}' is not supported "
            "(supported: gelu, gelu_new, gelu_pytorch_tanh, relu, silu, tanh)"
        )
    half = graph.add("Mul", values, graph.add("Add", inner, graph.number(1.0)))
    return graph.add("Mul", half, graph.number(0.5))
