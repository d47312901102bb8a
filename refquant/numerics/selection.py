"""One of two float32 numbers for each element, on their bits: several times as fast as np.where on mixed conditions."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

Float32s = npt.NDArray[np.float32]


def choose(condition: npt.NDArray[np.bool_], a: Any, b: Any) -> Float32s:
    """`a` where the condition holds, else `b`; the three broadcast.

    >>> choose(np.array([True, False]), np.float32([1, 2]), np.float32(-0.0))
    array([ 1., -0.], dtype=float32)
    """
    mask = np.negative(np.asarray(condition).view(np.int8)).astype(np.int32)  # all bits or none
    a, b = (np.asarray(x, np.float32).view(np.int32) for x in (a, b))
    return np.asarray(((a ^ b) & mask) ^ b).view(np.float32)


def limited(x: Float32s, low: float, high: float) -> Float32s:
    """`low` where x is less, `high` where it is greater, else x, as C++ compares: NaN and -0.0 stay.

    >>> limited(np.float32([-0.0, -1, 7, np.nan]), 0, 6)
    array([-0.,  0.,  6., nan], dtype=float32)
    """
    if low == 0:  # of two zeros np.maximum takes either
        mask = (np.asarray(x < 0).view(np.int8) - np.int8(1)).astype(np.int32)
        raised = (np.asarray(x).view(np.int32) & mask).view(np.float32)
    else:
        raised = np.maximum(x, np.float32(low))
    return np.asarray(np.minimum(raised, np.float32(high)))
