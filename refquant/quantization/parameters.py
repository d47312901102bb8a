"""From a range of real numbers to scale and zero point, as the converter's quantizer computes them.

The range of a tensor becomes a scale in float32 arithmetic (the converter keeps the bits of its predecessor), the zero
point is the integer nearest to where zero falls, limited to the integers there are. Weights are symmetric: one scale
for the tensor or for each channel, zero point 0, the lowest integer left out.

Sources: converter/quantization/common/quantization_lib/quantization_utils.cc (GetQuantizedType, DownCastScale,
ExtractMinMaxFromAttr, GetUniformQuantizedTypeForBias), MLIR's FakeQuantSupport (the zero point before it).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from refquant.numerics.half import from_bfloat16
from refquant.numerics.lookup import round_half_away
from refquant.quantization.ir import Constant, Quantized
from refquant.tflite.schema import TensorType

Array = npt.NDArray[Any]

_MOST_SCALE = float(np.finfo(np.float32).max)

#: of reals in 16 bits the least and the greatest scale that a quantization may have: numbers of that type themselves
_SCALES_OF_HALVES = {TensorType.FLOAT16: (2.0**-24, 65504.0), TensorType.BFLOAT16: (2.0**-133, 255 * 2.0**120)}

#: ranges no wider than this are widened to it
NEAR_ZERO = 1e-6


def from_range(
    minimum: npt.ArrayLike,
    maximum: npt.ArrayLike,
    *,
    bits: int = 8,
    narrow: bool = False,
    axis: int | None = None,
    widened: bool = False,
    single: bool = True,
) -> Quantized:
    """The quantization of reals from `minimum` to `maximum` (float64; arrays, one for each channel, with an `axis`).

    `narrow` leaves out the lowest integer. A range of no width at all has scale 1 before the float32 arithmetic, which
    `widened` avoids by making the range at least 1e-6 wide, as is done for constants. Without `single` the scales are
    computed in float64.

    >>> quantized = from_range(-1.0, 2.0)    # 3 / 255 in float32
    >>> quantized.scales, quantized.zero_points
    ((0.0117647061124444,), (-43,))
    """
    low = -(1 << (bits - 1)) + int(narrow)
    high = (1 << (bits - 1)) - 1
    reals_low = np.atleast_1d(np.asarray(minimum, np.float64))
    reals_high = np.atleast_1d(np.asarray(maximum, np.float64))
    if widened:
        wide = reals_high - reals_low > NEAR_ZERO
        reals_low = np.where(wide, reals_low, np.minimum(reals_low, -NEAR_ZERO / 2))
        reals_high = np.where(wide, reals_high, np.maximum(reals_high, NEAR_ZERO / 2))
    precision = np.float32 if single else np.float64
    with np.errstate(over="ignore"):
        width = reals_high.astype(precision) - reals_low.astype(precision)
    scales = (width / precision(high - low)).astype(np.float64)
    if high == -low:
        zero_points = np.zeros(len(scales), np.int64)
    else:
        with np.errstate(divide="ignore", invalid="ignore"):
            exact = (low - reals_low / scales).astype(np.float32)
            zero_points = np.clip(round_half_away(exact), low, high).astype(np.int64)
    return Quantized(bits, tuple(scales.tolist()), tuple(zero_points.tolist()), low, high, axis)


def of_statistics(minimum: float, maximum: float, bits: int) -> Quantized:
    """The quantization of an activation of whose values the smallest and the largest were recorded.

    Zero is made part of the range; 16-bit ranges are symmetric; a range narrower than 1e-6 grows by 1e-6 at both ends.
    """
    low, high = min(minimum, 0.0), max(maximum, 0.0)
    if bits == 16:
        high = max(abs(low), abs(high))
        low = -high
    if abs(high - low) < NEAR_ZERO:
        low -= NEAR_ZERO
        high += NEAR_ZERO
    return from_range(low, high, bits=bits)


def reals(constant: Constant) -> Array:
    """The numbers of a constant of floats, whatever their type; a bfloat16 is stored as its bits."""
    return from_bfloat16(constant.array) if constant.type == TensorType.BFLOAT16 else constant.array


def of_constant(constant: Constant, *, weight: bool, axis: int | None = None) -> Quantized | None:
    """The quantization of a constant: of a weight symmetric (per channel along an `axis`), of others over its range.

    None where its type has no scale for it, as where there is an infinity.
    """
    quantized = of_values(reals(constant), weight=weight, axis=axis)
    if quantized is not None and constant.type in _SCALES_OF_HALVES:
        least, most = _SCALES_OF_HALVES[constant.type]
        if not all(least <= scale <= most for scale in quantized.scales):
            return None
    return quantized


def of_values(
    values: Array, *, weight: bool, axis: int | None = None, bits: int = 8, single: bool = True
) -> Quantized | None:
    """The same of an array; NaN is passed over. None where the range is too wide for a float32 scale.

    `single`: in float32 arithmetic, as the quantizer of integer models has it.
    """
    others = tuple(i for i in range(values.ndim) if i != axis)
    low = np.fmin.reduce(values, others, initial=np.float32(0)).astype(np.float64).ravel()
    high = np.fmax.reduce(values, others, initial=np.float32(0)).astype(np.float64).ravel()
    if not (high - low <= _MOST_SCALE * 255).all():
        return None
    if weight:
        high = np.maximum(np.abs(low), np.abs(high))
        low = -high
    return from_range(low, high, bits=bits, narrow=weight, axis=axis, widened=True, single=single)


def of_bias(parts: Sequence[Quantized], axis: int) -> Quantized | None:
    """The quantization of a bias: 32 bits, its scale the product of those of what is multiplied (`parts`).

    Per channel along `axis` where a part is per channel; None where two parts are so along different axes, and where
    the product is too small or too large for a float32.
    """
    size, quantized_axis = 1, None
    for part in parts:
        if part.axis is not None:
            if size not in (1, len(part.scales)) or quantized_axis not in (None, part.axis):
                return None
            size, quantized_axis = len(part.scales), part.axis
    scales = np.ones(size)
    for part in parts:
        scales = scales * np.asarray(part.scales)
    with np.errstate(over="ignore"):
        exact = scales.astype(np.float32).astype(np.float64)
    if not ((exact > 0) & (exact <= _MOST_SCALE)).all():
        return None
    return Quantized(32, tuple(exact.tolist()), (0,) * size, -(2**31), 2**31 - 1, axis if size > 1 else None)
