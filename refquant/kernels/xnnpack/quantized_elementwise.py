"""XNNPACK's operators of 8-bit numbers element by element: ADD, SUB, MUL, QUANTIZE, DEQUANTIZE, LEAKY_RELU, and those
that are a table, ELU, LOGISTIC and TANH.

Sources, below XNNPACK's src: operators/binary-elementwise-nd.c and unary-elementwise-nc.c, microparams-init.c, the
kernels that configs/binary-elementwise-config.c and unary-elementwise-config.c choose on processors with AVX-512, and
reference/unary-elementwise.cc.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import numpy.typing as npt

from refquant.kernels import quantize as common
from refquant.kernels.elementwise import broadcast_shape
from refquant.kernels.fused_activation import clamp
from refquant.kernels.registry import Array, Operator, Run, TensorInfo, kernel
from refquant.kernels.xnnpack.requantization import activation_range, check_quantized, output_stage
from refquant.numerics import libm
from refquant.numerics.lookup import round_half_away, tabulate
from refquant.numerics.steps import ROUNDED, ZERO_POINT_ADDED, noted
from refquant.tflite.schema import ActivationFunctionType, TensorType

Floats = npt.NDArray[np.float32]
_MULTIPLIER_BITS = 20
_LARGEST_SHORT = np.float32(32767)


# Of two tensors


def _two_inputs(op: Operator) -> tuple[TensorInfo, TensorInfo, TensorInfo]:
    a, b, y = op.input(0), op.input(1), op.output()
    check_quantized(op, a, b, y)
    y.shape = broadcast_shape(op, a, b, 6)
    return a, b, y


def _activation(op: Operator) -> int:
    return int(ActivationFunctionType.NONE if op.options is None else op.options.fused_activation_function)


@kernel("ADD", profile="xnnpack")
def add(op: Operator) -> Run:
    """a + b, see `_sum`."""
    return _sum(op, 1)


@kernel("SUB", profile="xnnpack")
def sub(op: Operator) -> Run:
    """a - b, see `_sum`."""
    return _sum(op, -1)


def _sum(op: Operator, sign: int) -> Run:
    """(a - a_zero) * a_multiplier + (b - b_zero) * b_multiplier, shifted to the right, halves up.

    The multipliers are scale / y_scale, in float32, as integers of 21 bits, of the larger of the two.
    """
    a, b, y = _two_inputs(op)
    ratios = np.stack([a.scale / y.scale, b.scale / y.scale])
    shift = _MULTIPLIER_BITS - (int(np.frexp(ratios.max())[1]) - 1)
    a_multiplier, b_multiplier = (int(n) for n in np.rint(np.ldexp(ratios.astype(np.float64), shift)))
    b_multiplier *= sign
    half = np.int64(1) << (shift - 1)
    low, high = activation_range(_activation(op), y)

    def run(p: Array, q: Array) -> Array:
        first = noted("first input times its multiplier", (p.astype(np.int64) - a.zero_point) * a_multiplier)
        second = noted("second input times its multiplier", (q.astype(np.int64) - b.zero_point) * b_multiplier)
        noted("shift to the right", shift)
        rounded = noted(ROUNDED, (noted("sum, half added", first + second + half)) >> shift)
        return clamp(noted(ZERO_POINT_ADDED, rounded + y.zero_point), low, high, y.dtype)

    return run


@kernel("MUL", profile="xnnpack")
def mul(op: Operator) -> Run:
    """The product of the differences from the zero points, requantized; the square of a tensor is a table."""
    a, b, y = _two_inputs(op)
    if a is b:
        return _square(op, a, y)
    finish = output_stage(op, (a, b), y, _activation(op))

    def run(p: Array, q: Array) -> Array:
        first = noted("first input less its zero point", p.astype(np.int32) - np.int32(a.zero_point))
        return finish(first * noted("second input less its zero point", q.astype(np.int32) - np.int32(b.zero_point)))

    return run


def _square(op: Operator, x: TensorInfo, y: TensorInfo) -> Run:
    low, high = activation_range(_activation(op), y)
    table = _tabulated(x, y, lambda x: x * x)
    return lambda p, q: clamp(table(p), low, high, y.dtype)


# Of one tensor


def _one_input(op: Operator) -> tuple[TensorInfo, TensorInfo]:
    x, y = op.input(0), op.output()
    check_quantized(op, *(tensor for tensor in (x, y) if tensor.type != TensorType.FLOAT32))
    y.shape = x.dims
    return x, y


@kernel("QUANTIZE", profile="xnnpack")
def quantize(op: Operator) -> Run:
    """Of floats: x * float32(1 / scale), halves to even; NaN is the largest number. Of integers see `_rescaled`."""
    x, y = _one_input(op)
    if x.type != TensorType.FLOAT32:
        ratio = x.scale / y.scale
        return tabulate(lambda q: _rescaled(q, x, y, _short(ratio)), x.dtype)
    limits = np.iinfo(y.dtype)
    inverse = np.float32(1) / y.scale

    def run(x: Array) -> Array:
        scaled = noted("times float32(1 / scale)", x * inverse)
        whole = noted(ROUNDED, np.rint(np.where(scaled < _LARGEST_SHORT, scaled, _LARGEST_SHORT)))
        return clamp(noted(ZERO_POINT_ADDED, whole + np.float32(y.zero_point)), limits.min, limits.max, y.dtype)

    return run


@kernel("DEQUANTIZE", profile="xnnpack")
def dequantize(op: Operator) -> Run:
    """(q - zero_point) * scale in float32; a number below the normal ones becomes 0. Float16 as everywhere."""
    if op.input(0).type == TensorType.FLOAT16:
        return common.dequantize(op)
    x, y = _one_input(op)
    y.take_type(TensorType.FLOAT32)
    return tabulate(lambda q: noted("without subnormal numbers", _flushed(_real(q, x))), x.dtype)


def _real(q: Array, tensor: TensorInfo) -> Floats:
    difference = noted("less the zero point", q.astype(np.float32) - np.float32(tensor.zero_point))
    return noted("times scale, in float32", difference * tensor.scale)


def _flushed(x: Floats) -> Floats:
    return np.where(np.abs(x) < np.finfo(np.float32).tiny, np.copysign(np.float32(0), x), x)


@kernel("LEAKY_RELU", profile="xnnpack")
def leaky_relu(op: Operator) -> Run:
    """alpha * x where x is less than 0, see `_rescaled`."""
    x, y = _one_input(op)
    ratio = x.scale / y.scale
    above, below = _short(ratio), _short(ratio * np.float32(op.options.alpha))
    return tabulate(lambda q: _rescaled(q, x, y, np.where(q > x.zero_point, above, below)), x.dtype)


def _short(factor: np.float32) -> int:
    """A factor as an integer of 16 bits: 256 times as large."""
    return int(np.rint(np.float32(256) * factor))


def _rescaled(q: Array, x: TensorInfo, y: TensorInfo, multiplier: int | Array) -> Array:
    """y_zero + (q - x_zero) * multiplier / 256, halves up."""
    limits = np.iinfo(y.dtype)
    difference = noted("input less its zero point", q.astype(np.int64) - x.zero_point)
    product = noted("times the multiplier of 16 bits", difference * multiplier)
    rounded = noted(ROUNDED, (product + 128) >> 8)
    return clamp(noted(ZERO_POINT_ADDED, rounded + y.zero_point), limits.min, limits.max, y.dtype)


@kernel("ELU", profile="xnnpack")
def elu(op: Operator) -> Run:
    """exp(x) - 1 where x is less than 0, of the C library, as a table."""
    x, y = _one_input(op)
    return _tabulated(x, y, lambda x: np.where(x < 0, libm.expm1(x), x))


@kernel("TANH", profile="xnnpack")
def tanh(op: Operator) -> Run:
    """The hyperbolic tangent of the C library, as a table."""
    x, y = _one_input(op)
    return _tabulated(x, y, libm.tanh)


@kernel("LOGISTIC", profile="xnnpack")
def logistic(op: Operator) -> Run:
    """exp(x) / (1 + exp(x)) in float64, as a table; 0 and 1 beyond -100 and 100."""
    x, y = _one_input(op)
    return _tabulated(x, y, _sigmoid)


def _sigmoid(x: Floats) -> Floats:
    exp = np.asarray(np.frompyfunc(math.exp, 1, 1)(np.clip(x, -100, 100).astype(np.float64)), np.float64)
    return np.where(x > 100, 1, np.where(x < -100, 0, exp / (1 + exp))).astype(np.float32)


def _tabulated(x: TensorInfo, y: TensorInfo, function: Callable[[Floats], Floats]) -> Callable[[Array], Array]:
    """A function of real numbers from the scale of x to that of y: f * float32(1 / scale) + zero point, halves away."""
    limits = np.iinfo(y.dtype)
    inverse = np.float32(1) / y.scale

    def run(q: Array) -> Array:
        real = noted("function in float32", function(_real(q, x)))
        scaled = noted("times float32(1 / scale), plus zero point", real * inverse + np.float32(y.zero_point))
        rounded = noted(ROUNDED, round_half_away(scaled))
        return clamp(np.where(np.isnan(rounded), 0, rounded), limits.min, limits.max, y.dtype)

    return tabulate(run, x.dtype)
