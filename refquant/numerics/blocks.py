"""Functions of one array, element by element, block by block: what they compute in between stays in the cache."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps

import numpy as np
import numpy.typing as npt

Float32s = npt.NDArray[np.float32]

_BLOCK = 2**14


def in_blocks(function: Callable[[Float32s], Float32s]) -> Callable[[npt.ArrayLike], Float32s]:
    """The same function of float32 numbers, for large arrays several times as fast where it has many steps.

    >>> double = in_blocks(lambda x: x + x)
    >>> bool(np.all(double(np.full((3, 7, 5000), 2, np.float32)) == 4))
    True
    """

    @wraps(function)
    def of_any_size(x: npt.ArrayLike) -> Float32s:
        x = np.asarray(x, np.float32)
        if x.size <= _BLOCK:
            return function(x)
        numbers, result = x.reshape(-1), np.empty(x.size, np.float32)
        for begin in range(0, x.size, _BLOCK):
            result[begin : begin + _BLOCK] = function(numbers[begin : begin + _BLOCK])
        return result.reshape(x.shape)

    return of_any_size
