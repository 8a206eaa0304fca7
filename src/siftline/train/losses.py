"""Ranking losses over scores, from lists of documents of each query.

B queries with G documents each, the first one the positive; V tokens in the vocabulary. Scores of
a query's own documents are `(B, G)`; scores in the batch are `(B, B·G)`, every query against the
documents of all, query by query. Everything returns a scalar.

Sources: the OpenSearch sparse tuning sample and arXiv 2411.04403 (inference-free retrieval),
arXiv 2109.10086 (SPLADE v2).
"""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor
from torch.nn.functional import cross_entropy, mse_loss

from siftline.errors import UsageError

#: Which documents a positive is told apart from. own: the query's own negatives. negatives: the
#: negatives of every query in the batch, other queries' positives left out. documents: every
#: document in the batch, other queries' positives too.
Negatives = Literal["own", "negatives", "documents"]


def own_scores(queries: Tensor, documents: Tensor) -> Tensor:
    """Dot products of queries `(B, V)` with their own documents `(B, G, V)`: `(B, G)`.

    Inference-free queries hold idf(t) for every token they contain, which makes this the IDF-aware
    score Σ_t idf(t)·q_t·d_t (arXiv 2411.04403, equation 5).
    """
    return torch.einsum("bv,bgv->bg", queries, documents)


def batch_scores(queries: Tensor, documents: Tensor) -> Tensor:
    """Dot products of queries `(B, V)` with the documents `(B, G, V)` of all: `(B, B·G)`."""
    return queries @ documents.flatten(0, 1).T


def info_nce(scores: Tensor, negatives: Negatives = "own", temperature: float = 1.0) -> Tensor:
    """Mean of -ln softmax(s/τ) at the positive (InfoNCE, arXiv 1807.03748).

    scores: `(B, G)` for own negatives, `(B, B·G)` otherwise.
    """
    if negatives == "own":
        target = torch.zeros(len(scores), dtype=torch.long, device=scores.device)
        return cross_entropy(scores / temperature, target)
    count = len(scores)
    own = torch.arange(count, device=scores.device) * _group(scores)
    if negatives == "documents":
        return cross_entropy(scores / temperature, own)
    others = torch.zeros_like(scores, dtype=torch.bool)
    others[:, own] = True
    others[torch.arange(count, device=scores.device), own] = False
    return cross_entropy(scores.masked_fill(others, -torch.inf) / temperature, own)


def kl_divergence(student: Tensor, teacher: Tensor, temperature: float = 1.0) -> Tensor:
    """Mean over queries of Σ_i p_T(i)·(ln p_T(i) − ln p_S(i)), p = softmax(score/τ).

    Both are `(B, G)`, or `(B, B·G)` in the batch. There is no factor τ²; with τ = 1 this is the
    batch mean that sentence-transformers computes.
    """
    _same_shape(student, teacher)
    wanted = torch.log_softmax(teacher / temperature, dim=-1)
    given = torch.log_softmax(student / temperature, dim=-1)
    return (wanted.exp() * (wanted - given)).sum(dim=-1).mean()


def margin_mse(student: Tensor, teacher: Tensor) -> Tensor:
    """Mean of ((s_0 − s_j) − (t_0 − t_j))² over j ≥ 1 (margin-MSE, arXiv 2010.02666).

    Both are `(B, G)`; in the batch, `(B, B·G)`, column 0 is the first document of the first query
    for every row, in student and teacher alike.
    """
    _same_shape(student, teacher)
    if student.shape[-1] < 2:
        raise UsageError("margin-MSE needs at least two documents for each query")
    return mse_loss(student[:, :1] - student[:, 1:], teacher[:, :1] - teacher[:, 1:])


def min_max(scores: Tensor, epsilon: float = 1e-6) -> Tensor:
    """Scores of each row from 0 to 1: (s − min)/(max − min + ε); equal scores give 0.

    arXiv 2411.04403, equation 8.
    """
    low, high = scores.amin(dim=-1, keepdim=True), scores.amax(dim=-1, keepdim=True)
    return (scores - low) / (high - low + epsilon)


def ensemble(scores: list[Tensor], weights: list[float], scale: float) -> Tensor:
    """The teachers as one: S·Σ_k w_k·min_max(s_k), weights divided by their sum.

    arXiv 2411.04403, equation 9. Each of `scores` is `(B, N)`.
    """
    if len(scores) != len(weights) or not scores:
        raise UsageError(f"{len(scores)} teachers have {len(weights)} weights")
    total = sum(weights)
    if total <= 0 or min(weights) < 0:
        raise UsageError(f"weights of teachers are not negative and not all 0, not {weights}")
    mixed = torch.zeros_like(scores[0])
    for own, weight in zip(scores, weights, strict=True):
        _same_shape(scores[0], own)
        mixed = mixed + weight / total * min_max(own)
    return scale * mixed


def _group(scores: Tensor) -> int:
    queries, documents = scores.shape
    if documents % queries:
        raise UsageError(
            f"scores in the batch are (B, B·G), not {tuple(scores.shape)}: {documents} documents "
            f"are no multiple of {queries} queries"
        )
    return int(documents // queries)


def _same_shape(first: Tensor, second: Tensor) -> None:
    if first.shape != second.shape:
        raise UsageError(f"scores {tuple(first.shape)} and {tuple(second.shape)} do not fit")
