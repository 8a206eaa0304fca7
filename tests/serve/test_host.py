"""The application that requests see, and how another one takes its place."""

from __future__ import annotations

import threading
import time
from pathlib import Path
from typing import Any

import pytest
from serving import fed_package, fruit_package, host_of

from siftline.application import Application
from siftline.errors import StoreError, UnavailableError
from siftline.serve.host import Host
from siftline.serve.options import Limits, Options


class FakeApplication:
    """What Host needs of an application."""

    data = Path("nowhere")

    def __init__(self) -> None:
        self.closed = 0

    def close(self) -> None:
        self.closed += 1


def fake() -> Any:
    return FakeApplication()


def same(one: object, other: object) -> bool:
    return one is other


def test_without_an_application_there_is_nothing_to_use() -> None:
    host = Host()
    assert (host.ready, host.generation, host.name) == (False, 0, None)
    with pytest.raises(UnavailableError, match="deploy one to the config port"), host.use():
        pass
    host.close()


def test_a_swap_counts_and_gives_the_new_application() -> None:
    old, new = fake(), fake()
    host = Host(old)
    assert host.generation == 1
    seen: list[Any] = []

    def make(current: Any) -> Any:
        seen.append(current)
        return new

    host.swap(make)
    assert seen == [old]
    assert (host.generation, old.closed, new.closed) == (2, 1, 0)
    with host.use() as current:
        assert same(current, new)
    host.close()
    assert (old.closed, new.closed) == (1, 1)


def test_a_swap_can_say_its_generation() -> None:
    host = Host()
    host.swap(lambda current: fake(), generation=7)
    assert (host.generation, host.ready) == (7, True)
    host.close()


def test_the_old_application_stays_open_until_its_last_user_has_left() -> None:
    old, new = fake(), fake()
    host = Host(old)
    with host.use() as first:
        with host.use():
            host.swap(lambda current: new)
            assert same(first, old) and old.closed == 0
        assert old.closed == 0
    assert old.closed == 1
    host.close()


def test_a_swap_that_fails_changes_nothing() -> None:
    old = fake()
    host = Host(old)

    def fail(current: Any) -> Any:
        raise StoreError("no")

    with pytest.raises(StoreError):
        host.swap(fail)
    with host.use() as current:
        assert same(current, old)
    assert (host.generation, old.closed) == (1, 0)
    host.close()


def test_a_swap_to_the_same_application_does_not_close_it() -> None:
    old = fake()
    host = Host(old)
    host.swap(lambda current: current)  # type: ignore[arg-type,return-value]
    assert (host.generation, old.closed) == (2, 0)
    host.close()
    assert old.closed == 1


def test_close_waits_for_users_and_then_refuses() -> None:
    application = fake()
    host = Host(application)
    entered, closed_inside = threading.Event(), []

    def user() -> None:
        with host.use():
            entered.set()
            time.sleep(0.2)
            closed_inside.append(application.closed)

    thread = threading.Thread(target=user)
    thread.start()
    assert entered.wait(5)
    host.close()
    thread.join(5)
    assert (closed_inside, application.closed) == ([0], 1)
    with pytest.raises(UnavailableError, match="shutting down"), host.use():
        pass


def test_close_waits_no_longer_than_the_grace() -> None:
    application = fake()
    host = Host(application, options=Options(limits=Limits(grace=0.05)))
    with host.use():
        host.close()
        assert application.closed == 0
    assert application.closed == 1


def test_close_finishes_what_the_intake_accepted(tmp_path: Path) -> None:
    from siftline.feed.operation import DocumentId, Operation

    folder = fruit_package(tmp_path / "fruit")
    with host_of(folder) as host:
        futures = [
            host.intake.submit(
                Operation("put", DocumentId.parse(f"id:a:fruit::{n}"), fields={"title": "pear"})
            )
            for n in range(20)
        ]
    assert all(future.result(0).error is None for future in futures)
    with Application.open(folder, read_only=True) as application:
        assert len(list(application.visit())) == 20


def test_the_host_knows_its_package_and_data(tmp_path: Path) -> None:
    folder = fed_package(tmp_path / "fruit")
    with host_of(folder) as host:
        assert host.name == "fruit"
        assert host.data == tmp_path / "fruit.siftline"
