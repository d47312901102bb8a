"""Operators on two tensors, element by element, with broadcasting: ADD, SUB, MUL, DIV, MINIMUM, MAXIMUM."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from refquant.kernels import profiles
from refquant.kernels.fused_activation import clamp, clamp_float, clamp_integer, quantized_range
from refquant.kernels.registry import Array, Operator, Run, Shape, TensorInfo, kernel
from refquant.kernels.requantization import check_scales, output_stage
from refquant.numerics.fixed_point import multiplier_for
from refquant.numerics.lookup import tabulate
from refquant.tflite.schema import TensorType

_QUANTIZED = (TensorType.INT8, TensorType.UINT8, TensorType.INT16)
_PLAIN_INTEGERS = (TensorType.INT32, TensorType.INT64, TensorType.UINT32, TensorType.INT16)


@kernel("ADD")
def add(op: Operator) -> Run:
    """x + y.

    Plain numbers: IEEE or wrapping addition, then the fused activation. Source: kernels/add.cc.
    Quantized: see `_sum_of_quantized`.
    """
    return _sum(op, np.add, 1)


@kernel("SUB")
def sub(op: Operator) -> Run:
    """x - y, in everything else like ADD. Source: kernels/sub.cc."""
    return _sum(op, np.subtract, -1)


@kernel("MUL")
def mul(op: Operator) -> Run:
    """x * y.

    Plain numbers: IEEE or wrapping multiplication, then the fused activation. Quantized: the product of the
    differences from the zero points, brought to the output's scale by scale_x * scale_y / scale_out, which is
    computed in float32. Source: kernels/mul.cc, MulElementwise in internal/reference/integer_ops/mul.h.
    """
    x, y, out = _two_inputs(op)
    if not (x.type in _QUANTIZED and out.is_quantized):
        return _plain(op, np.multiply)
    _same_types(op, x, y, out)
    for tensor in (x, y, out):
        check_scales(op, tensor)
    if x.type == TensorType.INT16 and (x.zero_point, y.zero_point, out.zero_point) != (0, 0, 0):
        raise op.invalid("the zero points of int16 tensors must be 0")
    finish = output_stage(op, np.float64(x.scale * y.scale / out.scale), out, op.options.fused_activation_function)
    x_zero, y_zero = np.int32(x.zero_point), np.int32(y.zero_point)
    return lambda x, y: finish((x.astype(np.int32) - x_zero) * (y.astype(np.int32) - y_zero))


@kernel("DIV")
def div(op: Operator) -> Run:
    """x / y: IEEE division of floats, division towards zero of int32. Source: kernels/div.cc.

    An int32 divisor of zero is an error, as in the real kernel.
    """
    x, _, _ = _two_inputs(op)
    if x.type == TensorType.FLOAT32:
        return _plain(op, np.divide)
    if x.type != TensorType.INT32:
        raise op.unsupported()

    def towards_zero(x: Array, y: Array) -> Array:
        if np.any(y == 0):
            raise op.invalid("division by zero")
        wide = x.astype(np.int64)
        quotient = np.abs(wide) // np.abs(y.astype(np.int64))
        return np.where((wide < 0) != (y < 0), -quotient, quotient).astype(np.int32)

    return _plain(op, towards_zero)


@kernel("MINIMUM")
def minimum(op: Operator) -> Run:
    """The smaller of x and y; y where they cannot be compared. Source: kernels/maximum_minimum.cc."""
    return _choice(op, lambda x, y: np.where(x < y, x, y))


@kernel("MAXIMUM")
def maximum(op: Operator) -> Run:
    """The larger of x and y; y where they cannot be compared. Source: kernels/maximum_minimum.cc."""
    return _choice(op, lambda x, y: np.where(x > y, x, y))


def broadcast_shape(op: Operator, x: TensorInfo, y: TensorInfo) -> Shape:
    """The shape of two tensors together; raises `InvalidModelError` where they do not fit."""
    try:
        return np.broadcast_shapes(x.dims, y.dims)
    except ValueError:
        raise op.invalid(f"shapes {x.dims} and {y.dims} cannot be broadcast together") from None


def _two_inputs(op: Operator) -> tuple[TensorInfo, TensorInfo, TensorInfo]:
    """Both inputs and the output, whose shape is set."""
    x, y, out = op.input(0), op.input(1), op.output()
    if x.type != y.type:
        raise op.invalid(f"inputs of two types, {x.type.name} and {y.type.name}")
    out.shape = broadcast_shape(op, x, y)
    return x, y, out


def _same_types(op: Operator, x: TensorInfo, y: TensorInfo, out: TensorInfo) -> None:
    if not x.type == y.type == out.type:
        raise op.unsupported("inputs and output are of different types")


def _plain(op: Operator, function: Callable[[Array, Array], Array]) -> Run:
    """A function of float32 or of integers that stand for themselves, and the fused activation."""
    x, y, out = op.input(0), op.input(1), op.output()
    _same_types(op, x, y, out)
    activation = op.options.fused_activation_function
    if x.type == TensorType.FLOAT32:

        def run_float(x: Array, y: Array) -> Array:
            return clamp_float(function(x, y), activation)

        return run_float
    if x.type not in _PLAIN_INTEGERS:
        raise op.unsupported()

    def run(x: Array, y: Array) -> Array:
        return clamp_integer(function(x, y), activation)

    return run


def _sum(op: Operator, function: Callable[[Array, Array], Array], sign: int) -> Run:
    x, y, out = _two_inputs(op)
    if x.type in _QUANTIZED and x.is_quantized:
        return _sum_of_quantized(op, x, y, out, sign)
    return _plain(op, function)


def _sum_of_quantized(op: Operator, x: TensorInfo, y: TensorInfo, out: TensorInfo, sign: int) -> Run:
    """x ± y of quantized tensors: both brought to twice the larger scale, added, brought to the output's scale.

    The integers are shifted left first (20 bits, 15 for int16) so that the three roundings, all double, lose little.
    Each scaled input depends on an integer of 8 or 16 bits alone and is a table.
    Source: kernels/add.cc and sub.cc, AddElementwise in internal/reference/add.h.
    """
    _same_types(op, x, y, out)
    for tensor in (x, y, out):
        check_scales(op, tensor)
    shift_left = 20
    if x.type == TensorType.INT16:
        shift_left = 15
        if (x.zero_point, y.zero_point, out.zero_point) != (0, 0, 0):
            raise op.invalid("the zero points of int16 tensors must be 0")
        if op.options.pot_scale_int16 and all(_is_power_of_two(t.scale) for t in (x, y, out)):
            return _sum_of_powers_of_two(op, x, y, out, sign)
    rule = profiles.rounding(op)
    twice = np.float64(np.float32(2) * max(x.scale, y.scale))
    real_out = twice / np.float64(np.float32(2**shift_left) * out.scale)
    if not real_out < 1:
        raise op.invalid(
            f"the scale of the output ({out.scale}) is too small beside those of the inputs; the real kernel aborts"
        )

    def scaled(tensor: TensorInfo) -> Callable[[Array], Array]:
        multiplier, shift = multiplier_for(rule, np.float64(tensor.scale) / twice)
        zero_point = np.int64(tensor.zero_point)
        return tabulate(lambda q: rule((q - zero_point) << shift_left, multiplier, shift), tensor.dtype)

    scaled_x, scaled_y = scaled(x), scaled(y)
    multiplier, shift = multiplier_for(rule, real_out)
    low, high = quantized_range(op, op.options.fused_activation_function, out)
    zero_point = np.int32(out.zero_point)

    def run(x: Array, y: Array) -> Array:
        a, b = scaled_x(x), scaled_y(y)
        total = a + b if sign > 0 else a - b
        if op.observer is not None:
            op.observe(scaled=(a, b), accumulator=total, multiplier=multiplier, shift=shift, rounding=rule.__name__)
        return clamp(rule(total, multiplier, shift) + zero_point, low, high, out.dtype)

    return run


def _is_power_of_two(scale: np.float32) -> bool:
    """As CheckedLog2 has it: log2 in float32 within 1e-3 of a whole number."""
    log2 = np.log2(np.float64(scale))
    return bool(abs(log2 - np.rint(log2)) < 1e-3)


def _sum_of_powers_of_two(op: Operator, x: TensorInfo, y: TensorInfo, out: TensorInfo, sign: int) -> Run:
    """x ± y of int16 tensors whose scales are powers of two: one of them is shifted right, the sum saturates.

    Source: Add and SubWithActivation for int16 in internal/reference/add.h and sub.h.
    """
    shifts = [round(np.log2(np.float64(t.scale) / np.float64(out.scale))) for t in (x, y)]
    if max(shifts) > 0 or 0 not in shifts:
        raise op.invalid("of power-of-two int16 scales one must be the output's, the other not larger")
    low, high = quantized_range(op, op.options.fused_activation_function, out)

    def shifted(q: Array, shift: int) -> Array:
        wide = q.astype(np.int32)
        if shift == 0:
            return wide
        if shift <= -16:  # beyond the 16 bits in which the kernel works, every number but those below zero becomes 1
            return np.where(wide < 0, -1, 1)
        return (wide + (1 << (-shift - 1)) - (wide < 0)) >> -shift

    def run(x: Array, y: Array) -> Array:
        total = shifted(x, shifts[0]) + sign * shifted(y, shifts[1])
        return clamp(np.clip(total, -32768, 32767), low, high, out.dtype)

    return run


def _choice(op: Operator, function: Callable[[Array, Array], Array]) -> Run:
    x, y, out = _two_inputs(op)
    _same_types(op, x, y, out)
    if x.dtype.kind not in "fiu":
        raise op.unsupported()
    return function
