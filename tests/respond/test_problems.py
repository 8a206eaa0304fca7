"""The table of error codes."""

import pytest

from siftline.respond.problems import ERROR_KINDS, SearchError, http_status


@pytest.mark.parametrize(
    ("code", "summary", "status"),
    [
        (0, "No backends in service. Try later", 503),
        (3, "Illegal query", 400),
        (4, "Invalid query parameter", 400),
        (8, "Error in search reply.", 500),
        (12, "Timed out", 504),
        (16, "Resource not found.", 404),
        (19, "Insufficient storage.", 507),
    ],
)
def test_table(code: int, summary: str, status: int) -> None:
    kind = ERROR_KINDS[code]
    assert (kind.summary, kind.status) == (summary, status)


def test_codes_are_complete() -> None:
    assert sorted(ERROR_KINDS) == list(range(20))


def test_status_is_200_with_hits() -> None:
    errors = (SearchError(4, "unknown profile"), SearchError(12, "late"))
    assert http_status(errors, hits=3) == 200
    assert http_status(errors, hits=0) == 400
    assert http_status((), hits=0) == 200


def test_unknown_code_is_unspecified() -> None:
    assert SearchError(99, "?").kind.summary == "Unspecified error"
