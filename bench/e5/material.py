"""A BEIR collection as a feed file and query files for the application `examples/multilingual`."""

from __future__ import annotations

import gzip
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from bench.e5.settings import EXAMPLE, Settings
from siftline.errors import UsageError
from siftline.evaluate.judgments import Collection, read_collection

#: Scenario → the file with the request that every query of the collection is put into.
TEMPLATES = {
    "embedding": EXAMPLE / "queries" / "embedding.txt",
    "exact": EXAMPLE / "queries" / "exact.txt",
    "hnsw": EXAMPLE / "queries" / "hnsw.txt",
}
PATH = "/search/"


@dataclass(frozen=True)
class Material:
    """What is fed and asked. documents: how many stand in `feed`, a file of put operations."""

    collection: Collection
    feed: Path
    documents: int
    folder: Path

    def requests(self, scenario: str) -> dict[str, dict[str, object]]:
        """Query id → request body: the published one with this query's text.

        The document that embedding alone is measured with is the first one judged for the query.
        """
        template = json.loads(TEMPLATES[scenario].read_text("utf-8").split("\n", 1)[1])
        made = {}
        for query, text in self.collection.queries.items():
            document = next(iter(self.collection.judgments[query]))
            yql = template["yql"].replace('"71#13"', json.dumps(document))
            made[query] = {**template, "yql": yql, "input.query(q)": f"embed(query:{text})"}
        return made

    def query_file(self, scenario: str) -> Path:
        """The requests as a file for `siftline fbench -P`."""
        path = self.folder / f"{scenario}.txt"
        bodies = self.requests(scenario).values()
        lines = [f"{PATH}\n{json.dumps(body, ensure_ascii=False)}\n" for body in bodies]
        path.write_text("".join(lines), encoding="utf-8")
        return path


def prepare(settings: Settings) -> Material:
    """Read the collection, as much of it as `settings.limit` says, and write the feed file.

    Judged documents come first, so that a small part still has queries that can be answered.
    """
    collection = read_collection(settings.data, settings.split)
    folder = settings.work / "material"
    folder.mkdir(parents=True, exist_ok=True)
    kept = _kept(collection, settings.limit)
    collection = _judged_within(collection, kept)
    feed, count = folder / "feed.jsonl", 0
    with feed.open("w", encoding="utf-8") as file:
        for row in _documents(settings.data):
            if kept is not None and row["_id"] not in kept:
                if count + len(kept) >= (settings.limit or 0):
                    continue
            elif kept is not None:
                kept.remove(row["_id"])
            file.write(json.dumps(_operation(row, collection.name, settings.language)) + "\n")
            count += 1
    if not count:
        raise UsageError(f"'{settings.data}' has no document")
    return Material(collection, feed, count, folder)


def _kept(collection: Collection, limit: int | None) -> set[str] | None:
    """The judged documents of the first queries, as many as fit; None without a limit."""
    if limit is None:
        return None
    kept: set[str] = set()
    for documents in collection.judgments.values():
        if len(kept | set(documents)) > limit:
            break
        kept |= set(documents)
    return kept


def _judged_within(collection: Collection, kept: set[str] | None) -> Collection:
    if kept is None:
        return collection
    judgments = {q: docs for q, docs in collection.judgments.items() if set(docs) <= kept}
    if not judgments:
        raise UsageError("so few documents answer no query of the collection; raise --limit")
    queries = {query: collection.queries[query] for query in judgments}
    return replace(collection, judgments=judgments, queries=queries)


def _documents(data: Path) -> Iterator[Mapping[str, str]]:
    names = [data / "corpus.jsonl", data / "corpus.jsonl.gz"]
    path = next((name for name in names if name.exists()), names[0])
    if not path.exists():
        raise UsageError(f"'{data}' is no BEIR folder: it has no corpus.jsonl")
    opened = gzip.open(path, "rt", encoding="utf-8") if path.suffix == ".gz" else path.open()
    with opened as lines:
        for line in lines:
            yield json.loads(line)


def _operation(row: Mapping[str, str], collection: str, language: str) -> dict[str, object]:
    """A put with an id as the published sample has it: 2-0 for the document that is called 2#0."""
    fields = {"title": row.get("title", ""), "text": row["text"], "doc_id": row["_id"]}
    name = row["_id"].replace("#", "-")
    return {
        "put": f"id:{collection.replace('_', '-')}:doc::{name}",
        "fields": {**fields, "language": language},
    }
