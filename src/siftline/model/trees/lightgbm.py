"""LightGBM's JSON dump: `json.dump(booster.dump_model())` (spec 2.10)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from siftline.errors import ModelError
from siftline.model.trees.forest import Forest, Transform
from siftline.model.trees.grow import Grower, Leaf, Split
from siftline.model.trees.numbers import field, number
from siftline.tensor.text import text_number

#: How an objective's name begins → what its sum goes through.
TRANSFORMS: tuple[tuple[str, Transform], ...] = (
    ("binary", "sigmoid"),
    ("cross_entropy", "sigmoid"),
    ("poisson", "exp"),
    ("gamma", "exp"),
    ("tweedie", "exp"),
)


def read_lightgbm(dump: object) -> Forest:
    """The sum of the trees, through the objective's transform.

    `<=` is read as `<`, as Vespa does. A categorical feature of a pandas frame takes its category
    as a text, other categorical features take numbers. ModelError for what is not such a dump, or
    has several trees per iteration (several classes).
    """
    if not isinstance(dump, Mapping) or not isinstance(dump.get("tree_info"), list):
        raise ModelError("a LightGBM dump is an object with 'tree_info'")
    if dump.get("num_tree_per_iteration", 1) != 1:
        raise ModelError(
            f"a model of {dump['num_tree_per_iteration']} classes is not supported: "
            "its trees have no single sum"
        )
    reader = _Reader(dump)
    grower = Grower()
    for tree in dump["tree_info"]:
        grower.add(_object(tree, "tree_structure"), reader.read)
    objective = str(dump.get("objective", ""))
    found = (transform for start, transform in TRANSFORMS if objective.startswith(start))
    texts = [name for name, known in reader.categories.items() if any(_is_text(c) for c in known)]
    return grower.forest(transform=next(found, "none"), texts=texts)


def _object(holder: object, key: str) -> Mapping[str, Any]:
    found = holder.get(key) if isinstance(holder, Mapping) else None
    if not isinstance(found, Mapping):
        raise ModelError(f"a LightGBM tree lacks '{key}'")
    return found


def _is_text(category: object) -> bool:
    return isinstance(category, str)


class _Reader:
    """Nodes of one dump; `categories` are those of its pandas columns, by feature."""

    def __init__(self, dump: Mapping[str, Any]) -> None:
        names = dump.get("feature_names")
        if not isinstance(names, list):
            raise ModelError("a LightGBM dump needs 'feature_names'")
        self.names = [str(name) for name in names]
        self.categories = _pandas_categories(dump, self.names)

    def read(
        self, node: Mapping[str, Any]
    ) -> Leaf | tuple[Split, Mapping[str, Any], Mapping[str, Any]]:
        """What a node says."""
        if "leaf_value" in node and "split_feature" not in node:
            return Leaf(number(node, "leaf_value"))
        index = field(node, "split_feature")
        if not isinstance(index, int) or not 0 <= index < len(self.names):
            raise ModelError(f"'split_feature' is {index}, but there are {len(self.names)} names")
        name, decision = self.names[index], field(node, "decision_type")
        missing_left = bool(node.get("default_left", False))
        if decision == "==":
            split = Split(name, 0.0, missing_left, self._chosen(name, field(node, "threshold")))
        elif decision == "<=":
            split = Split(name, number(node, "threshold"), missing_left)
        else:
            raise ModelError(f"unknown 'decision_type' {decision!r} (known: <=, ==)")
        return split, _object(node, "left_child"), _object(node, "right_child")

    def _chosen(self, name: str, threshold: object) -> tuple[float, ...]:
        """The values that `0||3` means."""
        try:
            indexes = [int(part) for part in str(threshold).split("||")]
        except ValueError:
            raise ModelError(f"'{threshold}' is not a list of categories like 0||3") from None
        if name not in self.categories:
            return tuple(map(float, indexes))
        known = self.categories[name]
        if not all(0 <= index < len(known) for index in indexes):
            raise ModelError(f"'{threshold}' goes beyond the {len(known)} categories of '{name}'")
        return tuple(_category_number(known[index]) for index in indexes)


def _category_number(category: object) -> float:
    if isinstance(category, str):
        return text_number(category)
    if isinstance(category, (int, float)):
        return float(category)
    raise ModelError(f"a category is a text or a number, not {category!r}")


def _pandas_categories(dump: Mapping[str, Any], names: Sequence[str]) -> dict[str, list[object]]:
    """Categories by feature: the dump lists them by position among the categorical features."""
    known = dump.get("pandas_categorical") or []
    if not known:
        return {}
    if not isinstance(known, list) or not all(isinstance(each, list) for each in known):
        raise ModelError("'pandas_categorical' is a list of lists")
    infos = dump.get("feature_infos")
    infos = infos if isinstance(infos, Mapping) else {}
    declared = [n for n in names if isinstance(infos.get(n), Mapping) and infos[n].get("values")]
    compared = _compared(dump, names)
    tested = [name for name in names if name in compared]
    for features in (declared, tested):
        if len(features) == len(known):
            return dict(zip(features, map(list, known), strict=True))
    raise ModelError(
        f"the dump has {len(known)} lists of categories for {len(declared)} categorical features "
        f"({', '.join(declared)}): leave out the columns that never vary"
    )


def _compared(dump: Mapping[str, Any], names: Sequence[str]) -> set[str]:
    """Features that a node compares with categories."""
    found: set[str] = set()
    waiting: list[Any] = list(dump["tree_info"])
    while waiting:
        node = waiting.pop()
        if not isinstance(node, Mapping):
            continue
        index = node.get("split_feature")
        if node.get("decision_type") == "==" and isinstance(index, int) and 0 <= index < len(names):
            found.add(names[index])
        waiting += [node.get(key) for key in ("tree_structure", "left_child", "right_child")]
    return found
