"""Maximum over positions of vocabulary logits, without batch × length × vocabulary in memory.

max_l (h_l·w_t + b_t) = max_l (h_l·w_t) + b_t, so the vocabulary is multiplied tile by tile and each
tile is reduced at once. Backwards, a token's gradient goes to the one position that won, and only
tokens with a gradient take part: behind a relu those are the few active ones.

On a processor a tile fits into its cache, holds real positions only, and gives the maximum alone;
which position won is found again for the active tokens. Elsewhere tiles are large, and as few as
memory lets.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor

#: Cells of a tile's product where tiles are large: what is in memory at once, times a cell's bytes.
TILE_CELLS = 1 << 24

#: Cells of a tile's product on a processor: half of a core's second cache.
CACHED_CELLS = 1 << 17

#: Positions that are multiplied together on a processor; a longer text goes by itself.
CACHED_ROWS = 128

#: Active (document, token) pairs whose gradients are computed together.
BACKWARD_PAIRS = 1 << 16

#: Cells of the product that finds again which positions won.
BACKWARD_CELLS = 1 << 20


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
    kind = _CachedProduct if hidden.device.type == "cpu" else _MaxProduct
    best: Tensor = kind.apply(hidden, mask, weight)
    return best


class _CachedProduct(torch.autograd.Function):
    """Tiles that a processor's cache holds."""

    @staticmethod
    def forward(ctx: Any, hidden: Tensor, mask: Tensor, weight: Tensor) -> Tensor:
        precision = _precision(hidden)
        rows = hidden[mask > 0].to(precision)
        ends = (mask > 0).sum(dim=1).cumsum(0).tolist()
        best = hidden.new_empty(len(hidden), len(weight))
        cells = weight.to(precision)
        for texts in _groups(ends):
            first = ends[texts[0] - 1] if texts[0] else 0
            group = rows[first : ends[texts[-1]]]
            tile = max(1, CACHED_CELLS // len(group))
            for start in range(0, len(weight), tile):
                product = group @ cells[start : start + tile].T
                begin = 0
                for text in texts:
                    end = ends[text] - first
                    best[text, start : start + tile] = product[begin:end].amax(dim=0)
                    begin = end
        ctx.save_for_backward(hidden, mask, weight)
        ctx.precision = precision
        return best

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None, Tensor]:
        hidden, mask, weight = ctx.saved_tensors
        (gradient,) = gradients
        exact = torch.promote_types(weight.dtype, torch.float32)
        to_hidden = torch.zeros_like(hidden, dtype=exact)
        to_weight = torch.zeros_like(weight, dtype=exact)
        for text, own in enumerate(mask > 0):
            rows = hidden[text, own]
            rough = rows.to(ctx.precision)
            tokens = torch.nonzero(gradient[text]).squeeze(1)
            to_rows = torch.zeros_like(rows, dtype=exact)
            for part in tokens.split(max(1, BACKWARD_CELLS // len(rows))):
                used = weight[part]
                # in the precision of the forward pass, so that the same position wins
                won = (used.to(ctx.precision) @ rough.T).argmax(dim=1)
                scale = gradient[text, part][:, None].to(exact)
                to_rows.index_add_(0, won, scale * used)
                to_weight.index_add_(0, part, scale * rows[won])
            to_hidden[text, own] = to_rows
        return to_hidden.to(hidden.dtype), None, to_weight.to(weight.dtype)


def _precision(hidden: Tensor) -> torch.dtype:
    """What the vocabulary is multiplied in: an autocast's type, or that of the hidden states."""
    kind = hidden.device.type
    return torch.get_autocast_dtype(kind) if torch.is_autocast_enabled(kind) else hidden.dtype


def _groups(ends: list[int]) -> Iterator[list[int]]:
    """Texts that follow each other and have no more than CACHED_ROWS positions together."""
    group: list[int] = []
    begin = 0
    for text, end in enumerate(ends):
        if group and end - begin > CACHED_ROWS:
            yield group
            group, begin = [], ends[text - 1]
        group.append(text)
    if group:
        yield group


class _MaxProduct(torch.autograd.Function):
    """Tiles of all texts at once."""

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
