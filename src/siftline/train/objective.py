"""The loss of one step: ranking losses and sparsity penalties of a whole batch.

L = P·[ranking_loss_weight·Σ_k L_k + λ_d(step)·F(D) + λ_q(step)·F(Q)] with P processes, which undoes
the averaging of gradients between them (the OpenSearch sparse tuning sample).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from siftline.errors import UsageError
from siftline.train.columns import Columns
from siftline.train.losses import (
    Negatives,
    batch_scores,
    info_nce,
    kl_divergence,
    margin_mse,
    own_scores,
)
from siftline.train.penalties import active_tokens, flops, weight_at
from siftline.train.recipe import Recipe


@dataclass(frozen=True, slots=True)
class StepLoss:
    """The loss to descend and what is worth showing: means over the batch, by name."""

    loss: Tensor
    shown: Mapping[str, float]


class Objective:
    """idf: `(V,)` weights, for the penalty that they divide; None without it."""

    def __init__(self, recipe: Recipe, idf: Tensor | None = None) -> None:
        if recipe.idf_form == "flops" and idf is None:
            raise UsageError("idf_form: flops needs an IDF table")
        self._recipe = recipe
        self._idf = idf if recipe.idf_form == "flops" else None

    def __call__(
        self,
        queries: Tensor,
        documents: Tensor,
        teacher: Tensor | None,
        step: int,
        columns: Columns | None = None,
    ) -> StepLoss:
        """The loss of queries `(B, V)`, documents `(B, G, V)` and teacher scores at a step.

        teacher: `(B, G)`, or `(B, B·G)` with use_in_batch_negatives; None without distillation.
        The three come from every process. columns: the tokens that V stands for, None for all.
        """
        recipe = self._recipe
        queries, documents = gathered(queries), gathered(documents)
        teacher = None if teacher is None else gathered(teacher)
        ranking = self._ranking(queries, documents, teacher)
        idf = None if self._idf is None else self._idf.to(documents.device)
        counts = None if columns is None else columns.counts
        if columns is not None and idf is not None:
            idf = idf[columns.tokens]
        penalty = flops(
            documents,
            by_slot=recipe.flops_by_slot,
            threshold=recipe.flops_threshold,
            idf=idf,
            counts=counts,
            distinct=recipe.flops_distinct,
        )
        schedule = recipe.lambda_schedule
        weight = weight_at(step, recipe.flops_d_lambda, recipe.flops_d_T, schedule)
        loss = recipe.ranking_loss_weight * ranking + weight * penalty
        if not recipe.inf_free and recipe.flops_q_lambda:
            weight_q = weight_at(step, recipe.flops_q_lambda, recipe.flops_q_T, schedule)
            loss = loss + weight_q * flops(queries)
        shown = {
            "ranking_loss": float(ranking.detach()),
            "d_flops": float(penalty.detach()),
            "flops_loss": weight * float(penalty.detach()),
            "d_active": float(active_tokens(documents, counts).float().mean()),
        }
        return StepLoss(loss * processes(), shown)

    def _ranking(self, queries: Tensor, documents: Tensor, teacher: Tensor | None) -> Tensor:
        recipe = self._recipe
        own = own_scores(queries, documents)
        every = batch_scores(queries, documents) if recipe.use_in_batch_negatives else None
        student = own if every is None else every
        total = own.new_zeros(())
        for name in recipe.loss_types:
            if name == "infonce":
                policy = self._negatives()
                scores = own if policy == "own" else batch_scores(queries, documents)
                total = total + info_nce(scores, policy, recipe.temperature)
                continue
            if teacher is None:
                raise UsageError(f"the loss '{name}' needs teachers, or scores in the data")
            if name == "kldiv":
                total = total + kl_divergence(student, teacher, recipe.temperature)
            else:
                total = total + margin_mse(student, teacher)
        return total

    def _negatives(self) -> Negatives:
        if self._recipe.negatives == "own" and self._recipe.use_in_batch_negatives:
            return "negatives"
        return self._recipe.negatives


def processes() -> int:
    """How many processes train together."""
    distributed = torch.distributed
    return distributed.get_world_size() if distributed.is_initialized() else 1


def process() -> int:
    """The number of this one among them."""
    distributed = torch.distributed
    return distributed.get_rank() if distributed.is_initialized() else 0


def gathered(rows: Tensor) -> Tensor:
    """The rows of every process, in order of the processes, with gradients for the own ones.

    Every process computes the same loss of all rows, and each takes only its own rows' gradients:
    their sum over the processes is the gradient of one loss.
    """
    if processes() == 1:
        return rows
    every = [torch.empty_like(rows) for _ in range(processes())]
    torch.distributed.all_gather(every, rows.detach().contiguous())
    every[process()] = rows
    return torch.cat(every, dim=0)
