"""Maximum over positions of vocabulary logits, without batch × length × vocabulary in memory.

max_l (h_l·w_t + b_t) = max_l (h_l·w_t) + b_t, so the vocabulary is multiplied tile by tile and each
tile is reduced at once. Backwards, a token's gradient goes to the one position that won, and only
tokens with a gradient take part: behind a relu those are the few active ones.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

#: Cells of a tile's product: what is in memory at once, times the bytes of a cell.
TILE_CELLS = 1 << 24

#: Active (document, token) pairs whose gradients are computed together.
BACKWARD_PAIRS = 1 << 16


def max_logits(hidden: Tensor, mask: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
    """Largest logit of each token over the positions of each text: `(N, V)`.

    hidden: `(N, L, D)`; mask: `(N, L)`, 1 where there is text, at least one position a text;
    weight: `(V, D)`; bias: `(V,)`.
    """
    best = _product(hidden, mask, weight)
    return best if bias is None else best + bias


def keep_uncompiled() -> None:
    """Leave the product out of the graphs of torch.compile: its shapes depend on the weights."""
    global _product
    _product = torch.compiler.disable(_product)


def _product(hidden: Tensor, mask: Tensor, weight: Tensor) -> Tensor:
    best: Tensor = _MaxProduct.apply(hidden, mask, weight)
    return best


class _MaxProduct(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, hidden: Tensor, mask: Tensor, weight: Tensor) -> Tensor:
        texts, length, _ = hidden.shape
        vocabulary = len(weight)
        best = hidden.new_empty(texts, vocabulary)
        where = torch.empty(texts, vocabulary, dtype=torch.int32, device=hidden.device)
        hole = torch.finfo(hidden.dtype).min
        outside = (mask == 0)[:, None, :]
        padded = bool(outside.any())
        tile = max(1, TILE_CELLS // (texts * length))
        for start in range(0, vocabulary, tile):
            part = slice(start, start + tile)
            product = weight[part].to(hidden.dtype) @ hidden.transpose(1, 2)
            if padded:
                product.masked_fill_(outside, hole)
            values, positions = product.max(dim=2)
            best[:, part], where[:, part] = values, positions.int()
        ctx.save_for_backward(hidden, weight, where)
        return best

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None, Tensor]:
        hidden, weight, where = ctx.saved_tensors
        (gradient,) = gradients
        texts, length, size = hidden.shape
        flat = hidden.reshape(texts * length, size)
        to_hidden = torch.zeros_like(flat, dtype=torch.promote_types(flat.dtype, torch.float32))
        to_weight = torch.zeros_like(weight)
        rows, tokens = torch.nonzero(gradient, as_tuple=True)
        for start in range(0, len(rows), BACKWARD_PAIRS):
            row, token = (
                rows[start : start + BACKWARD_PAIRS],
                tokens[start : start + BACKWARD_PAIRS],
            )
            scale = gradient[row, token][:, None]
            at = row * length + where[row, token]
            to_hidden.index_add_(0, at, (scale * weight[token]).to(to_hidden.dtype))
            to_weight.index_add_(0, token, (scale * flat[at]).to(to_weight.dtype))
        return to_hidden.to(hidden.dtype).reshape(hidden.shape), None, to_weight
