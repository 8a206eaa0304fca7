"""The bias of a head that was never sparse: each token is set to weigh something in few texts.

A head tied to the word embeddings tells which tokens stand out in a text, but nearly all of its
logits are above 0, and the penalty needs thousands of steps to bring them down together. Lowering a
token's bias by a high quantile of its largest logits takes the part that every text gives it, and
leaves what sets a text apart.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor

from siftline.errors import UsageError
from siftline.train.head import max_logits
from siftline.train.sparse_encoder import SparseEncoder

#: Texts by which the bias is set.
TEXTS = 1024

#: Texts that are encoded together.
BATCH = 16

#: Called with how many texts are encoded.
Told = Callable[[int], None]


def calibrate_bias(
    encoder: SparseEncoder,
    tokenizer: Any,
    texts: Sequence[str],
    density: float,
    *,
    max_length: int = 128,
    told: Told | None = None,
) -> None:
    """Lower or raise the bias `(V,)` so that a token has a weight in `density` of the texts.

    The new logit is 0 at the (1 − density) quantile of a token's largest logits in each text.
    UsageError where there are too few texts for the quantile, or the output layer has no bias.
    """
    bias: Tensor | None = getattr(encoder.output, "bias", None)
    if bias is None:
        raise UsageError("head_density needs an output layer with a bias, and this one has none")
    if len(texts) * density < 1:
        raise UsageError(
            f"head_density {density} of {len(texts)} texts is less than one of them: ask for more, "
            "or train on more"
        )
    was_training = encoder.training
    encoder.eval()
    parts = []
    for start in range(0, len(texts), BATCH):
        part = texts[start : start + BATCH]
        parts.append(_logits(encoder, tokenizer, part, max_length))
        if told is not None:
            told(start + len(part))
    common = torch.quantile(torch.cat(parts), 1 - density, dim=0)
    with torch.no_grad():
        bias -= common.to(bias.device)
    encoder.train(was_training)


def _logits(encoder: SparseEncoder, tokenizer: Any, texts: Sequence[str], length: int) -> Tensor:
    """Largest logits `(N, V)`, float32, on the processor."""
    rows = tokenizer(
        list(texts), padding=True, truncation=True, max_length=length, return_tensors="pt"
    )
    device = encoder.special.device
    ids, mask = rows["input_ids"].to(device), rows["attention_mask"].to(device)
    with torch.no_grad():
        hidden = encoder.model(input_ids=ids, attention_mask=mask).logits
        found = max_logits(hidden, mask, encoder.output.weight, encoder.output.bias)
    return found.float().cpu()
