"""Writes the two models of this package, `models/transformer.onnx` and `pairwise_ranker.onnx`.

They are small but whole: their weights are drawn once with a fixed seed. Run it from anywhere:

    python examples/model-evaluation/make_models.py
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
from onnx import ModelProto, TensorProto, checker, helper, numpy_helper, save_model  # noqa: TID253

VOCABULARY, WIDTH, INNER = 128, 16, 32
MODELS = Path(__file__).parent / "models"

#: The id of the first word; 0 is padding, 1 a word that is not known.
FIRST_WORD = 2

KINDS = {
    "vegetable": "tomato potato leek green onion garlic carrot basil",
    "fruit": "lemon apple",
    "sweet": "pie cinnamon cake sugar",
    "dish": "soup salad dish",
    "filling": "chicken rice pasta bread roast",
    "fat": "oil butter egg cheese",
}


def weights(seed: int, *shape: int, scale: float = 1.0) -> np.ndarray:
    """Normally distributed weights, float32; the same for a seed on every machine."""
    values = np.random.RandomState(seed).normal(0.0, scale, shape)
    return values.astype(np.float32)


def embeddings() -> np.ndarray:
    """One row for each token id, `(128, 16)`: words of a kind lie near each other.

    A word is half its kind, half itself; words that say little, padding and ids of no word are
    nearly zero.
    """
    rows = weights(1, VOCABULARY, WIDTH, scale=0.02)
    words = (Path(__file__).parent / "ext" / "components" / "words.txt").read_text().split()
    kinds, selves = weights(2, len(KINDS), WIDTH), weights(3, VOCABULARY, WIDTH)
    for kind, members in enumerate(KINDS.values()):
        for word in members.split():
            number = FIRST_WORD + words.index(word)
            rows[number] += kinds[kind] + selves[number]
    return rows


def transformer() -> ModelProto:
    """Token ids `input` [batch, sequence] to `output` [batch, sequence, 16].

    One layer: self-attention that looks past padding (id 0), then a feed-forward part, each added
    to what went in.
    """
    constants = {
        "embeddings": embeddings(),
        "query": np.eye(WIDTH, dtype=np.float32) + weights(4, WIDTH, WIDTH, scale=0.1),
        "key": np.eye(WIDTH, dtype=np.float32) + weights(5, WIDTH, WIDTH, scale=0.1),
        "value": weights(6, WIDTH, WIDTH, scale=0.1),
        "up": weights(7, WIDTH, INNER, scale=0.1),
        "down": weights(8, INNER, WIDTH, scale=0.1),
        "scale": np.array(1 / np.sqrt(WIDTH), np.float32),
        "padding": np.array(0, np.int64),
        "far": np.array(-1e4, np.float32),
        "near": np.array(0.0, np.float32),
        "one": np.array([1], np.int64),
    }
    nodes = [
        helper.make_node("Gather", ["embeddings", "input"], ["words"]),
        helper.make_node("MatMul", ["words", "query"], ["queries"]),
        helper.make_node("MatMul", ["words", "key"], ["keys"]),
        helper.make_node("MatMul", ["words", "value"], ["values"]),
        helper.make_node("Transpose", ["keys"], ["columns"], perm=[0, 2, 1]),
        helper.make_node("MatMul", ["queries", "columns"], ["products"]),
        helper.make_node("Mul", ["products", "scale"], ["scaled"]),
        helper.make_node("Equal", ["input", "padding"], ["empty"]),
        helper.make_node("Where", ["empty", "far", "near"], ["hidden"]),
        helper.make_node("Unsqueeze", ["hidden", "one"], ["mask"]),
        helper.make_node("Add", ["scaled", "mask"], ["seen"]),
        helper.make_node("Softmax", ["seen"], ["attention"], axis=-1),
        helper.make_node("MatMul", ["attention", "values"], ["context"]),
        helper.make_node("Add", ["words", "context"], ["together"]),
        helper.make_node("MatMul", ["together", "up"], ["wide"]),
        helper.make_node("Relu", ["wide"], ["active"]),
        helper.make_node("MatMul", ["active", "down"], ["narrow"]),
        helper.make_node("Add", ["together", "narrow"], ["output"]),
    ]
    return model(
        "transformer",
        nodes,
        constants,
        {"input": (TensorProto.INT64, ["batch", "sequence"])},
        {"output": (TensorProto.FLOAT, ["batch", "sequence", WIDTH])},
    )


def pairwise_ranker() -> ModelProto:
    """Embeddings `left` and `right` [pairs, 16] to `preference` [pairs].

    From 0 to 1: how much the left one of each pair is preferred; the other way round it is the rest
    to 1.
    """
    constants = {
        "up": weights(9, WIDTH, INNER, scale=0.5),
        "down": weights(10, INNER, 1, scale=0.5),
        "last": np.array([-1], np.int64),
    }
    nodes = []
    for side in ("left", "right"):
        nodes += [
            helper.make_node("MatMul", [side, "up"], [f"{side}_wide"]),
            helper.make_node("Tanh", [f"{side}_wide"], [f"{side}_active"]),
            helper.make_node("MatMul", [f"{side}_active", "down"], [f"{side}_score"]),
        ]
    nodes += [
        helper.make_node("Sub", ["left_score", "right_score"], ["difference"]),
        helper.make_node("Sigmoid", ["difference"], ["preferences"]),
        helper.make_node("Squeeze", ["preferences", "last"], ["preference"]),
    ]
    pair = (TensorProto.FLOAT, ["pairs", WIDTH])
    outputs = {"preference": (TensorProto.FLOAT, ["pairs"])}
    return model("pairwise_ranker", nodes, constants, {"left": pair, "right": pair}, outputs)


def model(
    name: str,
    nodes: list[object],
    constants: dict[str, np.ndarray],
    inputs: dict[str, tuple[int, list[object]]],
    outputs: dict[str, tuple[int, list[object]]],
) -> ModelProto:
    """A checked model of these parts, of an operator set that Vespa's runtime knows."""
    graph = helper.make_graph(
        nodes,
        name,
        [helper.make_tensor_value_info(n, *described) for n, described in inputs.items()],
        [helper.make_tensor_value_info(n, *described) for n, described in outputs.items()],
        [numpy_helper.from_array(array, n) for n, array in constants.items()],
    )
    made = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    checker.check_model(made, full_check=True)
    return made


def main() -> None:
    """Write both."""
    MODELS.mkdir(exist_ok=True)
    for made in (transformer(), pairwise_ranker()):
        save_model(made, MODELS / f"{made.graph.name}.onnx")


if __name__ == "__main__":
    main()
