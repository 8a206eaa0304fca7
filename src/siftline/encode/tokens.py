"""Token ids as a tensor: hugging-face-tokenizer (spec: Vespa embedding reference)."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from siftline.encode.tokenizer import Tokenizer
from siftline.errors import UsageError
from siftline.tensor.batch import DenseBatch
from siftline.tensor.tensor import Tensor, to_cells
from siftline.tensor.types import TensorType


class TokenEmbedder:
    """Texts to their first N token ids in `x[N]`, filled up with 0.

    special: with the special tokens of a single text. max_length: at most so many ids.
    """

    type = "hugging-face-tokenizer"

    def __init__(
        self,
        name: str,
        tokenizer: Callable[[], Tokenizer],
        *,
        special: bool = False,
        max_length: int | None = None,
    ) -> None:
        self.id = name
        self._tokenizer = tokenizer
        self._special = special
        self._max_length = max_length

    def check(self, target: TensorType, *, query: bool = False) -> None:
        """UsageError unless the target has exactly one dimension, of a known size, not mapped."""
        if target.mapped or len(target.indexed) != 1:
            raise UsageError(
                f"tokenizer '{self.id}' makes a row of token ids, which does not fit {target} "
                "(expected one dimension like d0[128])"
            )
        target.shape  # noqa: B018  raises where the size is open

    def documents(
        self, texts: Sequence[str], target: TensorType, arguments: tuple[str, ...] = ()
    ) -> DenseBatch:
        """Ids `(n, N)` of `target.dtype`; UsageError where the cells cannot hold them."""
        self.check(target)
        size = target.shape[0]
        length = size if self._max_length is None else min(size, self._max_length)
        ids = np.zeros((len(texts), size), np.int64)
        rows = self._tokenizer().ids(texts, special=self._special, max_length=length)
        for i, row in enumerate(rows):
            kept = row[:size]
            ids[i, : len(kept)] = kept
        return DenseBatch(target, to_cells(target, ids), np.ones(len(texts), bool))

    def query(self, text: str, target: TensorType) -> Tensor:
        """The ids of a query."""
        return Tensor(target, ((),), self.documents([text], target).values)
