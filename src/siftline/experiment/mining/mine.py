"""Hard negatives: passages that the engine finds for a training query and that do not answer it.

Where a model of the engine ranks a passage high that nobody has judged relevant, a student has most
to learn. Positives are removed, and whatever is nearly one of them.
"""

from __future__ import annotations

import gzip
import io
import json
import os
import random
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from hashlib import sha256
from pathlib import Path
from typing import Any, TextIO

from siftline.application import Application
from siftline.errors import UsageError
from siftline.evaluate.judgments import read_collection
from siftline.experiment.mining.index import mining_index, package_digest
from siftline.experiment.mining.near_texts import NearTexts
from siftline.experiment.mining.negatives import mined_rows
from siftline.experiment.mining.queries import (
    StoredPassages,
    TrainingQuery,
    evaluation_queries,
    judged_queries,
    pair_queries,
    title_queries,
    with_relevant,
    without_evaluation,
)
from siftline.experiment.mining.rankings import RankingFile, rank_all
from siftline.experiment.mining.settings import Mined, Mining
from siftline.experiment.profiles import Progress, silent


def mine(
    package: Path | None,
    data: Path,
    out: Path,
    mining: Mining = Mining(),  # noqa: B008  frozen
    *,
    not_in: Sequence[Path] = (),
    index: Path | None = None,
    progress: Progress = silent,
) -> Mined:
    """Write training rows with negatives from a BEIR folder's corpus as JSON lines.

    package: the application whose profile ranks, None for BM25 over title and text. not_in:
    evaluation sets whose queries are left out, as for `evaluation_queries`. A name that ends in .gz
    is gzipped. The file is there once it is whole; rankings are kept in `OUT.rankings` until then,
    and a mining that was stopped goes on behind them. UsageError where the data is wrong or no
    query is left.
    """
    if out.is_dir():
        raise UsageError(f"'{out}' is a folder: name the file to write")
    counts: Counter[str] = Counter()
    split = mining.split if mining.pairs is None and not mining.titles else None
    evaluated = NearTexts(evaluation_queries(not_in, data=data, split=split), mining.query_overlap)
    pairs = None if mining.pairs is None else pair_queries(mining.pairs)
    judged = None if split is None else read_collection(data, split)
    out.parent.mkdir(parents=True, exist_ok=True)
    with mining_index(package, mining.profile, data, index, out, progress) as application:
        passages = StoredPassages(application, titles=not mining.titles)
        if pairs is not None:
            found = pairs
        elif judged is not None:
            found = judged_queries(judged, passages, counts)
        else:
            found = title_queries(application, counts)
        counts["queries"] = len(found)
        asked = list(without_evaluation(with_relevant(found), evaluated, counts))
        queries = _chosen(asked, mining)
        counts["not_chosen"] = len(asked) - len(queries)
        if not queries:
            raise UsageError(f"no training query is left of '{data}': {dict(counts)}")
        rankings = _rankings(application, package, out, queries, mining, progress)
        rows = mined_rows(queries, rankings, passages, mining, counts)
        with _whole(out) as file:
            for row in _watched(rows, len(queries), progress):
                file.write(json.dumps(row, ensure_ascii=False) + "\n")
    rankings.remove()
    return Mined.of(counts)


def _chosen(queries: list[TrainingQuery], mining: Mining) -> list[TrainingQuery]:
    """As many as are wanted, at random, in their order."""
    if mining.queries is None or mining.queries >= len(queries):
        return queries
    places = random.Random(mining.seed).sample(range(len(queries)), mining.queries)
    return [queries[place] for place in sorted(places)]


def _rankings(
    application: Application,
    package: Path | None,
    out: Path,
    queries: Sequence[TrainingQuery],
    mining: Mining,
    progress: Progress,
) -> RankingFile:
    """The rankings of all queries; those that are on disk are not made again."""
    digest = sha256()
    for query in queries:
        digest.update(f"{query.id}\0{query.text}\0".encode(errors="surrogatepass"))
    about = {
        "profile": mining.profile,
        "depth": mining.depth,
        "package": package_digest(package),
        "queries": digest.hexdigest()[:16],
    }
    rankings = RankingFile(out.with_name(f"{out.name}.rankings"), about)
    texts = (query.text for query in queries[rankings.count :])
    try:
        for names in rank_all(application, mining.profile, texts, mining.depth):
            rankings.add(names)
            progress("ranking queries", rankings.count, len(queries))
    finally:
        rankings.close()
    return rankings


def _watched(
    rows: Iterable[list[dict[str, Any]]], total: int, progress: Progress
) -> Iterator[dict[str, Any]]:
    for done, own in enumerate(rows, 1):
        yield from own
        progress("choosing negatives", done, total)


@contextmanager
def _whole(path: Path) -> Iterator[TextIO]:
    """A text file that takes its name once it is written; gzipped where the name says so."""
    partial = path.with_name(f"{path.name}.partial")
    if path.suffix == ".gz":
        with (
            partial.open("wb") as raw,
            gzip.GzipFile("", "wb", 6, raw, mtime=0) as packed,
        ):
            with io.TextIOWrapper(packed, encoding="utf-8") as file:
                yield file
    else:
        with partial.open("w", encoding="utf-8") as file:
            yield file
    os.replace(partial, path)
