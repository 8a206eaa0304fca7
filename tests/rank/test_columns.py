"""Columns of feature values: any order of requests gives what computing everything gives."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from siftline.rank.features.columns import Columns
from siftline.rank.values import Value
from siftline.tensor.batch import DenseBatch
from siftline.tensor.tensor import Tensor
from siftline.tensor.types import TensorType

TYPE = TensorType.parse("tensor<float>(x[2])")
requests = st.lists(st.lists(st.integers(0, 15), unique=True, max_size=16), max_size=8)


@given(requests)
def test_rows_are_computed_once_and_found_again(lists: list[list[int]]) -> None:
    computed: list[int] = []

    def compute(rows: np.ndarray) -> Value:
        computed.extend(rows.tolist())
        return rows * 10.0

    columns = Columns()
    for wanted in lists:
        rows = np.array(wanted, np.int64)
        assert np.asarray(columns.get("f", rows, compute)).tolist() == [r * 10.0 for r in wanted]
    assert len(computed) == len(set(computed))


@given(requests)
def test_batches(lists: list[list[int]]) -> None:
    def compute(rows: np.ndarray) -> Value:
        values = np.stack([rows, rows + 0.5], axis=1).astype(np.float32).reshape(-1, 2)
        return DenseBatch(TYPE, values, rows % 2 == 0)

    columns = Columns()
    for wanted in lists:
        rows = np.array(wanted, np.int64)
        batch = columns.get("f", rows, compute)
        assert isinstance(batch, DenseBatch)
        assert batch.values[:, 0].tolist() == wanted
        assert batch.present.tolist() == [row % 2 == 0 for row in wanted]


def test_a_tensor_is_the_same_for_every_hit() -> None:
    columns = Columns()
    calls = 0

    def compute(rows: np.ndarray) -> Value:
        nonlocal calls
        calls += 1
        return Tensor.scalar(3.0)

    for rows in ([0, 1], [5], [1, 7]):
        value = columns.get("f", np.array(rows), compute)
        assert isinstance(value, Tensor) and float(value) == 3.0
    assert calls == 1


def test_copies_leave_names_out() -> None:
    columns = Columns()
    rows = np.array([0, 1])
    columns.put("a", rows, np.array([1.0, 2.0]))
    columns.put("b", rows, np.array([3.0, 4.0]))
    copy = columns.copy(without=lambda name: name == "b")
    assert copy.names() == ["a"]
    assert columns.names() == ["a", "b"]
