"""Errors in a response: codes, summaries and HTTP status (spec 3.13)."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class ErrorKind:
    """One row of the table of error codes."""

    code: int
    summary: str
    status: int


#: code → summary and the HTTP status of an answer without hits.
ERROR_KINDS: dict[int, ErrorKind] = {
    kind.code: kind
    for kind in (
        ErrorKind(0, "No backends in service. Try later", 503),
        ErrorKind(1, "Null query", 400),
        ErrorKind(2, "Request too large", 500),
        ErrorKind(3, "Illegal query", 400),
        ErrorKind(4, "Invalid query parameter", 400),
        ErrorKind(5, "Unspecified error", 500),
        ErrorKind(6, "Error in plugin Searcher", 500),
        ErrorKind(7, "Invalid query transformation", 500),
        ErrorKind(8, "Error in search reply.", 500),
        ErrorKind(9, "Service is misconfigured", 500),
        ErrorKind(10, "Backend communication error", 503),
        ErrorKind(11, "Error in execution of chain", 500),
        ErrorKind(12, "Timed out", 504),
        ErrorKind(13, "Empty document summaries", 500),
        ErrorKind(14, "Client not authenticated.", 401),
        ErrorKind(15, "Forbidden.", 403),
        ErrorKind(16, "Resource not found.", 404),
        ErrorKind(17, "Bad request.", 400),
        ErrorKind(18, "Internal server error.", 500),
        ErrorKind(19, "Insufficient storage.", 507),
    )
}


@dataclass(frozen=True, slots=True)
class SearchError:
    """An error that an answer carries: a code of ERROR_KINDS, what happened, and where."""

    code: int
    message: str
    source: str | None = None
    transient: bool = False

    @property
    def kind(self) -> ErrorKind:
        """The table's row; unknown codes are code 5."""
        return ERROR_KINDS.get(self.code, ERROR_KINDS[5])


def http_status(errors: tuple[SearchError, ...], hits: int) -> int:
    """200 with hits or without errors, else the status of the first error."""
    return errors[0].kind.status if errors and not hits else 200
