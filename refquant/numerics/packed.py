"""Integers of four or two bits, several to a byte, the first in the lowest bits."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt


def unpack(packed: npt.NDArray[np.uint8], bits: int, count: int, signed: bool = True) -> npt.NDArray[np.int8]:
    """The first `count` integers of `bits` each in packed bytes.

    >>> unpack(np.uint8([0x21, 0xF8]), 4, 3), unpack(np.uint8([0x21, 0xF8]), 4, 3, signed=False)
    (array([ 1,  2, -8], dtype=int8), array([1, 2, 8], dtype=int8))
    >>> unpack(np.uint8([0b11100100]), 2, 4)
    array([ 0,  1, -2, -1], dtype=int8)
    """
    raised = packed[:, None] << np.arange(8 - bits, -1, -bits, dtype=np.uint8)  # each integer at the top of a byte
    integers = raised.view(np.int8) >> (8 - bits) if signed else (raised >> (8 - bits)).view(np.int8)
    return integers.reshape(-1)[:count]


def pack(integers: npt.NDArray[np.int8], bits: int) -> npt.NDArray[np.uint8]:
    """Integers of `bits` each in as few bytes as hold them.

    >>> [hex(byte) for byte in pack(np.int8([1, 2, -8]), 4)]
    ['0x21', '0x8']
    """
    per_byte = 8 // bits
    padded = np.zeros(-(-integers.size // per_byte) * per_byte, np.uint8)
    padded[: integers.size] = integers.reshape(-1).view(np.uint8) & (2**bits - 1)
    placed = padded.reshape(-1, per_byte) << np.arange(0, 8, bits, dtype=np.uint8)
    packed: npt.NDArray[np.uint8] = np.bitwise_or.reduce(placed, axis=1)
    return packed
