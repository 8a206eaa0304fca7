"""Training rows from files, and the lists of documents that one step ranks.

Formats (the OpenSearch sparse tuning sample): `posnegs` {"query", "pos", "negs"}, `kd` {"query",
"docs", "scores"} and `kd-ids` with "q_id" and "d_ids", as JSON lines (also gzipped) or as a folder
that `datasets` saved.
"""

from __future__ import annotations

import math
import random
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from siftline.errors import MissingExtraError, Place, UsageError
from siftline.lines import read_rows

DataType = Literal["posnegs", "kd", "kd-ids"]

#: field → its type, for each format; those after a None may be left out
_FIELDS: Mapping[str, tuple[tuple[str, type], ...]] = {
    "posnegs": (("query", str), ("pos", str), ("negs", list)),
    "kd": (("query", str), ("docs", list)),
    "kd-ids": (("query", str), ("docs", list), ("q_id", str), ("d_ids", list)),
}


@dataclass(frozen=True, slots=True)
class RankingList:
    """A query and the documents that a step scores for it, the positive or best one first.

    scores: of a teacher, computed beforehand; None where teachers run beside the training.
    """

    query: str
    documents: tuple[str, ...]
    scores: tuple[float, ...] | None = None


@dataclass(frozen=True, slots=True)
class TrainingRow:
    """One row of a file: documents with, for distillation, a teacher's scores."""

    query: str
    documents: tuple[str, ...]
    scores: tuple[float, ...] | None
    positive_first: bool

    def lists(self, size: int, swaps: int, randomness: random.Random) -> Iterator[RankingList]:
        """The row as lists, each document in one of them; what is left over is dropped.

        A positive goes before `size` negatives each time. For distillation, list i takes documents
        i, i + step, … of n // size = step, so that each spans the range of the scores. swaps:
        random transpositions of the documents before; n/2 or more shuffle them.
        """
        order = list(range(1 if self.positive_first else 0, len(self.documents)))
        _swap(order, swaps, randomness)
        step = len(order) // size
        for i in range(step):
            if self.positive_first:
                chosen = [0, *order[i * size : (i + 1) * size]]
            else:
                chosen = order[i : step * size : step]
            scores = None if self.scores is None else tuple(self.scores[c] for c in chosen)
            yield RankingList(self.query, tuple(self.documents[c] for c in chosen), scores)


@dataclass(frozen=True, slots=True)
class TrainingSet:
    """The rows of one file or folder."""

    name: str
    rows: tuple[TrainingRow, ...]


def read_training_set(path: Path, kind: DataType, *, first_rank: int | None = None) -> TrainingSet:
    """The rows of a JSON lines file or a `datasets` folder.

    first_rank: rows with a `first_rank` column stay where it is from 0 to this. UsageError names
    the file, the line and the field of a row that does not fit, or a file without rows.
    """
    if kind not in _FIELDS:
        raise UsageError(f"unknown data type '{kind}' (known: {', '.join(_FIELDS)})")
    if not path.exists():
        raise UsageError(f"there is no training data at '{path}'")
    known: dict[str, str] = {}

    def shared(text: str) -> str:
        """One object for equal texts: a passage is the negative of many queries."""
        return known.setdefault(text, text)

    rows = []
    for place, row in _arrow(path) if path.is_dir() else _json_lines(path):
        rank = row.get("first_rank")
        if first_rank is not None and rank is not None and not 0 <= rank <= first_rank:
            continue
        rows.append(_row(row, kind, place, shared))
    if not rows:
        raise UsageError(f"'{path}' has no training rows")
    return TrainingSet(path.name.split(".")[0], tuple(rows))


def _row(
    row: Mapping[str, Any], kind: str, place: Place, shared: Callable[[str], str]
) -> TrainingRow:
    for field, type_ in _FIELDS[kind]:
        if not isinstance(row.get(field), type_):
            what = "is missing" if field not in row else f"is {row[field]!r:.60}"
            raise UsageError(
                f"field '{field}' {what}; a {kind} row has "
                + ", ".join(f"'{name}'" for name, _ in _FIELDS[kind]),
                place,
            )
    if kind == "posnegs":
        documents = [row["pos"], *row["negs"]]
    else:
        documents = row["docs"]
    for document in documents:
        if not isinstance(document, str):
            raise UsageError(f"a document is {document!r:.60}, expected a text", place)
    scores = None if kind == "posnegs" else _scores(row, len(documents), place)
    if kind == "kd-ids" and len(row["d_ids"]) != len(documents):
        raise UsageError(f"{len(row['d_ids'])} d_ids for {len(documents)} docs", place)
    return TrainingRow(row["query"], tuple(shared(d) for d in documents), scores, kind == "posnegs")


def _scores(row: Mapping[str, Any], count: int, place: Place) -> tuple[float, ...] | None:
    scores = row.get("scores")
    if scores is None:
        return None
    if not isinstance(scores, list) or len(scores) != count:
        length = len(scores) if isinstance(scores, list) else "no"
        raise UsageError(f"{length} scores for {count} docs", place)
    for score in scores:
        number = isinstance(score, (int, float)) and not isinstance(score, bool)
        if not number or not math.isfinite(score):
            raise UsageError(f"a score is {score!r:.60}, expected a number", place)
    return tuple(map(float, scores))


def _json_lines(path: Path) -> Iterator[tuple[Place, dict[str, Any]]]:
    for place, row in read_rows(path):
        if not isinstance(row, dict):
            raise UsageError(f"a row is an object, not {row!r:.60}", place)
        yield place, row


def _arrow(path: Path) -> Iterator[tuple[Place, dict[str, Any]]]:
    try:
        from datasets import load_from_disk
    except ModuleNotFoundError:
        raise MissingExtraError("reading a folder of Arrow files", "train") from None
    try:
        rows = load_from_disk(str(path))
    except (OSError, ValueError) as error:
        raise UsageError(f"'{path}' is no folder that datasets saved: {error}") from None
    for number, row in enumerate(rows, 1):
        yield Place(str(path), number), row


def _swap(order: list[int], swaps: int, randomness: random.Random) -> None:
    if swaps <= 0 or len(order) < 2:
        return
    if swaps >= len(order) / 2:
        randomness.shuffle(order)
        return
    for _ in range(swaps):
        first, second = randomness.sample(range(len(order)), 2)
        order[first], order[second] = order[second], order[first]


class Batches(Sequence[tuple[RankingList, ...]]):
    """The batches of one epoch: each from one set, sets in proportion to their lists.

    size: lists a batch, of all processes together; what does not fill one is dropped.
    """

    def __init__(
        self,
        sets: Sequence[TrainingSet],
        size: int,
        samples: int,
        *,
        seed: int = 0,
        swaps: int = 0,
    ) -> None:
        randomness = random.Random(seed)
        self._batches: list[tuple[RankingList, ...]] = []
        found = 0
        for one in sets:
            lists = [x for row in one.rows for x in row.lists(samples, swaps, randomness)]
            found += len(lists)
            randomness.shuffle(lists)
            for start in range(0, len(lists) - size + 1, size):
                self._batches.append(tuple(lists[start : start + size]))
        if not self._batches:
            raise UsageError(
                f"{found} lists do not fill a batch of {size}: lower the batch size or "
                f"sample_num_one_query ({samples})"
            )
        randomness.shuffle(self._batches)

    def __len__(self) -> int:
        return len(self._batches)

    def __getitem__(self, position: Any) -> Any:
        return self._batches[position]


class Steps(Sequence[tuple[RankingList, ...]]):
    """The batches of a whole training in order, epoch after epoch, each epoch in its own order.

    epoch: makes the batches of an epoch from its number. Position i is the same batch at every
    run, so that a training goes on behind any step as if it had never stopped.
    """

    def __init__(self, count: int, epoch: Callable[[int], Batches]) -> None:
        self._count = count
        self._make = epoch
        self._number = 0
        self._epoch = epoch(0)

    def __len__(self) -> int:
        return self._count

    def __getitem__(self, position: Any) -> Any:
        if not 0 <= position < self._count:
            raise IndexError(position)
        # all epochs have as many batches, as each drops what does not fill one
        number, within = divmod(position, len(self._epoch))
        if number != self._number:
            self._number, self._epoch = number, self._make(number)
        return self._epoch[within]
