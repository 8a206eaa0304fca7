"""The pieces of the kernels against their plain twins."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from siftline.match.kernels import (
    BLOCK_BITS,
    SLACK,
    WINDOW,
    essential_from,
    push,
    rank_lists,
    reaching,
    seek,
    sparse_weight,
    window_bound,
)
from siftline.match.top import best

scores = st.one_of(st.sampled_from([0.0, 1.0, 2.0]), st.floats(-5, 5))


@given(st.lists(scores, max_size=40), st.integers(0, 8))
def test_the_heap_keeps_the_best(values: list[float], size: int) -> None:
    documents = np.arange(len(values), dtype=np.int64)
    order = sorted(documents.tolist(), key=lambda d: (d * 7) % 11)
    heap = (np.zeros(size), np.zeros(size, np.int64), np.zeros(1, np.int64))
    for document in order:
        push(*heap, (values[document], document))
    count = int(heap[2][0])
    found = best(heap[1][:count], heap[0][:count], size)
    expected = best(documents, np.array(values), size)
    assert found.documents.tolist() == expected.documents.tolist()
    assert found.scores.tolist() == expected.scores.tolist()
    if count and count == size:
        assert heap[0][0] == expected.scores[-1] and heap[1][0] == expected.documents[-1]


ascending = st.sets(st.integers(0, 3000), max_size=300).map(
    lambda found: np.array(sorted(found), np.int32)
)


@given(ascending, st.integers(0, 3100), st.integers(0, 300))
def test_seek_is_a_search(documents: np.ndarray, wanted: int, start: int) -> None:
    at = min(start, len(documents))
    expected = at + int(np.searchsorted(documents[at:], wanted))
    assert seek(documents, at, len(documents), wanted) == expected


@given(ascending, st.integers(0, 3100), st.integers(0, 300), st.data())
def test_a_window_is_bounded_by_its_blocks(
    documents: np.ndarray, high: int, start: int, data: st.DataObject
) -> None:
    blocks = -(-len(documents) // (1 << BLOCK_BITS))
    bounds = np.array(data.draw(st.lists(st.floats(0, 9), min_size=blocks + 2,
                                         max_size=blocks + 2)))  # fmt: skip
    at = min(start, len(documents))
    span = (0, len(documents), 1)
    largest, postings = window_bound(documents, span, at, high, bounds)
    inside = [i for i in range(at, len(documents)) if documents[i] < high]
    used = sorted({i >> BLOCK_BITS for i in inside})
    assert largest == max((bounds[1 + block] for block in used), default=0.0)
    assert postings == len(used) << BLOCK_BITS >= len(inside)


@given(st.lists(st.floats(0, 10), min_size=1, max_size=9), st.floats(0, 30))
def test_lists_that_cannot_reach_the_threshold_are_non_essential(
    values: list[float], threshold: float
) -> None:
    bound = np.array(values)
    order, prefix = np.zeros(len(bound), np.int64), np.zeros(len(bound) + 1)
    rank_lists(bound, order, prefix)
    assert bound[order].tolist() == sorted(values)
    assert prefix.tolist() == [0.0, *np.cumsum(bound[order]).tolist()]
    first = essential_from(prefix, threshold)
    assert first == 0 or prefix[first] * SLACK < threshold
    assert first == len(bound) or prefix[first + 1] * SLACK >= threshold


@given(st.dictionaries(st.integers(0, WINDOW - 1), st.floats(0, 5)), st.floats(0.01, 5))
def test_reaching_slots(filled: dict[int, float], least: float) -> None:
    sums, slots = np.zeros(WINDOW), np.zeros(WINDOW, np.int64)
    for slot, value in filled.items():
        sums[slot] = value
    count = reaching(sums, least, slots)
    assert slots[:count].tolist() == np.flatnonzero(sums >= least).tolist()


@given(
    st.dictionaries(st.integers(0, 20), st.floats(0, 4, width=32), max_size=12),
    st.dictionaries(st.integers(0, 20), st.floats(0, 4), min_size=1, max_size=6),
)
def test_a_forward_row_is_weighed_in_the_order_of_the_query(
    row: dict[int, float], query: dict[int, float]
) -> None:
    labels = np.array(list(query), np.int64)
    order = np.argsort(labels)
    forward = (
        np.array([0, 0, len(row)], np.int64),
        np.array(list(row), np.int32),
        np.array(list(row.values()), np.float32),
    )
    terms = (order, np.array(list(query.values())), np.zeros(len(query)))
    expected = 0.0
    for label, weight in query.items():
        expected += weight * float(np.float32(row.get(label, 0.0)))
    assert sparse_weight(forward, 1, labels[order], terms) == expected
    assert sparse_weight(forward, 0, labels[order], terms) == 0.0
