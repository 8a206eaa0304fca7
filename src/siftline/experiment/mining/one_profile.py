"""A package cut down to what one profile ranks with, so that a feed pays for nothing else."""

from __future__ import annotations

import re
from collections.abc import Container, Iterator, Mapping
from dataclasses import replace

from siftline.schema.definition import DocumentSummary, FieldSet, Schema
from siftline.schema.inherit import resolve_profile
from siftline.schema.package import Package, Settings

_WORD = re.compile(r"\w+")


def for_profile(package: Package, profile: str) -> Package:
    """The package without the fields and rank profiles that a profile does not need.

    profile: a query profile or a rank profile. The fields of documents stay, and of those that
    indexing makes each that the profile, its query profile or their field sets name; so no model
    runs for another. A package with components of its own, or several schemas, stays as it is:
    what they need is not written in it. UsageError for an unknown profile.
    """
    chains = package.services.search_chains or package.services.document_chains
    if len(package.schemas) != 1 or chains:
        return package
    (schema,) = package.schemas.values()
    name = _asked(package, profile).get("ranking", profile)
    said = set(_words(package, schema, profile, name))
    kept = {n: f for n, f in schema.fields.items() if f.inside or n in said}
    cut = replace(
        schema,
        fields=kept,
        fieldsets={n: _field_set(s, kept) for n, s in schema.fieldsets.items()},
        rank_profiles={n: schema.rank_profiles[n] for n in _line(schema, name)},
        summaries={n: _summary(s, schema, kept) for n, s in schema.summaries.items()},
    )
    settings = _settings(package.settings, schema.name, set(schema.fields) - set(kept))
    return replace(package, schemas={schema.name: cut}, settings=settings)


def _line(schema: Schema, name: str) -> Iterator[str]:
    """A rank profile and all that it inherits."""
    if name in schema.rank_profiles:
        yield name
        for parent in schema.rank_profiles[name].inherits:
            yield from _line(schema, parent)


def _words(package: Package, schema: Schema, profile: str, name: str) -> Iterator[str]:
    """Every word that says how the profile matches and ranks; a field set's are its fields."""
    ranked = resolve_profile(schema, name)
    texts = [repr(ranked), *_asked(package, "default").values(), *_asked(package, profile).values()]
    words = {"default", *(word for text in texts for word in _WORD.findall(text))}
    for word in words:
        yield word
        if word in schema.fieldsets:
            yield from schema.fieldsets[word].fields
    for one, field in schema.fields.items():
        if words.intersection(field.aliases):
            yield one


def _asked(package: Package, profile: str) -> Mapping[str, str]:
    """What a query profile says; nothing where there is none of that name."""
    return package.query_profile(profile).fields if profile in package.query_profiles else {}


def _field_set(one: FieldSet, kept: Container[str]) -> FieldSet:
    return replace(one, fields=tuple(name for name in one.fields if name in kept))


def _summary(one: DocumentSummary, schema: Schema, kept: Container[str]) -> DocumentSummary:
    shown = {
        name: source
        for name, source in one.fields.items()
        if source in kept or source not in schema.fields
    }
    return replace(one, fields=shown)


def _settings(settings: Settings, schema: str, dropped: set[str]) -> Settings:
    gone = {f"{schema}.{name}" for name in dropped}
    queries = {
        embedder: query
        for embedder, query in settings.sparse_queries.items()
        if query.field is None or query.field not in dropped | gone
    }
    return replace(settings, sparse_index=settings.sparse_index - gone, sparse_queries=queries)
