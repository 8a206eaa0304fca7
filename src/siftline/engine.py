"""The engine of one schema: wires feeding to encoding and indexing, and a query to its answer."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import islice
from pathlib import Path
from typing import Any

from siftline.encode.embedder import Embedder
from siftline.encode.encoded import Encoded
from siftline.encode.script import encode_documents
from siftline.errors import DocumentError
from siftline.feed.operation import Operation
from siftline.feed.updates import apply_update
from siftline.feed.values import check_fields
from siftline.index.index import Index
from siftline.match.prepare import prepare
from siftline.match.query import Query
from siftline.match.retrieve import retrieve
from siftline.model.session import Session, open_session
from siftline.rank.models import OnnxModels
from siftline.rank.phases import rank
from siftline.rank.plan import ListedFeature, Plan, make_plan
from siftline.rank.statistics import PhaseTrace
from siftline.respond.answer import answer
from siftline.respond.hits import Result
from siftline.schema.definition import OnnxModel, Schema
from siftline.schema.inherit import resolve_profile
from siftline.schema.package import Settings

#: Documents that are encoded together and written in one transaction.
BATCH = 256

ModelPath = Callable[[str], Path]


@dataclass(slots=True)
class FeedReport:
    """What became of a feed.

    unchanged: puts equal to what is stored, so that nothing was encoded. missing: updates of
    documents that do not exist. repeated: ids with a later operation in the same batch; the last
    one wins.
    """

    put: int = 0
    updated: int = 0
    removed: int = 0
    unchanged: int = 0
    missing: int = 0
    repeated: list[str] = field(default_factory=list)
    errors: list[DocumentError] = field(default_factory=list)
    seconds: float = 0.0

    @property
    def operations(self) -> int:
        """Operations read, bad ones included."""
        done = self.put + self.updated + self.removed + self.unchanged + self.missing
        return done + len(self.repeated) + len(self.errors)


class Engine:
    """Documents of one schema: fed, found, ranked.

    embedders: by id. model_path: an ONNX model's file as the schema names it → where it is.
    cluster: the content cluster's id, the source of every hit.
    """

    def __init__(
        self,
        schema: Schema,
        settings: Settings,
        folder: Path,
        embedders: Mapping[str, Embedder],
        model_path: ModelPath,
        *,
        cluster: str = "content",
        read_only: bool = False,
    ) -> None:
        self.schema = schema
        self.settings = settings
        self.embedders = embedders
        self.cluster = cluster
        self.index = Index.open(folder, schema, settings, read_only=read_only)
        self._plans: dict[str, Plan] = {}
        self._models = OnnxModels(lambda model: model_path(model.file), self._open_model)

    def close(self) -> None:
        """Write what is in memory to disk and let go of the index."""
        self.index.close()

    # feeding

    def feed(
        self,
        operations: Iterable[Operation | DocumentError],
        progress: Callable[[FeedReport], None] | None = None,
    ) -> FeedReport:
        """Apply operations in order; bad ones are reported and the others go in.

        Each batch is on disk when it is counted, so an interrupted feed is resumed by feeding the
        same again: what is stored already is not encoded twice. progress: called after each batch.
        """
        report = FeedReport()
        started = time.perf_counter()
        stream = iter(operations)
        while batch := list(islice(stream, BATCH)):
            self._feed_batch(batch, report)
            report.seconds = time.perf_counter() - started
            if progress is not None:
                progress(report)
        self.index.commit()
        report.seconds = time.perf_counter() - started
        return report

    def _feed_batch(self, batch: Sequence[Operation | DocumentError], report: FeedReport) -> None:
        last: dict[str, Operation] = {}
        for operation in batch:
            if isinstance(operation, DocumentError):
                report.errors.append(operation)
                continue
            id_ = str(operation.id)
            earlier = last.pop(id_, None)
            if earlier is not None and operation.kind == "update":
                # an update needs what the earlier operation leaves behind
                self._apply([*last.values(), earlier], report)
                last = {}
            elif earlier is not None:
                report.repeated.append(id_)
            last[id_] = operation
        self._apply(list(last.values()), report)

    def _apply(self, operations: Sequence[Operation], report: FeedReport) -> None:
        """Apply operations on distinct documents."""
        puts: dict[str, dict[str, Any]] = {}
        changes: dict[frozenset[str], dict[str, dict[str, Any]]] = {}
        removed: list[str] = []
        for operation in operations:
            try:
                self._sort_out(operation, puts, changes, removed, report)
            except DocumentError as error:
                report.errors.append(error)
        report.put += self._write(puts, removed, report)
        report.removed += len(removed)
        for touched, documents in changes.items():
            report.updated += self._rewrite(touched, documents, report)

    def _sort_out(
        self,
        operation: Operation,
        puts: dict[str, dict[str, Any]],
        changes: dict[frozenset[str], dict[str, dict[str, Any]]],
        removed: list[str],
        report: FeedReport,
    ) -> None:
        id_ = str(operation.id)
        self._check_type(operation)
        if operation.condition is not None:
            raise DocumentError(
                f"document '{id_}': conditions are not supported: '{operation.condition}'",
                operation.place,
            )
        if operation.kind == "remove":
            removed.append(id_)
            return
        stored = self.index.get(id_)
        if operation.kind == "put":
            fields = check_fields(self.schema, operation)
            if stored is not None and dict(stored) == fields:
                report.unchanged += 1
            else:
                puts[id_] = fields
            return
        merged = apply_update(self.schema, stored, operation)
        if merged is None:
            report.missing += 1
        elif stored is None:
            puts[id_] = merged
        else:
            touched = frozenset(
                name for name in {*merged, *stored} if merged.get(name) != stored.get(name)
            )
            changes.setdefault(touched, {})[id_] = merged

    def _check_type(self, operation: Operation) -> None:
        if operation.id.type != self.schema.name:
            raise DocumentError(
                f"document '{operation.id}': unknown document type '{operation.id.type}' "
                f"(this is '{self.schema.name}')",
                operation.place,
            )

    def _write(
        self, puts: Mapping[str, Mapping[str, Any]], removed: Sequence[str], report: FeedReport
    ) -> int:
        encoded, failed = self._encode(puts, None)
        report.errors.extend(failed)
        if len(encoded) or removed:
            self.index.write(encoded, removed)
        return len(encoded)

    def _rewrite(
        self,
        touched: frozenset[str],
        documents: Mapping[str, Mapping[str, Any]],
        report: FeedReport,
    ) -> int:
        """Write changed documents, running only the scripts that read a touched field."""
        affected = frozenset(
            f.name
            for f in self.schema.fields.values()
            if f.name in touched or f.indexing.inputs & touched
        )
        fresh, failed = self._encode(documents, affected)
        report.errors.extend(failed)
        if len(fresh):
            stored = self.index.load(fresh.ids)
            self.index.write(
                replace(
                    stored,
                    fields=fresh.fields,
                    outputs={**stored.outputs, **fresh.outputs},
                    vectors={**stored.vectors, **fresh.vectors},
                )
            )
        return len(fresh)

    def _encode(
        self, documents: Mapping[str, Mapping[str, Any]], only: frozenset[str] | None
    ) -> tuple[Encoded, list[DocumentError]]:
        """The documents encoded, without those that cannot be; and why they cannot."""
        failed: dict[str, DocumentError] = {}
        encoded = encode_documents(
            self.schema,
            list(documents.items()),
            self.embedders,
            count_tokens=self._counted_fields(),
            only=only,
            errors=failed,
        )
        return encoded, list(failed.values())

    def _counted_fields(self) -> frozenset[str]:
        """Sparse fields whose text's tokens are counted, for inference-free queries."""
        wanted = [q for q in self.settings.sparse_queries.values() if q.idf == "corpus"]
        prefix = f"{self.schema.name}."
        sparse = {
            n.removeprefix(prefix) for n in self.settings.sparse_index if n.startswith(prefix)
        }
        named = {q.field for q in wanted if q.field is not None}
        everything = any(q.field is None for q in wanted)
        return frozenset(n for n in sparse if everything or n in named or prefix + n in named)

    # reading

    def get(self, id_: str) -> Mapping[str, Any] | None:
        """The fields of a document as fed; None if there is none of that id."""
        return self.index.get(id_)

    def visit(self) -> Iterator[tuple[str, Mapping[str, Any]]]:
        """Every document, id and fields, in document order."""
        return self.index.visit()

    # searching

    def plan(self, profile: str) -> Plan:
        """The rank profile made ready to run; PackageError if it cannot."""
        if profile not in self._plans:
            resolved = resolve_profile(self.schema, profile)
            self._plans[profile] = make_plan(self.schema, resolved, self._models)
        return self._plans[profile]

    def _open_model(self, path: Path, model: OnnxModel) -> Session:
        runtime = self.settings.runtime
        return open_session(
            path,
            runtime=runtime.get("name", "auto"),  # type: ignore[arg-type]
            threads=model.threads or runtime.get("threads"),  # type: ignore[arg-type]
            precision=runtime.get("precision"),  # type: ignore[arg-type]
        )

    def search(self, query: Query, features: Sequence[ListedFeature] = ()) -> Result:
        """The answer to a query; `features` are listed with the profile's match-features.

        DeadlineError once the query's deadline has passed.
        """
        started = time.perf_counter()
        plan = self.plan(query.profile)
        snapshot = self.index.snapshot()
        prepared = prepare(query, self.schema, self.settings, plan.profile)
        candidates = retrieve(snapshot, prepared)
        matching = PhaseTrace(
            "matching", snapshot.document_count, len(candidates), time.perf_counter() - started
        )
        ranked = rank(plan, snapshot, prepared, candidates, features=features)
        return answer(
            snapshot, self.schema, prepared, ranked, matching, started, cluster=self.cluster
        )
