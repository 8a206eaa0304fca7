"""XGBoost's JSON dump: `booster.dump_model(path, dump_format="json")` (spec 2.10)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from siftline.errors import ModelError
from siftline.model.trees.forest import Forest
from siftline.model.trees.grow import Grower, Leaf, Split
from siftline.model.trees.numbers import field, number


def read_xgboost_json(trees: object) -> Forest:
    """The sum of the trees, without base score and without link function, as Vespa has it.

    A condition is rounded to float32, as XGBoost compares; features stay double. ModelError for
    what is not such a dump.
    """
    if not isinstance(trees, list) or not trees:
        raise ModelError("an XGBoost dump is a list of trees")
    grower = Grower()
    for tree in trees:
        grower.add(_object(tree), _read)
    return grower.forest()


def _object(node: object) -> Mapping[str, Any]:
    if not isinstance(node, Mapping):
        raise ModelError(f"a node of an XGBoost tree is an object, not {str(node)[:40]!r}")
    return node


def _read(
    node: Mapping[str, Any],
) -> Leaf | tuple[Split, Mapping[str, Any], Mapping[str, Any]]:
    if "leaf" in node:
        return Leaf(number(node, "leaf"))
    listed = node.get("children", [])
    if not isinstance(listed, list):
        raise ModelError(f"the children of node {field(node, 'nodeid')} are no list")
    children = {field(_object(child), "nodeid"): child for child in listed}
    feature = field(node, "split")
    if isinstance(node.get("split_condition"), list):
        raise ModelError(f"categorical splits, as on '{feature}', are not supported in a JSON dump")
    if "split_condition" not in node:
        raise ModelError(
            f"the split on '{feature}' has no condition: indicator features ('i' in a feature map)"
            " are not supported, declare them as 'q'"
        )
    condition = float(np.float32(number(node, "split_condition")))
    yes, no = field(node, "yes"), field(node, "no")
    for id_ in (yes, no):
        if id_ not in children:
            raise ModelError(f"node {field(node, 'nodeid')} has no child {id_}")
    split = Split(str(feature), condition, node.get("missing") == yes)
    return split, children[yes], children[no]
