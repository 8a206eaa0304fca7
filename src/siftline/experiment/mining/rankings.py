"""What the engine finds for many queries, kept on disk as it comes: a stop loses nothing."""

from __future__ import annotations

import json
import os
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any, TypeVar

from siftline.application import Application
from siftline.errors import Place, QueryError, UsageError
from siftline.experiment.profiles import user_part
from siftline.match.query import And, NearestNeighbor, Node, Or, Rank, Wand
from siftline.match.request import MAX_HITS

Item = TypeVar("Item")
Found = TypeVar("Found")

#: Queries at work for each core: those whose model runs fall together share one.
THREADS_A_CORE = 4

#: Code of the error that a query without a word gets.
_NULL_QUERY = 1


class RankingFile:
    """Rankings in the order of their queries, one line each behind a line that says whose they are.

    about: what the rankings depend on. Opened again, the file goes on behind its last whole line.
    UsageError where it is about something else.
    """

    def __init__(self, path: Path, about: Mapping[str, Any]) -> None:
        self.path = path
        self.count = 0
        head = json.dumps(about) + "\n"
        if not path.exists():
            path.write_text(head, encoding="utf-8")
        end = self._read(head)
        self._file = path.open("r+b")
        self._file.truncate(end)
        self._file.seek(end)

    def _read(self, head: str) -> int:
        """Check the first line and count the others; where the last whole one ends."""
        with self.path.open("rb") as file:
            first = file.readline()
            if first.decode(errors="replace") != head:
                raise UsageError(
                    f"holds rankings of another mining ({_difference(first, head)}); remove it, "
                    "or mine as before",
                    Place(str(self.path)),
                )
            end = file.tell()
            for line in file:
                if line.endswith(b"\n"):
                    end += len(line)
                    self.count += 1
        return end

    def add(self, names: Sequence[str]) -> None:
        """Write the ranking of the next query, best document first."""
        self._file.write(json.dumps(names, ensure_ascii=False).encode() + b"\n")
        self._file.flush()
        self.count += 1

    def __iter__(self) -> Iterator[list[str]]:
        with self.path.open("rb") as file:
            file.readline()
            for line in file:
                yield json.loads(line)

    def close(self) -> None:
        """Let go of the file."""
        self._file.close()

    def remove(self) -> None:
        """Delete the file."""
        self.close()
        self.path.unlink()


def _difference(first: bytes, head: str) -> str:
    """What the first line of a file says otherwise."""
    try:
        before = json.loads(first)
    except ValueError:
        before = None
    if not isinstance(before, dict):
        return "or of none"
    now = json.loads(head)
    names = [name for name in now if before.get(name) != now[name]]
    return ", ".join(f"{name}: {before.get(name)!r}, now {now[name]!r}" for name in names)


def rank_all(
    application: Application,
    profile: str,
    texts: Iterable[str],
    depth: int,
) -> Iterator[list[str]]:
    """Names of the documents that the engine ranks for each text, in the order of the texts.

    Several queries are under way at once, so that their model runs can be shared.
    """
    threads = THREADS_A_CORE * (os.cpu_count() or 1)
    return in_order(lambda text: rank_one(application, profile, text, depth), texts, threads)


def rank_one(application: Application, profile: str, text: str, depth: int) -> list[str]:
    """Names of the `depth` best documents; none for a text without a word.

    The text is words and nothing else: no sign in it is an operator. What chooses documents for
    ranking chooses at least `depth`.
    """
    wanted = {"query": text, "ranking": profile, "hits": min(depth, MAX_HITS)}
    try:
        query = application.request(**wanted, **{"model.type": "tokenize"})
        query = replace(
            query,
            root=deepened(query.root, depth),
            hits=depth,
            select=("documentid",),
            timeout=None,
        )
        return [user_part(hit.id) for hit in application.search(query)]
    except QueryError as error:
        if error.code != _NULL_QUERY:
            raise
        return []


def deepened(node: Node, depth: int) -> Node:
    """The tree with operators that let at least `depth` documents through."""
    match node:
        case NearestNeighbor() | Wand():
            return replace(node, target_hits=max(node.target_hits, depth))
        case And() | Or():
            return replace(node, children=tuple(deepened(child, depth) for child in node.children))
        case Rank():
            return replace(node, matching=deepened(node.matching, depth))
        case _:
            return node


def in_order(
    function: Callable[[Item], Found], items: Iterable[Item], threads: int
) -> Iterator[Found]:
    """What a function gives for each item, in their order, computed by several threads.

    Only a few items are taken ahead; the first error ends it.
    """
    waiting: deque[Future[Found]] = deque()
    pool = ThreadPoolExecutor(threads)
    try:
        for item in items:
            waiting.append(pool.submit(function, item))
            if len(waiting) > 2 * threads:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()
    finally:
        pool.shutdown(cancel_futures=True)
