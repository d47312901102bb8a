"""TensorFlow takes numbers too small for a full mantissa for zero."""

from __future__ import annotations

from typing import Any

import numpy as np

_TINY = np.finfo(np.float32).tiny


def flushed(numbers: Any) -> Any:
    """Subnormal float32 as zeros of their sign.

    >>> flushed(np.array([1e-40, 1], np.float32))
    array([0., 1.], dtype=float32)
    """
    return np.where(np.abs(numbers) < _TINY, np.copysign(np.float32(0), numbers), numbers)
