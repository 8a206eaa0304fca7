"""The boundary to code of the user's: whatever it raises becomes one error that names it."""

from __future__ import annotations

import traceback
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from siftline.errors import (
    ComponentError,
    DeadlineError,
    DocumentError,
    OverloadError,
    Place,
    QueryError,
)
from siftline.schema.chains import COMPONENTS

#: What a component raises on purpose: its caller asked for something that cannot be done.
DELIBERATE = (QueryError, DocumentError, DeadlineError, OverloadError, ComponentError)


@contextmanager
def user_code(
    component: str, operation: str, below: Sequence[BaseException] = ()
) -> Iterator[None]:
    """Run code of a component; ComponentError names it, the operation and the line that raised.

    Errors that say something of the query or the document, not of the component, pass: QueryError,
    DocumentError, DeadlineError, OverloadError, the ComponentError of one further down, and those
    in `below`, which came up through the component from what it called.
    """
    try:
        yield
    except DELIBERATE:
        raise
    # the code is not ours: anything may come out of it, sys.exit() included
    except (Exception, SystemExit) as error:
        if any(error is known for known in below):
            raise
        raise ComponentError(
            f"component '{component}' failed {operation}: {described(error)}",
            place_of(error),
            component=component,
        ) from error


def described(error: BaseException) -> str:
    """The kind of an exception and what it says, on one line."""
    text = " ".join(str(error).split())
    return f"{type(error).__name__}: {text}" if text else type(error).__name__


def place_of(error: BaseException) -> Place | None:
    """The line in `ext/components` that was running, the innermost one; or that does not parse."""
    frames = [(frame.filename, frame.lineno) for frame in traceback.extract_tb(error.__traceback__)]
    if isinstance(error, SyntaxError) and error.filename:
        frames.append((error.filename, error.lineno))
    marker = tuple(COMPONENTS.split("/"))
    for file, line in reversed(frames):
        parts = Path(file).parts
        for i in range(len(parts) - len(marker)):
            if parts[i : i + len(marker)] == marker:
                return Place("/".join(parts[i:]), line)
    return None


def wrong_return(component: str, operation: str, value: object, expected: str) -> ComponentError:
    """The error of a component that gave back something it may not."""
    return ComponentError(
        f"component '{component}' failed {operation}: it returned {type(value).__name__}, "
        f"expected {expected}",
        component=component,
    )
