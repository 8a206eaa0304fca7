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
        if _count(parameters, key, 0) > 1:
            raise ModelError(
                f"a model with {key} {parameters[key]} is not supported: it has no single sum"
            )
    trees = [_Tree(tree) for tree in _list(_inner(booster, "model"), "trees")]
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


def _list(holder: Mapping[str, Any], key: str) -> list[Any]:
    """The list of a key, whatever array the file has it in; empty where there is none."""
    found = holder.get(key, [])
    if not isinstance(found, (list, np.ndarray)):
        raise ModelError(f"'{key}' of an XGBoost model is no list")
    return list(found)


def _numbers(tree: Mapping[str, Any], key: str) -> np.ndarray:
    try:
        with np.errstate(invalid="ignore"):
            array = np.asarray(tree.get(key, ()), np.float64)
    except (TypeError, ValueError):
        raise ModelError(f"'{key}' of an XGBoost tree is no list of numbers") from None
    if not np.all(np.isfinite(array)):
        raise ModelError(f"'{key}' of an XGBoost tree has a number that is not finite")
    return array


def _whole(numbers: np.ndarray) -> np.ndarray:
    """Numbers as indexes; one that is too large for any stays too large."""
    return np.asarray(np.clip(numbers, -1, 1 << 40), np.int64)


def _count(parameters: Mapping[str, Any], key: str, default: int) -> int:
    """A number that the file has as text."""
    try:
        return int(float(parameters.get(key, default)))
    except (TypeError, ValueError, OverflowError):
        raise ModelError(f"'{key}' is {parameters[key]!r}, expected a number") from None


class _Tree:
    """One tree's arrays; a leaf's value stands among the conditions."""

    def __init__(self, tree: object) -> None:
        if not isinstance(tree, Mapping):
            raise ModelError("a tree of an XGBoost model is an object")
        if np.any(_numbers(tree, "split_type")) or _list(tree, "categories"):
            raise ModelError("categorical splits are not supported: encode them as numbers")
        arrays = [_numbers(tree, key) for key in _ARRAYS]
        self.count = arrays[0].size
        if not self.count or any(array.shape != (self.count,) for array in arrays):
            raise ModelError("the arrays of an XGBoost tree have different lengths")
        self.left, self.right, self.feature = (_whole(array) for array in arrays[:3])
        self.condition = arrays[3]
        self.default_left = arrays[4].astype(np.bool_)
        self.names: Sequence[str] | _Numbered = ()
        inner = self.left >= 0
        if np.any(self.left >= self.count) or np.any(self.right >= self.count):
            raise ModelError("a node of an XGBoost tree has a child that does not exist")
        if np.any(self.right[inner] < 0) or np.any(self.feature[inner] < 0):
            raise ModelError("a split of an XGBoost tree lacks a child or a feature")
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


class _Numbered:
    """XGBoost's own names of features, f0, f1, …, however high a damaged file counts."""

    def __getitem__(self, index: int) -> str:
        return f"f{index}"


def _names(
    trees: Sequence[_Tree],
    given: Sequence[str] | None,
    learner: Mapping[str, Any],
    parameters: Mapping[str, Any],
) -> Sequence[str] | _Numbered:
    """A name for each feature that a tree may test."""
    used = max((tree.last_feature for tree in trees), default=-1) + 1
    held = [str(name) for name in _list(learner, "feature_names")]
    if given is None:
        if not held:
            return _Numbered()
        if len(held) < used:
            raise ModelError(f"the model names {len(held)} features and tests {used}")
        return held
    allowed = {used, _count(parameters, "num_feature", used)}
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
