"""Rows of token ids through a transformer model, batched by length.

Documents come many at a time. Queries come one at a time from many threads; those that meet at a
busy model share a run, if the model gives a row the same whatever rows are beside it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple

import numpy as np

from siftline.encode.lazy import Lazy
from siftline.encode.ports import PortNames
from siftline.model.batching import length_batches, padded_length
from siftline.model.parallel import Parallel, run_batches
from siftline.model.session import Session
from siftline.model.sharing import Sharing, SharingStatistics

#: Tokens of a batch, padding included: larger batches leave the processor's caches.
TOKEN_BUDGET = 512
#: The same where the runtime gains from large batches.
COMPILED_TOKEN_BUDGET = 4096

#: Lengths of the rows of a batch differ by less than this.
BUCKET = 16
#: Where the runtime compiles each new shape, lengths are padded to multiples of this.
COMPILED_BUCKET = 32

#: Queries of several callers in one run.
SHARED_ROWS = 16
#: How far a row's output may lie from what the row gives by itself, as a part of its largest
#: component. Float models stay within 1e-6; models that quantise activations while running take
#: one scale for the whole batch and miss it by a factor of a thousand.
DRIFT = 1e-4


class Hidden(NamedTuple):
    """The output for some rows: `rows` (b,) row numbers, `lengths` (b,) tokens, `values` (b, …)."""

    rows: np.ndarray
    lengths: np.ndarray
    values: np.ndarray


class QueryRow(NamedTuple):
    """Token ids `(n,)` of a query, the first `attended` of them attended to."""

    ids: np.ndarray
    attended: int


class Transformer:
    """A model that takes token ids, an attention mask and token types; loaded on first use.

    pad: the id at padded positions, which are never attended to. token_budget: the most tokens of
    a batch, None for what suits the runtime. shared_rows: the most queries of one run.
    """

    def __init__(
        self,
        session: Callable[[], Session],
        names: PortNames,
        *,
        pad: int = 0,
        token_budget: int | None = None,
        shared_rows: int = SHARED_ROWS,
    ) -> None:
        self._names = names
        self._pad = pad
        self._budget = token_budget
        self._loaded = Lazy(lambda: self._load(session))
        self._shared_rows = shared_rows
        self._queries = Lazy(self._share)
        self._apart: bool | None = None

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

        A model whose rows are scaled together runs each by itself, so that a text has the same
        vector whatever is fed beside it; on as many threads as there are that costs little.
        types: token types of each row, all 0 without. attended: how many leading tokens of each
        row are attended to, all without.
        """
        if not rows:
            return
        session, output = self._loaded()
        lengths = np.array([len(row) for row in rows], dtype=np.int64)
        compiled = "openvino" in session.runtime
        bucket = COMPILED_BUCKET if compiled and len(rows) > 1 else BUCKET
        batches = list(length_batches(lengths, token_budget=self._tokens(session), bucket=bucket))
        batches.reverse()  # the longest first, so that threads that share the batches end together

        def feeds_of(batch: np.ndarray) -> dict[str, np.ndarray]:
            width = padded_length(int(lengths[batch].max()), bucket if compiled else 1)
            seen = lengths[batch] if attended is None else np.asarray(attended)[batch]
            kinds = [types[i] for i in batch] if types is not None else []
            return self._feeds(session, [rows[i] for i in batch], kinds, seen, width)

        outputs = run_batches(session, map(feeds_of, batches), [output])
        for batch, values in zip(batches, outputs, strict=True):
            yield Hidden(batch, lengths[batch], values[output])

    def query(self, ids: np.ndarray, attended: int | None = None) -> Hidden:
        """The output for one row of token ids, a batch of 1; several threads may share a run.

        attended: how many leading tokens are attended to, None for all. What others ask at the
        same time changes a component by at most `DRIFT` of the largest.
        """
        return self._queries()(QueryRow(ids, len(ids) if attended is None else attended))

    @property
    def query_statistics(self) -> SharingStatistics:
        """What `query` ran so far."""
        return self._queries().statistics()

    def _share(self) -> Sharing[QueryRow, Hidden]:
        lanes = self.session.workers if isinstance(self.session, Parallel) else 1
        most = 1 if self.session.scaled_together else self._shared_rows
        return Sharing(self._run_queries, lanes, most)

    def _run_queries(self, rows: Sequence[QueryRow], alone: bool) -> list[Hidden]:
        if len(rows) < 2 or self._apart:
            return self._together(rows, alone)
        if self._apart is None:
            return self._compare(rows, alone)
        return self._singly(rows, alone)

    def _singly(self, rows: Sequence[QueryRow], alone: bool) -> list[Hidden]:
        return [self._together([row], alone)[0] for row in rows]

    def _compare(self, rows: Sequence[QueryRow], alone: bool) -> list[Hidden]:
        """Each row by itself; the first two that fit together also in one run, to compare."""
        singly = self._singly(rows, alone)
        kinds: dict[int, int] = {}
        for this, row in enumerate(rows):
            other = kinds.setdefault(padded_length(len(row.ids), BUCKET), this)
            if other != this and not np.array_equal(rows[other].ids, row.ids):
                pair = self._together([rows[other], row], alone)
                self._apart = all(
                    _agree(a, b) for a, b in zip([singly[other], singly[this]], pair, strict=True)
                )
                if not self._apart:
                    self._queries().most = 1
                break
        return singly

    def _together(self, rows: Sequence[QueryRow], alone: bool) -> list[Hidden]:
        """The output of every row, as many of similar length in a run as may be."""
        session, output = self._loaded()
        run = session.run_alone if isinstance(session, Parallel) and not alone else session.run
        compiled = "openvino" in session.runtime
        lengths = np.array([len(row.ids) for row in rows], np.int64)
        results: dict[int, Hidden] = {}
        for batch in length_batches(lengths, token_budget=self._tokens(session), bucket=BUCKET):
            held = [rows[i] for i in batch]
            if compiled:
                # as few shapes as possible: each has to be compiled once
                held += held[-1:] * ((1 << (len(held) - 1).bit_length()) - len(held))
            width = padded_length(int(lengths[batch].max()), BUCKET if compiled else 1)
            seen = np.array([row.attended for row in held])
            feeds = self._feeds(session, [row.ids for row in held], [], seen, width)
            values = run(feeds, [output])[output]
            for place, row in enumerate(batch.tolist()):
                part = slice(place, place + 1)
                results[row] = Hidden(np.zeros(1, np.int64), lengths[batch][part], values[part])
        return [results[row] for row in range(len(rows))]

    def _tokens(self, session: Session) -> int:
        """The most tokens of a batch, 1 for a row by itself."""
        if session.scaled_together:
            return 1
        compiled = "openvino" in session.runtime
        return self._budget or (COMPILED_TOKEN_BUDGET if compiled else TOKEN_BUDGET)

    def _feeds(
        self,
        session: Session,
        rows: Sequence[np.ndarray],
        types: Sequence[np.ndarray],
        seen: np.ndarray,
        width: int,
    ) -> dict[str, np.ndarray]:
        """The model's inputs for rows filled up to `width`, the first `seen` of each attended."""
        feeds = {
            self._names.ids: _padded(rows, width, self._pad),
            self._names.mask: (np.arange(width) < seen[:, None]).astype(np.int64),
        }
        if self._names.types:
            feeds[self._names.types] = _padded(types, width, 0, len(rows))
        return {
            port.name: feeds[port.name].astype(port.dtype, copy=False) for port in session.inputs
        }


def _agree(alone: Hidden, beside: Hidden) -> bool:
    """Whether a row's output is the same beside another row, up to the permitted drift."""
    length = int(alone.lengths[0])
    expected, found = (
        hidden.values[:, :length] if hidden.values.ndim > 2 else hidden.values
        for hidden in (alone, beside)
    )
    bound = DRIFT * float(np.nanmax(np.abs(expected), initial=0.0))
    return np.allclose(found, expected, rtol=0, atol=bound, equal_nan=True)


def _padded(
    rows: Sequence[np.ndarray], width: int, fill: int, count: int | None = None
) -> np.ndarray:
    padded = np.full((len(rows) if count is None else count, width), fill, dtype=np.int64)
    for i, row in enumerate(rows):
        padded[i, : len(row)] = row
    return padded
