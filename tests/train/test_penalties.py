"""Penalties and their schedules: values computed by hand, gradients, agreement with a peer."""

from __future__ import annotations

import pytest
import torch

from siftline.errors import UsageError
from siftline.train.penalties import active_tokens, flops, l1, weight_at

#: two queries, two documents each, two tokens
DOCUMENTS = torch.tensor([[[1.0, 0.0], [2.0, 2.0]], [[3.0, 0.0], [0.0, 4.0]]])


def test_flops_by_slot_and_flat() -> None:
    # slot 0: means 2 and 0; slot 1: means 1 and 3
    assert float(flops(DOCUMENTS)) == 4 + 0 + 1 + 9
    # all four documents: means 1.5 and 1.5
    assert float(flops(DOCUMENTS, by_slot=False)) == 2 * 1.5**2
    assert float(flops(DOCUMENTS.flatten(0, 1))) == 2 * 1.5**2


def test_documents_below_the_threshold_count_as_empty() -> None:
    # only the second document of the first query has more than one token
    assert float(flops(DOCUMENTS, threshold=1)) == 1 + 1
    assert float(flops(DOCUMENTS, threshold=1, by_slot=False)) == 2 * 0.5**2
    assert float(flops(DOCUMENTS, threshold=2)) == 0


def test_flops_of_distinct_documents_leave_out_their_own_squares() -> None:
    # each slot has one pair of documents
    pairs = [(DOCUMENTS[0, slot] * DOCUMENTS[1, slot]).sum() for slot in range(2)]
    assert float(flops(DOCUMENTS, distinct=True)) == float(sum(pairs))
    flat = DOCUMENTS.flatten(0, 1)
    every = [float(flat[i] @ flat[j]) for i in range(4) for j in range(4) if i != j]
    assert float(flops(DOCUMENTS, by_slot=False, distinct=True)) == pytest.approx(sum(every) / 12)
    with pytest.raises(UsageError, match="at least two documents"):
        flops(DOCUMENTS[:1], distinct=True)


def test_flops_of_distinct_documents_of_a_batch_estimate_those_of_all() -> None:
    generator = torch.Generator().manual_seed(1)
    every = torch.rand(40, 6, generator=generator)
    chosen = [torch.randperm(40, generator=generator)[:4] for _ in range(4000)]
    batches = torch.stack([every[rows] for rows in chosen])
    means = every.mean(dim=0)
    # without replacement: pairs of different documents of all forty
    wanted = float(flops(every, distinct=True))
    assert wanted == pytest.approx(float((means**2).sum()), rel=0.02)
    mean = sum(float(flops(batch, distinct=True)) for batch in batches) / len(batches)
    assert mean == pytest.approx(wanted, rel=0.02)
    square = sum(float(flops(batch)) for batch in batches) / len(batches)
    assert square > 1.05 * wanted


def test_idf_makes_rare_tokens_cheap() -> None:
    idf = torch.tensor([1.0, 4.0])
    assert float(flops(DOCUMENTS, idf=idf)) == 4 + 0 + 1 + (3 / 4) ** 2


def test_l1_and_active_tokens() -> None:
    assert float(l1(DOCUMENTS)) == (1 + 4 + 3 + 4) / 4
    assert active_tokens(DOCUMENTS).tolist() == [[1, 2], [1, 1]]


@pytest.mark.parametrize("options", [{}, {"by_slot": False}, {"threshold": 2}])
def test_gradients(options: dict[str, int]) -> None:
    torch.manual_seed(1)
    documents = torch.rand(3, 2, 4, dtype=torch.double, requires_grad=True)
    assert torch.autograd.gradcheck(lambda d: flops(d, **options), documents)  # type: ignore[arg-type]
    assert torch.autograd.gradcheck(l1, documents)


def test_sentence_transformers_agrees() -> None:
    pytest.importorskip("sentence_transformers")
    from sentence_transformers.sparse_encoder.losses import FlopsLoss

    torch.manual_seed(2)
    documents = torch.relu(torch.randn(4, 3, 50))
    flat = documents.flatten(0, 1)
    for threshold in (None, 25):
        peer = FlopsLoss(None, threshold=threshold)
        assert float(flops(documents, by_slot=False, threshold=threshold)) == pytest.approx(
            float(peer.compute_loss_from_embeddings(flat)), rel=1e-5
        )


def test_schedules() -> None:
    assert weight_at(0, 0.02, 10) == pytest.approx(0.02 / 100)
    assert weight_at(4, 0.02, 10) == pytest.approx(0.02 / 4)
    assert weight_at(9, 0.02, 10) == weight_at(10, 0.02, 10) == weight_at(99, 0.02, 10) == 0.02
    assert weight_at(4, 0.02, 10, "linear") == pytest.approx(0.01)
    assert weight_at(0, 0.02, 10, "constant") == weight_at(0, 0.02, 0) == 0.02
    with pytest.raises(UsageError, match="at least 0"):
        weight_at(0, -0.1, 10)
