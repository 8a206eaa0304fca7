"""The algebra against hand-computed values and a dictionary of cells (spec 1.4, 2.8)."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from siftline.errors import UsageError
from siftline.tensor import algebra
from siftline.tensor.literal import parse_literal
from siftline.tensor.tensor import Tensor
from siftline.tensor.types import TensorType
from tensor_strategies import close, flat, tensors

Cells = dict[frozenset[tuple[str, str]], float]


def tensor(type_: str, text: str) -> Tensor:
    return parse_literal(TensorType.parse(type_), text)


def joined(left: Cells, right: Cells, shared: set[str]) -> Cells:
    return {
        a | b: x * y + x
        for a, x in left.items()
        for b, y in right.items()
        if {p for p in a if p[0] in shared} == {p for p in b if p[0] in shared}
    }


@given(tensors(), tensors())
def test_join_is_the_natural_join_of_cells(left: Tensor, right: Tensor) -> None:
    shared = {d.name for d in left.type.dimensions} & {d.name for d in right.type.dimensions}
    got = algebra.join(left, right, lambda x, y: x * y + x)
    assert flat(got) == joined(flat(left), flat(right), shared)
    assert got.type == algebra.join_type(left.type, right.type)
    assert got.cells.dtype == got.type.dtype


@given(st.data())
def test_merge_keeps_cells_of_both(data: st.DataObject) -> None:
    left = data.draw(tensors())
    right = data.draw(tensors(left.type))
    got = flat(algebra.merge(left, right, np.subtract))
    mine, theirs = flat(left), flat(right)
    assert got == {
        key: mine[key] - theirs[key]
        if key in mine and key in theirs
        else mine.get(key, theirs.get(key))
        for key in mine.keys() | theirs.keys()
    }


AGGREGATES: dict[str, Callable[[list[float]], float]] = {
    "sum": sum,
    "count": len,
    "max": max,
    "min": min,
    "prod": math.prod,
    "avg": lambda v: sum(v) / len(v),
    "median": lambda v: float(np.median(v)),
}


@given(st.data())
def test_reduce_groups_cells_by_the_kept_dimensions(data: st.DataObject) -> None:
    value = data.draw(tensors())
    names = [d.name for d in value.type.dimensions]
    gone = data.draw(st.lists(st.sampled_from(names), unique=True)) if names else []
    aggregator = data.draw(st.sampled_from(sorted(AGGREGATES)))
    assume(value.labels)
    groups: dict[frozenset[tuple[str, str]], list[float]] = {}
    for address, cell in flat(value).items():
        kept = frozenset(p for p in address if gone and p[0] not in gone)
        groups.setdefault(kept, []).append(cell)
    got = flat(algebra.reduce(value, aggregator, gone))
    assert got.keys() == groups.keys()
    for key, cells in groups.items():
        assert got[key] == pytest.approx(AGGREGATES[aggregator](cells), rel=1e-6)


@given(tensors())
def test_map_changes_every_cell(value: Tensor) -> None:
    got = algebra.map_(value, lambda cells: cells + 1)
    assert flat(got) == {key: cell + 1 for key, cell in flat(value).items()}


@pytest.mark.parametrize(
    ("left", "right", "result"),
    [
        ("tensor<int8>(x[2])", "tensor<int8>(x[2])", "tensor<float>(x[2])"),
        ("tensor<bfloat16>(x[2])", "tensor<float>(a{})", "tensor<float>(a{},x[2])"),
        ("tensor<float>(x[2])", "tensor(x[2])", "tensor(x[2])"),
        ("tensor<float>(x[2])", "tensor()", "tensor<float>(x[2])"),
        ("tensor()", "tensor()", "tensor()"),
        ("tensor<float>(x[4])", "tensor<float>(x[3])", "tensor<float>(x[3])"),
    ],
)
def test_cell_types_decay_and_smaller_sizes_win(left: str, right: str, result: str) -> None:
    got = algebra.join_type(TensorType.parse(left), TensorType.parse(right))
    assert str(got) == result
    assert (
        algebra.join(
            Tensor.empty(TensorType.parse(left)), Tensor.empty(TensorType.parse(right)), np.add
        ).type
        == got
    )


def test_double_scalar_computes_in_double_and_rounds_once() -> None:
    got = algebra.join(tensor("tensor<float>(x[1])", "[3]"), Tensor.scalar(0.1), np.multiply)
    assert got.type.cell == "float"
    assert got.cells[0, 0] == np.float32(3 * 0.1)


def test_sparse_product_keeps_only_shared_labels() -> None:
    query = tensor("tensor<float>(t{})", "{star:2.859375,war:1.5}")
    document = tensor("tensor<float>(t{})", "{star:2.828125,peace:1}")
    product = algebra.join(query, document, np.multiply)
    assert product.labels == (("star",),)
    assert float(algebra.reduce(product, "sum")) == pytest.approx(8.0866699)


def test_every_full_reduction_is_a_double() -> None:
    value = tensor("tensor<int8>(x[3])", "[1,2,4]")
    assert str(algebra.reduce(value, "max").type) == "tensor()"
    assert str(algebra.reduce(value, "max", ["x"]).type) == "tensor()"


@pytest.mark.parametrize("aggregator", algebra.AGGREGATORS)
def test_nothing_reduces_to_zero(aggregator: str) -> None:
    nothing = Tensor.empty(TensorType.parse("tensor<float>(a{},x[2])"))
    assert float(algebra.reduce(nothing, aggregator)) == 0.0
    assert algebra.reduce(nothing, aggregator, ["a"]).cells.tolist() == [[0.0, 0.0]]
    assert algebra.reduce(nothing, aggregator, ["x"]).labels == ()


def test_nan_passes_through_max() -> None:
    value = Tensor.dense(TensorType.parse("tensor(x[2])"), [math.nan, 1.0])
    assert math.isnan(float(algebra.reduce(value, "max")))


def test_wrong_operands_are_refused() -> None:
    mapped, indexed = tensor("tensor(x{})", "{a:1}"), tensor("tensor(x[1])", "[1]")
    with pytest.raises(UsageError, match="mapped in one operand"):
        algebra.join(mapped, indexed, np.add)
    with pytest.raises(UsageError, match="same dimensions"):
        algebra.merge(mapped, indexed, np.add)
    with pytest.raises(UsageError, match="no dimension 'y'"):
        algebra.reduce(mapped, "sum", ["y"])
    with pytest.raises(UsageError, match="unknown aggregator 'mean'"):
        algebra.reduce(mapped, "mean")


@given(st.data())
def test_cells_of_many_rows_equal_one_tensor_each(data: st.DataObject) -> None:
    types = st.sampled_from(["tensor<float>(x[2])", "tensor(x[2],y[3])", "tensor<int8>(y[2])"])
    left = data.draw(st.lists(tensors(TensorType.parse(data.draw(types))), min_size=1, max_size=3))
    right = data.draw(tensors(TensorType.parse(data.draw(types))))
    stacked = np.concatenate([t.cells for t in left])
    result = algebra.join_type(left[0].type, right.type)
    cells = algebra.join_cells(
        (left[0].type, stacked), (right.type, right.cells), result, np.multiply
    )
    reduced = algebra.reduce_cells(left[0].type, stacked, "max", left[0].type.indexed[:1])
    for row, value in enumerate(left):
        assert algebra.join(value, right, np.multiply) == Tensor(
            result, ((),), cells[row : row + 1]
        )
        want = algebra.reduce(value, "max", value.type.indexed[:1])
        assert close(want, Tensor(want.type, ((),), reduced[row : row + 1]))
