"""Visiting documents in the order of their keys, page by page.

A document's key is a digest of its id and never changes, so that a visit in pages meets every
document that exists all the while exactly once, however many are written meanwhile; and slices of
the keys share out the documents evenly.
"""

from __future__ import annotations

import base64
import binascii
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

from siftline.errors import UsageError
from siftline.feed.operation import DocumentId
from siftline.feed.selection import Selection
from siftline.index.index import Index

#: documents read in one transaction
_AT_ONCE = 128
#: bytes of a key, and of the first key of a slice
_KEY_BYTES = (20, 8)
_PREFIX = 1 << 64


@dataclass(frozen=True, slots=True)
class Visit:
    """The documents that a visit means, and where and how far to go.

    type: the only document type, None for all. selection: in the document selection language, None
    for all. slice_id: of `slices` that share out the documents, from 0. continuation: where an
    earlier page ended. wanted: most documents of a page. seconds: after which a page ends early,
    None for never; there is a page also where nothing was found by then.
    """

    type: str | None = None
    selection: str | None = None
    slices: int = 1
    slice_id: int = 0
    continuation: str | None = None
    wanted: int = 1_000
    seconds: float | None = None


@dataclass(frozen=True, slots=True)
class VisitPage:
    """Documents, id and fields, and where to go on: None at the end.

    percent: how much of the slice has been gone through.
    """

    documents: tuple[tuple[str, Mapping[str, Any]], ...]
    continuation: str | None
    percent: float


def read_page(indexes: Mapping[str, Index], visit: Visit, selection: Selection | None) -> VisitPage:
    """The next page of a visit to indexes by document type; UsageError where it is wrong.

    selection: `visit.selection`, parsed.
    """
    names = sorted(indexes) if visit.type is None else [visit.type]
    start, end = _slice(visit)
    name, key = _position(visit.continuation, names, start) if names else ("", start)
    deadline = None if visit.seconds is None else time.monotonic() + visit.seconds
    found: list[tuple[str, Mapping[str, Any]]] = []
    for place in range(names.index(name) if names else 0, len(names)):
        position: bytes | None = key
        while position is not None:
            late = deadline is not None and time.monotonic() > deadline
            if len(found) >= visit.wanted or (late and position != key):
                share = (_fraction(position, start, end) + place) / len(names)
                return VisitPage(tuple(found), _token(names[place], position), 100 * share)
            left = min(_AT_ONCE, visit.wanted - len(found))
            documents, position = indexes[names[place]].scan(position, end, left)
            found += (
                (id_, fields)
                for id_, fields in documents
                if selection is None or selection.matches(DocumentId.parse(id_), fields)
            )
        key = start
    return VisitPage(tuple(found), None, 100.0)


def pages(
    indexes: Mapping[str, Index], visit: Visit, selection: Selection | None
) -> Iterator[VisitPage]:
    """Every page of a visit, one after the other."""
    while True:
        page = read_page(indexes, visit, selection)
        yield page
        if page.continuation is None:
            return
        visit = replace(visit, continuation=page.continuation)


def _slice(visit: Visit) -> tuple[bytes, bytes | None]:
    """The first key of the slice and the one behind its last, None for no end."""
    if visit.slices < 1 or not 0 <= visit.slice_id < visit.slices:
        raise UsageError(
            f"slice {visit.slice_id} of {visit.slices}: slices are at least 1, "
            "and slice ids go from 0 to one less"
        )
    if visit.wanted < 1:
        raise UsageError(f"wanted is {visit.wanted}, expected at least 1 document")
    start = _PREFIX * visit.slice_id // visit.slices
    end = _PREFIX * (visit.slice_id + 1) // visit.slices
    return start.to_bytes(8, "big"), None if end == _PREFIX else end.to_bytes(8, "big")


def _fraction(key: bytes, start: bytes, end: bytes | None) -> float:
    low = int.from_bytes(start.ljust(8, b"\0")[:8], "big")
    high = _PREFIX if end is None else int.from_bytes(end, "big")
    return (int.from_bytes(key[:8], "big") - low) / (high - low)


def _token(name: str, key: bytes) -> str:
    return base64.urlsafe_b64encode(name.encode() + b"\0" + key).decode().rstrip("=")


def _position(token: str | None, names: list[str], start: bytes) -> tuple[str, bytes]:
    """Document type and key that a token stands for; the beginning for None."""
    if token is None:
        return names[0], start
    try:
        data = base64.b64decode(token + "=" * (-len(token) % 4), altchars=b"-_", validate=True)
        name, _, key = data.partition(b"\0")
        if name.decode() in names and len(key) in _KEY_BYTES:
            return name.decode(), key
    except (binascii.Error, ValueError):
        pass
    raise UsageError(f"not the continuation of this visit: '{token}'")
