"""An open application package: its embedders and one engine for each schema."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from types import TracebackType
from typing import Any, Literal, Self

from siftline.encode.embedder import Embedder, find_embedder
from siftline.encode.embedders import Embedders
from siftline.encode.fingerprint import encoder_parts
from siftline.encode.idf import TokenFrequencies
from siftline.encode.open import open_embedder
from siftline.encode.query_cache import DEFAULT_BYTES, QueryCache, with_cache
from siftline.engine import Engine, FeedReport, feed_batches
from siftline.errors import (
    ConditionError,
    DocumentError,
    Place,
    QueryError,
    SiftlineError,
    StoreError,
    UsageError,
)
from siftline.feed.operation import DocumentId, Operation
from siftline.feed.outcome import Outcome
from siftline.feed.reader import operations_from, read_operations
from siftline.feed.selection import Selection, document_types, parse_selection
from siftline.index.index import Index
from siftline.index.visit import Visit, VisitPage, pages, read_page
from siftline.match.deadline import NEVER
from siftline.match.query import Nothing, Query
from siftline.match.request import parse_request
from siftline.model.locate import ModelFiles
from siftline.process.chains import Chains
from siftline.process.handlers import Handlers
from siftline.process.inject import Provided
from siftline.rank.plan import ListedFeature
from siftline.respond.filling import finish
from siftline.respond.hits import Result
from siftline.schema.package import Package
from siftline.schema.read import read_package
from siftline.stateless.models import open_models
from siftline.tensor.tensor import Tensor
from siftline.tensor.types import TensorType

Document = Mapping[str, Any] | Operation | DocumentError


class Application:
    """A package and its index: feed documents, ask queries.

    Use as a context manager, or call `close`. data: folder of the index. `models`: those under
    `models/` by name, where services.xml has `<model-evaluation/>`. indexes: open ones, by schema,
    which the application uses and does not close.
    """

    def __init__(
        self,
        package: Package,
        data: Path,
        *,
        read_only: bool = False,
        query_cache: int | None = None,
        indexes: Mapping[str, Index] | None = None,
    ) -> None:
        self.package = package
        self.data = data
        self.files = ModelFiles(package)
        self.query_cache = QueryCache(_cache_bytes(package, query_cache))
        self.embedders = Embedders(package.services.components, self._open_embedder)
        self.models = open_models(package, self.files)
        self.engines: dict[str, Engine] = {}
        try:
            for name, schema in package.schemas.items():
                self.engines[name] = Engine(
                    schema,
                    package,
                    data / name,
                    self.embedders,
                    self.files.path,
                    read_only=read_only,
                    index=(indexes or {}).get(name),
                )
            self.chains = Chains(package.services, Provided(package, self.embedders, self.models))
        except BaseException:
            self._close_engines()
            raise

    @classmethod
    def open(
        cls,
        folder: str | Path,
        data: str | Path | None = None,
        *,
        read_only: bool = False,
        query_cache: int | None = None,
    ) -> Self:
        """Open the package in `folder`, its index in `data` (default: `FOLDER.siftline`).

        query_cache: bytes for the encodings of earlier queries, 0 for none; None leaves it to the
        package, which has 32 MiB unless `[cache]` in ext/siftline.toml says otherwise.
        PackageError where the package is broken, StoreError where another process writes the index.
        """
        package = read_package(Path(folder))
        where = Path(data) if data else default_data(folder)
        return cls(package, where, read_only=read_only, query_cache=query_cache)

    def check(self) -> None:
        """Load every model and plan every rank profile; raises the first error that using it would.

        What is only loaded on first use is so found out before the application takes requests.
        """
        for id_ in self.embedders:
            _ = self.embedders[id_]
        for engine in self.engines.values():
            engine.check()
        for model in self.models.values():
            _ = model.functions

    def encoders(self) -> dict[str, dict[str, str]]:
        """Embedder id → what documents' vectors depend on, by name: files by their hash."""
        components = self.package.services.components
        return {
            id_: dict(encoder_parts(component, self.files.reference, self.package.settings))
            for id_, component in components.items()
        }

    def close(self) -> None:
        """Close the components, write what is in memory to disk and let go of every index."""
        try:
            self.chains.close()
        finally:
            self._close_engines()

    def _close_engines(self) -> None:
        for engine in self.engines.values():
            engine.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    def engine(self, schema: str | None = None) -> Engine:
        """The engine of a schema, or of the only one; UsageError names the schemas there are."""
        if schema is None and len(self.engines) == 1:
            return next(iter(self.engines.values()))
        if schema is None or schema not in self.engines:
            known = ", ".join(self.engines) or "none"
            asked = f"no schema '{schema}'" if schema else "say which schema"
            raise UsageError(f"{asked}: package '{self.package.name}' has {known}")
        return self.engines[schema]

    def feed(
        self,
        documents: Iterable[Document] | str | Path,
        *,
        schema: str | None = None,
        namespace: str | None = None,
        progress: Callable[[FeedReport], None] | None = None,
    ) -> FeedReport:
        """Feed Python documents or operations, or the file, BEIR folder or `-` of that name.

        A plain document is a dict with `_id` or `id` and fields. namespace: of ids that are not
        written in full (default: the package's name). Bad documents are in the report's errors.
        """
        engine = self.engine(schema)
        where = (engine.schema.name, namespace or self.package.name)
        operations = (
            read_operations(documents, *where)
            if isinstance(documents, (str, Path))
            else operations_from(documents, *where)
        )
        return self._feed(engine, operations, progress)

    def _feed(
        self,
        engine: Engine,
        operations: Iterable[Operation | SiftlineError],
        progress: Callable[[FeedReport], None] | None = None,
    ) -> FeedReport:
        """Feed operations of one engine, through the document chain where there is one."""
        if not self.chains.documents:
            return engine.feed(operations, progress)
        report = feed_batches(operations, self.apply, progress)
        self.commit()
        return report

    def process(self, operation: Operation) -> list[Operation]:
        """What the document chain makes of an operation; itself where there is no chain.

        DocumentError: a processor refuses it. ComponentError: one raises. DeadlineError: one says
        LATER for too long.
        """
        return self.chains.documents.process(operation)

    def apply(self, operations: Sequence[Operation]) -> list[Outcome]:
        """Apply operations on documents of any type, durable on return; what became of each.

        They pass the document chain first. Those of one document are applied in order. Every error
        is in the outcome of its operation.
        """
        if not self.chains.documents:
            return self._write(operations)
        processed = self.chains.documents.process_all(operations)
        own = [one for become in processed if isinstance(become, list) for one in become]
        written = iter(self._write(own))
        return [
            _together([next(written) for _ in become])
            if isinstance(become, list)
            else Outcome.failure(become)
            for become in processed
        ]

    def _write(self, operations: Sequence[Operation]) -> list[Outcome]:
        outcomes: list[Outcome | None] = [None] * len(operations)
        places: dict[str, list[int]] = {}
        for place, operation in enumerate(operations):
            if operation.id.type in self.engines:
                places.setdefault(operation.id.type, []).append(place)
            else:
                known = ", ".join(self.engines) or "none"
                unknown = DocumentError(
                    f"document '{operation.id}': Document type {operation.id.type} does not exist "
                    f"(there is {known})",
                    operation.place,
                )
                outcomes[place] = Outcome.failure(unknown)
        for name, own in places.items():
            applied = _applied(self.engines[name], [operations[place] for place in own])
            for place, outcome in zip(own, applied, strict=True):
                outcomes[place] = outcome
        return [outcome or Outcome("missing") for outcome in outcomes]

    def commit(self) -> None:
        """Write segments for what is in memory, so that opening is quick; loses no data if not."""
        for engine in self.engines.values():
            engine.index.commit()

    def get(self, id_: str, *, schema: str | None = None) -> Mapping[str, Any] | None:
        """The fields of a document as fed; None if there is none."""
        full = self.full_id(id_, schema)
        return self.engine(DocumentId.parse(full).type).get(full)

    def remove(self, *ids: str, schema: str | None = None) -> FeedReport:
        """Remove documents; one that is not there counts as removed.

        Removals that the document chain refuses are in the report's errors.
        """
        parsed = [DocumentId.parse(self.full_id(id_, schema)) for id_ in ids]
        report = FeedReport()
        for name in dict.fromkeys(identity.type for identity in parsed):
            removals = [Operation("remove", i) for i in parsed if i.type == name]
            fed = self._feed(self.engine(name), removals)
            report.removed += fed.removed
            report.errors += fed.errors
        return report

    def visit(
        self, *, schema: str | None = None, selection: str | None = None
    ) -> Iterator[tuple[str, Mapping[str, Any]]]:
        """Documents, id and fields, in document order: all, or those that a selection means."""
        wanted = self.selection(selection)
        for id_, fields in self.engine(schema).visit():
            if wanted is None or wanted.matches(DocumentId.parse(id_), fields):
                yield id_, fields

    def visit_page(self, visit: Visit) -> VisitPage:
        """A page of a visit that can be resumed; UsageError where the visit is wrong."""
        return read_page(self._indexes(visit.type), visit, self.selection(visit.selection))

    def remove_where(self, selection: str, *, schema: str | None = None) -> FeedReport:
        """Remove the documents that a selection means."""
        return self._change_where(Visit(schema, selection), "remove", {})

    def update_where(
        self, selection: str, fields: Mapping[str, Any], *, schema: str | None = None
    ) -> FeedReport:
        """Update the documents that a selection means; fields: name → {"assign": value} etc."""
        return self._change_where(Visit(schema, selection), "update", fields)

    def _change_where(
        self, visit: Visit, kind: Literal["remove", "update"], fields: Mapping[str, Any]
    ) -> FeedReport:
        report = FeedReport()
        for page in pages(self._indexes(visit.type), visit, self.selection(visit.selection)):
            # the condition holds still when the operation is applied, or the document is left alone
            operations = [
                Operation(kind, DocumentId.parse(id_), fields, condition=visit.selection)
                for id_, _ in page.documents
            ]
            outcomes = self.apply(operations)
            done = [
                (operation, outcome)
                for operation, outcome in zip(operations, outcomes, strict=True)
                if not isinstance(outcome.error, ConditionError)
            ]
            report.count([operation for operation, _ in done], [outcome for _, outcome in done])
        return report

    def selection(self, text: str | None) -> Selection | None:
        """A document selection about this package's documents; UsageError where it is wrong."""
        return None if text is None else parse_selection(text, document_types(self.package.schemas))

    def _indexes(self, schema: str | None) -> dict[str, Index]:
        chosen = self.engines if schema is None else {schema: self.engine(schema)}
        return {name: engine.index for name, engine in chosen.items()}

    def full_id(self, id_: str, schema: str | None = None) -> str:
        """A document id in full; a bare name gets the package's namespace and the schema."""
        if id_.startswith("id:"):
            return id_
        return f"id:{self.package.name}:{self.engine(schema).schema.name}::{id_}"

    def query(self, **parameters: Any) -> Result:
        """The answer to request parameters as Vespa's search API names them.

        `query` (or `q`) is the text; `ranking` names a query profile or rank profile; `yql`,
        `hits`, `offset`, `input.query(name)` and the others as in a request. QueryError where they
        are wrong. A `timeout` that they or their query profile state is kept: DeadlineError once it
        is over. Without one a query takes as long as it takes, however slow the models are.
        """
        started = time.monotonic()
        query = self.request(**parameters)
        return self.search(replace(query, deadline=query.due(started)))

    def request(self, **parameters: Any) -> Query:
        """The query that request parameters mean, its texts embedded."""
        if "q" in parameters:
            parameters.setdefault("query", parameters["q"])
        # a searcher may give a request without a query one
        complete = not self.chains.searches
        return parse_request(parameters, self.package, self.embed, complete=complete)

    def search(self, query: Query, features: tuple[ListedFeature, ...] = ()) -> Result:
        """The answer to a query; `features` are listed with the profile's match-features.

        It passes the search chain that its `searchChain` names. A query that states a timeout and
        has no deadline yet gets it from now. ComponentError: a searcher raises.
        """
        if query.deadline == NEVER:
            query = replace(query, deadline=query.due())
        chain = self.chains.search_chain(query)
        return finish(chain.search(query, partial(self._match, features=features), self.request))

    def _match(self, query: Query, features: tuple[ListedFeature, ...] = ()) -> Result:
        """Where a search chain ends."""
        if query.null and isinstance(query.root, Nothing):
            raise QueryError("Null query", Place(field="query"), code=1)
        return self.engine(query.schema).match(query, features)

    @property
    def handlers(self) -> Handlers:
        """The request handlers of the package by binding."""
        return self.chains.handlers

    def embed(self, embedder: str | None, text: str, target: TensorType) -> Tensor:
        """A query text as a tensor of the target type; embedder None is the only one."""
        return find_embedder(self.embedders, embedder).query(text, target)

    def _open_embedder(self, id_: str) -> Embedder:
        embedder = open_embedder(
            self.package.services.components[id_],
            self.files.reference,
            self.package.settings,
            lambda: self._token_frequencies(id_),
        )
        query = self.package.settings.sparse_queries.get(id_)
        if query is not None and query.mode == "idf" and query.idf == "corpus":
            return embedder  # its weights change with every document
        return with_cache(embedder, self.query_cache)

    def _token_frequencies(self, embedder: str) -> TokenFrequencies:
        """Document frequencies of the tokens of the field whose corpus an embedder uses."""
        wanted = self.package.settings.sparse_queries[embedder].field
        fields = sorted(self.package.settings.sparse_index)
        if wanted is not None:
            fields = [name for name in fields if wanted in (name, name.partition(".")[2])]
        if len(fields) != 1:
            known = ", ".join(fields) or "none"
            raise UsageError(
                f"embedder '{embedder}' counts the corpus of one sparse field; say which with "
                f'field = "NAME" in ext/siftline.toml (sparse fields: {known})'
            )
        schema, _, field = fields[0].partition(".")
        return self.engine(schema).index.snapshot().token_frequencies(field)


def _together(outcomes: Sequence[Outcome]) -> Outcome:
    """What became of a document that a processor made several of: the first error, or the last."""
    if not outcomes:
        return Outcome("ignored")
    return next((outcome for outcome in outcomes if outcome.error is not None), outcomes[-1])


def _applied(engine: Engine, operations: Sequence[Operation]) -> list[Outcome]:
    """Outcomes of one engine's operations; where they fail together, each is tried alone."""
    try:
        return engine.apply(operations)
    except StoreError as error:
        return [Outcome.failure(error)] * len(operations)
    except SiftlineError as error:
        if len(operations) == 1:
            return [Outcome.failure(error)]
        return [_applied(engine, [operation])[0] for operation in operations]


def _cache_bytes(package: Package, chosen: int | None) -> int:
    """How large the cache of query encodings is: as chosen, else as the package says."""
    if chosen is not None:
        return chosen
    stated = package.settings.query_encodings
    return DEFAULT_BYTES if stated is None else stated


def default_data(folder: str | Path) -> Path:
    """Where the index of a package folder lies unless told otherwise: `NAME.siftline` beside it."""
    resolved = Path(folder).resolve()
    return resolved.with_name(f"{resolved.name}.siftline")
