"""Masked-language-model steps on a head: what is hidden, what learns, and that it helps."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from transformers import AutoTokenizer

from siftline.errors import UsageError
from siftline.train.sparse_encoder import SparseEncoder
from siftline.train.warm_up import WarmUp, head_parameters, masked, warm_up_head
from training_material import write_backbone

WORDS = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *(f"w{n}" for n in range(20))]
MASK = 4

#: One word all along: what is hidden can be told from what is not.
TEXTS = [f"w{word} " * 10 for word in range(20)]


@pytest.fixture(scope="module")
def backbone(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small encoder without a masked-language-model head."""
    return write_backbone(tmp_path_factory.mktemp("backbone"), WORDS, layers=1, headless=True)


@pytest.mark.parametrize("whole", [False, True])
def test_the_head_learns_and_the_frozen_backbone_stays(backbone: Path, whole: bool) -> None:
    encoder = SparseEncoder.open(backbone)
    tokenizer = AutoTokenizer.from_pretrained(str(backbone))
    before = {name: value.clone() for name, value in encoder.state_dict().items()}
    told: list[int] = []
    losses = warm_up_head(
        encoder,
        tokenizer,
        lambda: TEXTS,
        WarmUp(120, learning_rate=0.005, batch_size=16, backbone=whole),
        lambda step, loss: told.append(step),
    )
    assert told == list(range(1, 121))
    assert np.mean(losses[-20:]) < (0.5 if whole else 0.9) * np.mean(losses[:5])
    after = encoder.state_dict()
    changed = {name for name in before if not torch.equal(before[name], after[name])}
    of_backbone = {name for name in changed if name.startswith("model.bert.")}
    assert bool(of_backbone) == whole
    assert changed - of_backbone
    assert all(parameter.grad is None for parameter in encoder.parameters())


def test_the_same_seed_gives_the_same_head(backbone: Path) -> None:
    tokenizer = AutoTokenizer.from_pretrained(str(backbone))
    found = []
    for _ in range(2):
        encoder = SparseEncoder.open(backbone)
        torch.manual_seed(3)  # dropout
        settings = WarmUp(4, batch_size=8, seed=5)
        found.append(warm_up_head(encoder, tokenizer, lambda: TEXTS, settings))
    assert found[0] == found[1]


def test_the_first_loss_is_that_of_the_untrained_head(backbone: Path) -> None:
    encoder = SparseEncoder.open(backbone)
    with torch.no_grad():
        for parameter in head_parameters(encoder):
            parameter.zero_()
    tokenizer = AutoTokenizer.from_pretrained(str(backbone))
    (loss,) = warm_up_head(encoder, tokenizer, lambda: TEXTS, WarmUp(1))
    assert loss == pytest.approx(math.log(len(WORDS)), abs=1e-5)  # every token equally likely


def test_what_belongs_to_the_head(backbone: Path) -> None:
    encoder = SparseEncoder.open(backbone)
    shapes = sorted(tuple(parameter.shape) for parameter in head_parameters(encoder))
    # bias of the tokens, weight and bias of the dense layer, weight and bias of the norm
    assert shapes == [(25,), (32,), (32,), (32,), (32, 32)]
    assert len(head_parameters(encoder, backbone=True)) > 5


@given(st.integers(0, 2**31), st.integers(1, 6), st.integers(1, 40))
def test_only_open_positions_are_hidden_and_one_of_each_text(
    seed: int, texts: int, length: int
) -> None:
    randomness = torch.Generator().manual_seed(seed)
    ids = torch.randint(5, 25, (texts, length), generator=randomness)
    open_ = torch.rand((texts, length), generator=randomness) < 0.7
    shown, guessed = masked(ids, open_, MASK, 25, randomness)
    assert not (guessed & ~open_).any()
    assert torch.equal(guessed.any(dim=1), open_.any(dim=1))
    assert torch.equal(shown.where(~guessed, ids), ids)


def test_how_often_tokens_are_hidden() -> None:
    randomness = torch.Generator().manual_seed(0)
    ids = torch.full((200, 500), 7)
    shown, guessed = masked(ids, ids == 7, MASK, 1000, randomness)
    assert float(guessed.float().mean()) == pytest.approx(0.15, abs=0.005)
    hidden = shown[guessed]
    assert float((hidden == MASK).float().mean()) == pytest.approx(0.8, abs=0.01)
    assert float((hidden == 7).float().mean()) == pytest.approx(0.1, abs=0.01)


def test_a_corpus_without_texts(backbone: Path) -> None:
    encoder = SparseEncoder.open(backbone)
    tokenizer = AutoTokenizer.from_pretrained(str(backbone))
    with pytest.raises(UsageError, match="has no text"):
        warm_up_head(encoder, tokenizer, lambda: ["  "], WarmUp(1))
    tokenizer.mask_token = None
    with pytest.raises(UsageError, match="no mask token"):
        warm_up_head(encoder, tokenizer, lambda: TEXTS, WarmUp(1))
