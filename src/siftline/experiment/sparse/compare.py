"""Sparse models side by side on judged collections: what they find, and what that costs."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from siftline.errors import UsageError
from siftline.evaluate.judgments import Collection, read_collection
from siftline.evaluate.measures import Quality, measure
from siftline.evaluate.significance import against_first
from siftline.experiment.sparse.cache import VectorCache
from siftline.experiment.sparse.encoding import Encoder
from siftline.experiment.sparse.judged import read_documents
from siftline.experiment.sparse.vectors import ImpactIndex, flops
from siftline.feed.source import feed_file

#: (what is going on, steps done, steps in all or None where unknown)
Progress = Callable[[str, int, int | None], None]

MEASURES = ("ndcg@10", "mrr@10", "recall@1000")
DEPTH = 1000

#: Ranks at which measures look at every document.
_FIRST = 10

#: Queries between two steps of the progress.
_STEP = 100


@dataclass(frozen=True, eq=False)
class SetFigures:
    """One model on one collection.

    flops: Σ_t P_q(t)·P_d(t). query_length, document_length: mean tokens with a weight. index_bytes:
    of the structures the engine keeps for it. documents_per_second: of encoding, when it was done.
    p_value: Holm-corrected, of nDCG@10 against the baseline's; None for the baseline.
    """

    label: str
    quality: Quality
    flops: float
    query_length: float
    document_length: float
    index_bytes: int
    documents_per_second: float
    p_value: float | None = None

    @property
    def figures(self) -> dict[str, float]:
        """Every figure by name, quality as means over the queries."""
        return {
            **{name: self.quality.mean(name) for name in MEASURES},
            "flops": self.flops,
            "query_length": self.query_length,
            "document_length": self.document_length,
            "index_bytes": float(self.index_bytes),
            "documents_per_second": self.documents_per_second,
        }


@dataclass(frozen=True, eq=False)
class JudgedSet:
    """A collection with the figures of every model, in their order."""

    data: str
    split: str
    documents: int
    models: tuple[SetFigures, ...]


@dataclass(frozen=True, slots=True)
class ModelSummary:
    """A model over all collections.

    figures: means over the collections, each counted once. p_value: of the mean nDCG@10 against the
    baseline's; None for the baseline.
    """

    label: str
    mode: str
    parameters: int | None
    figures: Mapping[str, float]
    p_value: float | None = None


@dataclass(frozen=True, eq=False)
class SparseComparison:
    """Models on collections; baseline: the model that the others are tested against."""

    baseline: str
    models: tuple[ModelSummary, ...]
    sets: tuple[JudgedSet, ...]


def silent(what: str, done: int, total: int | None) -> None:
    """Say nothing."""


def compare_models(
    encoders: Sequence[Encoder],
    data: Sequence[tuple[Path, str]],
    *,
    baseline: str | None = None,
    cache: VectorCache | None = None,
    progress: Progress = silent,
) -> SparseComparison:
    """Every model on every folder and split, searched exactly to a depth of 1,000.

    baseline: a label, the first one's if None. UsageError for a label that stands twice or does not
    exist, and for a collection that lacks something.
    """
    labels = [encoder.label for encoder in encoders]
    if not labels or not data:
        raise UsageError("there is nothing to measure: name a model and a collection")
    twice = sorted({label for label in labels if labels.count(label) > 1})
    if twice:
        raise UsageError(f"two models are called '{twice[0]}': name one of them LABEL=MODEL")
    first = baseline or labels[0]
    if first not in labels:
        raise UsageError(f"there is no model '{first}' (measured are: {', '.join(labels)})")
    kept = cache or VectorCache(None)
    # what is missing anywhere is found before hours of encoding
    collections = [read_collection(folder, split) for folder, split in data]
    corpora = [feed_file(folder) or folder for folder, _ in data]
    sets = [
        _measured(encoders, collection, corpus.parent, first, kept, progress)
        for collection, corpus in zip(collections, corpora, strict=True)
    ]
    return SparseComparison(first, _summaries(encoders, sets, first), tuple(sets))


def _measured(
    encoders: Sequence[Encoder],
    collection: Collection,
    folder: Path,
    baseline: str,
    cache: VectorCache,
    progress: Progress,
) -> JudgedSet:
    documents = read_documents(folder)
    names, texts = list(documents), list(documents.values())
    found = []
    for encoder in encoders:
        what = f"{collection.name}: {encoder.label}"

        def encoded(count: int, what: str = what) -> None:
            progress(what, count, len(texts))

        vectors = encoder.encode(texts, list(collection.queries.values()), cache, encoded)
        index = ImpactIndex(vectors.documents)
        run = {}
        for number, query in enumerate(collection.queries):
            top = index.search(*vectors.queries.row(number), DEPTH + 1)
            pairs = zip(top.documents.tolist(), top.scores.tolist(), strict=True)
            # a document that is called as the query is the query itself, as BEIR has it
            ranking = [(names[d], s) for d, s in pairs if names[d] != query][:DEPTH]
            judged = collection.judgments[query]
            # no measure looks at a document that is neither among the first nor judged
            run[query] = ranking[:_FIRST] + [pair for pair in ranking[_FIRST:] if pair[0] in judged]
            if number % _STEP == 0:
                progress(f"{what}, queries", number, len(collection.queries))
        seconds = vectors.documents.seconds
        found.append(
            SetFigures(
                encoder.label,
                measure(collection.judgments, run, MEASURES),
                flops(vectors.queries, vectors.documents),
                vectors.queries.length,
                vectors.documents.length,
                vectors.documents.index_bytes or index.bytes,
                len(texts) / seconds if seconds else 0.0,
            )
        )
    p_values = _tested({f.label: f.quality.values[MEASURES[0]] for f in found}, baseline)
    tested = tuple(replace(figures, p_value=p_values.get(figures.label)) for figures in found)
    return JudgedSet(collection.name, collection.split, len(texts), tested)


def _tested(values: Mapping[str, np.ndarray], baseline: str) -> dict[str, float]:
    """Holm-corrected p values of every model but the baseline."""
    ordered = {baseline: values[baseline]}
    ordered |= {label: own for label, own in values.items() if label != baseline}
    return against_first(ordered)


def _summaries(
    encoders: Sequence[Encoder], sets: Sequence[JudgedSet], baseline: str
) -> tuple[ModelSummary, ...]:
    weighted: dict[str, np.ndarray] = {}
    for number, encoder in enumerate(encoders):
        # Each query counts as much as its collection has few, so that the mean over queries is
        # the mean over collections, and the test is one of that.
        own = [judged.models[number].quality.values[MEASURES[0]] for judged in sets]
        total = sum(map(len, own))
        weighted[encoder.label] = np.concatenate(
            [values * (total / (len(sets) * len(values))) for values in own]
        )
    p_values = _tested(weighted, baseline)
    found = []
    for number, encoder in enumerate(encoders):
        figures = [judged.models[number].figures for judged in sets]
        means = {name: float(np.mean([own[name] for own in figures])) for name in figures[0]}
        p_value = p_values.get(encoder.label)
        found.append(ModelSummary(encoder.label, encoder.mode, encoder.parameters, means, p_value))
    return tuple(found)
