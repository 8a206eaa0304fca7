"""What a student is worth while it trains: relevance and cost on a part of a judged collection."""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from siftline.evaluate.judgments import read_collection
from siftline.evaluate.measures import measure
from siftline.experiment.sparse.judged import judged_set, read_documents
from siftline.experiment.sparse.vectors import ImpactIndex, SparseVectors, flops
from siftline.train.recipe import Recipe
from siftline.train.student import Student
from siftline.train.trainer import Measure

CUTOFF = 10

#: Texts that the student encodes at a time.
BATCH = 32


class SmallSet:
    """Chosen queries, every document judged for them, and other documents beside those.

    A call gives `ndcg@10`, `flops` (Σ_t P_q(t)·P_d(t)), `query_length` and `document_length` (mean
    tokens with a weight) of a student. The same seed chooses the same.
    """

    def __init__(
        self,
        folder: Path,
        split: str,
        *,
        queries: int,
        documents: int,
        seed: int = 0,
        query_length: int = 64,
        document_length: int = 512,
    ) -> None:
        collection = read_collection(folder, split)
        passages = read_documents(folder)
        randomness = random.Random(seed)
        names = list(collection.queries)
        chosen = set(randomness.sample(names, min(queries, len(names))))
        self.name = collection.name
        self.judgments = {q: collection.judgments[q] for q in names if q in chosen}
        judged = {d for own in self.judgments.values() for d in own}
        others = [d for d in passages if d not in judged]
        more = max(0, min(documents - len(judged & passages.keys()), len(others)))
        kept = judged | set(randomness.sample(others, more))
        self.documents = {d: text for d, text in passages.items() if d in kept}
        self.queries = {q: collection.queries[q] for q in self.judgments}
        self._lengths = query_length, document_length

    def __call__(self, student: Student) -> Mapping[str, float]:
        """The student's figures; it is to be in evaluation mode."""
        query_side = student.documents if student.queries is None else student.queries
        longest, longest_document = self._lengths
        queries = _encode(student, query_side, list(self.queries.values()), longest)
        documents = _encode(
            student, student.documents, list(self.documents.values()), longest_document
        )
        index, names = ImpactIndex(documents), list(self.documents)
        run = {}
        for number, query in enumerate(self.queries):
            top = index.search(*queries.row(number), CUTOFF + 1)
            ranking = zip(top.documents.tolist(), top.scores.tolist(), strict=True)
            run[query] = [(names[d], score) for d, score in ranking if names[d] != query][:CUTOFF]
        return {
            "ndcg@10": measure(self.judgments, run, ["ndcg@10"]).mean("ndcg@10"),
            "flops": flops(queries, documents),
            "query_length": queries.length,
            "document_length": documents.length,
        }


def small_set_measure(
    folder: Path, split: str, *, queries: int, documents: int, seed: int = 0, **lengths: int
) -> Measure:
    """nDCG@10 and FLOPS on a part of a BEIR folder; lengths as for `SmallSet`.

    UsageError where the folder lacks something.
    """
    return SmallSet(folder, split, queries=queries, documents=documents, seed=seed, **lengths)


def recipe_measure(recipe: Recipe) -> Measure | None:
    """What a recipe's `eval_data` asks to be measured while it trains; None without.

    Of several collections: the mean of each figure, and each with the collection's name before it.
    """
    sets = []
    for text in recipe.eval_data:
        folder, split = judged_set(text, recipe.eval_split)
        sets.append(
            SmallSet(
                folder,
                split,
                queries=recipe.eval_queries,
                documents=recipe.eval_documents,
                query_length=recipe.query_max_length,
                document_length=recipe.max_seq_length,
            )
        )
    if len(sets) < 2:
        return sets[0] if sets else None

    def measured(student: Student) -> Mapping[str, float]:
        found = {one.name: one(student) for one in sets}
        names = next(iter(found.values()))
        means = {name: float(np.mean([f[name] for f in found.values()])) for name in names}
        each = {f"{own}_{name}": v for own, f in found.items() for name, v in f.items()}
        return means | each

    return measured


def _encode(student: Student, side: Any, texts: Sequence[str], length: int) -> SparseVectors:
    """Vectors of texts by one side of a student, those of similar length together."""
    import torch

    device = next(student.parameters()).device
    order = sorted(range(len(texts)), key=lambda i: len(texts[i]))
    tokens: list[Any] = [None] * len(texts)
    weights: list[Any] = [None] * len(texts)
    with torch.no_grad():
        for start in range(0, len(order), BATCH):
            part = order[start : start + BATCH]
            given = student.tokenizer(
                [texts[i] for i in part],
                padding=True,
                truncation=True,
                max_length=length,
                return_tensors="pt",
            )
            found = side(
                input_ids=given["input_ids"].to(device),
                attention_mask=given["attention_mask"].to(device),
            )
            for i, row in zip(part, found.float().cpu().numpy(), strict=True):
                tokens[i] = np.flatnonzero(row)
                weights[i] = row[tokens[i]]
    return SparseVectors.of(tokens, weights)
