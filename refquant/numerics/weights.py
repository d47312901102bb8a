"""How the converter quantizes what it knows beforehand: weights and biases.

A weight becomes an int8 from -127 to 127 with zero point 0; its scale, one for the tensor or one for each channel,
is the largest magnitude divided by 127. A bias becomes an int32 at the scale input_scale * weight_scale.

Found by experiment with tensorflow 2.21.0 on 600,000 weights chosen to lie on ties: both are multiplied by the
float32 reciprocal of the scale, in float32, and rounded with halves away from zero; dividing, or computing in
float64, gives other integers for one weight in 500.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from refquant.numerics.lookup import round_half_away

Array = npt.NDArray[Any]
Float32s = npt.NDArray[np.float32]


def symmetric_scales(weights: Float32s, dimension: int | None) -> Float32s:
    """The scale of float weights: one, or one for each index of `dimension`. All-zero weights get a scale of 1.

    >>> symmetric_scales(np.float32([[1.27, -0.5], [0.1, -2.54]]), 0)
    array([0.01, 0.02], dtype=float32)
    """
    axes = tuple(i for i in range(weights.ndim) if i != dimension)
    largest = np.abs(weights.astype(np.float64)).max(axis=axes, initial=0.0).reshape(-1)
    return np.where(largest == 0, 1.0, largest / 127).astype(np.float32)


def quantize_symmetric(weights: Float32s, scales: Float32s, dimension: int | None) -> npt.NDArray[np.int8]:
    """Float weights as int8 from -127 to 127 at given scales.

    >>> quantize_symmetric(np.float32([0.5, -1.27, 0.124]), np.float32([0.01]), None)
    array([  50, -127,   12], dtype=int8)
    """
    inverse = along(np.float32(1) / scales, weights.ndim, dimension)
    with np.errstate(over="ignore", invalid="ignore"):
        return np.clip(round_half_away(weights * inverse), -127, 127).astype(np.int8)


def quantize_bias(bias: Float32s, scales: Float32s) -> npt.NDArray[np.int32]:
    """A float bias as int32 at given scales, one or one for each element.

    >>> quantize_bias(np.float32([0.5, -0.25]), np.float32([0.125, 0.5]))
    array([ 4, -1], dtype=int32)
    """
    with np.errstate(over="ignore", invalid="ignore"):
        rounded = round_half_away(bias * (np.float32(1) / scales)).astype(np.float64)
    return np.clip(np.nan_to_num(rounded), -(2**31), 2**31 - 1).astype(np.int32)


def along(values: Array, rank: int, dimension: int | None) -> Array:
    """Values, shaped to broadcast along one dimension of a tensor."""
    shape = [1] * rank
    if dimension is not None and values.size > 1:
        shape[dimension] = -1
    return values.reshape(shape)
