"""XGBoost and LightGBM files as functions of numbers."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np

from siftline.model.trees.read import TreeKind, read_forest
from siftline.stateless.function import Function
from siftline.tensor.tensor import Tensor
from siftline.tensor.types import SCALAR


def tree_function(name: str, path: Path, kind: TreeKind) -> Function:
    """The only function of a tree model, named as the model; its arguments are the features.

    A feature that is not bound is missing, and follows the missing branch.
    """
    forest = read_forest(path, kind)

    def compute(values: Mapping[str, Tensor]) -> Tensor:
        row = np.array([[float(values[feature]) for feature in forest.features]])
        return Tensor.scalar(float(forest.evaluate(row.reshape(1, -1))[0]))

    return Function(
        name,
        dict.fromkeys(forest.features, SCALAR),
        compute,
        SCALAR,
        texts=forest.texts,
        missing=float("nan"),
    )
