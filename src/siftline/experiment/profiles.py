"""Experiments with a package on judged collections: measure every profile, tune weights.

Joins the engine, which makes runs, and `evaluate`, which judges them and knows no engine.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from siftline.application import Application, default_data
from siftline.errors import UsageError
from siftline.evaluate.compare import Comparison, compare
from siftline.evaluate.judgments import Collection, read_collection
from siftline.evaluate.measures import measure
from siftline.evaluate.runs import write_msmarco, write_trec
from siftline.evaluate.tune import PhaseScores, Tuning, grid_search, linear_run, weight_grid
from siftline.feed.operation import DocumentId
from siftline.rank.expression import parse_expression
from siftline.rank.linear import linear_terms
from siftline.rank.plan import listed_feature
from siftline.respond.hits import Result
from siftline.schema.definition import Expression, Phase, RankProfile
from siftline.schema.inherit import resolve_profile

#: (what is going on, steps done, steps in all or None where unknown)
Progress = Callable[[str, int, int | None], None]
#: Hits per query in runs, for Recall@100.
DEPTH = 100
#: Queries that run before any is timed, so that models and kernels are loaded.
WARM_UP = 3
#: File in an index's folder that says that the corpus is fed.
FED = "fed"


def silent(what: str, done: int, total: int | None) -> None:
    """Say nothing."""


def evaluate_package(
    package: Path,
    data: Path,
    split: str,
    *,
    profiles: Sequence[str] = (),
    index: Path | None = None,
    out: Path | None = None,
    progress: Progress = silent,
) -> Comparison:
    """Every profile's figures on a split of a BEIR folder; feeds the corpus where needed.

    profiles: query profiles or rank profiles, all query profiles where none is given. out: folder
    that gets a TREC and an MS MARCO run file for each profile.
    """
    collection = read_collection(data, split)
    with collection_index(package, data, index, progress) as application:
        names = list(profiles) or measured_profiles(application)
        runs, seconds = {}, {}
        for name in names:
            runs[name], seconds[name] = run_profile(application, collection, name, progress)
    comparison = compare(collection, runs, seconds)
    if out is not None:
        out.mkdir(parents=True, exist_ok=True)
        for name, run in runs.items():
            write_trec(run, out / f"{name}.trec", name)
            write_msmarco(run, out / f"{name}.tsv")
    return comparison


def measured_profiles(application: Application) -> list[str]:
    """The query profiles of a package, else the rank profiles of its schema as written."""
    named = [name for name in application.package.query_profiles if name != "default"]
    return named or list(application.engine().schema.rank_profiles)


@contextmanager
def collection_index(
    package: Path, data: Path, index: Path | None, progress: Progress
) -> Iterator[Application]:
    """The package opened on an index of the collection's corpus, fed where it is not yet.

    index: its folder, by default one for each collection below the package's data.
    """
    folder = index or evaluation_index(package, data)
    # Without a cache of encodings: profiles share their queries, and each is to pay for its own.
    with Application.open(package, folder, query_cache=0) as application:
        feed_once(application, data, folder, progress)
        yield application


def evaluation_index(package: Path, data: Path) -> Path:
    """The folder of a package's index of a collection, unless another is named."""
    return default_data(package) / "eval" / data.resolve().name


def is_fed(folder: Path) -> bool:
    """Whether an index has the whole corpus."""
    return (folder / FED).exists()


def feed_once(application: Application, data: Path, folder: Path, progress: Progress) -> None:
    """Feed a collection's corpus unless a mark in the index's folder says that it is done.

    UsageError where a document cannot be fed.
    """
    if is_fed(folder):
        return
    report = application.feed(
        data, progress=lambda r: progress(f"feeding {data.name}", r.operations, None)
    )
    if report.errors:
        raise UsageError(
            f"{len(report.errors)} documents of '{data}' cannot be fed, such as {report.errors[0]}"
        )
    (folder / FED).write_text(f"{report.operations}\n", encoding="utf-8")


def run_profile(
    application: Application, collection: Collection, profile: str, progress: Progress = silent
) -> tuple[dict[str, list[tuple[str, float]]], list[float]]:
    """The run of a profile over a collection's queries, and the seconds that each query took.

    A document whose name is the query's own is left out, as BEIR does.
    """
    texts = list(collection.queries.items())
    for _, text in texts[:WARM_UP]:
        _ask(application, profile, text)
    run: dict[str, list[tuple[str, float]]] = {}
    seconds = []
    for position, (query, text) in enumerate(texts, 1):
        started = time.perf_counter()
        result = _ask(application, profile, text)
        seconds.append(time.perf_counter() - started)
        ranking = ((user_part(hit.id), hit.relevance) for hit in result)
        run[query] = [(name, score) for name, score in ranking if name != query]
        progress(profile, position, len(texts))
    return run, seconds


def _ask(application: Application, profile: str, text: str) -> Result:
    """The answer, however long it takes: a timeout would show as worse ranking."""
    request = application.request(query=text, ranking=profile, hits=DEPTH)
    return application.search(replace(request, select=("documentid",), timeout=None))


def user_part(id_: str) -> str:
    """The part of a document id that the collection calls it by."""
    return DocumentId.parse(id_).user


@dataclass(frozen=True, slots=True)
class WeightTuning:
    """The weights of a linear combination before and after tuning.

    written and tuned: term → weight. figures: split → nDCG@10 with the written weights and with
    the tuned ones. expression: the combination with the tuned weights.
    """

    profile: str
    written: Mapping[str, float]
    tuned: Mapping[str, float]
    tried: int
    figures: Mapping[str, tuple[float, float]]
    expression: str


def tune_package(
    package: Path,
    data: Path,
    profile: str,
    split: str,
    test: str,
    *,
    index: Path | None = None,
    progress: Progress = silent,
) -> WeightTuning:
    """The best weights on `split` of the sum that a profile's last phase is, judged on `test` too.

    Every term is computed once for the hits of the last phase of every query; after that a
    weighting costs no inference. UsageError where the last phase is no sum.
    """
    with collection_index(package, data, index, progress) as application:
        schema = application.engine().schema
        resolved = resolve_profile(schema, ranking_of(application, profile))
        phase = last_phase(resolved)
        written = {
            str(term): weight for weight, term in linear_terms(parse_expression(_text(phase)))
        }
        figures, tuning = {}, None
        for name in dict.fromkeys((split, test)):
            collection = read_collection(data, name)
            scores = phase_scores(application, collection, profile, list(written), phase, progress)
            if tuning is None:
                progress("weightings", 0, None)
                tuning = grid_search(scores, collection.judgments, weight_grid(list(written)))
            figures[name] = (
                _ndcg(collection, linear_run(scores, written)),
                _ndcg(collection, linear_run(scores, tuning.weights)),
            )
    if tuning is None:
        raise UsageError("there is no split to tune on")
    return WeightTuning(
        profile, written, tuning.weights, tuning.tried, figures, _combination(tuning)
    )


def last_phase(profile: RankProfile) -> Phase:
    """The last phase that has an expression."""
    for phase in (profile.global_phase, profile.second_phase, profile.first_phase):
        if phase is not None and phase.expression is not None:
            return phase
    raise UsageError(f"rank profile '{profile.name}' has no expression")


def _text(phase: Phase) -> str:
    return (phase.expression or Expression("0")).text


def _combination(tuning: Tuning) -> str:
    return " + ".join(f"{weight:g} * {term}" for term, weight in tuning.weights.items())


def _ndcg(collection: Collection, run: Mapping[str, Iterable[tuple[str, float]]]) -> float:
    plain = {query: list(ranking) for query, ranking in run.items()}
    return measure(collection.judgments, plain, ["ndcg@10"]).mean("ndcg@10")


def phase_scores(
    application: Application,
    collection: Collection,
    profile: str,
    terms: Sequence[str],
    phase: Phase,
    progress: Progress = silent,
) -> dict[str, PhaseScores]:
    """The terms' values for the hits that a profile's last phase ranks, for every query."""
    plan = application.engine().plan(ranking_of(application, profile))
    listed = tuple(listed_feature(plan, term) for term in terms)
    window = phase.rerank_count or DEPTH
    scores = {}
    for position, (query, text) in enumerate(collection.queries.items(), 1):
        request = application.request(query=text, ranking=profile, hits=window)
        asked = replace(request, select=("documentid",), timeout=None)
        result = application.search(asked, listed)
        hits = [hit for hit in result if user_part(hit.id) != query]
        scores[query] = PhaseScores(
            [user_part(hit.id) for hit in hits],
            {
                term: np.array([float((hit.match_features or {})[term]) for hit in hits])
                for term in terms
            },
        )
        progress(f"scoring {collection.split}", position, len(collection.queries))
    return scores


def ranking_of(application: Application, profile: str) -> str:
    """The rank profile that a query profile of that name asks for, else the name itself."""
    query_profile = application.package.query_profiles.get(profile)
    return query_profile.fields.get("ranking", profile) if query_profile else profile
