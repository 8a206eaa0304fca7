"""The bias of a new head: in how many texts a token weighs something afterwards."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from transformers import AutoTokenizer

from siftline.errors import UsageError
from siftline.train.calibration import calibrate_bias
from siftline.train.sparse_encoder import SparseEncoder
from training_material import WORDS, write_backbone

RANDOM = np.random.default_rng(4)
TEXTS = [" ".join(f"w{n}" for n in RANDOM.integers(60, size=6)) for _ in range(80)]


@pytest.fixture(scope="module")
def backbone(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small encoder without a masked-language-model head."""
    return write_backbone(tmp_path_factory.mktemp("backbone"), headless=True)


def encoded(encoder: SparseEncoder, folder: Path, texts: list[str]) -> torch.Tensor:
    """Weights `(N, V)`, all texts in one batch."""
    rows = AutoTokenizer.from_pretrained(str(folder))(texts, padding=True, return_tensors="pt")
    with torch.no_grad():
        found: torch.Tensor = encoder.eval()(rows["input_ids"], rows["attention_mask"])
    return found


@settings(max_examples=8, deadline=None)
@given(st.floats(0.02, 0.9))
def test_every_token_weighs_something_in_that_part_of_the_texts(
    backbone: Path, density: float
) -> None:
    encoder = SparseEncoder.open(backbone)
    tokenizer = AutoTokenizer.from_pretrained(str(backbone))
    calibrate_bias(encoder, tokenizer, TEXTS, density)
    active = (encoded(encoder, backbone, TEXTS) > 0).sum(dim=0)[5:]  # without special tokens
    assert len(active) == len(WORDS) - 5
    # the quantile lies between two texts, or on one of them, which is then worth 0
    expected = density * (len(TEXTS) - 1)
    assert ((active >= np.floor(expected)) & (active <= np.ceil(expected))).all()


def test_a_token_stays_where_it_was_strongest(backbone: Path) -> None:
    encoder = SparseEncoder.open(backbone)
    tokenizer = AutoTokenizer.from_pretrained(str(backbone))
    before = encoded(encoder, backbone, TEXTS)
    done: list[int] = []
    calibrate_bias(encoder, tokenizer, TEXTS, 0.1, told=done.append)
    after = encoded(encoder, backbone, TEXTS)
    assert done == [16, 32, 48, 64, 80]
    for token in range(5, len(WORDS)):
        kept = after[:, token] > 0
        assert kept.any()
        assert float(before[kept, token].min()) >= float(before[~kept, token].max())


def test_an_encoder_that_trains_goes_on_training(backbone: Path) -> None:
    encoder = SparseEncoder.open(backbone).train()
    calibrate_bias(encoder, AutoTokenizer.from_pretrained(str(backbone)), TEXTS, 0.1)
    assert encoder.training
    assert encoder.output.bias.requires_grad


def test_too_few_texts_and_a_head_without_bias(backbone: Path) -> None:
    encoder = SparseEncoder.open(backbone)
    tokenizer = AutoTokenizer.from_pretrained(str(backbone))
    with pytest.raises(UsageError, match=r"head_density 0.01 of 80 texts is less than one"):
        calibrate_bias(encoder, tokenizer, TEXTS, 0.01)
    encoder.output.bias = None
    with pytest.raises(UsageError, match="needs an output layer with a bias"):
        calibrate_bias(encoder, tokenizer, TEXTS, 0.1)
