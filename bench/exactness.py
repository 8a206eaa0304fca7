"""How exact retrieval is on a BEIR collection that `siftline eval` has indexed.

python -m bench.exactness PACKAGE DATA SPLIT [--index DIR]

For every query: the top 100 of text and of learned sparse retrieval by pruning algorithms must be
those of the exhaustive scorer, ids and scores. The HNSW graph's top 10, asked for by
`approximate:true` so that small segments are not scanned, are compared with the exact scan's for
several sizes of the list that the search keeps, which is targetHits + exploreAdditionalHits as in
Vespa. Exit status 1 if a pruned result differs, or if the graph's mean recall is under 0.95 for the
list of 100 that the profile `dense` asks for.
"""

from __future__ import annotations

import argparse
import sys
from dataclasses import replace
from pathlib import Path

import siftline
from siftline.application import Application, default_data
from siftline.evaluate.judgments import Collection, read_collection

DEPTH = 100
RECALL = 0.95

#: name → request: text, inference-free and encoded sparse queries
EXACT = {
    "text (bm25)": {"ranking": "bm25"},
    "sparse (bi-encoder)": {"ranking": "sparse"},
    "sparse (inference-free)": {"ranking": "sparse-idf"},
}
NEAREST = (
    "select * from passage where {targetHits:%d, hnsw.exploreAdditionalHits:%d, approximate:%s}"
    "nearestNeighbor(embedding, q)"
)
#: targetHits and exploreAdditionalHits; the last is what the profile `dense` asks for
LISTS = ((10, 0), (10, 40), (10, 90), (100, 0))


def main() -> int:
    parser = argparse.ArgumentParser(prog="bench.exactness")
    parser.add_argument("package", type=Path)
    parser.add_argument("data", type=Path)
    parser.add_argument("split")
    parser.add_argument("--index", type=Path)
    options = parser.parse_args()
    collection = read_collection(options.data, options.split)
    index = options.index or default_data(options.package) / "eval" / collection.name
    with siftline.open(options.package, index, read_only=True) as app:
        same = [report_exact(app, collection, name) for name in EXACT]
        for target, explored in LISTS:
            recall = graph_recall(app, collection, target, explored)
            print(f"HNSW recall@10, targetHits {target} + explore {explored}: {recall:.4f}")
    return 0 if all(same) and recall >= RECALL else 1


def report_exact(app: Application, collection: Collection, name: str) -> bool:
    """Whether the pruned top 100 equals the exhaustive one for every query."""
    equal = hits = 0
    for text in collection.queries.values():
        query = app.request(query=text, hits=DEPTH, timeout=60, **EXACT[name])
        query = replace(query, select=("documentid",))
        pruned, exhaustive = app.search(query), app.search(replace(query, exhaustive=True))
        equal += top(pruned) == top(exhaustive)
        hits += len(exhaustive)
    count = len(collection.queries)
    print(f"{name}: {equal} of {count} queries identical, {hits / count:.1f} hits a query")
    return equal == count and hits > 0


def top(result: siftline.Result) -> list[tuple[str, float]]:
    """Ids and scores, in order."""
    return [(hit.id, hit.relevance) for hit in result]


def graph_recall(app: Application, collection: Collection, target: int, explored: int) -> float:
    """Mean share of the exact top 10 that the graph finds."""
    found = total = 0
    for text in collection.queries.values():
        tops = []
        for approximate in ("false", "true"):
            yql = NEAREST % (target, explored, approximate)
            query = app.request(query=text, ranking="dense", yql=yql, timeout=60)
            tops.append(set(app.search(query).ids[:10]))
        found += len(tops[0] & tops[1])
        total += len(tops[0])
    return found / total


if __name__ == "__main__":
    sys.exit(main())
