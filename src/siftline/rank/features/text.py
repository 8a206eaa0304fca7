"""Text features: bm25 (spec 2.3), field lengths, matches of terms."""

from __future__ import annotations

import numpy as np

from siftline.errors import PackageError
from siftline.rank.features.names import exact_arguments, only_argument, whole_number
from siftline.rank.features.scope import Scope
from siftline.rank.features.source import HitFeatures
from siftline.rank.features.table import feature, scalar
from siftline.rank.features.terms import (
    frequencies,
    lengths,
    matches,
    occurrences,
    terms_on,
)
from siftline.rank.nodes import Reference
from siftline.rank.values import Value
from siftline.tensor.tensor import Tensor

#: What fieldLength and firstPosition give for fields and terms that do not match.
NOT_MATCHED = 1_000_000.0


def _check_bm25(scope: Scope, reference: Reference) -> None:
    field = scope.index(only_argument(reference))
    if not field.bm25:
        raise PackageError(f"bm25({field.name}) needs 'index: enable-bm25' in field '{field.name}'")


@feature("bm25", check=scalar(_check_bm25))
def bm25(hits: HitFeatures, reference: Reference) -> Value:
    """BM25 of the query's terms in a field, as `siftline.match.bm25` defines it."""
    run = hits.run
    name = run.plan.scope.field(only_argument(reference)).name
    scores = np.zeros(hits.count)
    for term in run.scored_terms:
        if term.field != name:
            continue
        tf = frequencies(hits, name, term.tokens, term.near)
        held = np.flatnonzero(tf)
        scores[held] += term.scores(tf[held], lengths(hits, name)[held])
    return scores


def _check_index(scope: Scope, reference: Reference) -> None:
    scope.index(only_argument(reference))


@feature("averageFieldLength", check=scalar(_check_index))
def average_field_length(hits: HitFeatures, reference: Reference) -> Value:
    """Mean number of tokens of the documents that have the field."""
    statistics = hits.run.snapshot.text_statistics(only_argument(reference))
    return Tensor.scalar(float(statistics.average_length))


@feature("fieldLength", check=scalar(_check_index))
def field_length(hits: HitFeatures, reference: Reference) -> Value:
    """Tokens of the field where a term matches it, else 1000000."""
    name = only_argument(reference)
    matched = _count_matches(hits, name) > 0
    return np.where(matched, lengths(hits, name), NOT_MATCHED)


def _count_matches(hits: HitFeatures, name: str) -> np.ndarray:
    field = hits.run.schema.field(name)
    counts = np.zeros(hits.count)
    for term in terms_on(hits.run, field.name):
        counts += matches(hits, field, term) > 0
    return counts


def _check_searchable(scope: Scope, reference: Reference) -> None:
    texts = exact_arguments(reference, 1, 2)
    scope.field(texts[0])
    if len(texts) == 2:
        whole_number(reference, texts[1])


def _check_one_field(scope: Scope, reference: Reference) -> None:
    scope.field(only_argument(reference))


@feature("matchCount", check=scalar(_check_one_field))
def match_count(hits: HitFeatures, reference: Reference) -> Value:
    """How many of the query's terms match the field."""
    return _count_matches(hits, only_argument(reference))


@feature("matches", check=scalar(_check_searchable))
def matches_feature(hits: HitFeatures, reference: Reference) -> Value:
    """1 where any term, or term n of the query, matches the field, else 0."""
    texts = exact_arguments(reference, 1, 2)
    if len(texts) == 1:
        return (_count_matches(hits, texts[0]) > 0).astype(np.float64)
    field = hits.run.schema.field(texts[0])
    number, terms = whole_number(reference, texts[1]), hits.run.prepared.terms
    if number >= len(terms) or field.name not in terms[number].fields:
        return np.zeros(hits.count)
    return (matches(hits, field, terms[number]) > 0).astype(np.float64)


def _check_term_match(scope: Scope, reference: Reference) -> None:
    texts = exact_arguments(reference, 2)
    scope.index(texts[0])
    whole_number(reference, texts[1])
    if reference.output not in ("firstPosition", "occurrences", "weight"):
        raise PackageError(
            "fieldTermMatch(field,n) has the outputs .firstPosition, .occurrences and .weight"
        )


@feature("fieldTermMatch", check=scalar(_check_term_match))
def field_term_match(hits: HitFeatures, reference: Reference) -> Value:
    """First position (1000000 without a match), occurrences or weight of term n in the field."""
    texts = exact_arguments(reference, 2)
    name = hits.run.schema.field(texts[0]).name
    number, terms = whole_number(reference, texts[1]), hits.run.prepared.terms
    empty = NOT_MATCHED if reference.output == "firstPosition" else 0.0
    if number >= len(terms) or name not in terms[number].fields:
        return np.full(hits.count, empty)
    tokens = terms[number].fields[name]
    if reference.output == "firstPosition":
        first = occurrences(hits, name, tokens).first
        return np.where(first < 0, NOT_MATCHED, first).astype(np.float64)
    counts = frequencies(hits, name, tokens)
    return counts if reference.output == "occurrences" else (counts > 0).astype(np.float64)
