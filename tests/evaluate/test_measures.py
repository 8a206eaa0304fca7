"""Measures, significance and latency against figures worked out by hand."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import ttest_rel

from siftline.errors import UsageError
from siftline.evaluate.latency import latency
from siftline.evaluate.measures import measure
from siftline.evaluate.significance import against_first, holm, paired_randomisation, paired_t

JUDGMENTS = {"q1": {"a": 2, "b": 1, "c": 0}, "q2": {"a": 1}, "q3": {"z": 1}}


def ranking(*documents: str) -> list[tuple[str, float]]:
    return [(document, 1.0 - i / 1000) for i, document in enumerate(documents)]


def test_figures_by_hand() -> None:
    found = measure(
        JUDGMENTS, {"q1": ranking("c", "b", "a"), "q2": ranking("x", "a"), "other": ranking("a")}
    )
    ideal = 2 + 1 / math.log2(3)
    gained = 1 / math.log2(3) + 2 / math.log2(4)
    assert found.queries == ("q1", "q2", "q3")
    assert found.values["ndcg@10"] == pytest.approx([gained / ideal, 1 / math.log2(3), 0])
    assert found.values["mrr@10"] == pytest.approx([0.5, 0.5, 0])
    assert found.values["recall@100"] == pytest.approx([1, 1, 0])
    assert found.mean("mrr@10") == pytest.approx(1 / 3)
    assert found.unanswered == 1
    assert found.means.keys() == {"ndcg@10", "mrr@10", "recall@100"}


def test_unanswered_queries_are_zero_in_an_empty_run_too() -> None:
    empty: list[dict[str, list[tuple[str, float]]]] = [{}, {"q1": []}]
    for run in empty:
        found = measure(JUDGMENTS, run)
        assert found.means == {"ndcg@10": 0, "mrr@10": 0, "recall@100": 0}
        assert found.unanswered == 3


def test_cutoffs() -> None:
    late = [f"x{i}" for i in range(10)]
    found = measure({"q": {"a": 1, "b": 1}}, {"q": ranking(*late, "a", *map(str, range(89)), "b")})
    assert found.means == {"ndcg@10": 0, "mrr@10": 0, "recall@100": 0.5}


def test_a_deeper_cutoff_where_it_is_asked_for() -> None:
    deep = [f"x{i}" for i in range(999)]
    run = {"q": ranking(*deep, "a", "b")}
    found = measure({"q": {"a": 1, "b": 1}}, run, ["recall@1000", "recall@100"])
    assert found.means == {"recall@1000": 0.5, "recall@100": 0}
    with pytest.raises(UsageError, match="known: ndcg@10, mrr@10, recall@100, recall@1000"):
        measure(JUDGMENTS, {}, ["recall@7"])


@given(st.permutations(["a", "b", "c", "x", "y"]), st.integers(1, 5))
def test_the_order_counts_and_equal_scores_do_not_change_it(order: list[str], tied: int) -> None:
    apart = measure(JUDGMENTS, {"q1": ranking(*order)})
    flat = [(document, 1.0 if i < tied else 0.5) for i, document in enumerate(order)]
    together = measure(JUDGMENTS, {"q1": flat})
    near = [(document, 1.0 - i * 1e-12) for i, document in enumerate(order)]  # equal in float32
    for name, values in apart.values.items():
        assert np.array_equal(values, together.values[name])
        assert np.array_equal(values, measure(JUDGMENTS, {"q1": near}).values[name])


def test_wrong_use_is_told() -> None:
    with pytest.raises(UsageError, match=r"unknown measure 'map' \(known: ndcg@10"):
        measure(JUDGMENTS, {}, ["map"])
    with pytest.raises(UsageError, match="unknown measure 'map'"):
        measure(JUDGMENTS, {}).mean("map")
    with pytest.raises(UsageError, match="no judged query"):
        measure({}, {})
    with pytest.raises(UsageError, match="twice"):
        measure(JUDGMENTS, {"q1": [("a", 1.0), ("a", 1.0)]})


def test_randomisation_equals_the_count_of_all_sign_flips() -> None:
    first = np.array([0.1, 0.5, 0.3, 0.8, 0.2, 0.9, 0.4, 0.6])
    second = first + np.array([0.1, 0.2, -0.05, 0.1, 0.15, 0.0, 0.3, -0.1])
    difference = second - first
    flips = np.array(np.meshgrid(*[[-1, 1]] * 8)).reshape(8, -1)
    exact = np.mean(np.abs(difference @ flips) >= abs(difference.sum()) - 1e-12)
    found = paired_randomisation(first, second, rounds=40_000)
    assert found == pytest.approx(exact, abs=0.01)
    assert found == paired_randomisation(first, second, rounds=40_000)
    assert found == paired_randomisation(second, first, rounds=40_000)
    assert found != paired_randomisation(first, second, rounds=40_000, seed=1)


VALUES = st.lists(
    st.tuples(st.floats(0, 1), st.floats(0, 1)).map(lambda pair: (round(pair[0], 3), pair[1])),
    min_size=3,
    max_size=30,
)


@given(VALUES)
def test_t_equals_scipy(pairs: list[tuple[float, float]]) -> None:
    first, second = np.array(pairs).T
    if np.ptp(second - first) < 1e-9:
        return
    assert paired_t(first, second) == pytest.approx(ttest_rel(first, second).pvalue, rel=1e-9)


@given(VALUES)
def test_p_values_are_shares(pairs: list[tuple[float, float]]) -> None:
    first, second = np.array(pairs).T
    assert 0 < paired_randomisation(first, second, rounds=200) <= 1
    assert paired_randomisation(first, first, rounds=200) == 1 == paired_t(first, first)


def test_tests_need_pairs() -> None:
    with pytest.raises(UsageError, match="a value of both for each query"):
        paired_t(np.zeros(2), np.zeros(3))
    assert paired_t(np.zeros(3), np.ones(3)) == 0


def test_holm_by_hand() -> None:
    assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert holm([0.6, 0.7]) == [1.0, 1.0]
    assert holm([]) == []


def test_comparison_against_the_first() -> None:
    base = np.linspace(0, 1, 40)
    better = base + np.linspace(0.02, 0.2, 40)
    found = against_first({"base": base, "better": better, "same": base})
    assert list(found) == ["better", "same"]
    assert found["better"] == pytest.approx(2 / 10_001) and found["same"] == 1


def test_latency_by_hand() -> None:
    found = latency([i / 1000 for i in range(1, 201)])
    assert (found.queries, found.mean, found.p50, found.p99) == pytest.approx(
        (200, 100.5, 100, 198)
    )
    assert latency([0.5]).p99 == 500
    for wrong in ([], [-1.0], [float("nan")]):
        with pytest.raises(UsageError):
            latency(wrong)
