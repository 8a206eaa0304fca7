"""Length batches: every row once, little padding, never above the budget."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from siftline.errors import UsageError
from siftline.model.batching import length_batches, padded_length


@given(
    st.lists(st.integers(0, 700), max_size=80),
    st.integers(1, 4000),
    st.integers(1, 64),
)
def test_every_row_once_within_the_budget(lengths: list[int], budget: int, bucket: int) -> None:
    batches = list(length_batches(np.array(lengths), token_budget=budget, bucket=bucket))
    rows = [int(row) for batch in batches for row in batch]
    assert sorted(rows) == list(range(len(lengths)))
    for batch in batches:
        padded = {padded_length(lengths[row], bucket) for row in batch}
        assert len(padded) == 1
        assert len(batch) == 1 or len(batch) * padded.pop() <= budget


@given(st.lists(st.integers(0, 700), max_size=80))
def test_shortest_first_and_ties_in_row_order(lengths: list[int]) -> None:
    rows = [int(r) for b in length_batches(np.array(lengths), token_budget=512) for r in b]
    assert rows == sorted(range(len(lengths)), key=lambda row: (lengths[row], row))


def test_by_hand() -> None:
    batches = length_batches(np.array([40, 3, 32, 33, 5]), token_budget=64)
    assert [batch.tolist() for batch in batches] == [[1, 4], [2], [3], [0]]


def test_padded_length() -> None:
    assert [padded_length(n) for n in (0, 1, 32, 33, 512)] == [32, 32, 32, 64, 512]
    assert padded_length(5, 1) == 5


def test_refuses_a_budget_below_one() -> None:
    with pytest.raises(UsageError, match="token_budget 0"):
        list(length_batches(np.array([1]), token_budget=0))
