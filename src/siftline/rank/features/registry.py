"""Every feature there is: importing this fills the table."""

from siftline.rank.features import (
    attributes,
    native,
    onnx,
    query,
    ranks,
    terms,
    text,
    tokens,
    vector,
)
from siftline.rank.features.table import FEATURES, Feature, find_feature

__all__ = [
    "FEATURES", "Feature", "attributes", "find_feature", "native", "onnx", "query", "ranks",
    "terms", "text", "tokens", "vector",
]  # fmt: skip
