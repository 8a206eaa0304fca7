"""`order by` attributes instead of scores (spec 3.7)."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from siftline.errors import QueryError
from siftline.rank.features.attributes import sort_key
from siftline.schema.nearest import nearest

if TYPE_CHECKING:
    from siftline.rank.features.source import Run

#: Names that mean the score.
RELEVANCE = frozenset({"[relevance]", "[rank]"})


def sorts_by_attribute(order_by: tuple[tuple[str, bool], ...], global_phase: bool) -> bool:
    """Whether the order is another than by falling score; QueryError if a global phase runs too."""
    if not order_by or order_by[0][0] in RELEVANCE and order_by[0][1]:
        return False
    if global_phase:
        raise QueryError("Sorting is not supported with global phase", code=3)
    return True


def sort_positions(run: Run, rows: np.ndarray, scores: np.ndarray) -> np.ndarray:
    """Positions of hits by the query's `order by`, int64; ties by document.

    rows and scores: the hits, `(n,)`. Each entry of the order is (attribute, descending).
    """
    keys = [rows]
    for name, descending in reversed(run.prepared.query.order_by):
        if name in RELEVANCE:
            key = scores
        else:
            if name not in run.schema.fields or not run.schema.fields[name].is_attribute:
                known = [f.name for f in run.schema.fields.values() if f.is_attribute]
                raise QueryError(
                    f"cannot sort by '{name}': no such attribute{nearest(name, known)}"
                )
            key = sort_key(run.snapshot, run.schema.fields[name], run.documents[rows])
        keys.append(-key if descending else key)
    return np.lexsort(keys)
