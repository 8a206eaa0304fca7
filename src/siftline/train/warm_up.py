"""Masked-language-model steps: a head learns to speak before it is made sparse.

For backbones that came without such a head: its output layer is tied to the word embeddings, and
its dense layer, norm and bias are learnt on the texts of the corpus. Masking as in BERT
(arXiv 1810.04805): 15 % of the tokens, of which 80 % become [MASK], 10 % another token.
"""

from __future__ import annotations

import math
import random
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from itertools import islice
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from siftline.errors import ModelError, UsageError
from siftline.train.sparse_encoder import SparseEncoder

#: Part of the tokens that is guessed; of it, what is replaced by [MASK] and by another token.
GUESSED, MASKED, REPLACED = 0.15, 0.8, 0.1

#: Texts from which the next ones are drawn, so that a corpus in order is not learnt in order.
BUFFER = 20_000

#: Called with the step from 1, and its loss.
Told = Callable[[int, float], None]


@dataclass(frozen=True, slots=True)
class WarmUp:
    """How a head is warmed up. backbone: train it and the word embeddings too."""

    steps: int
    learning_rate: float = 1e-3
    batch_size: int = 32
    max_length: int = 128
    backbone: bool = False
    seed: int = 0


def warm_up_head(
    encoder: SparseEncoder,
    tokenizer: Any,
    texts: Callable[[], Iterable[str]],
    settings: WarmUp,
    told: Told | None = None,
) -> list[float]:
    """Train the encoder's head to guess masked tokens; the loss (nats a token) of every step.

    texts: begins the corpus anew at each call. The rate rises over the first tenth of the steps
    and falls to 0. UsageError for a tokenizer without [MASK] or a corpus without texts; ModelError
    where the loss is no number.
    """
    if tokenizer.mask_token_id is None:
        raise UsageError("the tokenizer has no mask token: masked-language-model steps need one")
    parameters = head_parameters(encoder, backbone=settings.backbone)
    optimizer = torch.optim.AdamW(parameters, lr=settings.learning_rate, weight_decay=0.01)
    schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda n: _rate(n, settings.steps))
    randomness = torch.Generator().manual_seed(settings.seed)
    batches = _batches(texts, settings.batch_size, random.Random(settings.seed))
    was_training = encoder.training
    encoder.train()
    losses: list[float] = []
    for step in range(1, settings.steps + 1):
        loss = _loss(encoder, tokenizer, next(batches), settings.max_length, randomness)
        losses.append(float(loss.detach()))
        if not math.isfinite(losses[-1]):
            raise ModelError(
                f"the masked-language-model loss is not a number at step {step}: lower "
                f"mlm_learning_rate ({settings.learning_rate})"
            )
        # of the head alone, where the backbone is frozen
        gradients = torch.autograd.grad(loss, parameters, allow_unused=True)
        for parameter, gradient in zip(parameters, gradients, strict=True):
            parameter.grad = gradient
        nn.utils.clip_grad_norm_(parameters, 1.0)
        optimizer.step()
        schedule.step()
        if told is not None:
            told(step, losses[-1])
    for parameter in parameters:
        parameter.grad = None
    encoder.train(was_training)
    return losses


def head_parameters(encoder: SparseEncoder, *, backbone: bool = False) -> list[nn.Parameter]:
    """What stands between the backbone's last layer and the logits; with `backbone`, all.

    An output layer that is tied to the word embeddings belongs to the backbone.
    """
    every = dict.fromkeys((*encoder.model.parameters(), *encoder.output.parameters()))
    if backbone:
        return list(every)
    body = {id(parameter) for parameter in encoder.model.base_model.parameters()}
    return [parameter for parameter in every if id(parameter) not in body]


def masked(
    ids: Tensor, open_: Tensor, mask_id: int, vocabulary: int, randomness: torch.Generator
) -> tuple[Tensor, Tensor]:
    """Ids `(N, L)` with some tokens hidden, and which positions are to be guessed, bool `(N, L)`.

    open_: positions that may be hidden; at least one of each text is, where there is one.
    """
    draw = torch.rand(ids.shape, generator=randomness).masked_fill(~open_, 2.0)
    guessed = (draw < GUESSED) | ((draw == draw.amin(dim=1, keepdim=True)) & open_)
    how = torch.rand(ids.shape, generator=randomness)
    others = torch.randint(vocabulary, ids.shape, generator=randomness)
    shown = ids.where(~(guessed & (how < MASKED)), mask_id)
    replaced = guessed & (how >= MASKED) & (how < MASKED + REPLACED)
    return shown.where(~replaced, others), guessed


def _loss(
    encoder: SparseEncoder,
    tokenizer: Any,
    texts: list[str],
    length: int,
    randomness: torch.Generator,
) -> Tensor:
    rows = tokenizer(
        texts,
        padding=True,
        truncation=True,
        max_length=length,
        return_tensors="pt",
        return_special_tokens_mask=True,
    )
    ids, attention = rows["input_ids"], rows["attention_mask"]
    open_ = (rows["special_tokens_mask"] == 0) & (attention == 1)
    shown, guessed = masked(ids, open_, tokenizer.mask_token_id, encoder.vocabulary, randomness)
    device = encoder.special.device
    shown, attention, guessed = shown.to(device), attention.to(device), guessed.to(device)
    # the output layer stands beside the model: logits only of what is guessed
    hidden = encoder.model(input_ids=shown, attention_mask=attention).logits[guessed]
    return cross_entropy(encoder.output(hidden).float(), ids.to(device)[guessed])


def _rate(step: int, steps: int) -> float:
    rising = max(1, steps // 10)
    if step < rising:
        return (step + 1) / rising
    return max(0.0, (steps - step) / max(1, steps - rising))


def _batches(
    texts: Callable[[], Iterable[str]], size: int, randomness: random.Random
) -> Iterator[list[str]]:
    """Batches without end: the corpus again and again, each time mixed by a buffer."""
    waiting: list[str] = []
    while True:
        stream = (text for text in texts() if text.strip())
        buffer = list(islice(stream, BUFFER))
        if not buffer:
            raise UsageError("the corpus of mlm_corpus has no text")
        for text in stream:
            place = randomness.randrange(len(buffer))
            waiting.append(buffer[place])
            buffer[place] = text
            if len(waiting) == size:
                yield waiting
                waiting = []
        randomness.shuffle(buffer)
        for text in buffer:
            waiting.append(text)
            if len(waiting) == size:
                yield waiting
                waiting = []
