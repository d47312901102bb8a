"""From real numbers to integers, back, and from one integer type or scale to another: QUANTIZE, DEQUANTIZE,
NumericVerify.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Collection
from typing import Any

import numpy as np
import numpy.typing as npt

from refquant.kernels import profiles
from refquant.kernels.constants import once_if_constant
from refquant.kernels.fused_activation import clamp
from refquant.kernels.registers import in_groups, split
from refquant.kernels.registry import Array, Operator, Run, TensorInfo, kernel
from refquant.numerics import affine
from refquant.numerics.fixed_point import double_rounding_by_sixteens, multiplier_for, to_int32
from refquant.numerics.lookup import round_half_away, tabulate
from refquant.numerics.steps import ROUNDED, ZERO_POINT_ADDED, is_heard, noted
from refquant.tflite.schema import TensorType

_INT8, _UINT8, _INT16, _INT32 = TensorType.INT8, TensorType.UINT8, TensorType.INT16, TensorType.INT32
_INT4, _UINT4, _INT2 = TensorType.INT4, TensorType.UINT4, TensorType.INT2
_FLOAT32, _FLOAT16 = TensorType.FLOAT32, TensorType.FLOAT16

_Pair = tuple[TensorType, TensorType]
#: the pairs that QUANTIZE takes between integers, and those that TFLite Micro takes
_REQUANTIZES = {
    (_INT8, _INT8), (_INT8, _UINT8), (_UINT8, _INT8), (_UINT8, _UINT8),
    (_INT16, _INT8), (_INT16, _INT16), (_INT16, _INT32), (_INT32, _INT8), (_INT32, _INT16),
}  # fmt: skip
_REQUANTIZES_OF_MICRO = _REQUANTIZES - {(_UINT8, _UINT8)} | {(_INT8, _INT16), (_INT8, _INT32)}

#: the types to which QUANTIZE takes floats, and their lowest and highest number
_RANGES = {_INT8: (-128, 127), _UINT8: (0, 255), _INT16: (-32768, 32767), _INT4: (-8, 7), _UINT4: (0, 15)}


@kernel("QUANTIZE")
def quantize(op: Operator) -> Run:
    """Float to integer: `numerics.affine.quantize`, per channel for types of 8 and 16 bits. Integer to integer: the
    difference from the zero point, times scale_in / scale_out (float64), double rounding, plus the other zero point.

    Source: kernels/quantize.cc, internal/reference/quantize.h and requantize.h.
    """
    return _quantize(op, tuple(_RANGES), _REQUANTIZES)


@kernel("QUANTIZE", profile="micro")
def micro_quantize(op: Operator) -> Run:
    """As QUANTIZE, between other types. Source: tensorflow/lite/micro/kernels/quantize_common.cc."""
    return _quantize(op, (_INT8, _INT16), _REQUANTIZES_OF_MICRO)


def _quantize(op: Operator, of_floats: Collection[TensorType], allowed: Collection[_Pair]) -> Run:
    x, out = op.input(0), op.output()
    out.shape = x.dims
    if not out.is_quantized:
        raise op.invalid(f"tensor {out.index} ({out.name!r}) of type {out.type.name} has no scale")
    if x.type == _FLOAT32 and out.type in of_floats and not (out.type in (_INT4, _UINT4) and out.scales.size > 1):
        scale, zero_point = _along_channels(op, out)
        return lambda x: affine.quantize(x, scale, zero_point, out.dtype, *_RANGES[out.type])
    if (x.type, out.type) not in allowed:
        raise op.unsupported()
    if x.type == out.type == _INT16 and (x.params[1] or out.params[1]):
        raise op.invalid("the zero points of int16 tensors must be 0")
    (x_scale, x_zero), (out_scale, out_zero) = x.params, out.params
    rule = profiles.rounding(op)
    multiplier, shift = multiplier_for(rule, np.float64(x_scale) / np.float64(out_scale))
    limits = np.iinfo(out.dtype)

    def run(x: Array) -> Array:
        difference = x.astype(np.int32) - np.int32(x_zero)
        if op.observer is not None:
            op.observe(accumulator=difference, multiplier=multiplier, shift=shift, rounding=rule.__name__)
        rounded = noted(ROUNDED, rule(difference, multiplier, shift))
        return clamp(noted(ZERO_POINT_ADDED, rounded + np.int32(out_zero)), int(limits.min), int(limits.max), out.dtype)

    if x.dtype.itemsize > 1 or rule is double_rounding_by_sixteens:
        return run
    table = tabulate(run, x.dtype)
    return lambda x: table(x) if op.observer is None else run(x)


@kernel("QUANTIZE", profile="optimized")
def optimized_quantize(op: Operator) -> Run:
    """As QUANTIZE; float32 to 8 or 16 bits with one scale by eight: x * float32(1 / scale), halves to even.

    What is left at the end of the tensor is divided by the scale in float64, halves away from zero. From 8 bits to 8
    bits it goes by sixteen. Sources: AffineQuantize and Requantize in internal/optimized/optimized_ops.h.
    """
    run = quantize(op)
    x, out = op.input(0), op.output()
    if x.type != _FLOAT32 or out.type in (_INT4, _UINT4) or out.scales.size > 1:
        return run
    scale, zero_point = np.float64(out.scale), np.int32(out.zero_point)
    with np.errstate(divide="ignore", over="ignore"):
        inverse = np.float32(1 / scale)

    def by_eight(x: Array) -> Array:
        numbers, rest = split(x, 8)
        scaled, last = numbers * inverse, rest / scale
        if is_heard():
            noted("times float32(1 / scale), or beyond the last eight over scale", np.concatenate([scaled, last]))
        rounded = noted(ROUNDED, np.concatenate([to_int32(np.rint(scaled)), to_int32(round_half_away(last))]))
        return clamp(noted(ZERO_POINT_ADDED, rounded + zero_point), *_RANGES[out.type], out.dtype).reshape(x.shape)

    return by_eight


@kernel("DEQUANTIZE")
def dequantize(op: Operator) -> Run:
    """scale * (q - zero_point) in float32, per tensor, or per channel for types of at most 8 bits; float16 to float32
    as it is.

    A tensor without quantization has the scale 0. Source: kernels/dequantize.h, internal/reference/dequantize.h.
    """
    x, out = op.input(0), op.output()
    out.take_type(_FLOAT32)
    out.shape = x.dims
    out.is_persistent = x.value is not None
    out.is_fixed = x.value is not None or x.is_fixed
    if x.type == _INT16 and x.params[1] != 0:
        raise op.invalid("the zero point of an int16 tensor must be 0")
    return once_if_constant(x, _dequantized(op, x))


@kernel("DEQUANTIZE", profile="optimized")
def optimized_dequantize(op: Operator) -> Run:
    """As DEQUANTIZE; with one scale by eight: q * scale + (-zero_point * scale), each step rounded to float32.

    What is left at the end of the tensor is computed as in DEQUANTIZE. Source: Dequantize in
    internal/optimized/optimized_ops.h.
    """
    run = dequantize(op)
    by_eight = _dequantized_by_eight(op.input(0))
    return run if by_eight is None else once_if_constant(op.input(0), by_eight)


def _dequantized_by_eight(x: TensorInfo) -> Callable[[Array], Array] | None:
    """The function that makes float32 of a tensor as optimized kernels do; None where they do it as all others."""
    if x.type == _FLOAT16 or x.scales.size > 1:
        return None
    scale, zero_point = x.params
    offset = np.float32(np.float64(-zero_point) * np.float64(scale))

    def eights(q: Array) -> Array:
        scaled = noted("times scale, in float32", q.astype(np.float32) * scale)
        return noted("plus -zero point * scale", scaled + noted("-zero point * scale", offset))

    return in_groups(8, eights, lambda q: affine.dequantize(q, scale, zero_point))


@kernel("DEQUANTIZE", profile="micro")
def micro_dequantize(op: Operator) -> Run:
    """As DEQUANTIZE, always by the first scale and zero point. Source: tensorflow/lite/micro/kernels/dequantize.cc."""
    x, out = op.input(0), op.output()
    if out.type != _FLOAT32:
        raise op.unsupported()
    out.shape = x.dims
    scale, zero_point = x.params
    return once_if_constant(x, tabulate(lambda q: affine.dequantize(q, scale, zero_point), x.dtype))


def _dequantized(op: Operator, x: TensorInfo) -> Callable[[Array], Array]:
    """The function that makes float32 of an integer or float16 tensor."""
    is_per_channel = x.scales.size > 1
    if x.type not in (_INT8, _UINT8, _INT16, _INT4, _INT2, _FLOAT16) or (
        is_per_channel and x.type in (_INT16, _FLOAT16)
    ):
        raise op.unsupported()
    if x.type == _FLOAT16:
        return lambda x: x.astype(np.float32)
    scale, zero_point = _along_channels(op, x) if x.is_quantized else (np.zeros(1, np.float32), np.zeros(1, np.int64))
    if is_per_channel:

        def per_channel(q: Array) -> Array:
            difference = noted("less the zero point", q.astype(np.int32) - zero_point.astype(np.int32))
            return noted("times scale, in float32", scale * difference.astype(np.float32))

        return per_channel
    return tabulate(lambda q: affine.dequantize(q, scale, zero_point), x.dtype)


@kernel(
    "NumericVerify",
    custom=True,
    flaw="tensorflow 2.21.0 reads beyond the end of a second input that is smaller than the first; refquant refuses it",
)
def numeric_verify(op: Operator) -> Run:
    """The first input, dequantized, minus the second, float32.

    With `log_if_failed` and a `tolerance` of 0.1 or more, a difference beyond tolerance * scale is an error. The result
    for a constant first input is that of the first run, whatever the second input is later.
    Source: kernels/numeric_verify.cc.
    """
    return _numeric_verify(op, _dequantized(op, op.input(0)))


@kernel("NumericVerify", custom=True, profile="optimized")
def optimized_numeric_verify(op: Operator) -> Run:
    """As NumericVerify; the first input is dequantized as in profile "optimized"."""
    run = numeric_verify(op)
    by_eight = _dequantized_by_eight(op.input(0))
    return run if by_eight is None else _numeric_verify(op, by_eight)


def _numeric_verify(op: Operator, dequantized: Callable[[Array], Array]) -> Run:
    if len(op.inputs) != 2:
        raise op.invalid(f"it has {len(op.inputs)} inputs, expected 2")
    x, expected, out = op.input(0), op.input(1), op.output()
    out.take_type(_FLOAT32)
    if x.type not in (_INT8, _UINT8, _INT16, _FLOAT16) or expected.type != _FLOAT32:
        raise op.unsupported()
    if math.prod(x.dims) != math.prod(expected.dims):
        raise op.invalid(f"inputs of shapes {x.dims} and {expected.dims} hold different numbers of elements")
    options = op.flexbuffer_options
    if not isinstance(options, dict):
        raise op.invalid("its custom options are no map")
    tolerance, must_fit = np.float32(options.get("tolerance", 0)), bool(options.get("log_if_failed", False))
    out.shape = x.dims
    largest = tolerance * x.params[0]
    first: list[Array] = []

    def run(q: Array, expected: Array) -> Array:
        if first:
            return first[0]
        difference: Array = np.subtract(dequantized(q), expected.reshape(q.shape))
        if must_fit and tolerance >= 0.1 and np.any(np.abs(difference) > largest):
            raise op.invalid(f"a difference of {np.nanmax(np.abs(difference))} is beyond the tolerance of {largest}")
        if x.value is not None:
            first.append(difference)
        return difference

    return run


def _along_channels(op: Operator, tensor: TensorInfo) -> tuple[npt.NDArray[np.float32], npt.NDArray[Any]]:
    """Scales and zero points, shaped to broadcast against the tensor."""
    scales, zero_points = tensor.scales, tensor.zero_points
    if scales.size == 1 and zero_points.size == 1:
        return scales.reshape(()), zero_points.reshape(())
    axis = tensor.quantized_dimension
    if not 0 <= axis < len(tensor.dims) or tensor.dims[axis] != scales.size or zero_points.size not in (1, scales.size):
        raise op.invalid(
            f"tensor {tensor.index} ({tensor.name!r}) of shape {tensor.dims} has {scales.size} scales and "
            f"{zero_points.size} zero points along dimension {axis}"
        )
    shape = [1] * len(tensor.dims)
    shape[axis] = -1
    if zero_points.size == 1:
        zero_points = np.repeat(zero_points, scales.size)
    return scales.reshape(shape), zero_points.reshape(shape)
