"""From ranges to scales, from floats to integers: the arithmetic of the older, flatbuffer quantizer.

real = scale * (q - zero_point). A range of activations, [low, high] widened to include 0, becomes

- asymmetric int8: scale = (high - low) / 255, zero_point = round(-128 - low / scale), limited to -128..127,
- symmetric int16: scale = max(-low, high) / 32767, zero_point = 0.

A constant is symmetric, and is multiplied by the reciprocal of its scale and rounded with halves away from zero. All
steps are float32, each rounded; a scale of 0 (a range of zeros) has the reciprocal 0. Where a function does otherwise,
it says so. Numbers must be finite.

Sources: tools/optimize/quantization_utils.cc and quantize_model.cc; confirmed with tensorflow 2.21.0.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from refquant.numerics.dynamic_range import symmetric_quantize_within
from refquant.numerics.fixed_point import to_int32
from refquant.numerics.lookup import round_half_away

Array = npt.NDArray[Any]
Floats = npt.NDArray[np.float32]

INT16_STEPS = 32767
_INT32_MAX = np.float64(2**31 - 1)


class Affine(NamedTuple):
    """A scale and a zero point, and the range with 0 that they stand for."""

    scale: np.float32
    zero_point: int
    low: np.float32
    high: np.float32


def asymmetric_int8(low: np.float32, high: np.float32) -> Affine:
    """Scale and zero point of an int8 activation.

    >>> scale, zero_point, _, _ = asymmetric_int8(np.float32(-0.5), np.float32(2.05))
    >>> bool(scale == np.float32(2.55) / np.float32(255)), zero_point
    (True, -78)
    """
    low, high = _with_zero(low, high)
    with np.errstate(over="ignore"):
        scale = (high - low) / np.float32(255)
        zero_point = np.float32(-128) if scale == 0 else np.float32(-128) - low / scale
    return Affine(scale, int(round_half_away(np.clip(zero_point, -128, 127))), low, high)


def symmetric_int16(low: np.float32, high: np.float32) -> Affine:
    """Scale and zero point, 0, of an int16 activation.

    >>> float(symmetric_int16(np.float32(-1), np.float32(0.5)).scale) == float(np.float32(1 / 32767))
    True
    """
    low, high = _with_zero(low, high)
    return Affine(largest(low, high) / np.float32(INT16_STEPS), 0, low, high)


def largest(low: np.float32, high: np.float32) -> np.float32:
    """The largest magnitude of a range."""
    return max(abs(low), abs(high))


def extents(low: Floats, high: Floats) -> Floats:
    """The largest magnitude of each of several ranges."""
    return np.maximum(np.abs(low), np.abs(high))


def power_of_two_above(magnitude: np.float32) -> np.float32:
    """The least power of two, from 1 to 1024, that is not below a magnitude; 1024 for what is larger.

    >>> float(power_of_two_above(np.float32(2.5))), float(power_of_two_above(np.float32(1e9)))
    (4.0, 1024.0)
    """
    return np.float32(next(2.0**n for n in range(11) if n == 10 or 2.0**n >= magnitude))


def quantize_channels(weights: Floats, magnitudes: Floats, axis: int) -> tuple[npt.NDArray[np.int8], Floats]:
    """Weights as int8 and the scale of each index of `axis`, from the largest magnitudes of the channels.

    The weights are multiplied by 127 / magnitude, not by the reciprocal of the scale. Before it is limited to -127..127
    the integer is cut to its lowest eight bits: a weight beyond it wraps.

    >>> q, scales = quantize_channels(np.float32([[0.5, -1.27], [0, 0]]), np.float32([1.27, 0]), 0)
    >>> q.tolist(), float(scales[1])
    ([[50, -127], [0, 0]], 0.0)
    """
    with np.errstate(divide="ignore", over="ignore", invalid="ignore"):
        factors = np.where(magnitudes == 0, np.float32(0), np.float32(127) / magnitudes)
        whole = to_int32(round_half_away(weights * along(factors, weights.ndim, axis)))
    return np.maximum(whole.astype(np.int8), np.int8(-127)), magnitudes / np.float32(127)


def quantize_tensor(weights: Floats, magnitude: np.float32) -> tuple[npt.NDArray[np.int8], np.float32]:
    """Weights as int8 with one scale, magnitude / 127, as dynamic-range operators quantize a row; 1 for zeros."""
    q, scales = symmetric_quantize_within(weights.reshape(1, -1), np.array([magnitude], np.float32))
    return q.reshape(weights.shape), scales[0]


def quantize_int16(values: Floats, scale: np.float32) -> npt.NDArray[np.int16]:
    """Floats as int16 from -32767 to 32767 at a given scale; beyond int32 all become -32767."""
    return np.clip(to_int32(_scaled(values, scale)), -INT16_STEPS, INT16_STEPS).astype(np.int16)


def quantize_int8(values: Floats, scale: np.float32, zero_point: int, group: int) -> npt.NDArray[np.int8]:
    """Floats as int8 at a given scale and zero point.

    The compiler made two loops of one: groups of so many numbers are converted all at once, and there what is beyond
    int32, or NaN (a zero at a scale whose reciprocal is infinite), becomes -128; the numbers left over are limited in
    either direction, and NaN becomes 0.

    >>> quantize_int8(np.float32([0.25, -0.25, 3e9, 0, 3e9]), np.float32(0.5), -3, group=4)
    array([  -2,   -4, -128,   -3,  127], dtype=int8)
    """
    shifted = _scaled(values, scale).reshape(-1) + np.float32(zero_point)
    grouped = len(shifted) // group * group
    body, rest = np.clip(to_int32(shifted[:grouped]), -128, 127), np.nan_to_num(np.clip(shifted[grouped:], -128, 127))
    return np.concatenate([body.astype(np.int8), rest.astype(np.int8)]).reshape(values.shape)


def quantize_bias(bias: Floats, scales: Floats, dtype: type[np.int32] | type[np.int64]) -> Array:
    """A bias as int32 or int64 at given scales, one or one for each element, limited to the type without its minimum.

    >>> quantize_bias(np.float32([0.5, -9e30]), np.float32([0.25]), np.int32)
    array([          2, -2147483647], dtype=int32)
    """
    limit = np.iinfo(dtype).max
    scaled = _scaled(bias, scales)
    inside = np.abs(scaled) < np.float32(limit)  # which in float32 is one more than the largest integer
    whole = np.where(inside, scaled, np.float32(0)).astype(dtype)
    return np.where(inside | np.isnan(scaled), whole, np.where(scaled > 0, limit, -limit)).astype(dtype)


def range_for_bias(low: Floats, high: Floats, bias: Floats, input_scale: np.float32) -> tuple[Floats, Floats]:
    """The ranges of weights, widened where the bias would take more than half of int32 at the scale input * weights.

    `low` and `high` have one element, compared with the largest magnitude of the bias, or one for each element of the
    bias. What is compared is computed in float64 for channels, but for one range the bias is divided by 2**31 in
    float32. An input of zeros only, whose scale is 0, makes ranges of infinity, or NaN where the bias is 0.

    >>> low, high = range_for_bias(np.float32([-1]), np.float32([1]), np.float32([3e7]), np.float32(1))
    >>> float(high[0]) > 1, float(low[0] + high[0])
    (True, 0.0)
    """
    half = 0.5 * np.float64(input_scale) * (extents(low, high) / np.float32(127)).astype(np.float64)
    magnitudes = np.abs(bias).max(keepdims=True) if low.size == 1 else np.abs(bias)
    with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
        if low.size == 1:
            overflows = magnitudes / np.float32(_INT32_MAX) >= half
        else:
            overflows = magnitudes >= half * _INT32_MAX
        steps = 2.0 * magnitudes.astype(np.float64) / _INT32_MAX
        needed_high = (steps * (np.float32(127) / input_scale)).astype(np.float32)
        needed_low = (steps * (np.float32(-127) / input_scale)).astype(np.float32) if low.size == 1 else -needed_high
    return np.where(overflows, needed_low, low), np.where(overflows, needed_high, high)


def along(values: Array, rank: int, dimension: int | None) -> Array:
    """Values, shaped to broadcast along one dimension of a tensor."""
    shape = [1] * rank
    if dimension is not None and values.size > 1:
        shape[dimension] = -1
    return values.reshape(shape)


def _with_zero(low: np.float32, high: np.float32) -> tuple[np.float32, np.float32]:
    """The range widened to include 0; a zero keeps its sign."""
    return low if low <= 0 else np.float32(0), high if high >= 0 else np.float32(0)


def _scaled(values: Floats, scales: Floats | np.float32) -> Floats:
    """values / scale by the reciprocal, rounded with halves away from zero."""
    scales = np.asarray(scales, np.float32)
    with np.errstate(divide="ignore", over="ignore", invalid="ignore"):
        return round_half_away(values * np.where(scales == 0, np.float32(0), np.float32(1) / scales))
