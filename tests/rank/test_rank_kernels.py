"""Kernels against their numpy twins and values by hand."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from siftline.rank import kernels


def offsets_of(counts: list[int]) -> np.ndarray:
    return np.concatenate([np.zeros(1, np.int64), np.cumsum(np.array(counts, np.int64))])


COUNTS = st.lists(st.integers(0, 5), max_size=6)


WIDTHS = st.sampled_from([0, 1, 2, 8, 9, 16, 32, 33, 70])


@given(COUNTS, WIDTHS, st.integers(1, 5), st.integers(0, 2**32 - 1))
def test_maxsim_equals_its_twin(counts: list[int], width: int, size: int, seed: int) -> None:
    random = np.random.default_rng(seed)
    offsets = offsets_of(counts)
    query = random.integers(-8, 9, (width, size)).astype(np.float32) / 4
    rows = random.integers(-8, 9, (int(offsets[-1]), size))
    want = kernels.maxsim_numpy(query, offsets, rows)
    for dtype in (np.float32, np.float64, np.int8):
        assert kernels.maxsim(query, offsets, rows.astype(dtype)).tolist() == want.tolist()


@given(COUNTS, st.integers(0, 4), st.integers(1, 3), st.integers(0, 2**32 - 1))
def test_maxsim_of_bits_equals_its_twin(
    counts: list[int], width: int, size: int, seed: int
) -> None:
    random = np.random.default_rng(seed)
    offsets = offsets_of([200 * count for count in counts])
    query = random.integers(-8, 9, (width, 8 * size)).astype(np.float32) / 4
    packed = random.integers(-128, 128, (int(offsets[-1]), size)).astype(np.int8)
    got = kernels.maxsim_bits(query, offsets, packed)
    assert got.tolist() == kernels.maxsim_bits_numpy(query, offsets, packed).tolist()


@pytest.mark.parametrize("width", [4, 32, 40])
def test_blocks_do_not_show(width: int) -> None:
    random = np.random.default_rng(5)
    counts = random.integers(0, 900, 40).tolist() + [kernels.BLOCK_TOKENS * 2, 0, 1]
    offsets = offsets_of(counts)
    query: np.ndarray = random.standard_normal((width, 16)).astype(np.float32)
    rows: np.ndarray = random.standard_normal((int(offsets[-1]), 16)).astype(np.float32)
    got = kernels.maxsim(query, offsets, rows)
    np.testing.assert_allclose(got, kernels.maxsim_numpy(query, offsets, rows), rtol=1e-5)
    assert got[-2] == 0.0


@given(COUNTS, st.integers(0, 4), st.integers(0, 2**32 - 1))
def test_maxima_sum_to_maxsim(counts: list[int], width: int, seed: int) -> None:
    random = np.random.default_rng(seed)
    offsets = offsets_of(counts)
    query = random.integers(-8, 9, (width, 3)).astype(np.float32) / 4
    rows = random.integers(-8, 9, (int(offsets[-1]), 3)).astype(np.float32)
    best = kernels.maxima(query, offsets, rows)
    assert best.shape == (len(counts), width)
    want = kernels.maxsim_numpy(query, offsets, rows)
    assert best.sum(axis=1, dtype=np.float64).tolist() == want.tolist()


def test_maxsim_by_hand() -> None:
    query = np.array([[1, 0], [0, 1]], np.float32)
    rows = np.array([[1, 2], [3, 0], [-1, -1]], np.float32)
    assert kernels.maxsim(query, np.array([0, 2, 2, 3]), rows).tolist() == [5.0, 0.0, -2.0]


@pytest.mark.parametrize("width", [1, 32])
def test_nan_is_not_hidden(width: int) -> None:
    query = np.ones((width, 1), np.float32)
    rows = np.array([[1.0], [np.nan], [2.0]], np.float32)
    assert np.isnan(kernels.maxsim(query, np.array([0, 3]), rows)).all()


def test_byte_sums_equal_their_twin() -> None:
    columns = (np.random.default_rng(3).integers(-8, 9, (24, 5)) / 4).astype(np.float32)
    table = kernels.byte_sums(columns)
    np.testing.assert_array_equal(table, kernels.byte_sums_numpy(columns))
    assert table[1, 0b10000001, 2] == columns[8, 2] + columns[15, 2]


@given(COUNTS, st.sampled_from([np.float32, np.float64]), st.integers(0, 2**32 - 1))
def test_sparse_dot_equals_its_twin(counts: list[int], dtype: type, seed: int) -> None:
    random = np.random.default_rng(seed)
    indptr = offsets_of(counts)
    tokens = random.integers(0, 9, int(indptr[-1])).astype(np.int32)
    weights = (random.integers(-8, 9, int(indptr[-1])) / 4).astype(np.float32)
    query: np.ndarray = (random.integers(-2, 3, 9) / 2).astype(dtype)
    got = kernels.sparse_dot(indptr, tokens, weights, query)
    assert got.tolist() == kernels.sparse_dot_numpy(indptr, tokens, weights, query).tolist()


@pytest.mark.parametrize("dtype", [np.float32, np.float64, np.int8])
def test_dense_dot_by_hand(dtype: type) -> None:
    rows: np.ndarray = np.array([[1, 2], [3, -4]], dtype)
    got = kernels.dense_dot(np.array([2, 3], np.float32), rows)
    assert got.dtype == np.float64
    assert got.tolist() == [8.0, -6.0]
    assert kernels.dense_dot(np.array([2, 3], np.float32), rows[:0]).tolist() == []
