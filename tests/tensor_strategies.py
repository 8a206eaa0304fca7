"""Hypothesis strategies for tensor types and tensors, shared by the tests of several rooms."""

from __future__ import annotations

from typing import Any

import numpy as np
from hypothesis import strategies as st

from siftline.tensor.tensor import Tensor
from siftline.tensor.types import Dimension, TensorType

LABELS = ("a", "b", "c", "d e", "7", "-1")
#: Multiples of 1/4: exact in every float cell type, so sums do not depend on their order.
QUARTERS = st.integers(-8, 8).map(lambda n: n / 4)


@st.composite
def tensor_types(
    draw: st.DrawFn, cells: tuple[str, ...] = ("double", "float", "bfloat16", "int8")
) -> TensorType:
    dimensions = []
    for name in draw(st.sets(st.sampled_from("abxy"), max_size=3)):
        size = None if name in "ab" else draw(st.integers(1, 3))
        dimensions.append(Dimension(name, mapped=name in "ab", size=size))
    cell = draw(st.sampled_from(cells)) if dimensions else "double"
    return TensorType(cell, tuple(dimensions))  # type: ignore[arg-type]


@st.composite
def tensors(draw: st.DrawFn, type_: TensorType | None = None) -> Tensor:
    if type_ is None:
        type_ = draw(tensor_types())
    labels: tuple[tuple[str, ...], ...] = ((),)
    if type_.mapped:
        address = st.tuples(*(st.sampled_from(LABELS) for _ in type_.mapped))
        labels = tuple(draw(st.lists(address, unique=True, max_size=4)))
    shape = (len(labels), *type_.shape)
    count = int(np.prod(shape))
    values = st.integers(-8, 8) if type_.cell == "int8" else QUARTERS
    cells = draw(st.lists(values, min_size=count, max_size=count))
    return Tensor(type_, labels, np.array(cells, type_.dtype).reshape(shape))


def flat(tensor: Tensor) -> dict[frozenset[tuple[str, str]], float]:
    """Every cell by its full address, as a plain dictionary."""
    found: dict[frozenset[tuple[str, str]], float] = {}
    for labels, block in zip(tensor.labels, tensor.cells, strict=True):
        for index in np.ndindex(*tensor.type.shape):
            mapped = zip(tensor.type.mapped, labels, strict=True)
            indexed = zip(tensor.type.indexed, map(str, index), strict=True)
            found[frozenset([*mapped, *indexed])] = float(block[index])
    return found


def close(left: Tensor, right: Tensor, tolerance: float = 1e-6) -> bool:
    """Whether types are equal and cells too, but for rounding."""
    mine: Any = left.as_dict()
    theirs: Any = right.as_dict()
    return (
        left.type == right.type
        and mine.keys() == theirs.keys()
        and all(
            np.allclose(
                np.asarray(mine[key], np.float64),
                np.asarray(theirs[key], np.float64),
                rtol=tolerance,
                atol=tolerance,
                equal_nan=True,
            )
            for key in mine
        )
    )
