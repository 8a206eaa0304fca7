"""Every error the library raises on purpose.

    SiftlineError
    ├── UsageError            an argument of a call or command: wrong value
    │   ├── QueryError        a query: YQL, tensor input, embed(), expression
    │   ├── UnknownNameError  a model, function, chain or document type that does not exist
    │   └── UnboundError      a model function is evaluated before its argument has a value
    ├── PackageError          the application package: file, line, column
    ├── DocumentError         a document or feed operation: file and line, id, field
    │   └── ConditionError    the condition of an operation does not hold
    ├── ComponentError        code of the user's in a chain: component and operation
    ├── ModelError            a model file, the model catalogue, a runtime
    ├── StoreError            the index on disk: format, lock, space, damage
    │   └── FullError         too little space is left on the disk to take more
    ├── OverloadError         more work waits than may wait; the same call can succeed later
    ├── UnavailableError      the server has nothing to answer with: not deployed, shutting down
    ├── DeadlineError         the time a call was given is over
    └── MissingExtraError     an optional dependency that is not installed

A message names the thing, the value and the way out; `place` says where it stands.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Place:
    """Where something was written: a file, a line and column from 1, a field or key."""

    file: str | None = None
    line: int | None = None
    column: int | None = None
    field: str | None = None

    def __str__(self) -> str:
        numbers = [str(n) for n in (self.line, self.column) if n is not None]
        where = ":".join([self.file or "<text>", *numbers]) if self.file or numbers else ""
        if self.field:
            where = f"{where} ({self.field})" if where else self.field
        return where


class SiftlineError(Exception):
    """The base of every error raised on purpose; `place` is None where nothing was written."""

    def __init__(self, message: str, place: Place | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.place = place

    def __str__(self) -> str:
        where = str(self.place) if self.place else ""
        return f"{where}: {self.message}" if where else self.message


class UsageError(SiftlineError):
    """An argument of a call or a command is wrong."""


class QueryError(UsageError):
    """A query cannot be understood or answered as written.

    code: of the search API's table of errors; 4 is "Invalid query parameter".
    """

    def __init__(self, message: str, place: Place | None = None, *, code: int = 4) -> None:
        super().__init__(message, place)
        self.code = code


class UnknownNameError(UsageError):
    """There is nothing of that name; the message lists what there is."""


class UnboundError(UsageError):
    """A model function is evaluated before one of its arguments has a value."""


class PackageError(SiftlineError):
    """The application package is malformed, inconsistent or uses what is not supported."""


class DocumentError(SiftlineError):
    """A document or feed operation is malformed or does not fit its schema."""


class ConditionError(DocumentError):
    """The condition of an operation does not hold for the stored document."""


class ComponentError(SiftlineError):
    """A component of the user's raised; the message names it and the operation.

    component: its dotted path. place: the line of its code that raised.
    """

    def __init__(self, message: str, place: Place | None = None, *, component: str = "") -> None:
        super().__init__(message, place)
        self.component = component


class ModelError(SiftlineError):
    """A model file is missing, damaged or not what its use expects."""


class StoreError(SiftlineError):
    """The index on disk cannot be opened, read or written."""


class FullError(StoreError):
    """Too little space is left on the disk to take more documents."""


class OverloadError(SiftlineError):
    """More work waits than may wait; the same call can succeed later."""


class UnavailableError(SiftlineError):
    """The server has no application to answer with: none is deployed, or it is shutting down."""


class DeadlineError(SiftlineError):
    """The time a call was given is over before it was done."""


class MissingExtraError(SiftlineError):
    """An optional dependency is not installed; the message names the extra to install."""

    def __init__(self, feature: str, extra: str) -> None:
        super().__init__(f"{feature} needs an extra: pip install 'siftline[{extra}]'")
        self.extra = extra
