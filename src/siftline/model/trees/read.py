"""Which files are tree models, and what they hold."""

from __future__ import annotations

import json
import mmap
from pathlib import Path
from typing import Literal

from siftline.errors import ModelError, Place
from siftline.model.trees.forest import Forest
from siftline.model.trees.lightgbm import read_lightgbm
from siftline.model.trees.ubjson import parse_ubjson
from siftline.model.trees.xgboost_json import read_xgboost_json
from siftline.model.trees.xgboost_ubj import read_xgboost_ubj

TreeKind = Literal["xgboost", "xgboost-ubj", "lightgbm"]

#: Bytes at the beginning of a JSON file in which an XGBoost dump shows itself.
_HEAD = 4096


def tree_kind(path: Path) -> TreeKind | None:
    """Which kind of trees a file holds, by its content; None if it is no tree model.

    Only `.json` and `.ubj` files are looked at, and no file is read whole into memory. ModelError
    for XGBoost's `save_model("x.json")`, which Vespa does not take either.
    """
    if path.suffix == ".ubj":
        return "xgboost-ubj"
    if path.suffix != ".json" or path.stat().st_size == 0:
        return None
    with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
        head = data[:_HEAD].lstrip(b"\xef\xbb\xbf \t\r\n")
        if head.startswith(b"["):
            return "xgboost" if b'"nodeid"' in head else None
        if not head.startswith(b"{"):
            return None
        if data.find(b'"gradient_booster"') >= 0 and data.find(b'"learner"') >= 0:
            raise ModelError(
                "this is XGBoost's save_model() as JSON: write it with"
                ' dump_model(path, dump_format="json"), or with save_model("model.ubj")',
                Place(str(path)),
            )
        return "lightgbm" if data.find(b'"tree_info"') >= 0 else None


def read_forest(path: Path, kind: TreeKind | None = None) -> Forest:
    """The forest in a file; ModelError, with its place, where it is damaged or not one.

    kind: what `tree_kind` said; asked again where it is None.
    """
    kind = kind or tree_kind(path)
    try:
        if kind == "xgboost-ubj":
            return read_xgboost_ubj(parse_ubjson(path.read_bytes()), _feature_names(path))
        if kind == "xgboost":
            return read_xgboost_json(_json(path))
        if kind == "lightgbm":
            return read_lightgbm(_json(path))
    except ModelError as error:
        raise ModelError(error.message, error.place or Place(str(path))) from None
    raise ModelError("neither XGBoost's JSON dump nor LightGBM's", Place(str(path)))


def _json(path: Path) -> object:
    try:
        return json.loads(path.read_bytes())
    except json.JSONDecodeError as error:
        place = Place(str(path), error.lineno, error.colno)
        raise ModelError(f"not JSON: {error.msg}", place) from None
    except (UnicodeDecodeError, RecursionError) as error:
        raise ModelError(f"not JSON: {error}") from None


def _feature_names(path: Path) -> list[str] | None:
    """The names in `MODEL-features.txt`, one per line; None if there is no such file."""
    names = path.with_name(f"{path.stem}-features.txt")
    if not names.is_file():
        return None
    return [line.strip() for line in names.read_text("utf-8").splitlines() if line.strip()]
