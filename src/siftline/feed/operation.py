"""One feed operation: put, update or remove of one document."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Literal

from siftline.errors import DocumentError, Place

#: n= takes an unsigned 64-bit number
_ID = re.compile(r"^id:([^:]*):([^:]+):((?:n=[0-9]{1,20}|g=[^:]+)?):(.+)$", re.DOTALL)


@dataclass(frozen=True, slots=True)
class DocumentId:
    """`id:namespace:type:selector:user`, the user part may hold colons (spec 4.1)."""

    namespace: str
    type: str
    selector: str
    user: str

    @staticmethod
    def parse(text: str, place: Place | None = None) -> DocumentId:
        """The id written in full; DocumentError if it is not one."""
        found = _ID.match(text)
        if not found:
            raise DocumentError(
                f"not a document id: '{text}' (expected id:namespace:type::name)", place
            )
        return DocumentId(*found.groups())

    @property
    def number(self) -> int | None:
        """The number of an id `id:namespace:type:n=5:name`, None without one."""
        return int(self.selector[2:]) if self.selector.startswith("n=") else None

    @property
    def group(self) -> str | None:
        """The group of an id `id:namespace:type:g=name:name`, None without one."""
        return self.selector[2:] if self.selector.startswith("g=") else None

    def __str__(self) -> str:
        return f"id:{self.namespace}:{self.type}:{self.selector}:{self.user}"


@dataclass(frozen=True, slots=True)
class Operation:
    """Put (`fields` replace the document), update (`fields` name → operations) or remove.

    update fields: name → {"assign": value} and the like, as in Vespa's document JSON.
    """

    kind: Literal["put", "update", "remove"]
    id: DocumentId
    fields: Mapping[str, Any] = field(default_factory=dict)
    condition: str | None = None
    create: bool = False
    place: Place | None = field(default=None, compare=False)

    def with_fields(self, **fields: Any) -> Operation:
        """The operation with these fields put; in an update each is assigned."""
        if self.kind == "update":
            fields = {name: {"assign": value} for name, value in fields.items()}
        return replace(self, fields={**self.fields, **fields})
