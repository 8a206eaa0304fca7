"""Which structure each field gets, derived from the schema and the settings."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from functools import cached_property

import numpy as np

from siftline.errors import PackageError
from siftline.schema.definition import Field, FieldType, Hnsw, Schema
from siftline.schema.package import Settings
from siftline.tensor.batch import BatchForm, batch_form
from siftline.tensor.types import TensorType

#: the numpy type of a numeric column's values
NUMBER_DTYPES: dict[str, np.dtype] = {
    "int": np.dtype(np.int32),
    "long": np.dtype(np.int64),
    "byte": np.dtype(np.int8),
    "float": np.dtype(np.float32),
    "double": np.dtype(np.float64),
    "bool": np.dtype(np.uint8),
}
#: the numpy type of a tensor's cells on disk; bfloat16 as its 16 bits
CELL_STORAGE: dict[str, np.dtype] = {
    "double": np.dtype(np.float64),
    "float": np.dtype(np.float32),
    "bfloat16": np.dtype(np.uint16),
    "int8": np.dtype(np.int8),
}
#: what a field of token document frequencies is called: "<field>#tokens"
COUNTED = "#tokens"
_GRAPH_METRICS = ("euclidean", "angular", "prenormalized-angular", "dotproduct")


@dataclass(frozen=True, slots=True)
class TextSpec:
    """Text postings; `whole` makes the whole value one token, `cased` keeps its case."""

    field: str
    stem: bool = True
    normalize: bool = True
    whole: bool = False
    cased: bool = False


@dataclass(frozen=True, slots=True)
class VectorSpec:
    """A tensor field in the form of its type.

    inverted: postings beside the forward index of a sparse field. weighted: False where every
    weight is 1 and only the labels are kept. graph: HNSW settings of a dense field.
    """

    field: str
    type: TensorType
    inverted: bool = False
    weighted: bool = True
    metric: str = "euclidean"
    graph: Hnsw | None = None

    @property
    def form(self) -> BatchForm:
        """Which batch holds the field's tensors."""
        return batch_form(self.type)

    @property
    def size(self) -> int:
        """Cells of one dense tensor or of one block."""
        return int(np.prod(self.type.shape, dtype=np.int64))

    @property
    def storage(self) -> np.dtype:
        """The numpy type of the stored cells."""
        return CELL_STORAGE[self.type.cell]


@dataclass(frozen=True, slots=True)
class ColumnSpec:
    """An attribute: `shape` single, array or weightedset of `kind` string or a number kind."""

    field: str
    kind: str
    shape: str = "single"


@dataclass(frozen=True, eq=False)
class Layout:
    """Every structure of an index, by field.

    counted: sparse fields whose token document frequencies are kept under "<field>#tokens".
    """

    schema: str
    texts: Mapping[str, TextSpec]
    vectors: Mapping[str, VectorSpec]
    columns: Mapping[str, ColumnSpec]
    counted: frozenset[str] = frozenset()

    @staticmethod
    def of(schema: Schema, settings: Settings) -> Layout:
        """The layout of a schema; PackageError where a field cannot be indexed as written."""
        inverted = _sparse_fields(schema, settings)
        counted = _counted_fields(schema, settings, inverted)
        texts: dict[str, TextSpec] = {}
        vectors: dict[str, VectorSpec] = {}
        columns: dict[str, ColumnSpec] = {}
        for field in schema.fields.values():
            if not (field.indexed or field.is_attribute):
                continue
            if field.type.kind == "tensor":
                vectors[field.name] = _vector(field, field.name in inverted)
                continue
            text = field.indexed and _element(field.type) == "string"
            if text:
                texts[field.name] = _text(field)
            column = _column(field)
            if column is not None and (field.is_attribute or not text):
                columns[field.name] = column
        for name in counted:
            label = Layout._counted_type(vectors[name].type)
            vectors[name + COUNTED] = VectorSpec(name + COUNTED, label, weighted=False)
        return Layout(schema.name, texts, vectors, columns, counted)

    @staticmethod
    def _counted_type(type_: TensorType) -> TensorType:
        return TensorType("int8", type_.dimensions)

    @cached_property
    def fingerprint(self) -> str:
        """Changes when segments built for another layout cannot serve this one."""
        specs = [self.texts, self.vectors, self.columns]
        plain = [[asdict(s) for _, s in sorted(group.items())] for group in specs]  # type: ignore[call-overload]
        text = json.dumps([self.schema, plain], sort_keys=True, default=str)
        return hashlib.sha256(text.encode()).hexdigest()

    @cached_property
    def stored_types(self) -> dict[str, str]:
        """What records hold for each field; a stored field cannot be read as another type."""
        types = {name: str(spec.type) for name, spec in self.vectors.items()}
        types |= {n: f"{s.shape} {s.kind}" for n, s in self.columns.items()}
        return types


def _element(type_: FieldType) -> str:
    if type_.kind in ("array", "weightedset") and type_.element is not None:
        return type_.element.kind
    return type_.kind


def _sparse_fields(schema: Schema, settings: Settings) -> frozenset[str]:
    start = schema.name + "."
    names = {n[len(start) :] for n in settings.sparse_index if n.startswith(start)}
    for name in names:
        field = schema.field(name)
        type_ = field.type.tensor
        if type_ is None or batch_form(type_) != "sparse":
            raise PackageError(
                f"sparse-index names '{schema.name}.{name}', which is {field.type}: it needs a "
                "tensor with one mapped dimension, like tensor<float>(token{})",
                field.place,
            )
    return frozenset(names)


def _counted_fields(schema: Schema, settings: Settings, inverted: frozenset[str]) -> frozenset[str]:
    counted = set()
    for embedder, query in settings.sparse_queries.items():
        if query.mode != "idf" or query.idf != "corpus" or not inverted:
            continue
        if query.field is None and len(inverted) > 1:
            raise PackageError(
                f"embedder '{embedder}' counts its IDF table from the corpus, but schema "
                f"'{schema.name}' has several sparse fields ({', '.join(sorted(inverted))}): "
                "name one with field"
            )
        name = query.field or next(iter(inverted))
        name = name.removeprefix(schema.name + ".")
        if name in inverted:
            counted.add(name)
    return frozenset(counted)


def _vector(field: Field, inverted: bool) -> VectorSpec:
    type_ = field.type.tensor
    if type_ is None:
        raise PackageError(f"field '{field.name}' is a tensor without a type", field.place)
    if any(d.size is None for d in type_.dimensions if not d.mapped):
        raise PackageError(
            f"field '{field.name}' is {type_}: a field's dimensions need sizes", field.place
        )
    dense = batch_form(type_) == "dense" and len(type_.dimensions) == 1
    graph = (field.hnsw or Hnsw()) if field.indexed and dense else None
    if field.distance_metric not in _GRAPH_METRICS:
        graph = None
    return VectorSpec(
        field.name, type_, inverted=inverted, metric=field.distance_metric, graph=graph
    )


def _text(field: Field) -> TextSpec:
    match = field.match or "text"
    if match not in ("text", "word", "exact", "cased", "uncased"):
        raise PackageError(
            f"field '{field.name}' has match: {match}, which an index does not support "
            "(it has text, word, exact, cased and uncased)",
            field.place,
        )
    whole = match in ("word", "exact")
    cased = match == "cased" or "cased" in field.match_settings
    return TextSpec(field.name, field.stemming != "none", field.normalize, whole, cased)


def _column(field: Field) -> ColumnSpec | None:
    element = _element(field.type)
    if element != "string" and element not in NUMBER_DTYPES:
        return None  # maps and structures are shown, not ranked
    shape = field.type.kind if field.type.kind in ("array", "weightedset") else "single"
    return ColumnSpec(field.name, element, shape)
