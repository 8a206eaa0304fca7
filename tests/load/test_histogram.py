"""Counts of response times against every time kept."""

from __future__ import annotations

import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from siftline.load.histogram import LEAST, LONGEST, RESOLUTION, Histogram

TIMES = st.lists(st.floats(LEAST, LONGEST), min_size=1, max_size=60)


def counted(times: list[float]) -> Histogram:
    histogram = Histogram()
    for time in times:
        histogram.add(time)
    return histogram


@given(TIMES, st.floats(0, 100))
def test_a_percentile_is_the_exact_one_within_the_resolution(
    times: list[float], percent: float
) -> None:
    exact = np.percentile(times, percent, method="inverted_cdf")
    assert counted(times).percentile(percent) == pytest.approx(exact, rel=RESOLUTION)


@given(TIMES, TIMES)
def test_merged_is_counted_together(first: list[float], second: list[float]) -> None:
    merged, together = counted(first), counted(first + second)
    merged.merge(counted(second))
    assert merged.cells == together.cells
    assert (merged.count, merged.least, merged.most) == (
        together.count,
        together.least,
        together.most,
    )
    assert merged.average == pytest.approx(np.mean(first + second))


@given(TIMES)
def test_what_a_process_sends_is_what_it_counted(times: list[float]) -> None:
    histogram = counted(times)
    read = Histogram.from_json(json.loads(json.dumps(histogram.to_json())))
    assert read.to_json() == histogram.to_json()
    assert read.count == len(times)


def test_a_time_beyond_the_cells_is_approximate() -> None:
    histogram = counted([1.0, 2.0 * LONGEST])
    assert histogram.percentile(50) == pytest.approx(1.0, rel=RESOLUTION)
    assert histogram.most == 2.0 * LONGEST
    assert histogram.approximate(2.0 * LONGEST)
    assert not histogram.approximate(LONGEST)


def test_nothing_counted() -> None:
    assert (Histogram().average, Histogram().percentile(99)) == (0.0, 0.0)
    assert Histogram.from_json(Histogram().to_json()).least == float("inf")
