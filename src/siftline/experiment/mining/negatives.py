"""Which of the documents found for a query are its negatives, and the training rows they make."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Any

from siftline.experiment.mining.near_texts import nearly_equal, words_of
from siftline.experiment.mining.queries import Passage, Passages, TrainingQuery
from siftline.experiment.mining.settings import Format, Mining


@dataclass(frozen=True, slots=True)
class Choice:
    """names, texts: of a query's negatives, best first.

    first_rank: how many hits stood before its first positive; -1 where none was found, None where
    the positives are no documents of the corpus.
    """

    names: tuple[str, ...]
    texts: tuple[str, ...]
    first_rank: int | None


def mined_rows(
    queries: Iterable[TrainingQuery],
    rankings: Iterable[Sequence[str]],
    passages: Passages,
    mining: Mining,
    counts: Counter[str],
) -> Iterator[list[dict[str, Any]]]:
    """The rows of each query; counts gets what `Mined` says."""
    for query, ranking in zip(queries, rankings, strict=True):
        choice = choose(query, ranking, passages, mining, counts)
        if not choice.names:
            counts["without_negatives"] += 1
        elif len(choice.names) < mining.negatives:
            counts["fewer"] += 1
        rows = list(_rows(query, choice, mining.format)) if choice.names else []
        counts["rows"] += len(rows)
        counts["negatives"] += len(rows) * len(choice.names)
        yield rows


def choose(
    query: TrainingQuery,
    ranking: Sequence[str],
    passages: Passages,
    mining: Mining,
    counts: Counter[str],
) -> Choice:
    """A query's negatives among the documents that were found for it.

    A document of the query's own name is none, as in BEIR. counts: `copies`.
    """
    relevant = {passage.id for passage in query.relevant}
    answers = [_words(passage, passages) for passage in query.relevant]

    def is_negative(name: str) -> bool:
        if passages.text(name) is None:
            return False
        words = passages.words(name)
        if any(nearly_equal(words, answer, mining.overlap) for answer in answers):
            counts["copies"] += 1
            return False
        return True

    others = iter([name for name in ranking if name not in relevant and name != query.id])
    for _ in islice(filter(is_negative, others), mining.skip_top):
        pass
    left = list(others)
    if mining.sample == "random":
        random.Random(f"{mining.seed} {query.id}").shuffle(left)
    names = list(islice(filter(is_negative, left), mining.negatives))
    names.sort(key={name: rank for rank, name in enumerate(ranking)}.__getitem__)
    texts = tuple(passages.text(name) or "" for name in names)
    return Choice(tuple(names), texts, _first_rank(query, ranking))


def _words(passage: Passage, passages: Passages) -> frozenset[str]:
    """Of what the row will say: a first sentence's positive is less than its document."""
    if passage.id is not None and passages.text(passage.id) == passage.text:
        return passages.words(passage.id)
    return words_of(passage.text)


def _first_rank(query: TrainingQuery, ranking: Sequence[str]) -> int | None:
    own = {passage.id for passage in query.positives if passage.id is not None}
    if not own:
        return None
    return next((rank for rank, name in enumerate(ranking) if name in own), -1)


def _rows(query: TrainingQuery, choice: Choice, format: Format) -> Iterator[dict[str, Any]]:
    rank = {} if choice.first_rank is None else {"first_rank": choice.first_rank}
    if format == "posnegs":
        for passage in query.positives:
            yield {"query": query.text, "pos": passage.text, "negs": choice.texts, **rank}
        return
    own = [passage.id or f"{query.id}+{n}" for n, passage in enumerate(query.positives, 1)]
    yield {
        "query": query.text,
        "docs": [*(passage.text for passage in query.positives), *choice.texts],
        "q_id": query.id,
        "d_ids": [*own, *choice.names],
        **rank,
    }
