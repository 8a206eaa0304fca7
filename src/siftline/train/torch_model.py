"""A teacher's model in torch: for folders that no other runtime reads, and on a GPU."""

from __future__ import annotations

import inspect
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from siftline.encode.transformer import Hidden
from siftline.errors import ModelError
from siftline.model.batching import length_batches
from siftline.train.sparse_encoder import SparseEncoder
from siftline.train.teacher_usage import Kind, Usage

#: Tokens of a batch, padding included, on a processor and on a GPU.
TOKEN_BUDGET, GPU_TOKEN_BUDGET = 2048, 1 << 16

#: Lengths of the rows of a batch differ by less than this.
BUCKET = 16


class TorchModel:
    """Rows of token ids through a transformers model, in float32; loaded on first use.

    folder: one that transformers reads. Gives vectors `(b, d)` pooled, weights `(b, V)` or logits
    `(b, labels)`. device: None for the GPU where there is one. Dropout is off.
    """

    def __init__(
        self,
        folder: Path,
        usage: Usage,
        kind: Kind,
        *,
        device: str | None = None,
        token_budget: int | None = None,
    ) -> None:
        self._folder = folder
        self._usage = usage
        self._kind = kind
        self._device = device or ("cuda" if torch.cuda.is_available() else "cpu")
        default = GPU_TOKEN_BUDGET if self._device.startswith("cuda") else TOKEN_BUDGET
        self._budget = token_budget or default
        self._loaded: tuple[Any, bool] | None = None

    def run(
        self, rows: Sequence[np.ndarray], types: Sequence[np.ndarray] | None = None
    ) -> Iterator[Hidden]:
        """The output for every row of token ids, longest first, each row once."""
        if not rows:
            return
        lengths = np.array([len(row) for row in rows], np.int64)
        batches = list(length_batches(lengths, token_budget=self._budget, bucket=BUCKET))
        for batch in reversed(batches):
            own = [rows[i] for i in batch]
            kinds = None if types is None else [types[i] for i in batch]
            with torch.inference_mode():
                values = self._values(own, kinds).float().cpu().numpy()
            yield Hidden(batch, lengths[batch], values)

    def _values(self, rows: Sequence[np.ndarray], types: Sequence[np.ndarray] | None) -> Tensor:
        model, takes_types = self._model()
        feeds = {
            "input_ids": self._padded(rows, self._usage.pad),
            "attention_mask": self._padded([np.ones_like(row) for row in rows], 0),
        }
        if types is not None and takes_types:
            feeds["token_type_ids"] = self._padded(types, 0)
        found = model(**feeds)
        if self._kind == "sparse":
            return found
        if self._kind == "cross":
            return found.logits
        hidden = found.last_hidden_state
        if self._usage.pooling == "cls":
            return hidden[:, 0]
        mask = feeds["attention_mask"][:, :, None].to(hidden.dtype)
        return (hidden * mask).sum(dim=1) / mask.sum(dim=1).clamp(min=1)

    def _padded(self, rows: Sequence[np.ndarray], fill: int) -> Tensor:
        table = np.full((len(rows), max(map(len, rows))), fill, np.int64)
        for i, row in enumerate(rows):
            table[i, : len(row)] = row
        return torch.from_numpy(table).to(self._device)

    def _model(self) -> tuple[Any, bool]:
        """The model, and whether it takes token types."""
        if self._loaded is None:
            model = self._open()
            takes = "token_type_ids" in inspect.signature(model.forward).parameters
            self._loaded = model.to(self._device).eval(), takes
        return self._loaded

    def _open(self) -> Any:
        from transformers import AutoModel, AutoModelForSequenceClassification

        folder = self._folder
        if self._kind == "sparse":
            activation = "l0" if self._usage.logarithms == 2 else "log1p"
            return SparseEncoder.open(str(folder), activation=activation)
        factory = AutoModel if self._kind == "dense" else AutoModelForSequenceClassification
        try:
            model, loaded = factory.from_pretrained(
                str(folder), dtype=torch.float32, output_loading_info=True
            )
        except (OSError, ValueError, KeyError) as error:
            raise ModelError(f"cannot open the teacher '{folder}': {error}") from error
        if self._kind == "cross" and loaded["missing_keys"]:
            missing = min(loaded["missing_keys"])
            raise ModelError(f"'{folder}' is no cross-encoder: it has no {missing}")
        return model
