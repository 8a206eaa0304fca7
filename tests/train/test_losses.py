"""Ranking losses: values computed by hand, gradients, agreement with sentence-transformers."""

from __future__ import annotations

import math

import pytest
import torch

from siftline.errors import UsageError
from siftline.train.losses import (
    batch_scores,
    ensemble,
    info_nce,
    kl_divergence,
    margin_mse,
    min_max,
    own_scores,
)

#: two queries, two documents each, three tokens
QUERIES = torch.tensor([[1.0, 0.0, 2.0], [0.0, 3.0, 0.0]])
DOCUMENTS = torch.tensor([[[1.0, 0.0, 1.0], [0.0, 1.0, 0.5]], [[0.0, 2.0, 0.0], [1.0, 0.0, 0.0]]])


def test_scores_by_hand() -> None:
    assert own_scores(QUERIES, DOCUMENTS).tolist() == [[3.0, 1.0], [6.0, 0.0]]
    assert batch_scores(QUERIES, DOCUMENTS).tolist() == [[3, 1, 0, 1], [0, 3, 6, 0]]


def test_a_score_counts_each_token_by_its_idf() -> None:
    idf = torch.tensor([0.5, 4.0, 2.0])
    present = torch.tensor([[1.0, 0.0, 1.0], [0.0, 1.0, 0.0]])
    scores = own_scores(present * idf, DOCUMENTS)
    assert scores.tolist() == [[0.5 + 2.0, 1.0], [8.0, 0.0]]


def test_info_nce_of_own_negatives_by_hand() -> None:
    scores = own_scores(QUERIES, DOCUMENTS)
    wanted = (math.log(1 + math.exp(-2)) + math.log(1 + math.exp(-6))) / 2
    assert float(info_nce(scores)) == pytest.approx(wanted, rel=1e-5)


def test_info_nce_leaves_other_positives_out() -> None:
    scores = batch_scores(QUERIES, DOCUMENTS)
    first = math.log(math.exp(3) + math.exp(1) + math.exp(1)) - 3
    second = math.log(math.exp(6) + math.exp(3) + math.exp(0)) - 6
    found = float(info_nce(scores, "negatives"))
    assert found == pytest.approx((first + second) / 2, rel=1e-5)


def test_info_nce_over_every_document() -> None:
    scores = batch_scores(QUERIES, DOCUMENTS)
    first = math.log(math.exp(3) + 2 * math.exp(1) + math.exp(0)) - 3
    second = math.log(math.exp(6) + math.exp(3) + 2 * math.exp(0)) - 6
    found = float(info_nce(scores, "documents"))
    assert found == pytest.approx((first + second) / 2, rel=1e-5)


def test_info_nce_with_a_temperature_sharpens() -> None:
    scores = own_scores(QUERIES, DOCUMENTS)
    assert float(info_nce(scores, temperature=0.5)) == pytest.approx(
        (math.log(1 + math.exp(-4)) + math.log(1 + math.exp(-12))) / 2, rel=1e-4
    )


def test_kl_divergence_by_hand() -> None:
    student, teacher = torch.tensor([[0.0, 0.0]]), torch.tensor([[math.log(3.0), 0.0]])
    wanted = 0.75 * math.log(0.75 / 0.5) + 0.25 * math.log(0.25 / 0.5)
    assert float(kl_divergence(student, teacher)) == pytest.approx(wanted, rel=1e-5)
    assert float(kl_divergence(teacher, teacher, 3.0)) == pytest.approx(0.0, abs=1e-7)


def test_margin_mse_by_hand() -> None:
    student = torch.tensor([[3.0, 1.0, 0.0]])
    teacher = torch.tensor([[5.0, 4.0, 1.0]])
    assert float(margin_mse(student, teacher)) == pytest.approx(((2 - 1) ** 2 + (3 - 4) ** 2) / 2)


def test_min_max_and_ensemble_by_hand() -> None:
    dense, sparse = torch.tensor([[1.0, 3.0, 2.0]]), torch.tensor([[10.0, 10.0, 30.0]])
    assert min_max(dense)[0].tolist() == pytest.approx([0.0, 1.0, 0.5], abs=1e-5)
    mixed = ensemble([dense, sparse], [0.5, 0.5], 10.0)
    assert mixed[0].tolist() == pytest.approx([0.0, 5.0, 7.5], abs=1e-4)
    assert min_max(torch.full((1, 3), 7.0)).tolist() == [[0.0, 0.0, 0.0]]


def test_the_weights_of_teachers_are_shares() -> None:
    one = torch.tensor([[0.0, 1.0]])
    assert torch.allclose(ensemble([one, one], [1.0, 3.0], 4.0), ensemble([one], [1.0], 4.0))
    for weights in ([1.0], [0.0, 0.0], [2.0, -1.0]):
        with pytest.raises(UsageError):
            ensemble([one, one], weights, 1.0)


def test_scores_that_do_not_fit() -> None:
    with pytest.raises(UsageError, match="do not fit"):
        kl_divergence(torch.zeros(2, 3), torch.zeros(2, 4))
    with pytest.raises(UsageError, match="at least two"):
        margin_mse(torch.zeros(2, 1), torch.zeros(2, 1))
    with pytest.raises(UsageError, match="no multiple"):
        info_nce(torch.zeros(2, 3), "documents")


@pytest.mark.parametrize("policy", ["own", "negatives", "documents"])
def test_gradient_of_info_nce(policy: str) -> None:
    def loss(queries: torch.Tensor, documents: torch.Tensor) -> torch.Tensor:
        scores = own_scores if policy == "own" else batch_scores
        return info_nce(scores(queries, documents), policy, 2.0)  # type: ignore[arg-type]

    assert torch.autograd.gradcheck(loss, _random())


@pytest.mark.parametrize("loss", [kl_divergence, margin_mse])
@pytest.mark.parametrize("scores", [own_scores, batch_scores])
def test_gradient_of_distillation(loss, scores) -> None:  # type: ignore[no-untyped-def]
    teacher = torch.rand(3, 4 if scores is own_scores else 12, dtype=torch.double) * 10

    def distilled(queries: torch.Tensor, documents: torch.Tensor) -> torch.Tensor:
        value: torch.Tensor = loss(scores(queries, documents), teacher)
        return value

    assert torch.autograd.gradcheck(distilled, _random())


def _random() -> tuple[torch.Tensor, torch.Tensor]:
    torch.manual_seed(3)
    queries = torch.rand(3, 5, dtype=torch.double, requires_grad=True)
    documents = torch.rand(3, 4, 5, dtype=torch.double, requires_grad=True)
    return queries, documents


def test_sentence_transformers_agrees() -> None:
    pytest.importorskip("sentence_transformers")
    from sentence_transformers.sparse_encoder import losses as peer
    from sentence_transformers.util import dot_score

    torch.manual_seed(5)
    queries, documents = torch.rand(4, 30), torch.rand(4, 3, 30)
    columns = [queries, *documents.unbind(1)]
    teacher = torch.rand(4, 3) * 8
    ranking = peer.SparseMultipleNegativesRankingLoss(None, scale=1.0, similarity_fct=dot_score)
    # there, a column of all queries' documents follows the other; here, a query's own lie together
    assert float(info_nce(batch_scores(queries, documents), "documents")) == pytest.approx(
        float(ranking.compute_loss_from_embeddings(columns, None)), rel=1e-5
    )
    divergence = peer.SparseDistillKLDivLoss(None, similarity_fct=_pairs, temperature=1.0)
    own = own_scores(queries, documents)
    assert float(kl_divergence(own, teacher)) == pytest.approx(
        float(divergence.compute_loss_from_embeddings(columns, teacher)), rel=1e-5
    )
    margins = peer.SparseMarginMSELoss(None, similarity_fct=_pairs)
    wanted = margins.compute_loss_from_embeddings(columns, teacher[:, :1] - teacher[:, 1:])
    assert float(margin_mse(own, teacher)) == pytest.approx(float(wanted), rel=1e-5)


def _pairs(first: torch.Tensor, second: torch.Tensor) -> torch.Tensor:
    return (first * second).sum(dim=-1)
