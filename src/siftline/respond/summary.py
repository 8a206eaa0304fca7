"""Document summaries: which fields of a hit a response shows (spec 1.12)."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from siftline.errors import PackageError, QueryError, UsageError
from siftline.schema.definition import DocumentSummary, Field, Schema
from siftline.schema.nearest import nearest
from siftline.tensor.json import from_json
from siftline.tensor.tensor import Tensor

if TYPE_CHECKING:
    from siftline.index.columns.column import Column
    from siftline.index.snapshot import Snapshot

#: Fields that every document has.
DOCUMENT_ID, TYPE_NAME = "documentid", "sddocname"

#: The class that a query gets when it names none.
DEFAULT = "default"


@dataclass(frozen=True, slots=True)
class Filled:
    """One document's id in the response and its fields."""

    id: str
    fields: Mapping[str, Any]


def summary_fields(schema: Schema, name: str | None) -> dict[str, str]:
    """Name in the result → source field of a summary class; QueryError if there is no such class.

    The class `default` has every field with `summary` in its indexing, what other classes list,
    the document's id and type; others have what they and their parents list.
    """
    name = name or DEFAULT
    if name != DEFAULT and name not in schema.summaries:
        known = [DEFAULT, *schema.summaries]
        raise QueryError(f"invalid presentation.summary: '{name}'{nearest(name, known)}")
    found: dict[str, str] = {}
    if name == DEFAULT:
        found = {TYPE_NAME: TYPE_NAME, DOCUMENT_ID: DOCUMENT_ID}
        found.update((f.name, f.name) for f in schema.fields.values() if f.in_summary)
        for summary in schema.summaries.values():
            found = {**summary.fields, **found}
        return found
    _inherit(schema, schema.summaries[name], found, ())
    return found


def _inherit(
    schema: Schema, summary: DocumentSummary, found: dict[str, str], below: tuple[str, ...]
) -> None:
    if summary.name in below:
        chain = " -> ".join([*below, summary.name])
        raise PackageError(f"document-summary '{summary.name}' inherits itself: {chain}")
    for parent in summary.inherits:
        if parent == DEFAULT and parent not in schema.summaries:
            found.update(summary_fields(schema, None))
            continue
        if parent not in schema.summaries:
            raise PackageError(
                f"document-summary '{summary.name}' inherits unknown '{parent}'", summary.place
            )
        _inherit(schema, schema.summaries[parent], found, (*below, summary.name))
    found.update(summary.fields)


def fill(
    schema: Schema,
    snapshot: Snapshot,
    documents: np.ndarray,
    *,
    summary: str | None = None,
    select: Sequence[str] | None = None,
    cluster: str = "content",
) -> list[Filled]:
    """The summaries of the documents, int64 numbers of the snapshot, in that order.

    select: names to show, None for all of the class. Absent values are left out. The id is the
    document's where the class has `documentid`, else `index:cluster/0/gid`.
    """
    shown = shown_fields(schema, summary, select)
    ids = snapshot.ids(documents)
    rows = fetch(schema, snapshot, documents, ids, shown)
    names = ids if has_id(schema, summary) else [anonymous_id(id_, cluster) for id_ in ids]
    return [Filled(name, fields) for name, fields in zip(names, rows, strict=True)]


def shown_fields(
    schema: Schema, summary: str | None, select: Sequence[str] | None
) -> dict[str, str]:
    """Name → source of what an answer shows; QueryError: an unknown class or selected field."""
    sources = summary_fields(schema, summary)
    if select is None:
        return sources
    _refuse_unknown(schema, select, sources)
    return {name: source for name, source in sources.items() if name in select}


def fetch(
    schema: Schema,
    snapshot: Snapshot,
    documents: np.ndarray,
    ids: Sequence[str],
    sources: Mapping[str, str],
) -> list[dict[str, Any]]:
    """The values of the sources by name for each document, absent ones left out."""
    fed = [snapshot.fields(int(document)) for document in documents]
    columns = {
        source: _column(schema, snapshot, source, documents, fed, ids)
        for source in dict.fromkeys(sources.values())
    }
    found = []
    for row in range(len(ids)):
        values = {name: columns[source][row] for name, source in sources.items()}
        found.append({name: value for name, value in values.items() if not _is_absent(value)})
    return found


def has_id(schema: Schema, summary: str | None) -> bool:
    """Whether a summary class has the document's id, which is then the id of a hit."""
    return DOCUMENT_ID in summary_fields(schema, summary).values()


def anonymous_id(id_: str, cluster: str) -> str:
    """The id of a hit whose summary class has not the document's."""
    return f"index:{cluster}/0/{gid(id_)}"


def gid(id_: str) -> str:
    """24 hexadecimal digits that stand for a document id."""
    return hashlib.md5(id_.encode(), usedforsecurity=False).hexdigest()[:24]


def _refuse_unknown(schema: Schema, select: Sequence[str], sources: Mapping[str, str]) -> None:
    known = [*sources, *schema.fields, "matchfeatures", "summaryfeatures", "rankfeatures"]
    known += [DOCUMENT_ID, TYPE_NAME]
    for name in select:
        if name not in known:
            raise QueryError(f"select names an unknown field '{name}'{nearest(name, sources)}")


def _is_absent(value: Any) -> bool:
    return value is None or (isinstance(value, (str, list, dict)) and not value)


def _column(
    schema: Schema,
    snapshot: Snapshot,
    source: str,
    documents: np.ndarray,
    fed: Sequence[Mapping[str, Any]],
    ids: Sequence[str],
) -> Sequence[Any]:
    """A source's value for every document."""
    if source == DOCUMENT_ID:
        return ids
    if source == TYPE_NAME:
        return [schema.name] * len(ids)
    field = schema.field(source)
    name = field.name
    if name in snapshot.layout.vectors:
        batch = snapshot.tensors(name, documents)
        return [batch.tensor(row) for row in range(len(ids))]
    values: list[Any] = [document.get(name) for document in fed]
    if field.type.kind == "tensor":
        return [_tensor(field, value) for value in values]
    if not field.inside and name in snapshot.layout.columns:
        return _attribute_values(snapshot.column(name, documents))
    if field.type.kind == "bool" and field.is_attribute:
        return [bool(value) for value in values]
    if field.type.kind == "float":
        return [None if v is None else shortest_float(v) for v in values]
    return values


def _tensor(field: Field, value: Any) -> Tensor | Any:
    if value is None or field.type.tensor is None:
        return value
    try:
        return from_json(field.type.tensor, value)
    except UsageError as error:
        raise PackageError(f"field '{field.name}': {error.message}", field.place) from None


def shortest_float(value: float) -> float:
    """The double with the fewest digits that is the same 32-bit float."""
    return float(str(np.float32(value)))


def _attribute_values(column: Column) -> list[Any]:
    if column.indptr is None:
        pairs = zip(column.values.tolist(), column.present.tolist(), strict=True)
        return [value if present else None for value, present in pairs]
    ends = column.indptr.tolist()
    values = column.values.tolist()
    if column.weights is None:
        return [values[a:b] for a, b in zip(ends[:-1], ends[1:], strict=True)]
    weights = column.weights.tolist()
    return [
        dict(zip(map(str, values[a:b]), weights[a:b], strict=True))
        for a, b in zip(ends[:-1], ends[1:], strict=True)
    ]
