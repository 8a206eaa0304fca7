"""Batches of similar length, so that little of what a model computes is padding."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from siftline.errors import UsageError

#: Lengths are padded to multiples of this: runtimes prepare each new shape once.
BUCKET = 32


def padded_length(length: int, bucket: int = BUCKET) -> int:
    """The smallest positive multiple of `bucket` that is at least `length`."""
    return max(1, -(-length // bucket)) * bucket


def length_batches(
    lengths: np.ndarray, *, token_budget: int, bucket: int = BUCKET
) -> Iterator[np.ndarray]:
    """Row numbers in batches, each row exactly once, shortest first, ties in row order.

    lengths: integer `(n,)`. A batch holds rows of one padded length (`padded_length` of any of its
    rows) and at most `token_budget // padded length` of them, but at least one. Yields int64
    arrays; raises UsageError for a budget or bucket below 1.
    """
    if token_budget < 1 or bucket < 1:
        raise UsageError(f"token_budget {token_budget} and bucket {bucket} must be at least 1")
    lengths = np.asarray(lengths, np.int64)
    order = np.argsort(lengths, kind="stable")
    padded = np.maximum(1, -(-lengths[order] // bucket)) * bucket
    first = 0
    while first < len(order):
        end = int(np.searchsorted(padded, padded[first], side="right"))
        rows = max(1, token_budget // int(padded[first]))
        yield order[first : min(first + rows, end)]
        first = min(first + rows, end)
