"""Documents by attribute value: words, ranges, sets, regular expressions; one segment at a time.

Every function gives int64 documents of the segment, ascending, deleted ones among them.
"""

from __future__ import annotations

from collections.abc import Sequence
from weakref import WeakKeyDictionary

import numpy as np

from siftline.feed.patterns import compiled
from siftline.index.columns.column import AttributeColumn
from siftline.index.postings.dictionary import TermDictionary
from siftline.match.query import Range


def word_documents(
    column: AttributeColumn, text: str, *, cased: bool = False, prefix: bool = False
) -> np.ndarray:
    """Documents with a value equal to the text, or one that begins so; case counts if `cased`."""
    if column.dictionary is None:
        return np.zeros(0, np.int64)
    codes = _codes(column.dictionary, text, cased=cased, prefix=prefix)
    return _with_codes(column, codes)


def member_documents(
    column: AttributeColumn, values: Sequence[int | str], *, cased: bool = False
) -> np.ndarray:
    """Documents with a value among those given: numbers, or text as word_documents compares it."""
    if column.dictionary is None:
        wanted = np.array([int(value) for value in values], object)
        info = np.iinfo(column.values.dtype) if column.values.dtype.kind in "iu" else None
        if info is not None:
            wanted = wanted[(wanted >= info.min) & (wanted <= info.max)]
        return _owners(column, np.isin(column.values, wanted.astype(column.values.dtype)))
    codes = [
        code
        for value in values
        for code in _codes(column.dictionary, str(value), cased=cased, prefix=False)
    ]
    return _with_codes(column, codes)


def range_documents(column: AttributeColumn, interval: Range) -> np.ndarray:
    """Documents with a number in the interval; absent values lie in none."""
    values = column.values
    above = values > interval.low if interval.low_open else values >= interval.low
    below = values < interval.high if interval.high_open else values <= interval.high
    return _owners(column, above & below)


def regex_documents(column: AttributeColumn, expression: str) -> np.ndarray:
    """Documents with a text in which the expression is found, in any case."""
    if column.dictionary is None:
        return np.zeros(0, np.int64)
    pattern = compiled(expression, ignore_case=True)
    dictionary = column.dictionary
    codes = [code for code in range(len(dictionary)) if pattern.search(dictionary[code])]
    return _with_codes(column, codes)


def weighted_products(
    column: AttributeColumn, weights: dict[str, float]
) -> tuple[np.ndarray, np.ndarray]:
    """Documents whose weighted set shares a key, and Σ weight · own weight, float64."""
    factors = _factors(column, weights)
    hit = ~np.isnan(factors)
    owners = _item_owners(column)[hit]
    own = np.ones(len(owners)) if column.weights is None else column.weights[hit]
    documents, first = np.unique(owners, return_index=True)
    if not len(documents):
        return documents, np.zeros(0)
    return documents, np.add.reduceat(factors[hit] * own, first)


def _factors(column: AttributeColumn, weights: dict[str, float]) -> np.ndarray:
    """The query's weight of every item of the column, NaN where it has none."""
    factors = np.full(len(column.values), np.nan)
    if column.dictionary is not None:
        by_code = np.full(len(column.dictionary), np.nan)
        for key, weight in weights.items():
            codes = _codes(column.dictionary, key, cased=False, prefix=False)
            by_code[np.asarray(codes, np.int64)] = weight
        return by_code[column.values] if len(by_code) else factors
    for key, weight in weights.items():
        try:
            number = float(key)
        except ValueError:
            continue
        factors[column.values == number] = weight
    return factors


def _with_codes(column: AttributeColumn, codes: Sequence[int] | np.ndarray) -> np.ndarray:
    if not len(codes):
        return np.zeros(0, np.int64)
    if len(codes) == 1:
        return _owners(column, column.values == int(codes[0]))
    wanted = np.zeros(len(column.dictionary or ()), bool)
    wanted[np.asarray(codes, np.int64)] = True
    known = column.values >= 0
    return _owners(column, known & wanted[np.maximum(column.values, 0)])


def _owners(column: AttributeColumn, items: np.ndarray) -> np.ndarray:
    """The documents of the items that are set in a mask."""
    if column.indptr is None:
        return np.flatnonzero(items & column.present)
    return np.unique(np.searchsorted(column.indptr, np.flatnonzero(items), side="right") - 1)


def _item_owners(column: AttributeColumn) -> np.ndarray:
    if column.indptr is None:
        return np.arange(len(column.values), dtype=np.int64)
    counts = np.diff(column.indptr)
    return np.repeat(np.arange(len(counts), dtype=np.int64), counts)


def _codes(dictionary: TermDictionary, text: str, *, cased: bool, prefix: bool) -> Sequence[int]:
    """The numbers of the dictionary's terms that are the text, or begin with it."""
    folded = None if cased else _folded(dictionary)
    if folded is not None:
        wanted = text.lower()
        if not prefix:
            return folded.get(wanted, ())
        return [code for key, codes in folded.items() if key.startswith(wanted) for code in codes]
    # Terms without capitals are found as they are stored.
    wanted = text if cased else text.lower()
    if prefix:
        return dictionary.prefix(wanted)
    code = dictionary.lookup(wanted)
    return [code] if code >= 0 else []


_FOLDED: WeakKeyDictionary[TermDictionary, dict[str, list[int]] | None] = WeakKeyDictionary()


def _folded(dictionary: TermDictionary) -> dict[str, list[int]] | None:
    """Terms by their lower case, made once; None where every term is in lower case already."""
    if dictionary not in _FOLDED:
        terms = [term.decode("utf-8", "surrogatepass") for term in dictionary.all()]
        found: dict[str, list[int]] | None = None
        if any(term != term.lower() for term in terms):
            found = {}
            for code, term in enumerate(terms):
                found.setdefault(term.lower(), []).append(code)
        _FOLDED[dictionary] = found
    return _FOLDED[dictionary]
