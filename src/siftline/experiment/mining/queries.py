"""Questions to train with, and the passages that answer them.

From the judgments of a BEIR folder, from a file of pairs, or from a corpus in which nobody has
asked anything: its titles and first sentences (the inverse cloze task, arXiv 1906.00300).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path
from typing import Any, Protocol

from siftline.application import Application
from siftline.errors import Place, UsageError
from siftline.evaluate.judgments import Collection, read_collection, splits
from siftline.experiment.mining.near_texts import NearTexts, normal_text, words_of
from siftline.experiment.mining.passages import sentences
from siftline.experiment.profiles import user_part
from siftline.lines import read_rows

#: Passages whose texts and words are at hand.
CACHED = 1 << 16

#: Words of a first sentence that asks for its passage, and the least of what is left of it.
CLOZE_WORDS = range(4, 41)
LEFT_WORDS = 10

#: A split that is no evaluation set.
TRAINING_SPLIT = "train"


@dataclass(frozen=True, slots=True)
class Passage:
    """id: its name in the corpus, None where a file of pairs gives only a text."""

    id: str | None
    text: str


@dataclass(frozen=True, slots=True)
class TrainingQuery:
    """positives: passages that answer it. relevant: all that are no negatives, these among them."""

    id: str
    text: str
    positives: tuple[Passage, ...]
    relevant: tuple[Passage, ...] = ()


class Passages(Protocol):
    """The corpus as training sees it."""

    def text(self, name: str) -> str | None:
        """The text of a document; None where there is none, or it is empty."""

    def words(self, name: str) -> frozenset[str]:
        """Its distinct words."""


class StoredPassages:
    """The documents of an index by their names in the collection.

    titles: whether a text is title and text, joined by a space, or the text alone.
    """

    def __init__(self, application: Application, *, titles: bool = True) -> None:
        self._application = application
        self._titles = titles
        self.text = lru_cache(CACHED)(self._text)
        self.words = lru_cache(CACHED)(self._words)

    def _text(self, name: str) -> str | None:
        fields = self._application.get(name)
        return None if fields is None else joined(fields, titles=self._titles) or None

    def _words(self, name: str) -> frozenset[str]:
        return words_of(self.text(name) or "")


def joined(fields: Mapping[str, Any], *, titles: bool = True) -> str:
    """Title and text of a document, a space between them, as the tuning sample joins them."""
    title = fields.get("title") if titles else None
    return f"{title or ''} {fields.get('text') or ''}".strip()


def judged_queries(
    collection: Collection, passages: Passages, counts: Counter[str]
) -> list[TrainingQuery]:
    """The queries of a split with their passages of a grade above 0.

    counts: `without_positive` gets the queries that have none, or none that the corpus has.
    """
    found = []
    for id_, text in collection.queries.items():
        named = [name for name, grade in collection.judgments[id_].items() if grade > 0]
        texts = ((name, passages.text(name)) for name in named)
        positives = tuple(Passage(name, text) for name, text in texts if text)
        if positives:
            found.append(TrainingQuery(id_, text, positives))
        else:
            counts["without_positive"] += 1
    return found


def pair_queries(path: Path) -> list[TrainingQuery]:
    """The rows {"query", "pos"} of JSON lines; pos is a text or a list of them.

    A row may have an `_id` or `id`, else its line's number is its name. UsageError names the file
    and the line of a row that does not fit.
    """
    found = []
    for place, row in read_rows(path):
        found.append(_pair(row, place))
    if not found:
        raise UsageError(f"'{path}' has no pairs")
    return found


def _pair(row: Any, place: Place) -> TrainingQuery:
    query = row.get("query") if isinstance(row, dict) else None
    texts = row.get("pos") if isinstance(row, dict) else None
    texts = [texts] if isinstance(texts, str) else texts
    if not isinstance(query, str) or not isinstance(texts, list) or not texts:
        raise UsageError("a pair needs a 'query' and a 'pos', which is a text or several", place)
    for text in texts:
        if not isinstance(text, str) or not text.strip():
            raise UsageError(f"a positive is {text!r:.60}, expected a text", place)
    id_ = row.get("_id", row.get("id", place.line))
    return TrainingQuery(str(id_), query, tuple(Passage(None, text) for text in texts))


def title_queries(application: Application, counts: Counter[str]) -> list[TrainingQuery]:
    """A query of every title, and of every passage without one its first sentence.

    The positives of a title are the texts of all passages that have it, without the title. Those
    of `Title: section` are no positives of `Title`, and no negatives either. A first sentence has
    the rest of its passage, in which it does not stand. counts: `without_positive` gets the
    passages whose first sentence is too short or too long, or that have too little beside it.
    """
    titled: dict[str, list[tuple[str, Passage]]] = {}
    sections: dict[str, list[Passage]] = {}
    found = []
    for id_, fields in application.visit():
        title, text = str(fields.get("title") or "").strip(), joined(fields, titles=False)
        passage = Passage(user_part(id_), text)
        if title and text:
            titled.setdefault(normal_text(title), []).append((title, passage))
            whole, colon, _ = title.partition(": ")
            if colon:
                sections.setdefault(normal_text(whole), []).append(passage)
        elif query := _cloze(passage):
            found.append(query)
        else:
            counts["without_positive"] += 1
    for entries in titled.values():
        title, first = entries[0]
        positives = tuple(passage for _, passage in entries)
        below = sections.get(normal_text(title), ())
        found.append(TrainingQuery(f"title:{first.id}", title, positives, tuple(below)))
    return found


def _cloze(passage: Passage) -> TrainingQuery | None:
    first, *rest = sentences(passage.text) or [""]
    left = " ".join(rest)
    if len(first.split()) not in CLOZE_WORDS or len(left.split()) < LEFT_WORDS:
        return None
    return TrainingQuery(f"first:{passage.id}", first, (Passage(passage.id, left),))


def with_relevant(queries: Sequence[TrainingQuery]) -> list[TrainingQuery]:
    """The queries, each with what is relevant for any that asks the same."""
    asked: dict[str, dict[Passage, None]] = {}
    for query in queries:
        relevant = dict.fromkeys((*query.positives, *query.relevant))
        asked.setdefault(normal_text(query.text), {}).update(relevant)
    return [replace(query, relevant=tuple(asked[normal_text(query.text)])) for query in queries]


def without_evaluation(
    queries: Iterable[TrainingQuery],
    evaluation: NearTexts,
    counts: Counter[str],
) -> Iterator[TrainingQuery]:
    """The queries that no evaluation set asks; counts: `evaluated_equal` and `evaluated_near`."""
    for query in queries:
        found = evaluation.find(query.text)
        if found is None:
            yield query
        else:
            counts[f"evaluated_{found}"] += 1


def evaluation_queries(sources: Sequence[Path], *, data: Path, split: str | None) -> Iterator[str]:
    """The queries that evaluation sets judge.

    sources: BEIR folders, all of whose splits count but `train`, or `FOLDER/qrels/SPLIT.tsv` for
    one split. split: of the folder `data`, which is mined and so never one of them. UsageError
    where nothing is left to keep out.
    """
    for source in sources:
        if source.is_file():
            folder, names = source.parent.parent, [source.name.split(".tsv")[0]]
        else:
            folder, names = source, [n for n in splits(source) if n != TRAINING_SPLIT]
        if folder.resolve() == data.resolve():
            names = [name for name in names if name != split]
        if not names:
            raise UsageError(
                f"'{source}' has no split to keep out of the training data; one is named by its "
                "file, as in FOLDER/qrels/SPLIT.tsv"
            )
        for name in names:
            yield from read_collection(folder, name).queries.values()
