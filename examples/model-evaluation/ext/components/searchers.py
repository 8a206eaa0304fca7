"""Searchers: one makes `query(embedding)`, one puts the hits into another order."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from encoding import embed, tokens_of

from siftline.errors import QueryError, UsageError
from siftline.match.query import NearestNeighbor
from siftline.process import (
    Execution,
    ModelsEvaluator,
    Query,
    Result,
    Searcher,
    TensorType,
    as_tensor,
)

#: Token ids as a request writes them: `input=[2,3]`.
INPUT = TensorType.parse("tensor<int8>(x[])")


class QueryEmbedding(Searcher):
    """Sets `query(embedding)` from the parameter `input`, token ids, or from the query's text.

    A request without YQL of its own asks for the nearest neighbours of the embedding.
    """

    def __init__(self, models: ModelsEvaluator) -> None:
        self._models = models

    def search(self, query: Query, execution: Execution) -> Result:
        """The answer with the embedding among the query's inputs."""
        tokens = self._tokens(query)
        query = query.with_input("embedding", embed(self._models, tokens))
        if "yql" not in query.properties:
            hits = query.offset + query.hits
            query = query.with_tree(NearestNeighbor("embedding", "embedding", max(hits, 1)))
        return execution.search(query)

    def _tokens(self, query: Query) -> np.ndarray:
        literal = query.properties.get("input")
        if literal is None:
            return np.array(tokens_of(str(query.properties.get("query", ""))), np.int8)
        try:
            return as_tensor(INPUT, literal).array
        except UsageError as error:
            raise QueryError(f"'input' must be token ids like [2,3]: {error}") from None


@dataclass(frozen=True)
class Pairwise:
    """How many hits are compared with each other; services.xml says it."""

    depth: int = 20


class PairwiseRanking(Searcher):
    """Ranks the best hits once more: a model compares each with each other one.

    A hit's new relevance is how often it is preferred, from 0 to 1.
    """

    def __init__(self, models: ModelsEvaluator, pairwise: Pairwise) -> None:
        self._models = models
        self._depth = pairwise.depth

    def search(self, query: Query, execution: Execution) -> Result:
        """The page asked for, of the best `depth` hits in the new order."""
        wider = query.with_hits(max(query.offset + query.hits, self._depth))
        result = execution.search(wider)
        best, others = result.hits[: self._depth], result.hits[self._depth :]
        if len(best) > 1:
            filled = execution.fill(result.with_hits(best), "embeddings")
            wins = self._wins(np.stack([hit["embedding"].array for hit in filled]))
            ranked = sorted(zip(wins, filled, strict=True), key=lambda pair: -pair[0])
            best = tuple(hit.with_relevance(float(score)) for score, hit in ranked)
        page = (*best, *others)[query.offset : query.offset + query.hits]
        return result.with_hits(page)

    def _wins(self, embeddings: np.ndarray) -> np.ndarray:
        """Embeddings `(n, 16)` to the mean preference of each over all others, `(n,)`."""
        count = len(embeddings)
        left, right = np.divmod(np.arange(count * count), count)
        evaluator = self._models.evaluator_of("pairwise_ranker")
        evaluator.bind("left", embeddings[left]).bind("right", embeddings[right])
        preferred = evaluator.evaluate().array.reshape(count, count)
        return (preferred.sum(axis=1) - preferred.diagonal()) / (count - 1)
