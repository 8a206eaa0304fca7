"""The engine of one schema: wires feeding to encoding and indexing, and a query to its answer."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from copy import copy
from dataclasses import dataclass, field, replace
from itertools import islice
from pathlib import Path
from typing import Any

from siftline.encode.embedder import Embedder
from siftline.encode.script import check_scripts
from siftline.errors import (
    ComponentError,
    DeadlineError,
    DocumentError,
    OverloadError,
    SiftlineError,
)
from siftline.feed.operation import Operation
from siftline.feed.outcome import Outcome
from siftline.index.index import Index
from siftline.index.writer import Writer, document_rules
from siftline.match.inputs import typed_inputs
from siftline.match.prepare import prepare
from siftline.match.query import Query
from siftline.match.retrieve import retrieve
from siftline.model.session import Session, open_session
from siftline.rank.models import OnnxModels
from siftline.rank.phases import rank
from siftline.rank.plan import ListedFeature, Plan, make_plan
from siftline.rank.statistics import PhaseTrace
from siftline.respond.answer import answer
from siftline.respond.filling import finish
from siftline.respond.hits import Result
from siftline.schema.definition import OnnxModel, Schema
from siftline.schema.inherit import BUILT_IN, resolve_profile
from siftline.schema.package import Package

#: Documents that are encoded together and written in one transaction.
BATCH = 256

#: What is wrong with one document only: itself, or the components that it passes.
DOCUMENT_ERRORS = (DocumentError, ComponentError, DeadlineError, OverloadError)

ModelPath = Callable[[str], Path]


@dataclass(slots=True)
class FeedReport:
    """What became of a feed.

    unchanged: puts equal to what is stored, so that nothing was encoded. missing: updates of
    documents that do not exist. ignored: documents that the content cluster's selection does not
    want. repeated: ids that a later operation of the same batch put again or removed.
    """

    put: int = 0
    updated: int = 0
    removed: int = 0
    unchanged: int = 0
    missing: int = 0
    ignored: int = 0
    repeated: list[str] = field(default_factory=list)
    errors: list[SiftlineError] = field(default_factory=list)
    seconds: float = 0.0

    @property
    def operations(self) -> int:
        """Operations read, bad ones included."""
        done = self.put + self.updated + self.removed + self.unchanged + self.missing
        return done + self.ignored + len(self.repeated) + len(self.errors)

    def count(self, operations: Sequence[Operation], outcomes: Sequence[Outcome]) -> None:
        """Add what became of a batch; SiftlineError where it is no fault of a document."""
        replaced: set[str] = set()
        repeated: list[str] = []
        for operation, outcome in zip(reversed(operations), reversed(outcomes), strict=True):
            id_ = str(operation.id)
            if outcome.error is not None:
                if not isinstance(outcome.error, DOCUMENT_ERRORS):
                    raise outcome.error
                continue
            if id_ in replaced and outcome.kind in ("put", "updated", "removed"):
                repeated.append(id_)
            else:
                setattr(self, outcome.kind, getattr(self, outcome.kind) + 1)
            if outcome.kind in ("put", "removed"):
                replaced.add(id_)
        self.repeated += reversed(repeated)
        self.errors += [outcome.error for outcome in outcomes if outcome.error is not None]


def feed_batches(
    operations: Iterable[Operation | SiftlineError],
    apply: Callable[[Sequence[Operation]], list[Outcome]],
    progress: Callable[[FeedReport], None] | None = None,
) -> FeedReport:
    """Apply operations batch by batch; errors among them are reported. progress: after each."""
    report = FeedReport()
    started = time.perf_counter()
    stream = iter(operations)
    while batch := list(islice(stream, BATCH)):
        report.errors += [item for item in batch if isinstance(item, SiftlineError)]
        fed = [item for item in batch if isinstance(item, Operation)]
        report.count(fed, apply(fed))
        report.seconds = time.perf_counter() - started
        if progress is not None:
            progress(report)
    return report


class Engine:
    """Documents of one schema: fed, found, ranked.

    package: the one the schema is of. embedders: by id. model_path: an ONNX model's file as the
    schema names it → where it is. index: an open one to use, which the engine then does not close.
    """

    def __init__(
        self,
        schema: Schema,
        package: Package,
        folder: Path,
        embedders: Mapping[str, Embedder],
        model_path: ModelPath,
        *,
        read_only: bool = False,
        index: Index | None = None,
    ) -> None:
        self.schema = schema
        self.settings = package.settings
        self.embedders = embedders
        self.cluster = package.services.content_id
        rules = document_rules(package, schema)
        self.owns_index = index is None
        self.index = index or Index.open(folder, schema, self.settings, read_only=read_only)
        self._writer = Writer(schema, self.index, embedders, rules, self._counted_fields())
        self._plans: dict[str, Plan] = {}
        self._models = OnnxModels(lambda model: model_path(model.file), self._open_model)

    def close(self) -> None:
        """Write what is in memory to disk and let go of the index, unless it is another's."""
        if self.owns_index:
            self.index.close()

    def beside(self, folder: Path) -> Engine:
        """The same rankings and open models over another index, in `folder`, to be closed too."""
        other = copy(self)
        other.owns_index = True
        other.index = Index.open(folder, self.schema, self.settings)
        other._writer = copy(self._writer)
        other._writer.index = other.index
        return other

    def use(self, index: Index) -> None:
        """Read and write another index from now on, as its owner."""
        self.index = self._writer.index = index
        self.owns_index = True

    def check(self) -> None:
        """Plan every rank profile, load every model; the error of the first that cannot run."""
        check_scripts(self.schema, self.embedders)
        for name in dict.fromkeys([*BUILT_IN, *self.schema.rank_profiles]):
            plan = self.plan(name)
            for model in plan.models:
                self._models.session(plan.scope.models[model])
        self._writer.try_embedders()

    # feeding

    def feed(
        self,
        operations: Iterable[Operation | SiftlineError],
        progress: Callable[[FeedReport], None] | None = None,
    ) -> FeedReport:
        """Apply operations in order; bad ones are reported and the others go in.

        Each batch is on disk when it is counted, so an interrupted feed is resumed by feeding the
        same again: what is stored already is not encoded twice. progress: called after each batch.
        """
        started = time.perf_counter()
        report = feed_batches(operations, self.apply, progress)
        self.index.commit()
        report.seconds = time.perf_counter() - started
        return report

    def apply(self, operations: Sequence[Operation]) -> list[Outcome]:
        """Apply operations in order, in one transaction that is on disk on return.

        What became of each, in order; a document that is wrong, or whose condition does not hold,
        fails alone. Other errors are raised, and then nothing is changed.
        """
        return self._writer.apply(operations)

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
        return finish(self.match(query, features))

    def match(self, query: Query, features: Sequence[ListedFeature] = ()) -> Result:
        """The same, its hits not filled: `fill` and `finish` of `respond.filling` do that."""
        started = time.perf_counter()
        plan = self.plan(query.profile)
        inputs = typed_inputs(query.inputs, plan.profile)
        if inputs is not query.inputs:
            query = replace(query, inputs=inputs)
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
