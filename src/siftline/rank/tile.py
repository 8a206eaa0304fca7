"""The inner loop of MaxSim: the best of a few tokens for 32 query rows at once, in registers.

A compiled loop over arrays keeps its running sums in memory; here they are eight vectors of 16
floats, written as LLVM instructions, which the compiler maps to whatever registers the machine has
(two AVX2 or four NEON registers for one of AVX-512). Multiply and add are fused where the machine
can, which rounds once instead of twice; nothing is reordered.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from llvmlite import ir
from numba import njit, types
from numba.core import cgutils
from numba.extending import intrinsic

#: Query rows of a tile: two vectors.
WIDTH = 32
_LANES = 16
_TOKENS = 4

_FLOAT = ir.FloatType()
_VECTOR = ir.VectorType(_FLOAT, _LANES)
_INT = ir.IntType(64)
_ZERO = ir.Constant(_VECTOR, [0.0] * _LANES)
_UNDEFINED = ir.Constant(_VECTOR, ir.Undefined)
_BROADCAST = ir.Constant(ir.VectorType(ir.IntType(32), _LANES), [0] * _LANES)


def _tile(tokens: int) -> Callable[..., None]:
    """The intrinsic that improves `best` by `tokens` rows."""

    @intrinsic  # type: ignore[untyped-decorator]
    def best_of(typing: Any, columns: Any, rows: Any, start: Any, size: Any, best: Any) -> Any:
        """`best[q] = max(best[q], rows[t] · columns[:, q])` for t in start … start+tokens-1.

        columns `(size, 32)`, rows `(m, size)`, best `(32,)`, all float32 and contiguous; start and
        size int64. NaN stays.
        """
        signature = types.void(columns, rows, start, size, best)

        def generate(context: Any, builder: Any, called: Any, arguments: Any) -> Any:
            query, cells, bests = (
                context.make_array(called.args[i])(context, builder, arguments[i]).data
                for i in (0, 1, 4)
            )
            products = _products(builder, query, cells, arguments[2], arguments[3], tokens)
            _keep_best(builder, bests, products)
            return context.get_dummy_value()

        return signature, generate

    function: Callable[..., None] = best_of
    return function


def _products(
    builder: Any, columns: Any, rows: Any, start: Any, size: Any, tokens: int
) -> list[list[Any]]:
    """The loop over the dimensions: a dot product for each token and query row."""
    fused = cgutils.get_or_insert_function(
        builder.module, ir.FunctionType(_VECTOR, [_VECTOR] * 3), f"llvm.fmuladd.v{_LANES}f32"
    )
    first = builder.mul(start, size)
    tokens_at = [
        builder.gep(rows, [builder.add(first, builder.mul(size, _INT(t)))]) for t in range(tokens)
    ]
    before = builder.basic_block
    loop, after = builder.append_basic_block("dimensions"), builder.append_basic_block("best")
    builder.branch(loop)
    builder.position_at_end(loop)
    x = builder.phi(_INT)
    x.add_incoming(_INT(0), before)
    sums = [[builder.phi(_VECTOR) for _ in range(WIDTH // _LANES)] for _ in tokens_at]
    at = builder.gep(columns, [builder.mul(x, _INT(WIDTH))])
    query = [_load(builder, at, half) for half in range(WIDTH // _LANES)]
    results = []
    for token, running in zip(tokens_at, sums, strict=True):
        cell = builder.load(builder.gep(token, [x]))
        lane = builder.insert_element(_UNDEFINED, cell, ir.IntType(32)(0))
        cells = builder.shuffle_vector(lane, _UNDEFINED, _BROADCAST)
        results.append(
            [builder.call(fused, [cells, q, s]) for q, s in zip(query, running, strict=True)]
        )
    following = builder.add(x, _INT(1))
    x.add_incoming(following, loop)
    for running, result in zip(sums, results, strict=True):
        for total, value in zip(running, result, strict=True):
            total.add_incoming(_ZERO, before)
            total.add_incoming(value, loop)
    builder.cbranch(builder.icmp_signed("<", following, size), loop, after)
    builder.position_at_end(after)
    return results


def _keep_best(builder: Any, best: Any, products: list[list[Any]]) -> None:
    """The larger of `best` and every product; a NaN wins and stays."""
    for half in range(WIDTH // _LANES):
        top = _load(builder, best, half)
        for product in products:
            value = product[half]
            larger = builder.fcmp_ordered(">", value, top)
            nan = builder.fcmp_unordered("uno", value, value)
            top = builder.select(builder.or_(larger, nan), value, top)
        builder.store(top, _half(builder, best, half)).align = 4


def _half(builder: Any, pointer: Any, half: int) -> Any:
    place = builder.gep(pointer, [_INT(half * _LANES)])
    return builder.bitcast(place, _VECTOR.as_pointer())


def _load(builder: Any, pointer: Any, half: int) -> Any:
    value = builder.load(_half(builder, pointer, half))
    value.align = 4
    return value


_several = _tile(_TOKENS)
_single = _tile(1)


@njit(cache=True, nogil=True)
def add_sums_of_maxima(columns, offsets, rows, count, scores):  # type: ignore[no-untyped-def]
    """`scores[i] += Σ_{q < count} max_t rows[t] · columns[:, q]` over the tokens of document i.

    columns `(d, 32)`, rows `(m, d)`, both float32 and contiguous; offsets `(n+1,)` int64; count at
    most 32; scores `(n,)` float64, written. Documents without tokens are left alone.
    """
    size = columns.shape[0]
    best = np.empty(WIDTH, np.float32)
    for i in range(len(offsets) - 1):
        token, stop = offsets[i], offsets[i + 1]
        if token == stop:
            continue
        best[:] = -np.inf
        while token + _TOKENS <= stop:
            _several(columns, rows, token, size, best)
            token += _TOKENS
        while token < stop:
            _single(columns, rows, token, size, best)
            token += 1
        for q in range(count):
            scores[i] += best[q]
