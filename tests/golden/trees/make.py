"""Makes the models and predictions of this folder with xgboost, lightgbm and pandas.

    pip install xgboost lightgbm pandas
    python tests/golden/trees/make.py

The tests read what it wrote and need none of these packages.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import lightgbm
import numpy as np
import pandas
import xgboost

FOLDER = Path(__file__).parent
NAMES = ["age", "bm25(title)", "clicks", "freshness"]
ROWS = 300
KEPT = 30


def numbers(seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Features with missing values, and a target that depends on them."""
    random = np.random.default_rng(seed)
    rows = random.normal(size=(ROWS, len(NAMES))).astype(np.float32)
    target = rows[:, 0] * 2 - np.abs(rows[:, 1]) + (rows[:, 2] > 0.3) * rows[:, 3]
    rows[random.random(rows.shape) < 0.15] = np.nan
    return rows, target


def save(name: str, rows: Any, values: np.ndarray, features: list[str]) -> None:
    """The predictions of the first rows; a missing value is null."""
    plain = [
        [None if isinstance(v, float) and np.isnan(v) else v for v in row] for row in rows[:KEPT]
    ]
    expected = {"features": features, "rows": plain, "values": values[:KEPT].tolist()}
    (FOLDER / f"{name}.expected.json").write_text(json.dumps(expected) + "\n")


def make_xgboost() -> None:
    """The dump of a regression, and the binary file of a regression and of a classifier."""
    rows, target = numbers(1)
    listed = rows.astype(np.float64).tolist()
    for name, objective, labels in (
        ("regression", "reg:squarederror", target),
        ("logistic", "binary:logistic", (target > 0).astype(int)),
    ):
        data = xgboost.DMatrix(rows, label=labels, feature_names=NAMES)
        options = {"objective": objective, "max_depth": 3, "seed": 1, "nthread": 1}
        booster = xgboost.train(options, data, num_boost_round=8)
        booster.save_model(FOLDER / f"xgboost_{name}.ubj")
        save(f"xgboost_{name}", listed, booster.predict(data, output_margin=True), NAMES)
        if name == "regression":
            booster.dump_model(FOLDER / "xgboost_dump.json", dump_format="json")
            bare = xgboost.DMatrix(rows, feature_names=NAMES, base_margin=np.zeros(ROWS))
            save("xgboost_dump", listed, booster.predict(bare, output_margin=True), NAMES)
            booster.save_model(FOLDER / "xgboost_saved.json")
    unnamed = xgboost.DMatrix(rows, label=target)
    booster = xgboost.train({"max_depth": 2, "nthread": 1}, unnamed, num_boost_round=2)
    booster.save_model(FOLDER / "xgboost_unnamed.ubj")
    (FOLDER / "xgboost_unnamed-features.txt").write_text("\n".join(NAMES) + "\n")
    save("xgboost_unnamed", listed, booster.predict(unnamed), NAMES)


def make_lightgbm() -> None:
    """One model for each kind of transform, all over the same numbers."""
    rows, target = numbers(2)
    wide = rows.astype(np.float64)
    for objective, labels in (
        ("regression", target),
        ("binary", (target > 0).astype(int)),
        ("cross_entropy", 1 / (1 + np.exp(-target))),
        ("poisson", np.round(np.exp(np.clip(target, -2, 2)))),
        ("tweedie", np.exp(np.clip(target, -2, 2))),
    ):
        data = lightgbm.Dataset(wide, label=labels, feature_name=NAMES)
        booster = lightgbm.train(_options(objective), data, num_boost_round=6)
        _dump(f"lightgbm_{objective}", booster)
        save(f"lightgbm_{objective}", wide.tolist(), booster.predict(wide), NAMES)


def make_categories() -> None:
    """Categories of a pandas frame, which are texts, and of an array, which are numbers."""
    random = np.random.default_rng(3)
    colour = random.choice(["red", "green", "blue", "sea green"], ROWS)
    size = random.choice(["s", "m", "l"], ROWS)
    weight = random.normal(size=ROWS)
    target = (colour == "red") * 3.0 + (size == "l") * weight + (colour == "sea green") * weight
    frame = pandas.DataFrame({"weight": weight, "colour": colour, "size": size})
    frame.loc[random.random(ROWS) < 0.1, "colour"] = None
    for name in ("colour", "size"):
        frame[name] = frame[name].astype("category")
    options = _options("regression") | {"min_data_per_group": 5, "cat_smooth": 1.0}
    booster = lightgbm.train(options, lightgbm.Dataset(frame, label=target), num_boost_round=8)
    _dump("lightgbm_pandas", booster)
    rows = [[None if pandas.isna(v) else v for v in row] for row in frame.astype(object).to_numpy()]
    save("lightgbm_pandas", rows, booster.predict(frame), list(frame.columns))

    codes = np.column_stack([weight, random.integers(0, 6, ROWS)])
    target = np.where(np.isin(codes[:, 1], (1, 4)), weight, -1.0)
    data = lightgbm.Dataset(
        codes, label=target, feature_name=["weight", "kind"], categorical_feature=["kind"]
    )
    booster = lightgbm.train(options, data, num_boost_round=4)
    _dump("lightgbm_codes", booster)
    save("lightgbm_codes", codes.tolist(), booster.predict(codes), ["weight", "kind"])


def _options(objective: str) -> dict[str, Any]:
    return {
        "objective": objective, "num_leaves": 7, "min_data_in_leaf": 5, "seed": 1, "verbose": -1,
        "num_threads": 1, "deterministic": True,
    }  # fmt: skip


def _dump(name: str, booster: lightgbm.Booster) -> None:
    (FOLDER / f"{name}.json").write_text(json.dumps(booster.dump_model()) + "\n")


if __name__ == "__main__":
    make_xgboost()
    make_lightgbm()
    make_categories()
