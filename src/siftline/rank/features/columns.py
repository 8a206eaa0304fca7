"""Columns of feature values: known for some of a query's candidates, carried by row selection."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from siftline.errors import UsageError
from siftline.rank.values import Value
from siftline.tensor.batch import concatenate
from siftline.tensor.tensor import Tensor


def take(value: Value, rows: np.ndarray) -> Value:
    """The given rows of a value; a Tensor is the same for every hit."""
    if isinstance(value, Tensor):
        return value
    return value[rows] if isinstance(value, np.ndarray) else value.take(rows)


def join(first: Value, second: Value) -> Value:
    """Two values of one feature, one after the other."""
    if isinstance(first, Tensor):
        return second if not isinstance(second, Tensor) else first
    if isinstance(second, Tensor):
        return first
    if isinstance(first, np.ndarray) and isinstance(second, np.ndarray):
        return np.concatenate([first, second])
    if isinstance(first, np.ndarray) or isinstance(second, np.ndarray):
        raise UsageError("a feature is a number for some hits and a tensor for others")
    return concatenate([first, second])


@dataclass(frozen=True, eq=False)
class Column:
    """A feature's value for the candidate rows `rows`, int64 ascending `(m,)`."""

    rows: np.ndarray
    value: Value

    @staticmethod
    def of(rows: np.ndarray, value: Value) -> Column:
        """A column from rows in any order."""
        if len(rows) < 2 or np.all(rows[1:] > rows[:-1]):
            return Column(rows, value)
        order = np.argsort(rows, kind="stable")
        return Column(rows[order], take(value, order))

    def missing(self, rows: np.ndarray) -> np.ndarray:
        """Which of `rows` the column lacks, bool `(len(rows),)`; none if all hits share a value."""
        if isinstance(self.value, Tensor) or rows is self.rows:
            return np.zeros(len(rows), bool)
        if not len(self.rows):
            return np.ones(len(rows), bool)
        places = np.minimum(np.searchsorted(self.rows, rows), len(self.rows) - 1)
        return np.asarray(self.rows[places] != rows)

    def at(self, rows: np.ndarray) -> Value:
        """The values of `rows`, all of which the column has."""
        if isinstance(self.value, Tensor):
            return self.value
        if rows is self.rows:
            return self.value
        return take(self.value, np.searchsorted(self.rows, rows))

    def extended(self, rows: np.ndarray, value: Value) -> Column:
        """The column with the values of further rows."""
        return Column.of(np.concatenate([self.rows, rows]), join(self.value, value))


class Columns:
    """Every column of one query by name."""

    def __init__(self) -> None:
        self._columns: dict[str, Column] = {}

    def put(self, name: str, rows: np.ndarray, value: Value) -> None:
        """Set or replace a column."""
        self._columns[name] = Column.of(rows, value)

    def names(self) -> list[str]:
        """The names of all columns."""
        return list(self._columns)

    def copy(self, without: Callable[[str], bool]) -> Columns:
        """The same columns, except those that `without` names."""
        other = Columns()
        other._columns = {n: c for n, c in self._columns.items() if not without(n)}
        return other

    def get(self, name: str, rows: np.ndarray, compute: Callable[[np.ndarray], Value]) -> Value:
        """The values of `rows`, computed only for rows that the column lacks."""
        column = self._columns.get(name)
        if column is None:
            value = compute(rows)
            self._columns[name] = Column.of(rows, value)
            return value
        absent = column.missing(rows)
        if absent.any():
            further = rows[absent]
            column = column.extended(further, compute(further))
            self._columns[name] = column
        return column.at(rows)
