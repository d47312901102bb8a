"""ADD and MUL of quantized tensors in profile "optimized": whole registers are computed otherwise than what is left.

SUB is the same in both profiles, and so is all that goes from one result to the next: tensors whose shapes make no
runs, int16 tensors of different shapes, and MUL of int16. Sources, below kernels: add.cc, mul.cc,
internal/optimized/integer_ops/add.h and mul.h, internal/optimized/optimized_ops.h.
"""

from __future__ import annotations

from math import prod

import numpy as np

from refquant.kernels.elementwise import Grouped, options_of, planned_add, planned_mul, product_of_quantized
from refquant.kernels.fused_activation import clamp, quantized_range
from refquant.kernels.products import largest_magnitude
from refquant.kernels.registers import runs_of
from refquant.kernels.registry import Array, Operator, Run, TensorInfo, kernel
from refquant.numerics.fixed_point import double_rounding, high_multiply, quantize_multiplier
from refquant.tflite.schema import TensorType

_INT8, _UINT8, _INT16 = TensorType.INT8, TensorType.UINT8, TensorType.INT16


@kernel("ADD", profile="optimized")
def add(op: Operator) -> Run:
    """As in profile "reference"; in whole registers inputs are brought to the common scale with one rounding less."""
    return planned_add(op, _grouped(op.input(0), op.input(1)))


def _grouped(x: TensorInfo, y: TensorInfo) -> Grouped | None:
    runs = runs_of(x.dims, y.dims)
    if runs is None or x.type not in (_INT8, _UINT8, _INT16):
        return None
    if x.type == _INT16 and (runs.of_scalar or runs.length != prod(runs.shape)):
        return None
    if x.type == _UINT8 or runs.of_scalar:
        return Grouped(runs.in_groups(8), _shifted_afterwards, in_16_bits=True)
    return Grouped(runs.in_groups(16), _shifted_before, in_16_bits=x.type != _INT16)


def _shifted_afterwards(q: Array, left: int, multiplier: Array, shift: Array) -> Array:
    """The left shift, the high multiply, and a right shift that cuts off."""
    high = high_multiply(q << left, multiplier)
    return np.where(shift <= -32, 0, high >> np.minimum(-shift, 31)).astype(np.int32)


def _shifted_before(q: Array, left: int, multiplier: Array, shift: Array) -> Array:
    """Both shifts in one, to the left or to the right, and then the high multiply."""
    total = left + shift
    shifted = q << total if total >= 0 else np.where(total <= -32, 0, q >> np.minimum(-total, 31))
    return high_multiply(shifted, multiplier)


@kernel("MUL", profile="optimized")
def mul(op: Operator) -> Run:
    """As in profile "reference"; in whole registers products are limited to 16 bits before they join the zero point of
    the output, which may wrap."""
    return planned_mul(op, _product)


def _product(op: Operator, x: TensorInfo, y: TensorInfo, out: TensorInfo) -> Run:
    run = product_of_quantized(op, x, y, out)
    runs = runs_of(x.dims, y.dims)
    largest = largest_magnitude(x.dtype, x.zero_point) * largest_magnitude(y.dtype, y.zero_point)
    real = np.float64(x.scale * y.scale / out.scale)
    if runs is None or x.type == _INT16 or largest * real < 2.0**15 - 2**9:
        return run
    grouped = runs.in_groups(16 if x.type == _INT8 else 8)
    cut_off = x.type == _UINT8 and runs.of_scalar
    multiplier, shift = quantize_multiplier(real)
    low, high = quantized_range(op, options_of(op).fused_activation_function, out)
    x_zero, y_zero = np.int32(x.zero_point), np.int32(y.zero_point)

    def in_16_bits(x: Array, y: Array) -> Array:
        product = (x.astype(np.int32) - x_zero) * (y.astype(np.int32) - y_zero)
        rounded = double_rounding(product, multiplier, np.minimum(shift, 31))
        if shift > 31:
            rounded = np.zeros_like(rounded)
        narrow = (rounded if cut_off else np.clip(rounded, -(2**15), 2**15 - 1)).astype(np.int16)
        return clamp(narrow + np.int16(out.zero_point), low, high, out.dtype)

    return lambda x, y: np.where(grouped, in_16_bits(x, y), run(x, y))
