"""Pairs of texts as the input of a cross-encoder, and its scores.

The input layout is that of Vespa's tokenInputIds, tokenTypeIds and tokenAttentionMask.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np

from siftline.encode.ports import PortNames
from siftline.encode.transformer import Transformer
from siftline.errors import ModelError
from siftline.model.session import Session

START, SEPARATOR = 101, 102

#: What cross-encoders exported from sentence-transformers call inputs and output.
PAIR_PORTS = PortNames(output="logits")


class TokenInputs(NamedTuple):
    """Three int64 arrays of one shape, `(L,)` or `(n, L)`."""

    ids: np.ndarray
    types: np.ndarray
    mask: np.ndarray


def token_inputs(
    length: int, *parts: np.ndarray, start: int = START, separator: int = SEPARATOR
) -> TokenInputs:
    """`start, a…, separator, b…, separator`, cut at `length` and filled up with 0.

    parts: token ids `(N,)`, or `(n, N)` for n pairs at once, zero-padded: a part's length is its
    number of cells above 0. Types are 1 after the first separator up to the last; the cut may
    take the last separator away.
    """
    arrays = [np.asarray(part) for part in parts]
    count = max((len(array) for array in arrays if array.ndim == 2), default=1)
    tables = [np.broadcast_to(array, (count, array.shape[-1])) for array in arrays]
    shape = (count, length)
    inputs = TokenInputs(*(np.zeros(shape, np.int64) for _ in range(3)))
    for row in range(count):
        ids, types = _row([table[row] for table in tables], start, separator)
        size = min(length, len(ids))
        inputs.ids[row, :size] = ids[:size]
        inputs.types[row, :size] = types[:size]
        inputs.mask[row, :size] = 1
    if all(array.ndim == 1 for array in arrays):
        return TokenInputs(*(array[0] for array in inputs))
    return inputs


def _row(parts: Sequence[np.ndarray], start: int, separator: int) -> tuple[np.ndarray, np.ndarray]:
    """Ids and types of one input, neither cut nor filled up."""
    pieces: list[np.ndarray] = [np.array([start], np.int64)]
    for part in parts:
        # Cells may be float; a length of the positive ones, taken from the front, as Vespa does.
        pieces += [part[: np.count_nonzero(part > 0)].astype(np.int64), np.array([separator])]
    ids = np.concatenate(pieces)
    types = np.ones(len(ids), np.int64)
    types[: 1 + len(pieces[1]) + 1 if parts else 1] = 0
    return ids, types


class CrossEncoder:
    """A transformer that scores a query and a passage together with one logit."""

    def __init__(
        self,
        session: Callable[[], Session],
        names: PortNames = PAIR_PORTS,
        *,
        start: int = START,
        separator: int = SEPARATOR,
        token_budget: int | None = None,
    ) -> None:
        self._transformer = Transformer(session, names, token_budget=token_budget)
        self._start = start
        self._separator = separator

    def score(
        self,
        query_ids: np.ndarray,
        passages: Sequence[np.ndarray],
        max_length: int,
        *,
        keep_separator: bool = False,
    ) -> np.ndarray:
        """Logits float32 `(n,)` of the query with each passage, both plain token ids.

        An input longer than `max_length` is cut at its end, which takes the last separator away,
        as tokenInputIds does; keep_separator shortens the passage instead, as models are trained.
        """
        rows, types = [], []
        for passage in passages:
            ids, kinds = _row([query_ids, passage], self._start, self._separator)
            rows.append(ids[:max_length])
            types.append(kinds[:max_length])
            if keep_separator and len(ids) > max_length:
                rows[-1][-1] = self._separator
        scores = np.zeros(len(rows), np.float32)
        for hidden in self._transformer.run(rows, types):
            values = hidden.values.reshape(len(hidden.rows), -1)
            if values.shape[1] != 1:
                raise ModelError(
                    f"a cross-encoder gives one logit for each pair, this model {values.shape[1]}"
                )
            scores[hidden.rows] = values[:, 0]
        return scores
