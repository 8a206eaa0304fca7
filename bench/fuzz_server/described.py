"""What schemathesis sends to every path of `/openapi.json`, and what it looks for."""

from __future__ import annotations

from typing import Any

import schemathesis
from schemathesis.specs.openapi.checks import (
    response_schema_conformance,
    status_code_conformance,
)


@schemathesis.serializer("application/zip", "application/x-gzip")
def as_it_is(context: Any, value: Any) -> Any:
    """The bytes of a package, or what stands for them."""
    return value if isinstance(value, bytes) else str(value).encode()


def nothing_broke(context: Any, response: Any, case: Any) -> None:
    """A timeout of a millisecond may be over (504); what breaks is 500."""
    if response.status_code == 500:
        raise AssertionError(response.text)


CHECKS = [nothing_broke, response_schema_conformance, status_code_conformance]


def operations(described: Any) -> list[Any]:
    """The operations of a loaded description; raises where one of them is not valid."""
    return [result.ok() for result in described.get_all_operations()]
