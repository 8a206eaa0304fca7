"""What stands on the encoder: dense, sparse, late interaction, cross-encoder, plain logits."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal, get_args

import numpy as np

from siftline.errors import ModelError, UsageError
from siftline.model.convert.architecture import Encoder
from siftline.model.convert.graph import Graph
from siftline.model.convert.transformer import (
    MASK,
    input_names,
    write_activation,
    write_encoder,
)

Task = Literal["dense", "sparse", "sparse-logits", "late-interaction", "cross-encoder"]
TASKS: tuple[str, ...] = get_args(Task)

#: The output each task writes.
OUTPUTS: dict[str, str] = {
    "dense": "last_hidden_state",
    "sparse": "weights",
    "sparse-logits": "logits",
    "late-interaction": "contextual",
    "cross-encoder": "logits",
}

#: Vocabulary columns multiplied at once by the sparse head.
TILE = 2048

#: Bias of a token that the sparse head must never give: relu makes it 0.
NEVER = -10000.0


@dataclass(frozen=True, slots=True)
class Head:
    """What to write after the encoder.

    logarithms: 1 for log1p(relu(x)), 2 for log1p(log1p(relu(x))). zeroed: token ids whose weight
    is always 0. tile: vocabulary columns per step of the sparse head. prune_ratio r: a weight
    stays where w > r·max(w).
    """

    task: Task
    logarithms: int = 1
    zeroed: tuple[int, ...] = ()
    tile: int = TILE
    prune_ratio: float = 0.0


def build(encoder: Encoder, head: Head) -> Any:
    """The whole model as an ONNX ModelProto with dynamic batch and sequence."""
    if head.task not in TASKS:
        raise UsageError(f"unknown task '{head.task}' (known: {', '.join(TASKS)})")
    graph = Graph()
    name = OUTPUTS[head.task]
    hidden = write_encoder(graph, encoder)
    if head.task == "dense":
        graph.add("Identity", hidden, name=name)
        shape: Sequence[Any] = ["batch", "sequence", encoder.shape.hidden]
    elif head.task == "sparse":
        _sparse(graph, encoder, head, hidden)
        shape = ["batch", encoder.shape.vocabulary]
    elif head.task == "sparse-logits":
        _logits(graph, encoder, hidden)
        shape = ["batch", "sequence", encoder.shape.vocabulary]
    elif head.task == "late-interaction":
        shape = ["batch", "sequence", _projection(graph, encoder, hidden)]
    else:
        shape = ["batch", _classifier(graph, encoder, hidden)]
    return graph.model(input_names(encoder), [(name, shape)])


def decoder_weight(encoder: Encoder) -> np.ndarray:
    """The vocabulary matrix `(vocabulary, hidden)`: the head's own, or the tied word embeddings."""
    return encoder.weights.get("mlm.decoder", encoder["word"])


def _transform(graph: Graph, encoder: Encoder, hidden: str) -> str:
    values = graph.linear(
        hidden, "mlm.dense", encoder["mlm.dense.weight"], encoder["mlm.dense.bias"]
    )
    values = write_activation(graph, encoder.shape.activation, values)
    norm = (encoder["mlm.norm.weight"], encoder["mlm.norm.bias"], encoder.shape.epsilon)
    return graph.normalize(values, "mlm.norm", norm)


def _decoder(graph: Graph, encoder: Encoder) -> str:
    """The vocabulary matrix as a constant; tied weights are stored once."""
    name = "mlm.decoder" if "mlm.decoder" in encoder.weights else "word"
    return graph.constant(name, decoder_weight(encoder))


def _logits(graph: Graph, encoder: Encoder, hidden: str) -> None:
    columns = graph.add("Transpose", _decoder(graph, encoder), perm=[1, 0])
    product = graph.add("MatMul", _transform(graph, encoder, hidden), columns)
    graph.add("Add", product, graph.constant("mlm.bias", encoder["mlm.bias"]), name="logits")


def _sparse(graph: Graph, encoder: Encoder, head: Head, hidden: str) -> None:
    """Weights `(batch, vocabulary)` without a `(batch, sequence, vocabulary)` array.

    The maximum over positions commutes with the bias and with log1p(relu(.)), which is monotone,
    so each tile of the vocabulary is multiplied, reduced to its maximum and forgotten. A padded
    position repeats the first real one, which no maximum notices: that masks every tile at once.
    """
    values = _repeat_first(graph, _transform(graph, encoder, hidden))
    size = encoder.shape.vocabulary
    widths = [min(head.tile, size - start) for start in range(0, size, head.tile)]
    columns = graph.add("Transpose", _decoder(graph, encoder), perm=[1, 0])
    tiles = graph.add_many(
        "Split", columns, graph.integers(*widths), names=[None] * len(widths), axis=1
    )
    peaks = [
        graph.add("ReduceMax", graph.add("MatMul", values, tile), axes=[1], keepdims=0)
        for tile in tiles
    ]
    peak = graph.add("Concat", *peaks, axis=1)
    bias = np.array(encoder["mlm.bias"], np.float32)
    bias[list(head.zeroed)] = NEVER
    weights = graph.add("Relu", graph.add("Add", peak, graph.constant("mlm.bias", bias)))
    for step in range(head.logarithms):
        last = step == head.logarithms - 1 and not head.prune_ratio
        raised = graph.add("Add", weights, graph.number(1.0))
        weights = graph.add("Log", raised, name="weights" if last else None)
    if head.prune_ratio:
        largest = graph.add("ReduceMax", weights, axes=[1], keepdims=1)
        least = graph.add("Mul", largest, graph.number(head.prune_ratio))
        kept = graph.add("Greater", weights, least)
        graph.add("Where", kept, weights, graph.number(0.0), name="weights")


def _repeat_first(graph: Graph, values: str) -> str:
    """`values` with every padded position replaced by the row's first real one."""
    first = graph.add("ArgMax", MASK, axis=1, keepdims=1)
    taken = graph.add("GatherND", values, first, batch_dims=1)
    taken = graph.add("Unsqueeze", taken, graph.integers(1))
    real = graph.add("Unsqueeze", graph.add("Cast", MASK, to=9), graph.integers(2))
    return graph.add("Where", real, values, taken)


def _projection(graph: Graph, encoder: Encoder, hidden: str) -> int:
    """Token vectors multiplied into their small space and given length 1."""
    weight = encoder["projection.weight"]
    values = graph.add("MatMul", hidden, graph.constant("projection.weight", weight.T))
    if "projection.bias" in encoder.weights:
        bias = graph.constant("projection.bias", encoder["projection.bias"])
        values = graph.add("Add", values, bias)
    length = graph.add("ReduceL2", values, axes=[2], keepdims=1)
    length = graph.add("Max", length, graph.number(1e-12))
    graph.add("Div", values, length, name="contextual")
    return len(weight)


def _classifier(graph: Graph, encoder: Encoder, hidden: str) -> int:
    """Logits `(batch, labels)` from the first position; returns the number of labels."""
    first = graph.add("Gather", hidden, graph.constant("first", np.array(0, np.int64)), axis=1)
    if "pooler.weight" not in encoder.weights:
        raise ModelError("the model has no pooler, so it is not a cross-encoder")
    pooled = graph.linear(first, "pooler", encoder["pooler.weight"], encoder["pooler.bias"])
    pooled = write_activation(graph, encoder.shape.pooler_activation, pooled)
    weight = encoder["classifier.weight"]
    product = graph.add("MatMul", pooled, graph.constant("classifier.weight", weight.T))
    bias = graph.constant("classifier.bias", encoder["classifier.bias"])
    graph.add("Add", product, bias, name="logits")
    return len(weight)
