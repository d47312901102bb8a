"""From float constants to integers, with the roundings of the converter.

Weights of 8 bits are multiplied by the reciprocal of their scale in float32; biases are divided by it; all others go
through float64. Halves round away from zero.

Sources: QuantizeLegacy in converter/quantization/common/quantization_lib/quantization_utils.cc,
PortableSymmetricQuantizeFloats and SymmetricPerChannelQuantizeValues below quantization/lite/toco_legacy,
UniformQuantizedValueConverter of MLIR.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from refquant.numerics.fixed_point import to_int32
from refquant.numerics.lookup import round_half_away
from refquant.quantization.ir import Constant, Quantized
from refquant.tflite.tensor_types import numpy_dtype

Array = npt.NDArray[Any]


def quantize_constant(values: Array, quantized: Quantized) -> Constant:
    """The integers that stand for float32 `values` in a quantization, of the same shape."""
    if quantized.bits == 8 and (quantized.minimum, quantized.maximum) == (-127, 127):
        integers = _weights(values, quantized)
    elif quantized.bits == 16 and quantized.axis is None:
        integers = _sixteen_bits(values, quantized)
    elif quantized.bits == 32:
        integers = _biases(values, quantized)
    else:
        integers = affine(values, quantized)
    return Constant(quantized.tensor_type, integers.astype(numpy_dtype(quantized.tensor_type)))


def _weights(values: Array, quantized: Quantized) -> Array:
    if quantized.axis is None:
        largest = np.abs(values).max(initial=np.float32(0))
        if largest == 0:
            if abs(1.0 - quantized.scales[0]) > 1e-3:
                return affine(values, quantized)
            return np.zeros(values.shape, np.int8)
        if abs(float(largest / np.float32(127)) - quantized.scales[0]) > 1e-3:  # made larger for a bias
            return affine(values, quantized)
        with np.errstate(over="ignore"):
            inverse: Array = np.asarray(np.float32(127) / largest)
    else:
        scales = np.asarray(quantized.scales).astype(np.float32).astype(np.float64)
        inverse = _along((1.0 / scales).astype(np.float32), quantized.axis, values.ndim)
    with np.errstate(over="ignore", invalid="ignore"):
        integers = to_int32(round_half_away(values * inverse))
    if quantized.axis is not None:
        integers = integers.astype(np.int8)  # wraps, where a scale is so small that its reciprocal is infinite
    return np.clip(integers, -127, 127)


def _sixteen_bits(values: Array, quantized: Quantized) -> Array:
    with np.errstate(over="ignore", invalid="ignore"):
        inverse = np.float32(1) / np.float32(quantized.scales[0])
        integers = to_int32(round_half_away(values * inverse))  # the lowest one, where the reciprocal is infinite
    return np.clip(integers, -32767, 32767)


def _biases(values: Array, quantized: Quantized) -> Array:
    scales = np.asarray(quantized.scales).astype(np.float32)
    along = scales.reshape(-1) if quantized.axis is None else _along(scales, quantized.axis, values.ndim)
    with np.errstate(over="ignore", invalid="ignore"):
        inverse = np.where(along == 0, np.float32(0), np.float32(1) / np.where(along == 0, np.float32(1), along))
        product = values * inverse
    return np.clip(round_half_away(product).astype(np.float64), -(2**31) + 1, 2**31 - 1).astype(np.int64)


def affine(values: Array, quantized: Quantized) -> Array:
    """round(value * (1 / scale) + zero point) in float64, limited to the integers of the quantization."""
    inverse = 1.0 / np.asarray(quantized.scales)
    zero_points = np.asarray(quantized.zero_points, np.float64)
    if quantized.axis is None:
        with np.errstate(invalid="ignore"):  # infinity times zero
            scaled = values.astype(np.float64) * inverse[0] + zero_points[0]
    else:
        axis, rank = quantized.axis, values.ndim
        scaled = values.astype(np.float64) * _along(inverse, axis, rank) + _along(zero_points, axis, rank)
    return np.clip(round_half_away(scaled), quantized.minimum, quantized.maximum)


def _along(vector: Array, axis: int, rank: int) -> Array:
    return vector.reshape([-1 if i == axis else 1 for i in range(rank)])
