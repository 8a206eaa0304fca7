"""Soft and hard deadlines of a query, on a clock that the test moves."""

import math

import pytest

from siftline.errors import DeadlineError
from siftline.match.deadline import NEVER, Deadline
from siftline.match.query import All, Query


class Clock:
    """Seconds that pass when told to."""

    def __init__(self, now: float = 100.0) -> None:
        self.now = now

    def __call__(self) -> float:
        return self.now


def test_the_soft_moment_comes_before_the_hard_one() -> None:
    clock = Clock()
    deadline = Deadline.after(2.0, clock=clock)
    assert (deadline.soft, deadline.hard) == (101.4, 102.0)
    clock.now = 101.3
    assert not deadline.soft_passed
    clock.now = 101.4
    assert deadline.soft_passed
    deadline.check("matching")
    assert deadline.remaining == pytest.approx(0.6)
    clock.now = 102.0
    with pytest.raises(DeadlineError, match=r"matching was not done within .* timeout of 2000 ms"):
        deadline.check("matching")


def test_time_runs_from_when_the_query_came_in() -> None:
    assert Deadline.after(2.0, started=50.0, clock=Clock()).hard == 52.0


def test_without_a_soft_moment_only_the_hard_one_passes() -> None:
    clock = Clock()
    deadline = Deadline.after(2.0, soft_factor=None, clock=clock)
    clock.now = 200.0
    assert not deadline.soft_passed
    with pytest.raises(DeadlineError):
        deadline.check("matching")


def test_items_are_given_until_the_time_is_over() -> None:
    clock = Clock()
    deadline = Deadline.after(2.5, clock=clock)
    seen = []
    with pytest.raises(DeadlineError, match="counting"):
        for item in deadline.over(range(10), "counting"):
            seen.append(item)
            clock.now += 1
    assert seen == [0, 1, 2]


def test_never_is_never() -> None:
    assert not NEVER.finite and not NEVER.soft_passed and NEVER.remaining == math.inf
    NEVER.check("anything")
    assert list(NEVER.over("ab", "letters")) == ["a", "b"]


def test_a_query_that_states_no_timeout_is_due_when_its_front_door_says() -> None:
    assert Query(All()).due() == NEVER
    assert Query(All()).due(10.0, default=0.5).hard == 10.5
    stated = Query(All(), timeout=3.0, soft_factor=0.5)
    assert (stated.due(10.0, default=0.5).soft, stated.due(10.0).hard) == (11.5, 13.0)
