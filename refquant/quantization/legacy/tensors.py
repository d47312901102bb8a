"""Quantizing one tensor: an activation by its range, a constant by its numbers."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from refquant.errors import InvalidModelError
from refquant.numerics.symmetric import (
    INT16_STEPS,
    Affine,
    asymmetric_int8,
    extents,
    largest,
    power_of_two_above,
    quantize_channels,
    quantize_int16,
    quantize_tensor,
    symmetric_int16,
)
from refquant.quantization.draft import Draft, shape_of
from refquant.tflite import schema
from refquant.tflite.schema import TensorType

Array = npt.NDArray[Any]
Floats = npt.NDArray[np.float32]

_MOST_DIMENSIONS_PER_CHANNEL = 4
_TIME_WEIGHT_STEPS = 512  # of 10 bits


def has_range(tensor: schema.Tensor) -> bool:
    """Whether the tensor carries a smallest and a largest number."""
    quantization = tensor.quantization
    return quantization is not None and _filled(quantization.min) and _filled(quantization.max)


def is_quantized(tensor: schema.Tensor) -> bool:
    """Whether the tensor carries a scale and a zero point."""
    quantization = tensor.quantization
    return quantization is not None and _filled(quantization.scale) and _filled(quantization.zero_point)


def ranges(tensor: schema.Tensor) -> tuple[Floats, Floats]:
    """The smallest and the largest numbers that the tensor carries."""
    if tensor.quantization is None or not has_range(tensor):
        raise InvalidModelError(f"tensor {tensor.name!r} has no min and max: calibrate the model first")
    return np.asarray(tensor.quantization.min, np.float32), np.asarray(tensor.quantization.max, np.float32)


def scales_of(tensor: schema.Tensor) -> Floats:
    """The scales of a quantized tensor."""
    if tensor.quantization is None or not is_quantized(tensor):
        raise InvalidModelError(f"tensor {tensor.name!r} has no scale")
    return np.asarray(tensor.quantization.scale, np.float32)


def parameters(tensor: schema.Tensor) -> tuple[np.float32, int]:
    """The first scale and zero point of a quantized tensor."""
    scale = scales_of(tensor)[0]
    assert tensor.quantization is not None and tensor.quantization.zero_point is not None
    return scale, int(tensor.quantization.zero_point[0])


def affine(scale: float | np.float32, zero_point: int) -> schema.QuantizationParameters:
    """A scale and a zero point."""
    return schema.QuantizationParameters(scale=np.array([scale], np.float32), zero_point=np.array([zero_point]))


def quantization_of(tensor: schema.Tensor) -> schema.QuantizationParameters:
    """The quantization table of a tensor, a new one where it has none."""
    if tensor.quantization is None:
        tensor.quantization = schema.QuantizationParameters()
    return tensor.quantization


def record_range(tensor: schema.Tensor, values: Floats, axis: int | None) -> None:
    """Gives a constant its smallest and largest number, or those of each index of `axis`.

    Of zeros with different signs the first one of a channel counts; without an axis the last one for the largest.
    """
    quantization = quantization_of(tensor)
    if axis is None:
        flat = values.reshape(-1)
        quantization.min = flat[[flat.argmin()]]
        quantization.max = flat[[flat.size - 1 - flat[::-1].argmax()]]
        return
    if values.ndim > _MOST_DIMENSIONS_PER_CHANNEL or axis >= values.ndim:
        raise InvalidModelError(
            f"weights {tensor.name!r} of shape {values.shape} cannot have a scale for each index of dimension {axis}"
        )
    rows = np.moveaxis(values, axis, 0).reshape(values.shape[axis], -1)
    each = np.arange(len(rows))
    quantization.quantized_dimension = axis
    quantization.min, quantization.max = rows[each, rows.argmin(axis=1)], rows[each, rows.argmax(axis=1)]


def activation_parameters(tensor: schema.Tensor, type: TensorType) -> Affine:
    """Scale, zero point and range of an activation in this type."""
    low, high = ranges(tensor)
    return (symmetric_int16 if type == TensorType.INT16 else asymmetric_int8)(low[0], high[0])


def quantize_activation(tensor: schema.Tensor, type: TensorType) -> None:
    """Gives an activation its type, scale and zero point; its range then includes 0."""
    scale, zero_point, low, high = activation_parameters(tensor, type)
    quantization = quantization_of(tensor)
    quantization.scale, quantization.zero_point = np.array([scale]), np.array([zero_point])
    quantization.min, quantization.max = np.array([low]), np.array([high])
    tensor.type = type


def quantize_activation_to_int16(tensor: schema.Tensor, *, power_of_two: bool = False) -> None:
    """Makes an activation symmetric int16, whatever the type of the others; its range is forgotten."""
    low, high = ranges(tensor)
    magnitude = largest(low[0], high[0])
    scale = power_of_two_above(magnitude) / np.float32(32768) if power_of_two else magnitude / np.float32(INT16_STEPS)
    tensor.quantization, tensor.type = affine(scale, 0), TensorType.INT16


def quantize_weights(draft: Draft, tensor: schema.Tensor, axis: int | None) -> None:
    """Makes a constant symmetric int8, by the ranges that it carries, else by its numbers."""
    values = draft.floats(tensor)
    if axis is None:
        low, high = ranges(tensor) if has_range(tensor) else (values, values)
        low, high = (low, high) if low.size == high.size == 1 else (values, values)
        integers, scale = quantize_tensor(values, extents(low, high).max())
        quantization = quantization_of(tensor)
        quantization.scale, quantization.zero_point = np.array([scale]), np.array([0])
        draft.store(tensor, integers)
        tensor.type = TensorType.INT8
        return
    low, high = ranges(tensor)
    channels = shape_of(tensor)[axis]
    if not low.size == high.size == channels:
        raise InvalidModelError(
            f"weights {tensor.name!r} need a range for each of {channels} channels, they have {low.size}: is the "
            "tensor an input of another operator as well? Give each operator a constant of its own"
        )
    store_quantized(draft, tensor, *quantize_channels(values, extents(low, high), axis), axis)


def quantize_to_int16(draft: Draft, tensor: schema.Tensor, *, bits: int = 16) -> None:
    """Makes a constant symmetric int16 by its numbers, of 16 bits or of 10."""
    values = draft.floats(tensor)
    steps = np.float32(_TIME_WEIGHT_STEPS if bits == 10 else INT16_STEPS)
    scale = np.abs(values).max() / steps
    store_quantized(draft, tensor, quantize_int16(values, scale), np.array([scale]))


def store_quantized(draft: Draft, tensor: schema.Tensor, integers: Array, scales: Floats, axis: int = 0) -> None:
    """Replaces a float constant by integers, with zero points of 0; its range stays."""
    quantization = quantization_of(tensor)
    quantization.scale, quantization.zero_point = scales, np.zeros(scales.size, np.int64)
    quantization.quantized_dimension = axis
    draft.store(tensor, integers)
    tensor.type = TensorType[integers.dtype.name.upper()]


def _filled(vector: Any) -> bool:
    return vector is not None and len(vector) > 0
