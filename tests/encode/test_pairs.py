import numpy as np
import pytest
from encode_fakes import FakeSession
from hypothesis import given
from hypothesis import strategies as st

from siftline.encode.pairs import CrossEncoder, token_inputs
from siftline.errors import ModelError


def test_the_small_example() -> None:
    inputs = token_inputs(10, np.array([7, 8, 0, 0]), np.array([9, 0]))
    assert inputs.ids.tolist() == [101, 7, 8, 102, 9, 102, 0, 0, 0, 0]
    assert inputs.types.tolist() == [0, 0, 0, 0, 1, 1, 0, 0, 0, 0]
    assert inputs.mask.tolist() == [1] * 6 + [0] * 4


def test_charles_de_gaulle() -> None:
    query = np.array([2003, 3729, 2290, 1999, 3000, 1029], np.float32)
    passage = np.array(
        [2798, 2139, 28724, 1006, 3729, 2290, 1007, 3199, 2003, 2485, 2000, 3000], np.float32
    )
    padded = np.pad(passage, (0, 116))
    inputs = token_inputs(128, query, padded)
    assert inputs.ids[:21].tolist() == [
        101, 2003, 3729, 2290, 1999, 3000, 1029, 102, 2798, 2139, 28724, 1006, 3729, 2290,
        1007, 3199, 2003, 2485, 2000, 3000, 102,
    ]  # fmt: skip
    assert inputs.ids[21:].max() == 0 and inputs.mask.sum() == 21


def test_one_input_three_inputs_and_own_ids() -> None:
    one = token_inputs(5, np.array([7]))
    assert one.ids.tolist() == [101, 7, 102, 0, 0] and not one.types.any()
    three = token_inputs(8, np.array([7]), np.array([8]), np.array([9]), start=1, separator=2)
    assert three.ids.tolist() == [1, 7, 2, 8, 2, 9, 2, 0]
    assert three.types.tolist() == [0, 0, 0, 1, 1, 1, 1, 0]


def test_the_cut_takes_the_last_separator() -> None:
    inputs = token_inputs(5, np.array([7, 8]), np.array([9, 10]))
    assert inputs.ids.tolist() == [101, 7, 8, 102, 9]
    assert inputs.types.tolist() == [0, 0, 0, 0, 1] and inputs.mask.tolist() == [1] * 5


def test_many_at_once() -> None:
    inputs = token_inputs(6, np.array([7, 0]), np.array([[8, 9], [0, 0], [8, 0]]))
    assert inputs.ids.tolist() == [
        [101, 7, 102, 8, 9, 102], [101, 7, 102, 102, 0, 0], [101, 7, 102, 8, 102, 0],
    ]  # fmt: skip


@given(st.integers(1, 12), st.lists(st.integers(1, 90), max_size=8), st.integers(0, 5))
def test_lengths_and_masks_agree(length: int, tokens: list[int], padding: int) -> None:
    part = np.array(tokens + [0] * padding)
    inputs = token_inputs(length, part, part)
    real = min(length, 2 * len(tokens) + 3)
    assert inputs.mask.sum() == real
    assert (inputs.ids > 0).sum() == real
    assert not inputs.types[real:].any()


def sums(ids: np.ndarray) -> np.ndarray:
    """One logit: the sum of the ids, which padding does not change."""
    return np.asarray(ids.sum(axis=1, keepdims=True))


def test_scores_in_the_order_of_the_passages() -> None:
    session = FakeSession(sums, "logits")
    passages = [np.array([5] * n) for n in (40, 1, 0, 7)]
    scores = CrossEncoder(lambda: session).score(np.array([7, 8]), passages, 512)
    assert scores.dtype == np.float32
    assert scores.tolist() == [320 + 5 * n for n in (40, 1, 0, 7)]
    # each pair runs at its own length, not at 512
    assert max(call["input_ids"].shape[1] for call in session.calls) == 45
    types = session.calls[0]["token_type_ids"][0]
    assert types.tolist() == [0] * 4 + [1] * 41


def test_scores_equal_those_of_the_padded_inputs() -> None:
    passages = [np.array([5] * n) for n in (9, 3)]
    scores = CrossEncoder(lambda: FakeSession(sums, "logits")).score(np.array([7]), passages, 8)
    table = np.array([[5] * 9, [5] * 3 + [0] * 6])
    assert scores.tolist() == token_inputs(8, np.array([7]), table).ids.sum(axis=1).tolist()


def test_the_last_separator_can_be_kept() -> None:
    session = FakeSession(sums, "logits")
    CrossEncoder(lambda: session).score(np.array([7]), [np.array([5] * 9)], 8, keep_separator=True)
    assert session.calls[0]["input_ids"].tolist() == [[101, 7, 102, 5, 5, 5, 5, 102]]


def test_no_passages_and_other_models() -> None:
    assert CrossEncoder(lambda: FakeSession(sums, "logits")).score(np.array([7]), [], 9).shape == (
        0,
    )
    two = FakeSession(lambda ids: np.zeros((len(ids), 2)), "logits")
    with pytest.raises(ModelError, match="one logit for each pair, this model 2"):
        CrossEncoder(lambda: two).score(np.array([7]), [np.array([5])], 9)
