"""Operations applied to the index of one schema: decided, encoded, written in one transaction.

A batch is worked off in rounds, each with at most one operation of a document, so that every
operation sees what the earlier ones left behind. What the rounds encoded is written together.
Batches of different documents are encoded at the same time; reading and writing is one at a time.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import Any

from siftline.encode.embedder import Embedder
from siftline.encode.encoded import Encoded, join_encoded
from siftline.encode.script import encode_documents
from siftline.errors import ConditionError, DocumentError, PackageError, UsageError
from siftline.feed.operation import Operation
from siftline.feed.outcome import Outcome
from siftline.feed.selection import Selection, document_types, parse_selection
from siftline.feed.updates import apply_update
from siftline.feed.values import check_fields
from siftline.index.index import Index
from siftline.schema.definition import Schema
from siftline.schema.package import Package

Fields = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class _Written:
    """What a batch made of a document: a row of `encoded`, None where it removed it."""

    fields: Fields | None
    encoded: Encoded | None = None
    row: int = 0
    order: int = 0


@dataclass(slots=True)
class _Round:
    """Documents to encode by the fields to compute (None: all), and where they stand."""

    changes: dict[frozenset[str] | None, dict[str, Fields]] = field(default_factory=dict)
    places: dict[str, int] = field(default_factory=dict)

    def add(self, affected: frozenset[str] | None, id_: str, fields: Fields, place: int) -> None:
        """Take a document in."""
        self.changes.setdefault(affected, {})[id_] = fields
        self.places[id_] = place


@dataclass(frozen=True, slots=True)
class DocumentRules:
    """The document types of a package, each with its fields, and what the cluster takes of one.

    accepts: None where it takes every document.
    """

    types: Mapping[str, frozenset[str]]
    accepts: Selection | None = None


def document_rules(package: Package, schema: Schema) -> DocumentRules:
    """The rules of a schema's documents; PackageError where services.xml has a bad selection."""
    types = document_types(package.schemas)
    written = package.services.selections.get(schema.name)
    if written is None:
        return DocumentRules(types)
    try:
        return DocumentRules(types, parse_selection(written.text, types))
    except UsageError as error:
        raise PackageError(
            f"selection '{written.text}' of document type '{schema.name}': {error.message}",
            written.place,
        ) from None


class Writer:
    """Applies operations to an index, from any thread; batches with a document in common wait.

    counted: sparse fields whose texts' tokens are counted. lock: held while the index is used.
    """

    def __init__(
        self,
        schema: Schema,
        index: Index,
        embedders: Mapping[str, Embedder],
        rules: DocumentRules,
        counted: frozenset[str] = frozenset(),
    ) -> None:
        self.schema = schema
        self.index = index
        self.embedders = embedders
        self.rules = rules
        self.lock = threading.RLock()
        self._counted = counted
        self._free = threading.Condition()
        self._taken: set[str] = set()

    def apply(self, operations: Sequence[Operation]) -> list[Outcome]:
        """Apply operations in order, durable on return; what became of each, in order.

        A DocumentError fails its operation alone and is in its outcome. Any other error is raised
        and leaves everything as it was.
        """
        with self._reserved({str(operation.id) for operation in operations}):
            try:
                return _Batch(self, operations).apply()
            except DocumentError as error:
                # the index refused a document; which one, shows when each is written alone
                if len(operations) == 1:
                    return [Outcome.failure(error)]
                return [self._apply_alone(operation) for operation in operations]

    def _apply_alone(self, operation: Operation) -> Outcome:
        try:
            return _Batch(self, [operation]).apply()[0]
        except DocumentError as error:
            return Outcome.failure(error)

    @contextmanager
    def _reserved(self, ids: set[str]) -> Iterator[None]:
        """Wait until no other batch has one of these documents, and keep others away from them."""
        with self._free:
            self._free.wait_for(lambda: self._taken.isdisjoint(ids))
            self._taken |= ids
        try:
            yield
        finally:
            with self._free:
                self._taken -= ids
                self._free.notify_all()

    def condition(self, operation: Operation) -> Selection | None:
        """The operation's condition, None without one; DocumentError where it is wrong."""
        if operation.condition is None:
            return None
        try:
            return parse_selection(operation.condition, self.rules.types)
        except UsageError as error:
            raise DocumentError(
                f"document '{operation.id}', condition '{operation.condition}': {error.message}",
                operation.place,
            ) from None

    def try_embedders(self) -> None:
        """Embed one text into every field that takes one; ModelError where a model cannot run."""
        wanted = frozenset(f.name for f in self.schema.fields.values() if f.indexing.embedders)
        kinds = {f.name: f.type for f in self.schema.fields.values() if f.inside}
        fields: dict[str, Any] = {n: "text" for n, kind in kinds.items() if kind.kind == "string"}
        if wanted:
            self.encode({f"id:{self.schema.name}:{self.schema.name}::": fields}, wanted)

    def encode(
        self, documents: Mapping[str, Fields], only: frozenset[str] | None
    ) -> tuple[Encoded, dict[str, DocumentError]]:
        """The documents encoded, without those that cannot be; and why they cannot."""
        failed: dict[str, DocumentError] = {}
        encoded = encode_documents(
            self.schema,
            list(documents.items()),
            self.embedders,
            count_tokens=self._counted,
            only=only,
            errors=failed,
        )
        return encoded, failed


class _Batch:
    """One batch on its way: what became of its operations, and of the documents they touch."""

    def __init__(self, writer: Writer, operations: Sequence[Operation]) -> None:
        self._writer = writer
        self._schema = writer.schema
        self._operations = operations
        self._outcomes: list[Outcome | None] = [None] * len(operations)
        self._stored: dict[str, Fields] = {}
        self._outdated: set[str] = set()
        self._written: dict[str, _Written] = {}

    def apply(self) -> list[Outcome]:
        """Decide, encode, write."""
        ids = list(dict.fromkeys(str(o.id) for o in self._operations))
        with self._writer.lock:
            self._stored = self._writer.index.fields(ids)
            self._outdated = self._writer.index.outdated(ids)
        for places in self._rounds():
            self._run(places)
        self._write()
        return [outcome or Outcome("missing") for outcome in self._outcomes]

    def _rounds(self) -> list[list[int]]:
        """Places of operations; those of one document in order, one in each round."""
        rounds: list[list[int]] = []
        seen: dict[str, int] = {}
        for place, operation in enumerate(self._operations):
            id_ = str(operation.id)
            number = seen.get(id_, 0)
            seen[id_] = number + 1
            if number == len(rounds):
                rounds.append([])
            rounds[number].append(place)
        return rounds

    def _run(self, places: Sequence[int]) -> None:
        found = _Round()
        for place in places:
            try:
                self._outcomes[place] = self._decide(place, found)
            except DocumentError as error:
                self._outcomes[place] = Outcome.failure(error)
        for affected, documents in found.changes.items():
            encoded, failed = self._writer.encode(documents, affected)
            for id_, problem in failed.items():
                self._outcomes[found.places[id_]] = Outcome.failure(problem)
            if affected is not None and len(encoded):
                encoded = self._merged(encoded)
            for row, id_ in enumerate(encoded.ids):
                fields = encoded.fields[row]
                self._written[id_] = _Written(fields, encoded, row, found.places[id_])

    def _decide(self, place: int, found: _Round) -> Outcome:
        """The operation's outcome unless encoding fails; what is to be encoded goes to `found`."""
        operation = self._operations[place]
        id_ = str(operation.id)
        self._check_type(operation)
        stored = self._current(id_)
        self._check_condition(operation, stored)
        if operation.kind == "remove":
            if self._rejects(operation, None):
                return Outcome("ignored")
            self._written[id_] = _Written(None)
            return Outcome("removed")
        if operation.kind == "put":
            fields = check_fields(self._schema, operation)
            if self._rejects(operation, fields):
                return Outcome("ignored")
            if stored is not None and dict(stored) == fields and not self._is_outdated(id_):
                return Outcome("unchanged")
            found.add(None, id_, fields, place)
            return Outcome("put")
        if self._rejects(operation, None):
            return Outcome("ignored")
        merged = apply_update(self._schema, stored, operation)
        if merged is None:
            return Outcome("missing")
        if self._is_outdated(id_):
            found.add(None, id_, merged, place)
        elif stored is None or dict(stored) != merged:
            found.add(self._affected(stored, merged), id_, merged, place)
        return Outcome("updated")

    def _current(self, id_: str) -> Fields | None:
        written = self._written.get(id_)
        return written.fields if written is not None else self._stored.get(id_)

    def _is_outdated(self, id_: str) -> bool:
        """Whether everything has to be computed anew, as a script or embedder changed since."""
        return id_ in self._outdated and id_ not in self._written

    def _check_type(self, operation: Operation) -> None:
        if operation.id.type != self._schema.name:
            raise DocumentError(
                f"document '{operation.id}': unknown document type '{operation.id.type}' "
                f"(this is '{self._schema.name}')",
                operation.place,
            )

    def _check_condition(self, operation: Operation, stored: Fields | None) -> None:
        condition = self._writer.condition(operation)
        if condition is None or (stored is None and operation.create):
            return
        if stored is None:
            raise ConditionError(
                f"TEST_AND_SET_CONDITION_FAILED: Document does not exist: '{operation.id}', "
                f"condition '{operation.condition}'",
                operation.place,
            )
        if not condition.matches(operation.id, stored):
            raise ConditionError(
                "TEST_AND_SET_CONDITION_FAILED: Condition did not match document "
                f"'{operation.id}': '{operation.condition}'",
                operation.place,
            )

    def _rejects(self, operation: Operation, fields: Fields | None) -> bool:
        """Whether the cluster does not want the document; an update is judged by its id."""
        accepts = self._writer.rules.accepts
        if accepts is None:
            return False
        truth = accepts.truth(operation.id, fields)
        return truth is not True if fields is not None else truth is False

    def _affected(self, stored: Fields | None, merged: Fields) -> frozenset[str] | None:
        """The fields whose scripts read what an update changed; None, all, for a new document."""
        if stored is None:
            return None
        touched = frozenset(n for n in {*merged, *stored} if merged.get(n) != stored.get(n))
        return frozenset(
            f.name
            for f in self._schema.fields.values()
            if f.name in touched or f.indexing.inputs & touched
        )

    def _merged(self, fresh: Encoded) -> Encoded:
        """The whole documents of which an update encoded a part."""
        before = self._bases(fresh.ids)
        return replace(
            before,
            fields=fresh.fields,
            outputs={**before.outputs, **fresh.outputs},
            vectors={**before.vectors, **fresh.vectors},
        )

    def _bases(self, ids: Sequence[str]) -> Encoded:
        """The documents as they are before this round, in that order."""
        earlier = [(id_, self._written[id_]) for id_ in ids if id_ in self._written]
        stored = [id_ for id_ in ids if id_ not in self._written]
        parts = [w.encoded.take([w.row]) for _, w in earlier if w.encoded is not None]
        if stored:
            with self._writer.lock:
                parts.append(self._writer.index.load(stored))
        joined = join_encoded(parts)
        places = {id_: row for row, id_ in enumerate(joined.ids)}
        return joined.take([places[id_] for id_ in ids])

    def _write(self) -> None:
        """One transaction for what the rounds left behind, documents in the order of the batch."""
        rows: dict[int, tuple[Encoded, list[tuple[int, int]]]] = {}
        removed = []
        for id_, written in self._written.items():
            if written.encoded is not None:
                _, taken = rows.setdefault(id(written.encoded), (written.encoded, []))
                taken.append((written.order, written.row))
            elif id_ in self._stored:
                removed.append(id_)
        if not rows and not removed:
            return
        parts = [encoded.take([row for _, row in taken]) for encoded, taken in rows.values()]
        orders = [order for _, taken in rows.values() for order, _ in taken]
        joined = join_encoded(parts) if parts else Encoded([], [])
        ordered = joined.take(sorted(range(len(orders)), key=orders.__getitem__))
        with self._writer.lock:
            self._writer.index.write(ordered, removed)
