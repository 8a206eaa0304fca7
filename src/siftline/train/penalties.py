"""Penalties that make vectors sparse, and how their weight grows.

documents: weights `(B, G, V)` ≥ 0, G documents in each of B queries' lists (a slot each); `(N, V)`
is taken as one slot. Everything returns a scalar.

Sources: FLOPS, arXiv 2004.05665; its l0 mask, arXiv 2504.14839; IDF, arXiv 2411.04403.
"""

from __future__ import annotations

from typing import Literal

from torch import Tensor

from siftline.errors import UsageError

Schedule = Literal["constant", "linear", "quadratic"]


def flops(
    documents: Tensor,
    *,
    by_slot: bool = True,
    threshold: int | None = None,
    idf: Tensor | None = None,
    counts: Tensor | None = None,
    distinct: bool = False,
) -> Tensor:
    """Σ_t c_t·(mean |w_t|)².

    by_slot: the mean is over queries and the slots are summed, as in the OpenSearch tuning sample;
    otherwise one mean over all documents, as in sentence-transformers, about G times smaller.
    threshold: documents with no more non-zero tokens count as empty, and the mean still divides by
    all of them (l0 mask). idf: `(V,)`, weights are divided by it (the IDF-aware penalty as
    arXiv 2411.04403 v1 has it), so that rare tokens cost less. counts: c `(V,)`, how many tokens
    of the vocabulary each one stands for where they are a sample (`train/columns.py`); 1 without.
    distinct: the mean of Σ_t c_t·w_it·w_jt over pairs of different documents i ≠ j. The square of a
    batch's mean holds each document's own squares too, 1/N of them, which in small batches are most
    of it and punish every large weight; without them the FLOPS of the collection are estimated
    without bias. UsageError for a single document.
    """
    weights = documents.abs()
    if weights.dim() == 2:
        weights = weights.unsqueeze(1)
    if threshold is not None:
        weights = (
            weights
            * (active_tokens(documents, counts).reshape(weights.shape[:2]) > threshold)[..., None]
        )
    if idf is not None:
        weights = weights / idf
    if not by_slot:
        weights = weights.flatten(0, 1).unsqueeze(1)
    squares = _distinct_pairs(weights) if distinct else weights.mean(dim=0) ** 2
    return squares.sum() if counts is None else (squares * counts).sum()


def _distinct_pairs(weights: Tensor) -> Tensor:
    """((Σ_i w_i)² − Σ_i w_i²)/(N·(N − 1)) of `(N, …)`: the mean product of different rows."""
    count = len(weights)
    if count < 2:
        raise UsageError("FLOPS of distinct documents need at least two documents in a batch")
    return (weights.sum(dim=0) ** 2 - (weights**2).sum(dim=0)) / (count * (count - 1))


def l1(documents: Tensor) -> Tensor:
    """Mean over documents of Σ_t |w_t|."""
    return documents.abs().sum(dim=-1).mean()


def active_tokens(documents: Tensor, counts: Tensor | None = None) -> Tensor:
    """Tokens with a weight, for each document: the shape without V; counts as for `flops`."""
    active = documents > 0
    return active.sum(dim=-1) if counts is None else (active * counts).sum(dim=-1)


def weight_at(step: int, weight: float, steps: int, schedule: Schedule = "quadratic") -> float:
    """λ at a step from 0: λ·((step + 1)/T)² (quadratic) or λ·(step + 1)/T until T, then λ.

    arXiv 2004.05665; steps: T, 0 for a constant weight. UsageError for λ < 0.
    """
    if weight < 0:
        raise UsageError(f"the weight of a penalty is at least 0, not {weight}")
    if schedule == "constant" or step >= steps:
        return weight
    part = (step + 1) / steps
    return weight * (part**2 if schedule == "quadratic" else part)
