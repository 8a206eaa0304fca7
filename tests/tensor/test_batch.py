"""Batches: stacking, taking and joining end to end keep every tensor."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from siftline.errors import UsageError
from siftline.tensor.batch import SparseBatch, concatenate, stack
from siftline.tensor.tensor import Tensor
from siftline.tensor.types import TensorType
from tensor_strategies import tensor_types, tensors


def rows(batch: object) -> list[Tensor | None]:
    return [batch.tensor(i) for i in range(len(batch))]  # type: ignore[attr-defined, arg-type]


def shown(values: list[Tensor | None]) -> list[Tensor | None]:
    """What a batch gives back: an empty sparse or ragged row reads as absent."""
    return [
        None if v is None or (not v.labels and len(v.type.mapped) == 1 and _flat(v)) else v
        for v in values
    ]


def _flat(value: Tensor) -> bool:
    return len(value.type.indexed) <= 1


@given(st.data())
def test_stack_take_and_concatenate_keep_tensors(data: st.DataObject) -> None:
    type_ = data.draw(tensor_types(cells=("float", "int8")))
    optional = st.lists(st.one_of(st.none(), tensors(type_)), max_size=4)
    parts = data.draw(st.lists(optional, min_size=1, max_size=3))
    batches = [stack(type_, part) for part in parts]
    whole = concatenate(batches)
    assert type(whole) is type(stack(type_, []))
    values = shown([tensor for part in parts for tensor in part])
    assert rows(whole) == values
    order = data.draw(st.permutations(range(len(values))))
    assert rows(whole.take(np.array(order, np.int64))) == [values[i] for i in order]


def test_a_shared_vocabulary_is_kept() -> None:
    type_ = TensorType.parse("tensor<float>(t{})")
    vocabulary = [f"w{i}" for i in range(1000)]
    one = SparseBatch(
        type_, np.array([0, 2]), np.array([7, 3], np.int32), np.ones(2, np.float32), vocabulary
    )
    both = concatenate([one, one])
    assert isinstance(both, SparseBatch)
    assert both.vocabulary is vocabulary
    assert both.indptr.tolist() == [0, 2, 4]
    assert both.tokens.tolist() == [7, 3, 7, 3]


def test_types_must_agree() -> None:
    one, two = (TensorType.parse(f"tensor(x[{n}])") for n in (1, 2))
    with pytest.raises(UsageError, match="expected a batch of type"):
        concatenate([stack(one, [None]), stack(two, [None])])
