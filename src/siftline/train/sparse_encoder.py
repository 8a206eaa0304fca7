"""The sparse encoder that is trained: a masked-language-model backbone and its sparse activation.

w_t = ln(1 + relu(max_l logit_lt)), or with a second logarithm around it (l0 activation,
arXiv 2504.14839). Special tokens weigh nothing.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import torch
from torch import Tensor, nn

from siftline.errors import ModelError, UsageError
from siftline.model.convert.recipe import HEAD_KEY, LOGARITHMS, read_recipe
from siftline.train.head import max_logits

#: log1p: ln(1 + relu(x)). l0: ln(1 + ln(1 + relu(x))).
Activation = Literal["log1p", "l0"]


@dataclass(frozen=True, slots=True)
class SparsityStats:
    """Of a set of vectors: mean non-zero tokens, mean L1 norm, FLOPS Σ_t (mean |w_t|)²."""

    active: float
    l1: float
    flops: float


class SparseEncoder(nn.Module):
    """Texts to weights of vocabulary tokens `(N, V)`, all at least 0.

    model: a transformers model with a masked-language-model head. special_ids: tokens that always
    weigh 0. prune_ratio r: a weight stays where w > r·max(w). The head multiplies by tiles of the
    vocabulary (`train/head.py`); its output layer is taken out of the model and kept beside it.
    """

    def __init__(
        self,
        model: Any,
        special_ids: Sequence[int],
        *,
        activation: Activation = "log1p",
        prune_ratio: float = 0.0,
    ) -> None:
        super().__init__()
        if activation not in ("log1p", "l0"):
            raise UsageError(f"unknown activation '{activation}' (known: log1p, l0)")
        if not 0 <= prune_ratio < 1:
            raise UsageError(f"prune_ratio is from 0 to below 1, not {prune_ratio}")
        output = model.get_output_embeddings()
        if output is None:
            raise ModelError(f"{type(model).__name__} has no masked-language-model head")
        self.model = model
        self.output = output
        self.activation: Activation = activation
        self.prune_ratio = prune_ratio
        model.set_output_embeddings(_PassOn())
        special = torch.zeros(output.weight.shape[0], dtype=torch.bool)
        special[list(special_ids)] = True
        self.register_buffer("special", special, persistent=False)

    @staticmethod
    def open(folder: Path | str, **options: Any) -> SparseEncoder:
        """The encoder of a transformers folder; options as for the constructor.

        The folder of a sentence-transformers SparseEncoder is one too. What a folder says about
        activation and pruning is taken where no option says otherwise.
        A backbone without a masked-language-model head gets one: its output layer is tied to the
        word embeddings and its dense layer begins as the identity.
        """
        from transformers import AutoModelForMaskedLM, AutoTokenizer

        folder, written = _written(folder)
        try:
            model, loaded = AutoModelForMaskedLM.from_pretrained(
                str(folder), output_loading_info=True
            )
            tokenizer = AutoTokenizer.from_pretrained(str(folder))
        except (OSError, ValueError) as error:
            raise ModelError(f"cannot open the backbone '{folder}': {error}") from error
        if len(tokenizer) > model.config.vocab_size:
            raise ModelError(
                f"the tokenizer of '{folder}' has {len(tokenizer)} tokens, its model only "
                f"{model.config.vocab_size}"
            )
        begin_as_identity(model, loaded["missing_keys"])
        return SparseEncoder(model, tokenizer.all_special_ids, **{**written, **options})

    @property
    def vocabulary(self) -> int:
        """V, the number of tokens."""
        return int(self.special.shape[0])

    def forward(
        self, input_ids: Tensor, attention_mask: Tensor, tokens: Tensor | None = None, **_: Any
    ) -> Tensor:
        """Weights `(N, V)` of texts `(N, L)`; attention_mask is 0 at padding.

        tokens `(C,)`: only of these, `(N, C)`.
        """
        hidden = self.model(input_ids=input_ids, attention_mask=attention_mask).logits
        weight, special = self.output.weight, self.special
        bias = getattr(self.output, "bias", None)
        if tokens is not None:
            weight, special = weight[tokens], special[tokens]
            bias = None if bias is None else bias[tokens]
        logits = max_logits(hidden, attention_mask, weight, bias)
        weights = activate(logits.float(), self.activation)
        weights = weights.masked_fill(special, 0.0)
        if self.prune_ratio:
            least = self.prune_ratio * weights.amax(dim=-1, keepdim=True)
            weights = weights.where(weights > least, 0.0)
        return weights

    @contextmanager
    def whole(self) -> Iterator[Any]:
        """The transformers model with its output layer in place."""
        self.model.set_output_embeddings(self.output)
        try:
            yield self.model
        finally:
            self.model.set_output_embeddings(_PassOn())

    def save(self, folder: Path) -> None:
        """Write a transformers folder: weights as safetensors, the activation in its config."""
        head = {"activation": self.activation, "prune_ratio": self.prune_ratio}
        with self.whole() as model:
            setattr(model.config, HEAD_KEY, head)
            model.save_pretrained(str(folder), safe_serialization=True)


def _written(folder: Path | str) -> tuple[Path | str, dict[str, Any]]:
    """The folder of the transformer, and the options that a sparse encoder was saved with."""
    place = Path(folder)
    if not (place / "config.json").is_file() and not (place / "modules.json").is_file():
        return folder, {}
    recipe = read_recipe(place)
    if recipe.task != "sparse":
        return recipe.transformer, {}
    activation = next(name for name, n in LOGARITHMS.items() if n == recipe.logarithms)
    return recipe.transformer, {"activation": activation, "prune_ratio": recipe.prune_ratio}


class _PassOn(nn.Module):
    """Stands where the output layer was; some models copy its bias."""

    bias = None

    def forward(self, hidden: Tensor) -> Tensor:
        """What it is given."""
        return hidden


def activate(logits: Tensor, activation: Activation) -> Tensor:
    """ln(1 + relu(x)), once or twice."""
    weights = torch.log1p(torch.relu(logits))
    return torch.log1p(weights) if activation == "l0" else weights


def begin_as_identity(model: Any, missing: Sequence[str]) -> None:
    """Make a head's dense layer that no file gave pass its input on unchanged."""
    layers: Mapping[str, nn.Module] = dict(model.named_modules())
    for name in missing:
        owner, _, parameter = name.rpartition(".")
        layer = layers.get(owner)
        square = isinstance(layer, nn.Linear) and layer.in_features == layer.out_features
        if parameter == "weight" and square and isinstance(layer, nn.Linear):
            with torch.no_grad():
                nn.init.eye_(layer.weight)
                if layer.bias is not None:
                    layer.bias.zero_()


def sparsity_stats(weights: Tensor) -> SparsityStats:
    """How sparse vectors `(N, V)` are."""
    return SparsityStats(
        active=float((weights > 0).sum(dim=-1).float().mean()),
        l1=float(weights.abs().sum(dim=-1).mean()),
        flops=float((weights.abs().mean(dim=0) ** 2).sum()),
    )


class IdfQueries(nn.Module):
    """Inference-free queries: relu(idf(t)) for every distinct token t of the query.

    weights: `(V,)` by token id. trained: whether the table takes gradients. Presence is binary,
    special tokens count nothing (arXiv 2411.04403).
    """

    def __init__(
        self, weights: Tensor, special_ids: Sequence[int], *, trained: bool = False
    ) -> None:
        super().__init__()
        self.weights = nn.Parameter(weights.detach().clone().float(), requires_grad=trained)
        special = torch.zeros(len(weights), dtype=torch.bool)
        special[list(special_ids)] = True
        self.register_buffer("special", special, persistent=False)

    def forward(
        self, input_ids: Tensor, attention_mask: Tensor, tokens: Tensor | None = None, **_: Any
    ) -> Tensor:
        """Query vectors `(N, V)` of token ids `(N, L)`; of `tokens` `(C,)` alone, `(N, C)`."""
        present = self.weights.new_zeros(len(input_ids), len(self.weights))
        present = present.scatter_reduce(1, input_ids, attention_mask.to(present.dtype), "amax")
        queries = present.masked_fill(self.special, 0.0) * torch.relu(self.weights)
        return queries if tokens is None else queries[:, tokens]
