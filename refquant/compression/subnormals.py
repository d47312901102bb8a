"""TensorFlow takes numbers too small for a full mantissa for zero."""

from __future__ import annotations

from typing import Any

import numpy as np


def flushed(numbers: Any) -> Any:
    """Subnormal float32 and float64 as zeros of their sign; smaller types are computed in float32, and stay.

    >>> flushed(np.array([1e-40, 1], np.float32))
    array([0., 1.], dtype=float32)
    """
    dtype = numbers.dtype
    if dtype.type not in (np.float32, np.float64):
        return numbers
    return np.where(np.abs(numbers) < np.finfo(dtype).tiny, np.copysign(dtype.type(0), numbers), numbers)
