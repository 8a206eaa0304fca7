"""What is exported: a sparse encoder as transformers opens it, with its query weights.

`weights` is the plain formula, apart from every exported form: all logits, their maximum over real
positions, relu, one or two logarithms, 0 for special tokens, pruning.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from siftline.encode.idf import IdfTable
from siftline.errors import ModelError
from siftline.model.convert.export import IDF, resolve
from siftline.model.convert.heads import Head
from siftline.model.convert.query_weights import read_query_weights
from siftline.model.convert.recipe import read_recipe
from siftline.model.convert.samples import TEXTS
from siftline.train.sparse_encoder import begin_as_identity
from siftline.train.student import idf_weights

#: Texts of the comparison with the source: of a line, of a word, and longer than a window.
SAMPLES = (*TEXTS, "weather", " ".join(TEXTS) * 3)

#: float32 sums in another order differ by less than this.
TOLERANCE = 1e-4


@dataclass(frozen=True)
class Source:
    """model: of transformers, with its masked-language head, plain attention. folder: where it is.

    head: activation, special tokens, pruning. max_length: tokens of a text, special ones included.
    idf: weight of each query token, float32 `(V,)` by id and at least 0; None where queries go
    through the model.
    """

    folder: Path
    model: Any
    tokenizer: Any
    head: Head
    max_length: int
    idf: torch.Tensor | None

    @property
    def tokens(self) -> list[str]:
        """Token strings by id."""
        found: list[str] = self.tokenizer.convert_ids_to_tokens(range(len(self.tokenizer)))
        return found

    def inputs(self, texts: Sequence[str]) -> dict[str, torch.Tensor]:
        """Ids and mask, int64 `(N, L)`, padded at the end."""
        batch = self.tokenizer(
            list(texts),
            padding=True,
            truncation=True,
            max_length=self.max_length,
            padding_side="right",
            return_tensors="pt",
        )
        return {name: batch[name] for name in ("input_ids", "attention_mask")}

    def weights(self, texts: Sequence[str]) -> np.ndarray:
        """Weights of documents by the plain formula, float32 `(N, V)`."""
        inputs = self.inputs(texts)
        with torch.inference_mode():
            logits = self.model(**inputs).logits
            outside = inputs["attention_mask"][:, :, None] == 0
            values = logits.masked_fill(outside, -torch.inf).amax(dim=1).relu()
            values[:, list(self.head.zeroed)] = 0.0
            for _ in range(self.head.logarithms):
                values = torch.log1p(values)
            least = self.head.prune_ratio * values.amax(dim=1, keepdim=True)
            values = torch.where(values > least, values, 0.0)
        return np.asarray(values.numpy())

    def plain_ids(self, texts: Sequence[str]) -> list[list[int]]:
        """Ids of whole texts without the special tokens around them."""
        encoded = self.tokenizer(
            list(texts), add_special_tokens=False, truncation=False, verbose=False
        )
        rows: list[list[int]] = encoded["input_ids"]
        return rows

    def queries(self, texts: Sequence[str]) -> np.ndarray:
        """Weights of queries, float32 `(N, V)`: the table's for distinct tokens, or the model's."""
        if self.idf is None:
            return self.weights(texts)
        rows = self.plain_ids(texts)
        found = np.zeros((len(rows), len(self.idf)), np.float32)
        for number, row in enumerate(rows):
            tokens = sorted(set(row) - set(self.head.zeroed))
            found[number, tokens] = self.idf[tokens].numpy()
        return found


def open_source(name: str | Path, *, max_length: int | None = None) -> Source:
    """The source of a folder that training or sentence-transformers wrote, or of a catalogue name.

    max_length: None takes the tokenizer's limit, at most what the model has positions for.
    ModelError for a model that is no sparse encoder, and for files that do not fit together.
    """
    from transformers import AutoModelForMaskedLM, AutoTokenizer

    folder, hints = resolve(name)
    recipe = read_recipe(folder)
    if recipe.task != "sparse":
        raise ModelError(f"'{name}' is a {recipe.task} model, not a sparse encoder")
    try:
        model, loaded = AutoModelForMaskedLM.from_pretrained(
            str(recipe.transformer), attn_implementation="eager", output_loading_info=True
        )
        tokenizer = AutoTokenizer.from_pretrained(str(recipe.transformer))
    except (OSError, ValueError) as error:
        raise ModelError(f"cannot open the model '{name}': {error}") from None
    begin_as_identity(model, loaded["missing_keys"])
    vocabulary = int(model.config.vocab_size)
    if len(tokenizer) > vocabulary:
        raise ModelError(
            f"the tokenizer of '{name}' has {len(tokenizer)} tokens, its model only {vocabulary}"
        )
    head = Head(
        "sparse",
        hints.logarithms or recipe.logarithms,
        tuple(sorted(tokenizer.all_special_ids)),
        prune_ratio=recipe.prune_ratio,
    )
    length = _length(model, tokenizer, max_length or hints.max_length)
    table = _table(folder, recipe.queries)
    idf = None if table is None else idf_weights(table, tokenizer, vocabulary).relu()
    # Weights that were trained in bf16 are exported as float32, in which every form computes.
    return Source(folder, model.float().eval(), tokenizer, head, length, idf)


def _table(folder: Path, static: Path | None) -> IdfTable | None:
    if (folder / IDF).is_file():
        return IdfTable.from_file(folder / IDF)
    return None if static is None else IdfTable(read_query_weights(static))


def _length(model: Any, tokenizer: Any, wanted: int | None) -> int:
    """The tokens of a text: no more than there are positions, which RoBERTa counts from its pad."""
    config = model.config
    most = int(getattr(config, "max_position_embeddings", 512))
    if "roberta" in config.model_type or config.model_type == "camembert":
        most -= int(config.pad_token_id) + 1
    return min(most, int(wanted or tokenizer.model_max_length))
