"""Every path answers as `/openapi.json` says, whatever is sent to it; never with a 500."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest
import schemathesis
from bench.fuzz_server.described import CHECKS, operations
from hypothesis import HealthCheck, given, settings
from serving import fed_package, host_of
from starlette.types import ASGIApp

from siftline.serve.app import config_app, container_app
from siftline.serve.host import Host

few = settings(max_examples=5, deadline=None, suppress_health_check=list(HealthCheck))


@pytest.fixture(scope="module")
def host(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Host]:
    with host_of(fed_package(tmp_path_factory.mktemp("described") / "fruit")) as opened:
        yield opened


@pytest.mark.parametrize("make", [container_app, config_app])
def test_every_path_answers_as_described(host: Host, make: Callable[[Host], ASGIApp]) -> None:
    described = schemathesis.openapi.from_asgi("/openapi.json", make(host))
    found = operations(described)
    assert len(found) > 10
    for operation in found:

        @few
        @given(operation.as_strategy())
        def answers(case: Any) -> None:
            case.call_and_validate(checks=CHECKS)

        answers()
