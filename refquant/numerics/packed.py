"""Integers of four bits, two to a byte, the first in the low half."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt


def unpack_int4(packed: npt.NDArray[np.uint8], count: int) -> npt.NDArray[np.int8]:
    """The first `count` integers, from -8 to 7, of packed bytes.

    >>> unpack_int4(np.uint8([0x21, 0xF8]), 3)
    array([ 1,  2, -8], dtype=int8)
    """
    pairs = np.stack([packed << 4, packed], axis=-1).view(np.int8) >> 4
    return pairs.reshape(-1)[:count]
