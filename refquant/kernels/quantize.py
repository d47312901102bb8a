"""From real numbers to integers, back, and from one integer type or scale to another: QUANTIZE, DEQUANTIZE, CAST."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from refquant.kernels import profiles
from refquant.kernels.fused_activation import clamp
from refquant.kernels.registry import Array, Operator, Run, TensorInfo, kernel
from refquant.kernels.requantization import check_scales
from refquant.numerics import affine
from refquant.numerics.fixed_point import multiplier_for
from refquant.numerics.lookup import tabulate
from refquant.tflite.schema import TensorType

_INT8, _UINT8, _INT16, _INT32 = TensorType.INT8, TensorType.UINT8, TensorType.INT16, TensorType.INT32
_FLOAT32 = TensorType.FLOAT32

#: the pairs that QUANTIZE takes between integers
_REQUANTIZES = {
    (_INT8, _INT8), (_INT8, _UINT8), (_INT8, _INT16), (_UINT8, _INT8), (_UINT8, _UINT8), (_UINT8, _INT16),
    (_INT16, _INT8), (_INT16, _INT16), (_INT16, _INT32), (_INT32, _INT8), (_INT32, _INT16),
}  # fmt: skip


@kernel("QUANTIZE")
def quantize(op: Operator) -> Run:
    """Float to integer: `numerics.affine.quantize`. Integer to integer: the difference from the zero point, times
    scale_in / scale_out (float64), double rounding, plus the other zero point.

    Source: kernels/quantize.cc, internal/reference/quantize.h and requantize.h.
    """
    x, out = op.input(0), op.output()
    out.shape = x.dims
    check_scales(op, out)
    if x.type == _FLOAT32 and out.type in (_INT8, _UINT8, _INT16):
        scale, zero_point = _along_channels(op, out)
        return lambda x: affine.quantize(x, scale, zero_point, out.dtype)
    if (x.type, out.type) not in _REQUANTIZES:
        raise op.unsupported()
    check_scales(op, x)
    if x.type == out.type == _INT16 and (x.zero_point, out.zero_point) != (0, 0):
        raise op.invalid("the zero points of int16 tensors must be 0")
    rule = profiles.rounding(op)
    multiplier, shift = multiplier_for(rule, np.float64(x.scale) / np.float64(out.scale))
    limits = np.iinfo(out.dtype)
    x_zero, out_zero = np.int32(x.zero_point), np.int32(out.zero_point)

    def run(x: Array) -> Array:
        with np.errstate(over="ignore"):
            difference = x.astype(np.int32) - x_zero
            if op.observer is not None:
                op.observe(accumulator=difference, multiplier=multiplier, shift=shift, rounding=rule.__name__)
            rescaled = rule(difference, multiplier, shift) + out_zero
        return clamp(rescaled, int(limits.min), int(limits.max), out.dtype)

    return run


@kernel("DEQUANTIZE")
def dequantize(op: Operator) -> Run:
    """scale * (q - zero_point) in float32, per tensor or per channel; float16 to float32 as it is.

    Source: kernels/dequantize.h, internal/reference/dequantize.h.
    """
    x, out = op.input(0), op.output()
    out.shape = x.dims
    if out.type != _FLOAT32:
        raise op.unsupported()
    if x.type == TensorType.FLOAT16:
        return lambda x: x.astype(np.float32)
    if x.type not in (_INT8, _UINT8, _INT16):
        raise op.unsupported()
    check_scales(op, x)
    scale, zero_point = _along_channels(op, x)
    if x.scales.size == 1 and out.dims != ():
        return tabulate(lambda q: affine.dequantize(q, scale, zero_point), x.dtype)
    return lambda x: affine.dequantize(x, scale, zero_point)


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


@kernel("CAST")
def cast(op: Operator) -> Run:
    """Numbers from one type to another, whatever their quantization.

    Integers wrap. A float becomes the whole number towards zero; beyond the range of the type, the number of
    `_float_to_integer`. Anything but zero is True. Source: kernels/cast.cc.
    """
    x, out = op.input(0), op.output()
    out.shape = x.dims
    plain = "fiub"
    if x.dtype.kind not in plain or out.dtype.kind not in plain or TensorType.BFLOAT16 in (x.type, out.type):
        raise op.unsupported()
    if x.dtype.kind == "f" and out.dtype.kind in "iu":
        return lambda x: _float_to_integer(x, out.dtype)

    def run(x: Array) -> Array:
        with np.errstate(over="ignore", invalid="ignore"):
            return x.astype(out.dtype)

    return run


def _float_to_integer(x: Array, dtype: np.dtype[Any]) -> Array:
    """Towards zero. What does not fit a type of 8 or 16 bits takes the low bits of the int32 that it is, and what
    does not fit that int32 (the int64, for types from uint32 on) is its lowest, as x86-64 processors convert.
    """
    through = np.dtype(np.int32 if dtype.itemsize < 4 or dtype == np.int32 else np.int64)
    bound = 2.0 ** (8 * through.itemsize - 1)
    with np.errstate(invalid="ignore"):
        fits = (x >= -bound) & (x < bound)
        if dtype == np.uint64:
            upper = (x >= bound) & (x < 2 * bound)
            high = np.where(upper, x.astype(np.float64) - bound, 0).astype(np.int64).astype(np.uint64) + np.uint64(2**63)
            return np.where(upper, high, np.where(fits, x, -bound).astype(np.int64).astype(np.uint64))
        return np.where(fits, x, -bound).astype(through).astype(dtype)
