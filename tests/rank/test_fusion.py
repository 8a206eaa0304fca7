"""The normalisers of the global phase against the values of the specification."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from siftline.rank.fusion import normalize_linear, reciprocal_rank, reciprocal_rank_fusion

#: nativeRank of the five documents of the specification's golden A.3, documents 1 to 5.
NATIVE = np.array(
    [0.163438790320063, 0.381862383599512, 0.15974580091895, 0.404088045944759, 0.146073025757855]
)


#: 10000 * score of the same golden.
FIRST = 10000 * np.array([1.0, 2, 3, 4, 5])


def test_linear_golden() -> None:
    found = normalize_linear(NATIVE) + normalize_linear(FIRST)
    expected = [0.0673052466078443, 1.16385903685318, 0.552992167476104, 1.75, 1.0]
    assert found == pytest.approx(expected, abs=1e-13)


def test_reciprocal_rank_golden() -> None:
    found = reciprocal_rank(NATIVE, 49) + reciprocal_rank(FIRST)
    expected = [
        0.0346153846153846,
        0.0352328431372549,
        0.0347409404013178,
        0.0361290322580645,
        0.0349119611414693,
    ]
    assert found == pytest.approx(expected, abs=1e-15)


def test_fusion_golden() -> None:
    third = np.array([4.0, 2.0, 5.0, 3.0, 1.0])
    found = reciprocal_rank_fusion([NATIVE, FIRST, third])
    expected = [
        0.0473866635156958,
        0.0473790322580645,
        0.0478914584959667,
        0.0483954907540312,
        0.0471626733921816,
    ]
    assert found == pytest.approx(expected, abs=1e-15)


def test_ties_take_distinct_ranks_in_hit_order() -> None:
    assert reciprocal_rank(np.array([2.0, 3.0, 2.0]), 0.0).tolist() == [1 / 2, 1.0, 1 / 3]


def test_nan_ranks_last() -> None:
    assert reciprocal_rank(np.array([np.nan, 1.0, -5.0]), 0.0).tolist() == [1 / 3, 1.0, 1 / 2]


def test_fusion_is_the_sum() -> None:
    a, b = np.array([3.0, 2.0, 1.0]), np.array([1.0, 3.0, 2.0])
    fused = reciprocal_rank_fusion([a, b])
    assert fused.tolist() == pytest.approx([1 / 61 + 1 / 63, 1 / 62 + 1 / 61, 1 / 63 + 1 / 62])


def test_linear_range_and_equal_values() -> None:
    assert normalize_linear(np.array([1.0, 2.0, 3.0])).tolist() == [0.0, 0.5, 1.0]
    assert normalize_linear(np.array([7.0, 7.0])).tolist() == [0.5, 0.5]
    assert len(normalize_linear(np.empty(0))) == 0


def test_linear_leaves_infinity_outside() -> None:
    found = normalize_linear(np.array([0.0, 1.0, np.inf, -np.inf]))
    assert found.tolist() == [0.0, 1.0, np.inf, -np.inf]
    assert np.isnan(normalize_linear(np.array([0.0, 1.0, np.nan]))[2])


@given(hnp.arrays(np.float64, st.integers(2, 20), elements=st.floats(-1e6, 1e6, width=32)))
def test_normalising_keeps_the_order(values: np.ndarray) -> None:
    order = np.argsort(-values, kind="stable")
    assert np.all(np.diff(reciprocal_rank(values)[order]) < 0)
    linear = normalize_linear(values)
    assert np.all(np.diff(linear[order]) <= 1e-12)
    assert np.all((linear >= -1e-12) & (linear <= 1 + 1e-12))
