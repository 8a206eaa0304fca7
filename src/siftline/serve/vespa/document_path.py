"""Paths of `/document/v1`: which documents one names (spec 4.1)."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from urllib.parse import unquote_to_bytes

from siftline.errors import UsageError
from siftline.feed.operation import DocumentId

_MANY = ("GET", "POST", "PUT", "DELETE")

#: Path → methods, in the order in which an unknown path lists them.
PATHS: Mapping[str, tuple[str, ...]] = {
    "/document/v1/": ("GET", "POST", "DELETE"),
    **{
        f"/document/v1/{{namespace}}/{{documentType}}/{group}/{rest}": _MANY
        for rest in ("", "{*}")
        for group in ("docid", "group/{group}", "number/{number}")
    },
}

_WHOLE = re.compile(r"[0-9]{1,20}")
_MOST = 2**64 - 1


@dataclass(frozen=True, slots=True)
class DocumentPath:
    """A path that names one document, or all of a root, type, group or number.

    raw: as it was sent, which replies repeat as `pathId`. namespace, type: None at the root.
    selector: as in a document id. user: the end of the id, None where the path names many.
    """

    raw: str
    namespace: str | None = None
    type: str | None = None
    selector: str = ""
    user: str | None = None

    @property
    def id(self) -> DocumentId | None:
        """The id of the one document."""
        if self.namespace is None or self.type is None or self.user is None:
            return None
        return DocumentId(self.namespace, self.type, self.selector, self.user)

    @property
    def methods(self) -> tuple[str, ...]:
        """The methods this path takes."""
        return PATHS["/document/v1/"] if self.type is None else _MANY

    def selections(self) -> list[str]:
        """What the path itself asks of a document, in the document selection language."""
        found = [self.type] if self.type is not None else []
        if self.namespace is not None:
            found.append(f"id.namespace == {_quoted(self.namespace)}")
        if self.selector.startswith("n="):
            found.append(f"id.user == {self.selector[2:]}")
        elif self.selector:
            found.append(f"id.group == {_quoted(self.selector[2:])}")
        return found


def parse_path(raw: str) -> DocumentPath | None:
    """The documents that a path names, None where nothing is.

    raw: without query, percent-encoded. Slashes behind `docid/` belong to the id, encoded or not.
    UsageError where a part is no UTF-8, empty, or no number.
    """
    parts = raw.split("/")
    if parts[:3] != ["", "document", "v1"]:
        return None
    rest = parts[3:]
    if rest in ([], [""]):
        return DocumentPath(raw)
    if len(rest) < 3:
        return None
    namespace, type_, kind, *rest = rest
    selector = ""
    if kind in ("group", "number"):
        if not rest or not rest[0]:
            return None
        value, *rest = rest
        selector = _selector(kind, _decoded(value))
    elif kind != "docid":
        return None
    for name, part in (("namespace", namespace), ("document type", type_)):
        if not part or ":" in _decoded(part):
            raise UsageError(f"'{_decoded(part)}' is not a {name}")
    user = _decoded("/".join(rest))
    return DocumentPath(raw, _decoded(namespace), _decoded(type_), selector, user or None)


def unknown_path(raw: str) -> str:
    """The message about a path at which there is nothing."""
    return f"Nothing at '{raw}'. Available paths are:\n" + "\n".join(PATHS)


def _selector(kind: str, value: str) -> str:
    if kind == "group":
        if ":" in value:
            raise UsageError(f"'{value}' is not a group: it has a colon")
        return f"g={value}"
    if not _WHOLE.fullmatch(value) or int(value) > _MOST:
        raise UsageError(f"Failed parsing '{value}': expected a whole number from 0 to {_MOST}")
    return f"n={int(value)}"


def _decoded(part: str) -> str:
    try:
        return unquote_to_bytes(part).decode()
    except UnicodeDecodeError:
        raise UsageError(f"'{part}' does not decode to UTF-8") from None


def _quoted(text: str) -> str:
    escaped = text.replace("\\", "\\\\").replace("'", "\\'")
    return f"'{escaped}'"
