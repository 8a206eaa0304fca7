"""Rows of token ids through a model: which run together."""

from __future__ import annotations

import numpy as np
import pytest
from encode_fakes import FakeSession, id_vectors, transformer


@pytest.mark.parametrize("together", [False, True])
def test_rows_scaled_together_run_one_by_one(together: bool) -> None:
    session = FakeSession(id_vectors(3))
    session.scaled_together = together
    rows = [np.array([7, 8]), np.array([1]), np.array([5, 6])]
    model = transformer(session)
    found = {int(row): hidden for hidden in model.run(rows) for row in hidden.rows}
    shapes = [call["input_ids"].shape for call in session.calls]
    assert shapes == ([(1, 2), (1, 2), (1, 1)] if together else [(3, 2)])
    assert sorted(found) == [0, 1, 2]
    model.query(rows[0])
    assert model.query_statistics.largest == 1
