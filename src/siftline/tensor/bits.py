"""Bit-level forms of cells: bfloat16 rounding and packed bits."""

from __future__ import annotations

import numpy as np


def round_bfloat16(values: np.ndarray) -> np.ndarray:
    """float32 values rounded to the nearest bfloat16 (ties to even), still as float32."""
    return expand_bfloat16(compress_bfloat16(values))


def compress_bfloat16(values: np.ndarray) -> np.ndarray:
    """float32 to its upper 16 bits as uint16, rounded to nearest even; NaN stays NaN."""
    single = np.ascontiguousarray(values, dtype=np.float32)
    bits = single.view(np.uint32)
    rounded = ((bits + (0x7FFF + ((bits >> 16) & 1))) >> 16).astype(np.uint16)
    return np.where(np.isnan(single), np.uint16(0x7FC0), rounded)


def expand_bfloat16(bits: np.ndarray) -> np.ndarray:
    """uint16 bfloat16 bit patterns to float32 of the same shape."""
    return (bits.astype(np.uint32) << 16).view(np.float32)


def pack_bits(values: np.ndarray) -> np.ndarray:
    """`(…, N)` numbers to `(…, ceil(N/8))` int8: bit 1 where value > 0, first in the top bit."""
    return np.packbits(np.asarray(values) > 0, axis=-1).view(np.int8)


def unpack_bits(packed: np.ndarray) -> np.ndarray:
    """`(…, N)` int8 to `(…, 8N)` float32 of 0 and 1, top bit first."""
    return np.unpackbits(
        np.ascontiguousarray(packed, dtype=np.int8).view(np.uint8), axis=-1
    ).astype(np.float32)
