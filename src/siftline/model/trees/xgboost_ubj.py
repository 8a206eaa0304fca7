"""XGBoost's binary model: `booster.save_model("model.ubj")` (spec 2.10)."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from siftline.errors import ModelError
from siftline.model.trees.forest import Forest
from siftline.model.trees.grow import Grower, Leaf, Split

_ARRAYS = ("left_children", "right_children", "split_indices", "split_conditions", "default_left")


def read_xgboost_ubj(model: object, names: Sequence[str] | None = None) -> Forest:
    """The sum of the trees and of the base score, without link function.

    names: the features in order, from the `-features.txt` beside the model; None takes those that
    the model holds, else f0, f1, …. The base score of a logistic objective is a probability and
    goes through the logit. ModelError for what is not such a model, has categorical splits,
    several classes or targets, or another booster than gbtree.
    """
    learner = _inner(model, "learner")
    booster = _inner(learner, "gradient_booster")
    if booster.get("name", "gbtree") != "gbtree":
        raise ModelError(f"the booster '{booster['name']}' is not supported, only gbtree")
    parameters = _inner(learner, "learner_model_param")
    for key in ("num_class", "num_target"):
        if int(float(parameters.get(key, 0))) > 1:
            raise ModelError(
                f"a model with {key} {parameters[key]} is not supported: it has no single sum"
            )
    trees = [_Tree(tree) for tree in _inner(booster, "model").get("trees", ())]
    named = _names(trees, names, learner, parameters)
    grower = Grower()
    for tree in trees:
        tree.names = named
        grower.add(0, tree.read, tree.count)
    return grower.forest(base=_base(parameters, _inner(learner, "objective")))


def _inner(holder: object, key: str) -> Mapping[str, Any]:
    found = holder.get(key) if isinstance(holder, Mapping) else None
    if not isinstance(found, Mapping):
        raise ModelError(f"an XGBoost model lacks '{key}'")
    return found


class _Tree:
    """One tree's arrays; a leaf's value stands among the conditions."""

    def __init__(self, tree: object) -> None:
        if not isinstance(tree, Mapping):
            raise ModelError("a tree of an XGBoost model is an object")
        if np.any(np.asarray(tree.get("split_type", ()))) or len(tree.get("categories", ())):
            raise ModelError("categorical splits are not supported: encode them as numbers")
        arrays = [np.asarray(tree.get(key, ())) for key in _ARRAYS]
        self.count = len(arrays[0])
        if not self.count or any(array.shape != (self.count,) for array in arrays):
            raise ModelError("the arrays of an XGBoost tree have different lengths")
        if any(array.dtype.kind not in "iufb" for array in arrays):
            raise ModelError("the arrays of an XGBoost tree must be numbers")
        self.left, self.right, self.feature = (array.astype(np.int64) for array in arrays[:3])
        self.condition = arrays[3].astype(np.float64)
        self.default_left = arrays[4].astype(np.bool_)
        self.names: Sequence[str] = ()
        inner = self.left >= 0
        if np.any(self.left >= self.count) or np.any(self.right >= self.count):
            raise ModelError("a node of an XGBoost tree has a child that does not exist")
        if np.any(self.right[inner] < 0) or np.any(self.feature[inner] < 0):
            raise ModelError("a split of an XGBoost tree lacks a child or a feature")
        if not np.all(np.isfinite(self.condition)):
            raise ModelError("a condition of an XGBoost tree is not finite")
        self.last_feature = int(self.feature[inner].max()) if np.any(inner) else -1

    def read(self, node: int) -> Leaf | tuple[Split, int, int]:
        """What a node says."""
        if self.left[node] < 0:
            return Leaf(float(self.condition[node]))
        split = Split(
            self.names[self.feature[node]],
            float(self.condition[node]),
            bool(self.default_left[node]),
        )
        return split, int(self.left[node]), int(self.right[node])


def _names(
    trees: Sequence[_Tree],
    given: Sequence[str] | None,
    learner: Mapping[str, Any],
    parameters: Mapping[str, Any],
) -> Sequence[str]:
    """A name for each feature that a tree may test."""
    used = max((tree.last_feature for tree in trees), default=-1) + 1
    held = [str(name) for name in learner.get("feature_names", ())]
    if given is None:
        names = held or [f"f{index}" for index in range(used)]
        if len(names) < used:
            raise ModelError(f"the model names {len(names)} features and tests {used}")
        return names
    allowed = {used, int(float(parameters.get("num_feature", used)))}
    if len(given) not in allowed:
        wanted = " or ".join(map(str, sorted(allowed)))
        raise ModelError(f"the -features.txt names {len(given)} features, the model has {wanted}")
    return given


def _base(parameters: Mapping[str, Any], objective: Mapping[str, Any]) -> float:
    """The base score on the scale of the sum; newer versions write it as `[5E-1]`."""
    text = str(parameters.get("base_score", "0")).strip("[] ")
    try:
        score = float(text)
    except ValueError:
        raise ModelError(f"the base score '{text}' is not one number") from None
    if "logistic" not in str(objective.get("name", "")):
        return score
    if not 0 < score < 1:
        raise ModelError(f"the base score {score} of a logistic model is not between 0 and 1")
    return math.log(score) - math.log(1 - score)
