"""A small schema with every kind of field that matching looks at, and indexes over it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from siftline.encode.encoded import Encoded
from siftline.index.index import Index
from siftline.index.snapshot import Snapshot
from siftline.match.prepare import Prepared, prepare
from siftline.match.query import Node, Query
from siftline.schema.definition import (
    Field,
    FieldSet,
    FieldType,
    Hnsw,
    Input,
    RankProfile,
    Schema,
)
from siftline.schema.package import Settings
from siftline.schema.script import InputStep, OutputStep, Script, Step
from siftline.tensor.batch import stack
from siftline.tensor.tensor import Tensor
from siftline.tensor.types import TensorType

DENSE = TensorType.parse("tensor<float>(x[2])")
SPARSE = TensorType.parse("tensor<float>(token{})")


def field(name: str, kind: str, outputs: str, **more: Any) -> Field:
    if kind.startswith("tensor"):
        type_ = FieldType("tensor", tensor=TensorType.parse(kind))
    elif "<" in kind:
        outer, element = kind.removesuffix(">").split("<")
        type_ = FieldType(outer, element=FieldType(element))
    else:
        type_ = FieldType(kind)
    steps: tuple[Step, ...] = (InputStep(name), *map(OutputStep, outputs.split()))
    return Field(name, type_, Script((steps,)), **more)


FIELDS = (
    field("title", "string", "index summary", bm25=True, stemming="none"),
    field("body", "string", "index", bm25=True, stemming="none"),
    field("tag", "string", "attribute"),
    field("cased", "string", "attribute", match="cased"),
    field("year", "int", "attribute"),
    field("price", "double", "attribute"),
    field("open", "bool", "attribute"),
    field("numbers", "array<long>", "attribute"),
    field("names", "array<string>", "attribute"),
    field("weighted", "weightedset<string>", "attribute"),
    field("coded", "weightedset<int>", "attribute"),
    field("note", "string", "summary"),
    field("vec", str(DENSE), "attribute index", hnsw=Hnsw(16, 100)),
    field("plain", str(DENSE), "attribute"),
    field("sparse", str(SPARSE), "attribute"),
    field("unindexed", str(SPARSE), "attribute"),
)
INPUTS = {
    "q": Input("q", DENSE),
    "s": Input("s", SPARSE),
    "wide": Input("wide", TensorType.parse("tensor<float>(x[3])")),
    "number": Input("number", None, 0.5),
    "given": Input("given", DENSE, Tensor.dense(DENSE, [1, 0])),
}
PROFILE = RankProfile("default", inputs=INPUTS)
SCHEMA = Schema(
    "doc",
    {f.name: f for f in FIELDS},
    fieldsets={
        "default": FieldSet("default", ("title", "body")),
        "mixed": FieldSet("mixed", ("title", "tag", "year")),
    },
    rank_profiles={"default": PROFILE, "semantic": RankProfile("semantic", inputs=INPUTS)},
)
SETTINGS = Settings(sparse_index=frozenset({"doc.sparse"}))

Document = Mapping[str, Any]


def encoded(documents: Mapping[str, Document], schema: Schema = SCHEMA) -> Encoded:
    """A batch of plain documents; tensors as a list of cells or a mapping of labels."""
    tensors = {n: f.type.tensor for n, f in schema.fields.items() if f.type.tensor is not None}
    outputs = {
        name: [document.get(name) for document in documents.values()]
        for name, own in schema.fields.items()
        if name not in tensors and (own.indexed or own.is_attribute)
    }
    vectors = {
        name: stack(type_, [tensor(type_, d.get(name)) for d in documents.values()])
        for name, type_ in tensors.items()
    }
    plain = [{n: v for n, v in d.items() if n not in tensors} for d in documents.values()]
    return Encoded(list(documents), plain, outputs, vectors, ["en"] * len(documents))


def tensor(type_: TensorType, value: Any) -> Tensor | None:
    if value is None:
        return None
    return Tensor.blocks(type_, value) if type_.mapped else Tensor.dense(type_, value)


def sparse(weights: Mapping[str, float]) -> Tensor:
    return Tensor.blocks(SPARSE, {(label,): weight for label, weight in weights.items()})


def dense(*cells: float) -> Tensor:
    return Tensor.dense(DENSE, list(cells))


def fill(
    folder: Path,
    batches: Sequence[Mapping[str, Document]],
    removed: Sequence[str] = (),
    schema: Schema = SCHEMA,
) -> Index:
    """An index with a segment on disk for each batch but the last, which stays in memory."""
    index = Index.open(folder, schema, SETTINGS)
    for number, batch in enumerate(batches):
        if number:
            index.commit()
        index.write(encoded(batch, schema))
    index.write(encoded({}, schema), removed)
    return index


def prepared(
    root: Node, schema: Schema = SCHEMA, profile: RankProfile = PROFILE, **query: Any
) -> Prepared:
    settings = SETTINGS if "sparse" in schema.fields else Settings()
    return prepare(Query(root, **query), schema, settings, profile)


def names(snapshot: Snapshot, documents: np.ndarray) -> list[str]:
    """The last part of each document's id."""
    return [id_.rsplit(":", 1)[-1] for id_ in snapshot.ids(documents)]
