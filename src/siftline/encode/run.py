"""One batch of documents on its way through the scripts: what is read, written and failed."""

from __future__ import annotations

import difflib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from siftline.encode import columns
from siftline.encode.embedder import Embedder
from siftline.encode.encoded import Encoded
from siftline.encode.vectors import EmbeddedTexts
from siftline.errors import DocumentError, PackageError, Place, UsageError
from siftline.feed.values import checked, checked_tensor
from siftline.schema.definition import Field, FieldType, Schema
from siftline.tensor.batch import Batch, stack
from siftline.tensor.tensor import Tensor
from siftline.tensor.types import TensorType

#: One value for each document, None where null, or tensors as a batch.
Column = list[Any] | Batch

#: The language of a document that says nothing else.
DEFAULT_LANGUAGE = "en"

_NO_FIELD = Field("", FieldType("string"))


@dataclass(frozen=True, slots=True)
class Frame:
    """Where a column stands: the document of each value."""

    rows: list[int]

    def take(self, chosen: Sequence[int]) -> Frame:
        """The chosen values only."""
        return Frame([self.rows[i] for i in chosen])


class ScriptRun:
    """One batch of documents on its way through the scripts."""

    def __init__(
        self,
        schema: Schema,
        documents: Sequence[tuple[str, Mapping[str, Any]]],
        embedders: Mapping[str, Embedder],
        count_tokens: frozenset[str],
    ) -> None:
        self.schema = schema
        self.ids = [name for name, _ in documents]
        self.fields = [fields for _, fields in documents]
        self.embedders = embedders
        self.count_tokens = count_tokens
        self.languages = [DEFAULT_LANGUAGE] * len(documents)
        self.failed: dict[int, DocumentError] = {}
        self.outputs: dict[str, list[Any]] = {}
        self.parts: dict[str, list[tuple[np.ndarray, Batch]]] = {}
        self.token_sets: dict[str, Batch] = {}
        self.variables: dict[str, dict[int, Any]] = {}
        self.texts = EmbeddedTexts()
        self.current = next(iter(schema.fields.values()), _NO_FIELD)
        self.write = True

    def finish(self, field: Field) -> None:
        """Make sure that a field with outputs has them, null for every document if need be."""
        if writes(field):
            if field.type.tensor is not None:
                self.parts.setdefault(field.name, [])
            else:
                self.outputs.setdefault(field.name, [None] * len(self.ids))

    def encoded(self) -> Encoded:
        """Everything written."""
        count = len(self.ids)
        vectors: dict[str, Batch] = {}
        for name, parts in self.parts.items():
            type_ = tensor_type(self.schema.fields[name])
            vectors[name] = (
                columns.scatter(type_, count, parts) if parts else stack(type_, [None] * count)
            )
        vectors |= {f"{name}#tokens": batch for name, batch in self.token_sets.items()}
        return Encoded(self.ids, self.fields, self.outputs, vectors, self.languages)

    def fail(self, row: int, message: str) -> None:
        """Note that a document cannot be encoded; only its first failure is kept."""
        if row not in self.failed:
            name = self.current.name
            self.failed[row] = DocumentError(
                f"document '{self.ids[row]}', field '{name}': {message}"
            )

    def each(self, values: Column, frame: Frame, function: Callable[[Any], Any]) -> list[Any]:
        """The function of each value that is not null; a UsageError fails the document only."""
        results: list[Any] = [None] * len(frame.rows)
        for i, value in enumerate(as_list(values)):
            if value is not None and frame.rows[i] not in self.failed:
                try:
                    results[i] = function(value)
                except UsageError as error:
                    self.fail(frame.rows[i], error.message)
        return results

    def input(self, name: str, frame: Frame) -> Column:
        """A field's value for each row, a part of it after a dot; tensor fields as tensors."""
        top, *path = name.split(".")
        field = self.schema.fields.get(top)
        if field is None:
            known = difflib.get_close_matches(top, self.schema.fields, n=1)
            hint = f" (did you mean '{known[0]}'?)" if known else ""
            raise misfit(self.current, f"input of an unknown field '{top}'{hint}")
        values: list[Any] = [self.fields[row].get(top) for row in frame.rows]
        for key in path:
            values = [value.get(key) if isinstance(value, dict) else None for value in values]
        if field.type.tensor is not None and not path:
            type_ = field.type.tensor
            return self.each(values, frame, lambda value: checked_tensor(type_, value))
        return values

    def output(self, kind: str, values: Column, frame: Frame) -> Column:
        """Write the values to the current field; gives them back as they were written."""
        field = self.current
        if not self.write or (kind == "summary" and field.inside):
            return values
        if field.type.tensor is not None:
            try:
                batch = self._batch(values, field.type.tensor)
            except UsageError as error:
                raise misfit(field, error.message) from None
            parts = self.parts.setdefault(field.name, [])
            # `attribute | index` writes one value to both sides; it is kept once.
            if not any(part is batch for _, part in parts):
                parts.append((np.array(frame.rows, np.int64), batch))
            return batch
        type_ = field.type
        written = self.outputs.setdefault(field.name, [None] * len(self.ids))
        found = self.each(values, frame, lambda value: checked(type_, value))
        for row, value in zip(frame.rows, found, strict=True):
            if value is not None:
                written[row] = value
        return values

    def _batch(self, values: Column, type_: TensorType) -> Batch:
        if not isinstance(values, list):
            return columns.recast(values, type_)
        for value in values:
            if value is not None and not isinstance(value, Tensor):
                raise UsageError(f"{type_} needs a tensor, not {value!r:.60}")
        own = next((v.type for v in values if v is not None), type_)
        return columns.recast(stack(own, values), type_)


def as_list(values: Column) -> list[Any]:
    """The values one by one, tensors for a batch."""
    return values if isinstance(values, list) else [values.tensor(i) for i in range(len(values))]


def tensor_type(field: Field) -> TensorType:
    """The field's tensor type; UsageError where it is no tensor field."""
    if field.type.tensor is None:
        raise UsageError(f"embed needs a tensor field, this is a {field.type}")
    return field.type.tensor


def misfit(field: Field, message: str) -> PackageError:
    """The error of a script that does not fit its field."""
    place = field.place or field.indexing.place
    return PackageError(
        f"field '{field.name}': {message}",
        replace(place, field=None) if place else Place(field=field.name),
    )


def writes(field: Field) -> bool:
    """Whether what the script writes is kept; the summary of a document's field is as fed."""
    kinds = field.indexing.outputs
    return bool(kinds & {"attribute", "index"}) or ("summary" in kinds and not field.inside)
