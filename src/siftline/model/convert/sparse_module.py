"""The fused sparse head as a torch module, to be traced or exported."""

from __future__ import annotations

from typing import Any

from siftline.errors import ModelError
from siftline.model.convert.heads import NEVER, Head


def sparse_module(model: Any, head: Head) -> Any:
    """A module from ids and mask, int64 `(N, L)`, to weights `(N, V)`.

    model: a transformers model with a masked-language head, which is taken off it and multiplied
    tile by tile, as in `heads`. Texts are padded at their end. ModelError without such a head.
    """
    import torch

    decoder = model.get_output_embeddings()
    if decoder is None:
        raise ModelError("the model has no vocabulary layer, so it is not a sparse encoder")

    class PassOn(torch.nn.Identity):  # type: ignore[misc]
        bias = None  # BERT's head takes over the bias of its output layer

    model.set_output_embeddings(PassOn())

    class Sparse(torch.nn.Module):  # type: ignore[misc]
        def __init__(self) -> None:
            super().__init__()
            self.body = model
            self.weight = decoder.weight  # often the word embeddings themselves, stored once
            bias = torch.zeros(len(self.weight)) if decoder.bias is None else decoder.bias.detach()
            bias = bias.clone()
            bias[list(head.zeroed)] = NEVER
            self.bias = torch.nn.Parameter(bias)

        def forward(self, input_ids: Any, attention_mask: Any) -> Any:
            hidden = self.body(input_ids=input_ids, attention_mask=attention_mask).logits
            real = attention_mask[:, :, None] > 0
            hidden = torch.where(real, hidden, hidden[:, :1])
            tiles = torch.split(self.weight, head.tile)
            peaks = [torch.amax(hidden @ tile.T, dim=1) for tile in tiles]
            weights = torch.relu(torch.cat(peaks, dim=1) + self.bias)
            for _ in range(head.logarithms):
                weights = torch.log1p(weights)
            if head.prune_ratio:
                least = head.prune_ratio * torch.amax(weights, dim=1, keepdim=True)
                weights = torch.where(weights > least, weights, torch.zeros_like(weights))
            return weights

    return Sparse()
