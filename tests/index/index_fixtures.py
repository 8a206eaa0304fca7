"""A schema with every structure, and documents for it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from siftline.encode.encoded import Encoded
from siftline.index.index import Index
from siftline.schema.definition import Field, FieldType, Hnsw, Schema
from siftline.schema.package import Settings, SparseQuery
from siftline.schema.script import InputStep, OutputStep, Script, Step
from siftline.tensor.batch import stack
from siftline.tensor.tensor import Tensor, to_cells
from siftline.tensor.types import TensorType


def field(name: str, kind: str, outputs: str, **more: Any) -> Field:
    """A field of a type written as in a schema, with outputs like "index attribute"."""
    if kind.startswith("tensor"):
        type_ = FieldType("tensor", tensor=TensorType.parse(kind))
    elif "<" in kind:
        outer, element = kind.removesuffix(">").split("<")
        type_ = FieldType(outer, element=FieldType(element))
    else:
        type_ = FieldType(kind)
    steps: tuple[Step, ...] = (InputStep(name), *(OutputStep(output) for output in outputs.split()))
    return Field(name, type_, Script((steps,)), **more)


def schema_of(*fields: Field) -> Schema:
    return Schema("doc", {f.name: f for f in fields})


VECTORS = {
    "dense": "tensor<float>(x[4])",
    "short": "tensor<bfloat16>(x[3])",
    "bits": "tensor<int8>(x[2])",
    "sparse": "tensor<float>(token{})",
    "tokens": "tensor<bfloat16>(dt{},x[2])",
    "whole": "tensor<double>(a{},b{})",
}
SCHEMA = schema_of(
    field("title", "string", "index"),
    field("tags", "array<string>", "index attribute"),
    field("count", "int", "attribute"),
    field("price", "double", "attribute"),
    field("open", "bool", "attribute"),
    field("kind", "string", "attribute"),
    field("numbers", "array<long>", "attribute"),
    field("scores", "weightedset<string>", "attribute"),
    *(field(name, kind, "attribute") for name, kind in VECTORS.items()),
)
SETTINGS = Settings(
    sparse_index=frozenset({"doc.sparse"}), sparse_queries={"idf": SparseQuery("idf")}
)
COUNTED = "sparse#tokens"
TYPES = {name: TensorType.parse(kind) for name, kind in VECTORS.items()}
TYPES[COUNTED] = TensorType.parse("tensor<int8>(token{})")

Document = Mapping[str, Any]


def tensor_of(name: str, value: Any) -> Tensor | None:
    """The tensor that a document's plain value stands for, None where it has none."""
    if value is None:
        return None
    type_ = TYPES[name]
    return Tensor.blocks(type_, value) if type_.mapped else Tensor.dense(type_, value)


def encoded(documents: Mapping[str, Document]) -> Encoded:
    """A batch: fields as given; the sparse field's tokens counted."""
    rows = [dict(document) for document in documents.values()]
    for row in rows:
        if row.get("sparse"):
            row[COUNTED] = dict.fromkeys(row["sparse"], 1)
    names = [name for name in SCHEMA.fields if name not in VECTORS]
    return Encoded(
        ids=list(documents),
        fields=[{n: v for n, v in d.items() if n not in VECTORS} for d in documents.values()],
        outputs={name: [row.get(name) for row in rows] for name in names},
        vectors={
            name: stack(type_, [tensor_of(name, row.get(name)) for row in rows])
            for name, type_ in TYPES.items()
        },
        languages=["en"] * len(rows),
    )


def opened(folder: Path, schema: Schema = SCHEMA, **options: Any) -> Index:
    return Index.open(folder, schema, SETTINGS, **options)


def abandon(index: Index) -> None:
    """Leave an index as a killed process would: no commit, the lock freed."""
    index._store.close()
    if index._lock is not None:
        index._lock.release()


def title_encoded(titles: Mapping[str, str]) -> Encoded:
    return encoded({id_: {"title": title} for id_, title in titles.items()})


def dense_schema(metric: str, size: int, cell: str = "float") -> Schema:
    kind = f"tensor<{cell}>(x[{size}])"
    graph = Hnsw(16, 100)
    return schema_of(field("v", kind, "attribute index", distance_metric=metric, hnsw=graph))


def dense_encoded(
    ids: Sequence[str], values: np.ndarray, cell: str = "float", present: Any = None
) -> Encoded:
    from siftline.tensor.batch import DenseBatch

    type_ = TensorType.parse(f"tensor<{cell}>(x[{values.shape[1]}])")
    there = np.ones(len(ids), bool) if present is None else np.asarray(present, bool)
    batch = DenseBatch(type_, to_cells(type_, values), there)
    return Encoded(ids, [{} for _ in ids], {}, {"v": batch})
