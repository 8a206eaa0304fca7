"""What changes when one package takes another's place, and what each change needs (spec 1.13).

A live change needs nothing. Restart and reindex are Vespa's words for what this engine does by
itself while it deploys: structures are built again from the documents it keeps. What an indexing
script or an embedder would make anew needs the documents once more: refeed.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Literal

from siftline.errors import PackageError
from siftline.schema.definition import Field, Schema
from siftline.schema.format_script import format_script
from siftline.schema.overrides import FILE, Overrides
from siftline.schema.package import Package, Settings
from siftline.schema.script import OutputStep, Script

Kind = Literal["live", "restart", "reindex", "refeed", "removal"]

#: Embedder id → what its vectors depend on, by name: files by their hash, parameters, options.
Encoders = Mapping[str, Mapping[str, str]]

REFUSED = (
    "field-type-change",
    "tensor-type-change",
    "schema-removal",
    "content-cluster-removal",
    "paged-setting-removal",
)


@dataclass(frozen=True, slots=True)
class Change:
    """One change of a schema.

    name: Vespa's name for changes of that sort, by which an override allows it. field: None where
    the change is not one field's. forgets: the values stored for the field cannot be kept.
    """

    kind: Kind
    schema: str
    message: str
    name: str = ""
    field: str | None = None
    forgets: bool = False

    @property
    def text(self) -> str:
        """The message as Vespa words it, with the document type and the field."""
        if self.field is None:
            return self.message
        return f"Document type '{self.schema}': Field '{self.field}' changed: {self.message}"


@dataclass(frozen=True, slots=True)
class Changes:
    """Every change, in the order of the old package's schemas and fields."""

    cluster: str
    all: tuple[Change, ...] = ()

    def __iter__(self) -> Iterator[Change]:
        return iter(self.all)

    def of(self, *kinds: Kind) -> list[Change]:
        """The changes of these kinds."""
        return [change for change in self.all if change.kind in kinds]

    @property
    def forgotten(self) -> Mapping[str, frozenset[str]]:
        """Schema → fields whose stored values cannot be kept."""
        found: dict[str, frozenset[str]] = {}
        for change in self.all:
            if change.forgets and change.field is not None:
                found[change.schema] = found.get(change.schema, frozenset()) | {change.field}
        return found

    @property
    def stale(self) -> frozenset[str]:
        """Schemas whose documents need to be fed again."""
        return frozenset(change.schema for change in self.of("refeed"))

    def check(self, overrides: Overrides, today: date) -> None:
        """PackageError for the dangerous changes that the overrides do not allow today."""
        refused = [
            change
            for change in self.all
            if change.name in REFUSED and not overrides.allows(change.name, today)
        ]
        names = dict.fromkeys(change.name for change in refused)
        texts = [
            f"{name}: {', '.join(change.text for change in refused if change.name == name)}. "
            f"To allow this add <allow until='{today + timedelta(days=7)}'>{name}</allow> to {FILE}"
            for name in names
        ]
        if texts:
            raise PackageError("\n".join(texts))

    def actions(self) -> dict[str, list[dict[str, object]]]:
        """`configChangeActions` of Vespa's deploy API."""
        return {
            "restart": [
                {
                    "clusterName": self.cluster,
                    "clusterType": "search",
                    "serviceType": "searchnode",
                    "messages": [change.text for change in changes],
                    "services": self._services(),
                }
                for _, changes in _grouped(self.of("restart"), by_schema=False)
            ],
            "refeed": self._by_type("refeed"),
            "reindex": self._by_type("reindex"),
        }

    def _by_type(self, kind: Kind) -> list[dict[str, object]]:
        return [
            {
                "name": changes[0].name,
                "documentType": changes[0].schema,
                "clusterName": self.cluster,
                "messages": [change.text for change in changes],
                "services": self._services(),
            }
            for _, changes in _grouped(self.of(kind), by_schema=True)
        ]

    def _services(self) -> list[dict[str, str]]:
        return [
            {
                "serviceName": "searchnode",
                "serviceType": "searchnode",
                "configId": f"{self.cluster}/search/cluster.{self.cluster}/0",
                "hostName": "localhost",
            }
        ]

    def notes(self) -> list[tuple[str, str]]:
        """Log entries, level and text: what the deployment does by itself, and what is left."""
        found: list[tuple[str, str]] = []
        rebuilt = self.of("restart", "reindex")
        if rebuilt:
            heading = "Indexes are built again from the stored documents because:"
            found.append(("INFO", _listed(heading, rebuilt)))
        if stale := self.of("refeed"):
            heading = "Change(s) between active and new application that may require re-feed:"
            found.append(("WARNING", _listed(heading, stale)))
        if removed := self.of("removal"):
            found.append(("WARNING", _listed("Documents stay on disk, unserved:", removed)))
        return found


def _listed(heading: str, changes: Sequence[Change]) -> str:
    lines = [f"    {number}) {change.text}" for number, change in enumerate(changes, 1)]
    return "\n".join([heading, *lines])


def _grouped(
    changes: Iterable[Change], *, by_schema: bool
) -> list[tuple[tuple[str, str], list[Change]]]:
    groups: dict[tuple[str, str], list[Change]] = {}
    for change in changes:
        key = (change.name, change.schema) if by_schema else ("", "")
        groups.setdefault(key, []).append(change)
    return list(groups.items())


def compare(
    old: Package,
    new: Package,
    old_encoders: Encoders | None = None,
    new_encoders: Encoders | None = None,
) -> Changes:
    """What changes between two packages.

    encoders: what the vectors of each package's embedders depend on; without them a changed
    embedder is not seen.
    """
    changes: list[Change] = []
    cluster = old.services.content_id
    if old.schemas and (not new.schemas or new.services.content_id != cluster):
        text = f"Content cluster '{cluster}' is removed"
        changes.append(Change("removal", "", text, "content-cluster-removal"))
    for name, schema in old.schemas.items():
        other = new.schemas.get(name)
        if other is not None:
            sparse = _Sparse(old.settings, new.settings)
            encoders = (old_encoders or {}, new_encoders or {})
            changes += _Comparison(schema, other, sparse, encoders).changes()
        elif new.schemas:
            text = f"Schema '{name}' is removed"
            changes.append(Change("removal", name, text, "schema-removal"))
    for name in new.schemas:
        if name not in old.schemas:
            changes.append(Change("live", name, f"Schema '{name}' is added"))
    return Changes(new.services.content_id, tuple(changes))


@dataclass(frozen=True, slots=True)
class _Sparse:
    """Which fields have a learned-sparse index, before and after."""

    old: Settings
    new: Settings

    def changed(self, field: str) -> bool:
        """Whether a field gets one or loses its own."""
        return (field in self.old.sparse_index) != (field in self.new.sparse_index)


class _Comparison:
    """Two schemas of one name."""

    def __init__(
        self, old: Schema, new: Schema, sparse: _Sparse, encoders: tuple[Encoders, Encoders]
    ) -> None:
        self.old = old
        self.new = new
        self.sparse = sparse
        self.encoders = encoders

    def changes(self) -> Iterator[Change]:
        """All changes of fields, then those of everything that is read for each query."""
        for name, field in self.old.fields.items():
            other = self.new.fields.get(name)
            if other is None:
                yield Change("live", self.old.name, "removed", field=name)
            else:
                yield from self._field(field, other)
        for name, field in self.new.fields.items():
            if name not in self.old.fields:
                yield from self._added(field)
        for part in ("fieldsets", "rank_profiles", "summaries", "constants", "onnx_models"):
            if getattr(self.old, part) != getattr(self.new, part):
                text = f"Document type '{self.old.name}': {part.replace('_', ' ')} changed"
                yield Change("live", self.old.name, text)

    def _added(self, field: Field) -> Iterator[Change]:
        yield Change("live", self.old.name, "added", field=field.name)
        if not field.inside and field.indexing.inputs & self.old.fields.keys():
            text = (
                f"Document type '{self.old.name}': Non-document field '{field.name}' added; "
                "this may be populated by re-feeding"
            )
            yield Change("refeed", self.old.name, text, "indexing-change")

    def _field(self, old: Field, new: Field) -> Iterator[Change]:
        def change(kind: Kind, message: str, name: str = "", forgets: bool = False) -> Change:
            return Change(kind, self.old.name, message, name, old.name, forgets)

        if self._types(old, self.old) != self._types(new, self.new):
            both = old.type.tensor is not None and new.type.tensor is not None
            name = "tensor-type-change" if both else "field-type-change"
            what = "tensor type" if both else "data type"
            yield change("refeed", f"{what}: '{old.type}' -> '{new.type}'", name, True)
            return
        yield from (change("restart", text, name) for text, name in self._restarts(old, new))
        yield from (change("reindex", text, "indexing-change") for text in _reindexes(old, new))
        yield from (change("refeed", text, "indexing-change") for text in self._refeeds(old, new))

    @staticmethod
    def _types(field: Field, schema: Schema) -> tuple[object, ...]:
        """The type with every struct that it is made of."""
        found: list[object] = [field.type]
        kinds, seen = [field.type], set()
        while kinds:
            kind = kinds.pop()
            kinds += [part for part in (kind.element, kind.key) if part is not None]
            if kind.struct is not None and kind.struct not in seen:
                seen.add(kind.struct)
                members = schema.structs.get(kind.struct, {})
                found.append((kind.struct, tuple(members.items())))
                kinds += members.values()
        return tuple(found)

    def _restarts(self, old: Field, new: Field) -> Iterator[tuple[str, str]]:
        if old.is_attribute != new.is_attribute and _kept(old):
            yield f"{'add' if new.is_attribute else 'remove'} attribute aspect", ""
        for option in sorted(old.attribute_options ^ new.attribute_options):
            verb = "add" if option in new.attribute_options else "remove"
            paged = option == "paged" and verb == "remove"
            yield f"{verb} attribute '{option}'", "paged-setting-removal" if paged else ""
        if old.distance_metric != new.distance_metric:
            yield (
                f"change property 'distance metric' from '{old.distance_metric}' to "
                f"'{new.distance_metric}'",
                "",
            )
        if old.type.tensor is not None and (old.indexed, old.hnsw) != (new.indexed, new.hnsw):
            if not new.indexed or not old.indexed:
                yield f"{'add' if new.indexed else 'remove'} index of vectors", ""
            else:
                yield f"change hnsw index from {old.hnsw} to {new.hnsw}", ""
        if self.sparse.changed(f"{self.old.name}.{old.name}"):
            yield "change the learned-sparse index", ""

    def _refeeds(self, old: Field, new: Field) -> Iterator[str]:
        before, after = _computed(old.indexing), _computed(new.indexing)
        if before != after:
            shown = (format_script(old.indexing), format_script(new.indexing))
            yield f"indexing script: '{shown[0]}' -> '{shown[1]}'"
        elif not _kept(old) and _kept(new):
            yield f"add {' and '.join(sorted(new.indexing.outputs - old.indexing.outputs))} aspect"
        if before == after:
            yield from self._embedders(new)

    def _embedders(self, field: Field) -> Iterator[str]:
        """What changed in the embedders that a field's script names."""
        old, new = self.encoders
        for step in field.indexing.embedders:
            before = _only(old, step.embedder)
            after = _only(new, step.embedder)
            if before is None or after is None or before == after:
                continue
            parts = [k for k in {**before, **after} if before.get(k) != after.get(k)]
            yield f"embedder '{step.embedder or next(iter(new))}': {', '.join(parts)}"


def _only(encoders: Encoders, name: str | None) -> Mapping[str, str] | None:
    if name is None:
        return next(iter(encoders.values())) if len(encoders) == 1 else None
    return encoders.get(name)


def _kept(field: Field) -> bool:
    """Whether what the script made is stored beside the fields as fed."""
    outputs = field.indexing.outputs
    return bool(outputs & {"attribute", "index"}) or ("summary" in outputs and not field.inside)


def _computed(script: Script) -> tuple[object, ...]:
    """The script without its outputs: what it makes of a document."""
    return tuple(
        tuple(step for step in statement if not isinstance(step, OutputStep))
        for statement in script.statements
    )


def _reindexes(old: Field, new: Field) -> Iterator[str]:
    text = old.type.tensor is None and not old.type.numeric
    if text and old.indexed != new.indexed and _kept(old):
        yield f"{'add' if new.indexed else 'remove'} index aspect"
    if not (old.indexed and new.indexed and text):
        return
    if (old.match or "text") != (new.match or "text"):
        yield f"matching: '{old.match or 'text'}' -> '{new.match or 'text'}'"
    elif old.match_settings != new.match_settings:
        yield f"matching: {dict(old.match_settings)} -> {dict(new.match_settings)}"
    if old.stemming != new.stemming:
        yield f"stemming: '{old.stemming}' -> '{new.stemming}'"
    if old.normalize != new.normalize:
        names = {True: "accent", False: "none"}
        yield f"normalizing: '{names[old.normalize]}' -> '{names[new.normalize]}'"
