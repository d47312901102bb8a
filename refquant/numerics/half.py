"""Floats of 16 bits: bfloat16, which NumPy lacks, and functions of either kind that are computed in float32.

A bfloat16 is the upper half of a float32; here it is its bits, a uint16.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt

from refquant.numerics.lookup import tabulate

Array = npt.NDArray[Any]
Float32s = npt.NDArray[np.float32]


def from_bfloat16(bits: npt.NDArray[np.uint16]) -> Float32s:
    """The numbers, as float32.

    >>> from_bfloat16(np.uint16([0x3F80, 0xC040]))
    array([ 1., -3.], dtype=float32)
    """
    return (bits.astype(np.uint32) << 16).view(np.float32)


def to_bfloat16(x: Float32s) -> npt.NDArray[np.uint16]:
    """The bits of the nearest bfloat16, halves to the even one; a NaN keeps its sign and nothing else.

    >>> [hex(n) for n in to_bfloat16(np.float32([1, 1 + 2**-8, 1 + 3 * 2**-8, np.nan]))]
    ['0x3f80', '0x3f80', '0x3f82', '0x7fc0']
    """
    bits = np.asarray(x, np.float32).view(np.uint32)
    rounded = (bits + 0x7FFF + ((bits >> 16) & 1)) >> 16
    quiet = ((bits >> 16) & 0x8000) | 0x7FC0
    return np.where(np.isnan(x), quiet, rounded).astype(np.uint16)


def rounded(x: Float32s, dtype: np.dtype[Any]) -> Float32s:
    """The nearest numbers of float16, or of bfloat16 where `dtype` is uint16, as float32 again.

    >>> rounded(np.float32([1 + 2**-9]), np.dtype(np.float16)), rounded(np.float32([1 + 2**-9]), np.dtype(np.uint16))
    (array([1.0019531], dtype=float32), array([1.], dtype=float32))
    """
    return x.astype(np.float16).astype(np.float32) if dtype == np.float16 else from_bfloat16(to_bfloat16(x))


def through_float32(function: Callable[[Array], Array], dtype: np.dtype[Any]) -> Callable[[Array], Array]:
    """A function of float32 as one of float16, or of bfloat16 where `dtype` is uint16: a table of 65,536 entries."""
    if dtype == np.float16:
        return tabulate(lambda x: function(x.astype(np.float32)).astype(np.float16), dtype)
    return tabulate(lambda bits: to_bfloat16(function(from_bfloat16(bits))), dtype)
