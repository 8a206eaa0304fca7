"""Rows of token ids through a transformer model, batched by length."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple

import numpy as np

from siftline.encode.lazy import Lazy
from siftline.encode.ports import PortNames
from siftline.model.batching import length_batches, padded_length
from siftline.model.parallel import run_batches
from siftline.model.session import Session

#: Tokens of a batch, padding included: larger batches leave the processor's caches.
TOKEN_BUDGET = 512
#: The same where the runtime gains from large batches.
COMPILED_TOKEN_BUDGET = 4096

#: Lengths of the rows of a batch differ by less than this.
BUCKET = 16
#: Where the runtime compiles each new shape, lengths are padded to multiples of this.
COMPILED_BUCKET = 32


class Hidden(NamedTuple):
    """The output for some rows: `rows` (b,) row numbers, `lengths` (b,) tokens, `values` (b, …)."""

    rows: np.ndarray
    lengths: np.ndarray
    values: np.ndarray


class Transformer:
    """A model that takes token ids, an attention mask and token types; loaded on first use.

    pad: the id at padded positions, which are never attended to. token_budget: the most tokens of
    a batch, None for what suits the runtime.
    """

    def __init__(
        self,
        session: Callable[[], Session],
        names: PortNames,
        *,
        pad: int = 0,
        token_budget: int | None = None,
    ) -> None:
        self._names = names
        self._pad = pad
        self._budget = token_budget
        self._loaded = Lazy(lambda: self._load(session))

    def _load(self, make: Callable[[], Session]) -> tuple[Session, str]:
        session = make()
        inputs = [port.name for port in session.inputs]
        return session, self._names.check(inputs, [port.name for port in session.outputs])

    @property
    def session(self) -> Session:
        """The open model."""
        return self._loaded()[0]

    @property
    def output(self) -> str:
        """The name of the output that `run` gives."""
        return self._loaded()[1]

    def run(
        self,
        rows: Sequence[np.ndarray],
        types: Sequence[np.ndarray] | None = None,
        attended: Sequence[int] | None = None,
    ) -> Iterator[Hidden]:
        """The output for every row of token ids, in batches of similar length, each row once.

        types: token types of each row, all 0 without. attended: how many leading tokens of each
        row are attended to, all without.
        """
        if not rows:
            return
        session, output = self._loaded()
        lengths = np.array([len(row) for row in rows], dtype=np.int64)
        compiled = "openvino" in session.runtime
        bucket = COMPILED_BUCKET if compiled and len(rows) > 1 else BUCKET
        budget = self._budget or (COMPILED_TOKEN_BUDGET if compiled else TOKEN_BUDGET)
        batches = list(length_batches(lengths, token_budget=budget, bucket=bucket))

        def feeds_of(batch: np.ndarray) -> dict[str, np.ndarray]:
            width = padded_length(int(lengths[batch].max()), bucket if compiled else 1)
            seen = lengths[batch] if attended is None else np.asarray(attended)[batch]
            feeds = {
                self._names.ids: _padded([rows[i] for i in batch], width, self._pad),
                self._names.mask: (np.arange(width) < seen[:, None]).astype(np.int64),
            }
            if self._names.types:
                kinds = [types[i] for i in batch] if types is not None else []
                feeds[self._names.types] = _padded(kinds, width, 0, len(batch))
            return {
                port.name: feeds[port.name].astype(port.dtype, copy=False)
                for port in session.inputs
            }

        outputs = run_batches(session, map(feeds_of, batches), [output])
        for batch, values in zip(batches, outputs, strict=True):
            yield Hidden(batch, lengths[batch], values[output])


def _padded(
    rows: Sequence[np.ndarray], width: int, fill: int, count: int | None = None
) -> np.ndarray:
    padded = np.full((len(rows) if count is None else count, width), fill, dtype=np.int64)
    for i, row in enumerate(rows):
        padded[i, : len(row)] = row
    return padded
