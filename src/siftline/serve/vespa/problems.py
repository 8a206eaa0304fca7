"""The library's errors as the search API reports them: a code of its table (spec 3.13)."""

from __future__ import annotations

from siftline.errors import (
    ComponentError,
    DeadlineError,
    ModelError,
    OverloadError,
    PackageError,
    QueryError,
    SiftlineError,
    StoreError,
    UnavailableError,
    UsageError,
)
from siftline.respond.problems import SearchError

#: Code of an error without a better one.
UNSPECIFIED = 5

#: The first class that an error belongs to gives its code.
_CODES: tuple[tuple[type[SiftlineError], int], ...] = (
    (UsageError, 4),
    (ComponentError, 6),
    (OverloadError, 0),
    (UnavailableError, 0),
    (DeadlineError, 12),
    (ModelError, 9),
    (PackageError, 9),
    (StoreError, 10),
)

#: Codes after which the same request can succeed.
_TRANSIENT = frozenset({0, 10, 12})


def search_error(error: SiftlineError) -> SearchError:
    """The error that the answer carries.

    A query's message stands alone, as Vespa's clients match it; others say their place.
    """
    if isinstance(error, QueryError):
        return SearchError(error.code, error.message)
    code = next((code for kind, code in _CODES if isinstance(error, kind)), UNSPECIFIED)
    return SearchError(code, str(error), transient=code in _TRANSIENT)
