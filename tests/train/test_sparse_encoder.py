"""The trained encoder: equal to the plain formula, forwards and backwards."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from transformers import BertConfig, BertForMaskedLM, BertModel, BertTokenizerFast

from siftline.errors import ModelError, UsageError
from siftline.train import head
from siftline.train.head import max_logits
from siftline.train.sparse_encoder import (
    IdfQueries,
    SparseEncoder,
    activate,
    sparsity_stats,
)

WORDS = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *(f"word{n}" for n in range(45))]
SPECIAL = [0, 1, 2, 3, 4]


def backbone() -> BertForMaskedLM:
    torch.manual_seed(11)
    config = BertConfig(
        vocab_size=len(WORDS),
        hidden_size=16,
        num_hidden_layers=2,
        num_attention_heads=2,
        intermediate_size=32,
        initializer_range=0.5,
    )
    return BertForMaskedLM(config).eval()


def texts() -> tuple[torch.Tensor, torch.Tensor]:
    torch.manual_seed(12)
    ids = torch.randint(5, 50, (3, 7))
    mask = torch.ones_like(ids)
    mask[1, 4:] = 0
    mask[2, 2:] = 0
    return ids, mask


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    backbone().save_pretrained(tmp_path)
    vocabulary = {word: number for number, word in enumerate(WORDS)}
    BertTokenizerFast(vocab=vocabulary).save_pretrained(tmp_path)
    return tmp_path


@pytest.fixture(params=["cached", "large"])
def product(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Tiles for a processor's cache, and those for other devices."""
    if request.param == "large":
        monkeypatch.setattr(head, "_CachedProduct", head._MaxProduct)


@pytest.mark.usefixtures("product")
@pytest.mark.parametrize("rows", [1, 7, 100])
@pytest.mark.parametrize("cells", [1, 100, 1 << 24])
def test_the_tiled_maximum_is_the_maximum(
    monkeypatch: pytest.MonkeyPatch, cells: int, rows: int
) -> None:
    monkeypatch.setattr(head, "TILE_CELLS", cells)
    monkeypatch.setattr(head, "CACHED_CELLS", cells)
    monkeypatch.setattr(head, "CACHED_ROWS", rows)
    torch.manual_seed(1)
    hidden, weight, bias = torch.randn(4, 6, 8), torch.randn(30, 8), torch.randn(30)
    mask = torch.tensor([[1] * 6, [1] * 3 + [0] * 3, [1] + [0] * 5, [0, 1, 1, 0, 0, 0]])
    logits = (hidden @ weight.T + bias).masked_fill(mask[..., None] == 0, -torch.inf)
    assert torch.allclose(max_logits(hidden, mask, weight, bias), logits.amax(1), atol=1e-5)


@pytest.mark.usefixtures("product")
def test_gradients_of_the_tiled_maximum(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(head, "BACKWARD_PAIRS", 7)
    monkeypatch.setattr(head, "BACKWARD_CELLS", 7)
    torch.manual_seed(2)
    hidden = torch.randn(3, 5, 4, dtype=torch.double, requires_grad=True)
    weight = torch.randn(9, 4, dtype=torch.double, requires_grad=True)
    bias = torch.randn(9, dtype=torch.double, requires_grad=True)
    mask = torch.tensor([[1, 1, 1, 1, 1], [1, 1, 0, 0, 0], [1, 0, 0, 1, 0]])

    def weights(h: torch.Tensor, w: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
        return activate(max_logits(h, mask, w, b), "l0")

    assert torch.autograd.gradcheck(weights, (hidden, weight, bias))


@pytest.mark.usefixtures("product")
def test_the_tiled_maximum_in_bfloat16() -> None:
    torch.manual_seed(3)
    hidden, weight = torch.randn(2, 6, 8).bfloat16(), torch.randn(30, 8)
    hidden.requires_grad_()
    weight.requires_grad_()
    mask = torch.tensor([[1] * 6, [1] * 4 + [0] * 2])
    found = max_logits(hidden, mask, weight, None)
    assert found.dtype == torch.bfloat16
    found.float().sum().backward()
    plain = (hidden.detach().float() @ weight.detach().T).masked_fill(mask[..., None] == 0, -9e9)
    assert torch.allclose(found.float(), plain.amax(1), rtol=0.02, atol=0.05)
    assert hidden.grad is not None and weight.grad is not None
    # the gradient of a token's row is the position that won
    first = sum(hidden[n, int(plain[n, :, 0].argmax())].detach().float() for n in range(2))
    assert torch.allclose(weight.grad[0], first, atol=1e-5)


def test_autocast_multiplies_in_its_own_type() -> None:
    torch.manual_seed(4)
    hidden, weight = torch.randn(2, 6, 8, requires_grad=True), torch.randn(30, 8)
    mask = torch.ones(2, 6, dtype=torch.long)
    with torch.autocast("cpu", torch.bfloat16):
        found = max_logits(hidden, mask, weight, None)
    rough = max_logits(hidden.detach().bfloat16(), mask, weight, None)
    assert found.dtype == torch.float32 and torch.equal(found, rough.float())
    found.sum().backward()
    exact = hidden.detach().clone().requires_grad_()
    max_logits(exact, mask, weight, None).sum().backward()
    assert hidden.grad is not None and exact.grad is not None
    # but where the types disagree on who won, the gradients are the same
    assert torch.isclose(hidden.grad, exact.grad, atol=1e-4).float().mean() > 0.8


@pytest.mark.parametrize("activation", ["log1p", "l0"])
def test_weights_by_the_plain_formula(activation: str) -> None:
    model = backbone()
    ids, mask = texts()
    logits = model(input_ids=ids, attention_mask=mask).logits * mask[..., None]
    wanted = torch.log1p(torch.relu(logits.amax(1)))
    wanted = torch.log1p(wanted) if activation == "l0" else wanted
    wanted[:, SPECIAL] = 0
    encoder = SparseEncoder(model, SPECIAL, activation=activation)  # type: ignore[arg-type]
    found = encoder(ids, mask)
    assert (wanted > 0).sum() > 20
    assert torch.allclose(found, wanted, atol=1e-5)


def test_gradients_reach_the_whole_backbone_as_in_the_plain_formula() -> None:
    ids, mask = texts()
    plain = backbone()
    logits = plain(input_ids=ids, attention_mask=mask).logits * mask[..., None]
    weights = torch.log1p(torch.relu(logits.amax(1)))
    (weights[:, 5:] ** 2).sum().backward()
    tiled = backbone()
    (SparseEncoder(tiled, SPECIAL)(ids, mask) ** 2).sum().backward()
    wanted = dict(plain.bert.named_parameters())
    for name, parameter in tiled.bert.named_parameters():
        if wanted[name].grad is not None:
            assert torch.allclose(parameter.grad, wanted[name].grad, atol=1e-4), name


def test_pruned_weights_are_above_a_share_of_the_largest() -> None:
    ids, mask = texts()
    every = SparseEncoder(backbone(), SPECIAL)(ids, mask)
    pruned = SparseEncoder(backbone(), SPECIAL, prune_ratio=0.5)(ids, mask)
    keep = every > 0.5 * every.amax(1, keepdim=True)
    assert 0 < keep.sum() < (every > 0).sum()
    assert torch.equal(pruned, every * keep)


def test_what_is_saved_is_opened_again(folder: Path, tmp_path: Path) -> None:
    ids, mask = texts()
    encoder = SparseEncoder.open(folder).eval()
    encoder.save(tmp_path / "out")
    plain = BertForMaskedLM.from_pretrained(tmp_path / "out").eval()
    logits = plain(input_ids=ids, attention_mask=mask).logits * mask[..., None]
    wanted = torch.log1p(torch.relu(logits.amax(1)))
    assert torch.allclose(encoder(ids, mask)[:, 5:], wanted[:, 5:], atol=1e-5)
    assert (tmp_path / "out" / "model.safetensors").is_file()


def test_activation_and_pruning_are_saved_and_can_be_overruled(
    folder: Path, tmp_path: Path
) -> None:
    SparseEncoder.open(folder, activation="l0", prune_ratio=0.25).save(tmp_path / "out")
    for name in ("tokenizer.json", "tokenizer_config.json"):
        (tmp_path / "out" / name).write_bytes((folder / name).read_bytes())
    again = SparseEncoder.open(tmp_path / "out")
    assert (again.activation, again.prune_ratio) == ("l0", 0.25)
    other = SparseEncoder.open(tmp_path / "out", activation="log1p")
    assert (other.activation, other.prune_ratio) == ("log1p", 0.25)


def test_a_backbone_without_a_head_gets_a_tied_one(folder: Path, tmp_path: Path) -> None:
    out = tmp_path / "bare"
    model = BertModel.from_pretrained(folder, add_pooling_layer=False)
    model.save_pretrained(out)
    for name in ("tokenizer.json", "tokenizer_config.json"):
        (out / name).write_bytes((folder / name).read_bytes())
    encoder = SparseEncoder.open(out)
    assert encoder.output.weight is encoder.model.bert.embeddings.word_embeddings.weight
    dense = encoder.model.cls.predictions.transform.dense.weight
    assert torch.equal(dense, torch.eye(16))


def test_inference_free_queries() -> None:
    idf = torch.tensor([9.0, 9.0, 9.0, 9.0, 9.0, 0.5, -1.0, 3.0])
    ids = torch.tensor([[2, 5, 7, 7, 3, 0], [2, 6, 3, 0, 0, 0]])
    mask = torch.tensor([[1, 1, 1, 1, 1, 0], [1, 1, 1, 0, 0, 0]])
    found = IdfQueries(idf, SPECIAL)(ids, mask)
    assert found.tolist() == [[0, 0, 0, 0, 0, 0.5, 0, 3.0], [0] * 8]


def test_sparsity_by_hand() -> None:
    stats = sparsity_stats(torch.tensor([[1.0, 0.0, 2.0], [3.0, 0.0, 0.0]]))
    assert (stats.active, stats.l1, stats.flops) == (1.5, 3.0, 5.0)


def test_wrong_options(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="activation 'relu'"):
        SparseEncoder(backbone(), SPECIAL, activation="relu")  # type: ignore[arg-type]
    with pytest.raises(UsageError, match=r"not 1\.5"):
        SparseEncoder(backbone(), SPECIAL, prune_ratio=1.5)
    with pytest.raises(ModelError, match="cannot open the backbone"):
        SparseEncoder.open(tmp_path / "nothing")
