"""The application package as objects: schemas, services and what only Siftline knows.

A package is Vespa's folder (`services.xml`, `schemas/*.sd`, `models/`) plus
`ext/siftline.toml`, which Vespa ignores.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from siftline.errors import PackageError, Place
from siftline.schema.chains import Chain, HandlerComponent
from siftline.schema.definition import Schema


@dataclass(frozen=True, slots=True)
class ModelReference:
    """A model file named in services.xml: any of a path in the package, a url and a model-id."""

    path: str | None = None
    url: str | None = None
    model_id: str | None = None


@dataclass(frozen=True, slots=True)
class Component:
    """An embedder of services.xml.

    type: hugging-face-embedder, colbert-embedder, splade-embedder, bert-embedder or
    hugging-face-tokenizer. models: element name (`transformer-model`, …) → file.
    parameters: every other child element by its path (`prepend/query`), as text.
    """

    id: str
    type: str
    models: Mapping[str, ModelReference] = field(default_factory=dict)
    parameters: Mapping[str, str] = field(default_factory=dict)
    place: Place | None = field(default=None, compare=False)


@dataclass(frozen=True, slots=True)
class ModelOptions:
    """How ONNX Runtime is to run one model of `<model-evaluation>`; None is the default.

    intraop_threads: of one operator; 0 is all, -n is the number of processors divided by n.
    interop_threads: operators at a time, where `parallel`. gpu_device: the CUDA device's number.
    """

    intraop_threads: int | None = None
    interop_threads: int | None = None
    parallel: bool = False
    gpu_device: int | None = None
    place: Place | None = field(default=None, compare=False)


@dataclass(frozen=True, slots=True)
class DocumentSelection:
    """Which documents of a type the content cluster takes, as written; `feed` parses it."""

    text: str
    place: Place | None = field(default=None, compare=False)


@dataclass(frozen=True, slots=True)
class Services:
    """What services.xml says: embedders by id, the content cluster's id, its document types.

    selections: which documents of a type the cluster takes; a type without one is taken whole.
    model_options: those of `<model-evaluation>`, by the model's name.
    threads_per_search is content/engine/proton/tuning/searchnode/requestthreads/persearch.
    document_chain: the chain that the content cluster adds to `default`, None where it names none.
    ignore_undefined_fields is container/document-api/ignore-undefined-fields: fields of a fed
    document that its schema lacks are left out instead of refused.
    """

    components: Mapping[str, Component] = field(default_factory=dict)
    content_id: str = "content"
    documents: tuple[str, ...] = ()
    threads_per_search: int = 1
    model_evaluation: bool = False
    model_options: Mapping[str, ModelOptions] = field(default_factory=dict)
    ignore_undefined_fields: bool = False
    search_chains: Mapping[str, Chain] = field(default_factory=dict)
    document_chains: Mapping[str, Chain] = field(default_factory=dict)
    document_chain: str | None = None
    handlers: Mapping[str, HandlerComponent] = field(default_factory=dict)
    selections: Mapping[str, DocumentSelection] = field(default_factory=dict)
    source: str | None = field(default=None, compare=False)

    @property
    def python_components(self) -> tuple[str, ...]:
        """The dotted paths of the code in `ext/components` that runs in this application."""
        chains = (*self.search_chains.values(), *self.document_chains.values())
        inside = [component.id for chain in chains for component in chain.components]
        return tuple(dict.fromkeys([*inside, *self.handlers]))


@dataclass(frozen=True, slots=True)
class SparseQuery:
    """How a sparse embedder encodes queries: `encoder` (its model) or `idf` (no model at all).

    idf: `corpus` for the table counted while feeding, else a JSON file of token → weight, by path
    in the package or catalogue name. field: the sparse field whose corpus is counted, None where
    the schema has only one. unknown: weight of a token that the table lacks.
    """

    mode: str = "encoder"
    idf: str = "corpus"
    field: str | None = None
    unknown: float = 1.0


@dataclass(frozen=True, slots=True)
class Settings:
    """`ext/siftline.toml`, each table a field here.

    sparse_index: schema.field names of mapped tensor fields with a learned-sparse index.
    sparse_queries: embedder id → SparseQuery. embedder_options: embedder id → option → value,
    such as colbert `mask-queries`. models: file or folder in the package → catalogue name it
    comes from when it is not there. runtime: `name` (auto, onnxruntime, openvino), `threads`,
    `precision`. query_encodings: bytes for the encodings of earlier queries, 0 for none, None where
    the package leaves it open.
    """

    sparse_index: frozenset[str] = frozenset()
    sparse_queries: Mapping[str, SparseQuery] = field(default_factory=dict)
    embedder_options: Mapping[str, Mapping[str, object]] = field(default_factory=dict)
    models: Mapping[str, str] = field(default_factory=dict)
    runtime: Mapping[str, object] = field(default_factory=dict)
    query_encodings: int | None = None


@dataclass(frozen=True, slots=True)
class QueryProfile:
    """Named request parameters (`search/query-profiles/NAME.xml`): the request's own values win.

    fields: parameter → text. fixed: parameters that a request may not override.
    """

    name: str
    inherits: tuple[str, ...] = ()
    fields: Mapping[str, str] = field(default_factory=dict)
    fixed: frozenset[str] = frozenset()
    place: Place | None = field(default=None, compare=False)


@dataclass(frozen=True, slots=True)
class Package:
    """A whole application package; `folder` is None until it is saved or was read from one."""

    name: str
    schemas: Mapping[str, Schema]
    services: Services = field(default_factory=Services)
    settings: Settings = field(default_factory=Settings)
    query_profiles: Mapping[str, QueryProfile] = field(default_factory=dict)
    folder: Path | None = field(default=None, compare=False)

    def schema(self, name: str | None = None) -> Schema:
        """The schema of that name, or the only one."""
        if name is None and len(self.schemas) == 1:
            return next(iter(self.schemas.values()))
        if name is None or name not in self.schemas:
            known = ", ".join(self.schemas) or "none"
            raise PackageError(f"package '{self.name}' has no schema '{name}' (it has: {known})")
        return self.schemas[name]

    def query_profile(self, name: str = "default") -> QueryProfile:
        """The query profile with everything inherited filled in; PackageError if there is none."""
        from siftline.schema.query_profiles import resolve_query_profile

        return resolve_query_profile(self.query_profiles, name)

    def save(self, folder: str | Path) -> Path:
        """Write the package as files, at once or not at all; reading them gives it back equal."""
        from siftline.schema.write import save_package

        return save_package(self, Path(folder))
