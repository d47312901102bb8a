"""What a kernel of profile "optimized" computes for a whole register of a vector unit, and for what is left at the end.

Such kernels go through a tensor, or through a row of it, in groups of as many numbers as their registers hold, and
through the last numbers, which fill none, one by one. The two often differ: in a rounding, in what becomes of NaN.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt

from refquant.numerics.steps import told_of_part

Array = npt.NDArray[Any]


def split(array: Array, size: int) -> tuple[Array, Array]:
    """The elements of an array that fill groups of `size`, and those that are left."""
    whole = array.size // size * size
    return array.reshape(-1)[:whole], array.reshape(-1)[whole:]


def in_groups(size: int, groups: Callable[..., Array], rest: Callable[..., Array]) -> Callable[..., Array]:
    """A function of arrays of one shape: `groups` of the elements that fill groups of `size`, `rest` of the others.

    >>> in_groups(4, np.negative, np.positive)(np.arange(6))
    array([ 0, -1, -2, -3,  4,  5])
    """

    def run(*arrays: Array) -> Array:
        parts = [split(array, size) for array in arrays]
        shape, size_of_whole = arrays[0].shape, parts[0][0].size
        with told_of_part(shape, slice(0, size_of_whole)):
            whole = groups(*(whole for whole, _ in parts))
        with told_of_part(shape, slice(size_of_whole, arrays[0].size)):
            left = rest(*(left for _, left in parts))
        return np.concatenate([whole, left]).reshape(shape)

    return run
