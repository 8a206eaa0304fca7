"""A schema as objects: document type, fields, field sets, rank profiles.

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

#: kinds of FieldType; `array`, `weightedset` and `map` have an element (and map a key) type.
#: A type of kind `struct` names a struct of the schema; it is stored and returned, never searched.
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

NUMERIC_KINDS = ("int", "long", "byte", "float", "double")

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
    struct: str | None = None

    def __str__(self) -> str:
        if self.kind == "tensor":
            return str(self.tensor)
        if self.kind == "struct":
            return str(self.struct)
        if self.kind == "map":
            return f"map<{self.key},{self.element}>"
        return f"{self.kind}<{self.element}>" if self.element else self.kind

    @property
    def numeric(self) -> bool:
        """Whether the values, or the elements of an array or weighted set, are numbers."""
        kind = self.element.kind if self.element and self.kind != "map" else self.kind
        return kind in NUMERIC_KINDS


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
    struct_fields: settings of the parts of a map or struct (`key`, `value` or a member's name).
    hints: settings that change no result, kept as written so that a cluster gets them.
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
    struct_fields: Mapping[str, Field] = field(default_factory=dict)
    hints: Mapping[str, str] = field(default_factory=dict)
    place: Place | None = field(default=None, compare=False)

    @property
    def indexed(self) -> bool:
        """Whether the script writes the index; an index of numbers is an attribute instead."""
        return "index" in self.indexing.outputs and not self.type.numeric

    @property
    def is_attribute(self) -> bool:
        """Whether the script writes an attribute; an index of numbers counts as one."""
        outputs = self.indexing.outputs
        return "attribute" in outputs or ("index" in outputs and self.type.numeric)

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
    """A named expression of a rank profile, with parameters; `inline` is a hint."""

    name: str
    parameters: tuple[str, ...]
    expression: Expression
    inline: bool = False


@dataclass(frozen=True, slots=True)
class Phase:
    """A ranking phase; None where the profile says nothing.

    rerank_count is keep-rank-count in the first phase. An inherited phase may override settings
    and keep the parent's expression. total_rerank_count bounds all nodes together; on one node
    `Schema.profile` folds it into rerank_count.
    """

    expression: Expression | None = None
    rerank_count: int | None = None
    score_drop_limit: float | None = None
    total_rerank_count: int | None = None


@dataclass(frozen=True, slots=True)
class OnnxModel:
    """An ONNX model of a schema or profile: ONNX input name → source, ONNX output name → alias.

    options: `interop-threads`, `execution-mode` and `gpu-device`, as written.
    """

    name: str
    file: str
    inputs: Mapping[str, str] = field(default_factory=dict)
    outputs: Mapping[str, str] = field(default_factory=dict)
    threads: int | None = None
    options: Mapping[str, str] = field(default_factory=dict)
    place: Place | None = field(default=None, compare=False)


@dataclass(frozen=True, slots=True)
class Input:
    """A declared query input `query(name)`; type None is a double."""

    name: str
    type: TensorType | None = None
    default: Tensor | float | None = None


@dataclass(frozen=True, slots=True)
class Constant:
    """A named tensor or number; `file` is where in the package it was read from."""

    name: str
    value: Tensor | float
    file: str | None = field(default=None, compare=False)


@dataclass(frozen=True, slots=True)
class RankProfile:
    """A rank profile as written; `Schema.profile` gives it with everything inherited filled in.

    match_features_inherits: the profile named by `match-features inherits`, whose features come
    first; None replaces the inherited list. settings: everything that is not ranking itself, such
    as `num-threads-per-search`, as written.
    """

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
    match_features_inherits: str | None = None
    summary_features_inherits: str | None = None
    place: Place | None = field(default=None, compare=False)


@dataclass(frozen=True, slots=True)
class DocumentSummary:
    """A named selection of fields in the result: name in the result → source field."""

    name: str
    fields: Mapping[str, str] = field(default_factory=dict)
    inherits: tuple[str, ...] = ()
    from_disk: bool = False
    omit_summary_features: bool = False
    place: Place | None = field(default=None, compare=False)


@dataclass(frozen=True, slots=True)
class Schema:
    """A document type and how it is indexed and ranked.

    fields: in declaration order, those of the document first. structs: member name → type, by
    struct. settings: schema-wide settings that change no result, as written.
    """

    name: str
    fields: Mapping[str, Field]
    fieldsets: Mapping[str, FieldSet] = field(default_factory=dict)
    rank_profiles: Mapping[str, RankProfile] = field(default_factory=dict)
    constants: Mapping[str, Constant] = field(default_factory=dict)
    onnx_models: Mapping[str, OnnxModel] = field(default_factory=dict)
    summaries: Mapping[str, DocumentSummary] = field(default_factory=dict)
    structs: Mapping[str, Mapping[str, FieldType]] = field(default_factory=dict)
    settings: Mapping[str, str] = field(default_factory=dict)
    place: Place | None = field(default=None, compare=False)
    #: profiles that were made complete already: every query asks for one, and they never change
    complete: dict[str, RankProfile] = field(
        default_factory=dict, init=False, repr=False, compare=False
    )

    def profile(self, name: str = "default") -> RankProfile:
        """The rank profile with everything inherited filled in, built-in profiles included."""
        from siftline.schema.inherit import resolve_profile

        return resolve_profile(self, name)

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
