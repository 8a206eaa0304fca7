"""A schema as objects: document type, fields, field sets, rank profiles (spec: Vespa schema reference).

The reader of `.sd` files and the Python builder make the same objects; all are frozen values and
compare equal when they mean the same (places do not count).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from siftline.errors import PackageError, Place
from siftline.schema.script import Script
from siftline.tensor.tensor import Tensor
from siftline.tensor.types import TensorType

#: kinds of FieldType; `array`, `weightedset` and `map` have an element (and map a key) type
KINDS = (
    "string",
    "int",
    "long",
    "byte",
    "float",
    "double",
    "bool",
    "array",
    "weightedset",
    "map",
    "tensor",
)

DISTANCE_METRICS = (
    "euclidean",
    "angular",
    "prenormalized-angular",
    "dotproduct",
    "hamming",
    "geodegrees",
)


@dataclass(frozen=True, slots=True)
class FieldType:
    """A field's type, like `string`, `array<int>`, `tensor<float>(x[3])`."""

    kind: str
    element: FieldType | None = None
    key: FieldType | None = None
    tensor: TensorType | None = None

    def __str__(self) -> str:
        if self.kind == "tensor":
            return str(self.tensor)
        if self.kind == "map":
            return f"map<{self.key},{self.element}>"
        return f"{self.kind}<{self.element}>" if self.element else self.kind


@dataclass(frozen=True, slots=True)
class Hnsw:
    """Graph settings of a dense field; `links` is doubled on level 0."""

    links: int = 16
    explore_at_insert: int = 200


@dataclass(frozen=True, slots=True)
class Field:
    """One field of a document type, or a synthetic field of the schema (`inside` False).

    indexing: the script that runs when a document is fed; its outputs say whether the field is
    an index (`indexed`), an attribute (`is_attribute`) and in the summary.
    match: text, word, exact, cased or uncased; `stemming`: none, best, shortest or multiple.
    """

    name: str
    type: FieldType
    indexing: Script = Script()
    inside: bool = True
    bm25: bool = False
    hnsw: Hnsw | None = None
    distance_metric: str = "euclidean"
    attribute_options: frozenset[str] = frozenset()
    match: str | None = None
    match_settings: Mapping[str, str] = field(default_factory=dict)
    stemming: str = "best"
    normalize: bool = True
    rank: str = "normal"
    weight: int = 100
    aliases: tuple[str, ...] = ()
    place: Place | None = field(default=None, compare=False)

    @property
    def indexed(self) -> bool:
        """Whether the script writes the index."""
        return "index" in self.indexing.outputs

    @property
    def is_attribute(self) -> bool:
        """Whether the script writes an attribute."""
        return "attribute" in self.indexing.outputs

    @property
    def in_summary(self) -> bool:
        """Whether the script writes the summary."""
        return "summary" in self.indexing.outputs


@dataclass(frozen=True, slots=True)
class FieldSet:
    """Fields that are searched together under one name."""

    name: str
    fields: tuple[str, ...]
    place: Place | None = field(default=None, compare=False)


@dataclass(frozen=True, slots=True)
class Expression:
    """A ranking expression as written; `rank` parses it."""

    text: str
    place: Place | None = field(default=None, compare=False)


@dataclass(frozen=True, slots=True)
class Function:
    """A named expression of a rank profile, with parameters."""

    name: str
    parameters: tuple[str, ...]
    expression: Expression


@dataclass(frozen=True, slots=True)
class Phase:
    """A ranking phase; None where the profile says nothing.

    rerank_count is keep-rank-count in the first phase. An inherited phase may override settings
    and keep the parent's expression.
    """

    expression: Expression | None = None
    rerank_count: int | None = None
    score_drop_limit: float | None = None


@dataclass(frozen=True, slots=True)
class OnnxModel:
    """An ONNX model of a schema or profile: ONNX input name → source, ONNX output name → alias."""

    name: str
    file: str
    inputs: Mapping[str, str] = field(default_factory=dict)
    outputs: Mapping[str, str] = field(default_factory=dict)
    threads: int | None = None
    place: Place | None = field(default=None, compare=False)


@dataclass(frozen=True, slots=True)
class Input:
    """A declared query input `query(name)`; type None is a double."""

    name: str
    type: TensorType | None = None
    default: Tensor | float | None = None


@dataclass(frozen=True, slots=True)
class Constant:
    """A named tensor or number."""

    name: str
    value: Tensor | float


@dataclass(frozen=True, slots=True)
class RankProfile:
    """A rank profile as written; `Schema.profile` gives it with everything inherited filled in."""

    name: str
    inherits: tuple[str, ...] = ()
    inputs: Mapping[str, Input] = field(default_factory=dict)
    constants: Mapping[str, Constant] = field(default_factory=dict)
    functions: Mapping[str, Function] = field(default_factory=dict)
    onnx_models: Mapping[str, OnnxModel] = field(default_factory=dict)
    first_phase: Phase | None = None
    second_phase: Phase | None = None
    global_phase: Phase | None = None
    match_features: tuple[Expression, ...] | None = None
    summary_features: tuple[Expression, ...] | None = None
    rank_properties: Mapping[str, str] = field(default_factory=dict)
    settings: Mapping[str, str] = field(default_factory=dict)
    strict: bool = False
    place: Place | None = field(default=None, compare=False)


@dataclass(frozen=True, slots=True)
class DocumentSummary:
    """A named selection of fields in the result: name in the result → source field."""

    name: str
    fields: Mapping[str, str] = field(default_factory=dict)
    inherits: tuple[str, ...] = ()
    from_disk: bool = False
    place: Place | None = field(default=None, compare=False)


@dataclass(frozen=True, slots=True)
class Schema:
    """A document type and how it is indexed and ranked.

    fields: in declaration order, those of the document first.
    """

    name: str
    fields: Mapping[str, Field]
    fieldsets: Mapping[str, FieldSet] = field(default_factory=dict)
    rank_profiles: Mapping[str, RankProfile] = field(default_factory=dict)
    constants: Mapping[str, Constant] = field(default_factory=dict)
    onnx_models: Mapping[str, OnnxModel] = field(default_factory=dict)
    summaries: Mapping[str, DocumentSummary] = field(default_factory=dict)
    place: Place | None = field(default=None, compare=False)

    def field(self, name: str) -> Field:
        """The field of that name or alias; PackageError names the nearest if there is none."""
        found = self.fields.get(name)
        if found is None:
            found = next((f for f in self.fields.values() if name in f.aliases), None)
        if found is None:
            raise PackageError(
                f"schema '{self.name}' has no field '{name}' (it has {', '.join(self.fields)})"
            )
        return found

    def searched(self, name: str) -> tuple[Field, ...]:
        """The fields a term on `name` searches: a field set's members, or the one field."""
        fieldset = self.fieldsets.get(name)
        return tuple(self.field(f) for f in fieldset.fields) if fieldset else (self.field(name),)
