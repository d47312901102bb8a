"""Rectifiers with a slope or a bend: LEAKY_RELU, PRELU, ELU, HARD_SWISH."""

from __future__ import annotations

from math import prod

import numpy as np

from refquant.kernels.constants import made_once
from refquant.kernels.fused_activation import clamp
from refquant.kernels.registry import Array, Operator, Run, TensorInfo, kernel
from refquant.numerics import libm
from refquant.numerics.fixed_point import double_rounding, quantize_multiplier, to_int32
from refquant.numerics.lookup import int8_table, round_half_away, tabulate
from refquant.numerics.selection import choose
from refquant.numerics.steps import ROUNDED, ZERO_POINT_ADDED, headed, noted
from refquant.tflite.schema import LeakyReluOptions, TensorType

_BLOCK = 1 << 15  # numbers that are worked on at a time, so that they stay in the cache
_ONE = np.float32(1)
_8_BITS = (TensorType.INT8, TensorType.UINT8)
_QUANTIZED = (*_8_BITS, TensorType.INT16)


def _input_and_output(op: Operator) -> tuple[TensorInfo, TensorInfo]:
    x, out = op.input(0), op.output()
    if x.type != out.type or x.type not in (TensorType.FLOAT32, *_QUANTIZED):
        raise op.unsupported()
    out.shape = x.dims
    return x, out


@kernel("LEAKY_RELU")
def leaky_relu(op: Operator) -> Run:
    """x where it is positive, alpha * x elsewhere; quantized with a multiplier for either side, double rounding.

    Sources: LeakyReluPrepare in kernels/activations.cc, internal/reference/leaky_relu.h.
    """
    return _leaky_relu(op, np.float32)


@kernel("LEAKY_RELU", profile="micro")
def micro_leaky_relu(op: Operator) -> Run:
    """As LEAKY_RELU, but products and quotients of scales are taken in float64.

    Source: tensorflow/lite/micro/kernels/leaky_relu_common.cc.
    """
    return _leaky_relu(op, np.float64)


def _leaky_relu(op: Operator, precision: type[np.float32] | type[np.float64]) -> Run:
    x, out = _input_and_output(op)
    alpha = np.float32((op.options or LeakyReluOptions()).alpha)
    if x.type == TensorType.FLOAT32:
        return lambda x: choose(x > 0, x, x * alpha)
    (x_scale, x_zero), (out_scale, out_zero) = x.params, out.params
    if x.type == TensorType.INT16 and (x_zero or out_zero):
        raise op.invalid("the zero points of int16 tensors must be 0")
    identity = quantize_multiplier(precision(x_scale) / out_scale)
    slope = quantize_multiplier(precision(x_scale) * alpha / out_scale)

    def function(q: Array) -> Array:
        centered = noted("input less its zero point", q.astype(np.int32) - np.int32(x_zero))
        return _finished(_either(centered, identity, centered, slope), out, out_zero)

    return tabulate(function, x.dtype)


@kernel(
    "PRELU",
    flaw="tensorflow 2.21.0 reads an alpha of another type than the kernel's as if it were of that, beyond its end; "
    "refquant refuses it",
)
def prelu(op: Operator) -> Run:
    """x where it is not negative, alpha * x elsewhere, alpha broadcast to x; int16 has an alpha of int8.

    Sources: PreluPrepare and ApplyPrelu in kernels/activations.cc, internal/reference/prelu.h.
    """
    return _prelu(op, np.float32)


@kernel("PRELU", profile="micro")
def micro_prelu(op: Operator) -> Run:
    """As PRELU, but products and quotients of scales are taken in float64.

    Source: tensorflow/lite/micro/kernels/prelu_common.cc.
    """
    return _prelu(op, np.float64)


def _prelu(op: Operator, precision: type[np.float32] | type[np.float64]) -> Run:
    op.output().take_type(op.input(0).type)
    x, out = _input_and_output(op)
    alpha = op.input(1)
    if alpha.type != (TensorType.INT8 if x.type == TensorType.INT16 else x.type):
        raise op.unsupported()
    try:
        fits = np.broadcast_shapes(x.dims, alpha.dims) == x.dims
    except ValueError:
        fits = False
    if not fits:
        raise op.invalid(f"alpha of shape {alpha.dims} does not fit an input of shape {x.dims}")
    if len(x.dims) > 4 and x.dims != alpha.dims:
        raise op.unsupported("broadcasting in more than 4 dimensions")
    if x.type == TensorType.FLOAT32:
        return _float_prelu(x, alpha)
    (x_scale, x_zero), (alpha_scale, alpha_zero), (out_scale, out_zero) = x.params, alpha.params, out.params
    with np.errstate(all="ignore"):
        real, factor = precision(x_scale), precision(alpha_scale)
        identity = quantize_multiplier(real / precision(out_scale))
        slope = quantize_multiplier(real * factor / precision(out_scale))

    def run(q: Array, a: Array) -> Array:
        centered = noted("input less its zero point", q.astype(np.int32) - np.int32(x_zero))
        product = noted("times alpha less its zero point", centered * (a.astype(np.int32) - np.int32(alpha_zero)))
        return _finished(_either(centered, identity, product, slope), out, out_zero)

    return run


def _either(x: Array, identity: tuple[Array, Array], product: Array, slope: tuple[Array, Array]) -> Array:
    """Integers brought to the output's scale: x where it is not negative, else `product`, each by its multiplier."""
    headed("where it is not negative")
    noted("multiplier", identity[0]), noted("shift", identity[1])
    above = double_rounding(x, *identity)
    headed("where it is negative")
    noted("multiplier", slope[0]), noted("shift", slope[1])
    below = double_rounding(product, *slope)
    headed("chosen")
    return noted(ROUNDED, np.where(x >= 0, above, below))


def _finished(rounded: Array, out: TensorInfo, zero_point: int) -> Array:
    limits = np.iinfo(out.dtype)
    return clamp(noted(ZERO_POINT_ADDED, rounded + np.int32(zero_point)), limits.min, limits.max, out.dtype)


def _float_prelu(x: TensorInfo, alpha: TensorInfo) -> Run:
    """float32, where all rows have the same slopes some rows at a time, so that they stay in the cache."""
    if prod(alpha.dims) != prod(alpha.dims[-2:]):
        return lambda x, alpha: x * choose(x >= 0, _ONE, alpha)
    *leading, width, channels = (1, 1, *x.dims)
    step = max(1, _BLOCK // max(1, width * channels))

    def along_row(alpha: Array) -> Array:
        return np.broadcast_to(alpha.reshape(alpha.shape[-2:]), (width, channels)).reshape(-1)

    slopes_of = made_once(alpha, along_row)

    def run(x: Array, alpha: Array) -> Array:
        slopes = slopes_of(alpha)
        rows = x.reshape(prod(leading), slopes.size)
        y = np.empty_like(rows)
        for start in range(0, len(rows), step):
            part = rows[start : start + step]
            np.multiply(part, choose(part >= 0, _ONE, slopes), out=y[start : start + step])
        return y.reshape(x.shape)

    return run


@kernel("ELU")
def elu(op: Operator) -> Run:
    """x where it is not negative, exp(x) - 1 elsewhere, with the C library's float32 expm1; int8 through a table of it.

    Sources: EluPrepare in kernels/activations.cc, internal/reference/elu.h.
    """
    x, out = _input_and_output(op)
    if x.type == TensorType.FLOAT32:
        return _elu
    if x.type != TensorType.INT8:
        raise op.unsupported()
    return int8_table(_elu, x.dtype, *x.params, *out.params)


@kernel("ELU", profile="micro")
def micro_elu(op: Operator) -> Run:
    """As ELU; int8 through a table of exp(x) - 1, in which what is too large for int32 becomes the lowest number.

    Source: tensorflow/lite/micro/kernels/elu.cc.
    """
    x, out = _input_and_output(op)
    if x.type == TensorType.FLOAT32:
        return _elu
    (x_scale, x_zero), (out_scale, out_zero) = x.params, out.params

    def entry(q: Array) -> Array:
        real = x_scale * (q.astype(np.int32) - x_zero).astype(np.float32)
        value = choose(real < 0, libm.exp(real) - _ONE, real)
        rescaled = round_half_away(value * (_ONE / out_scale)) + np.float32(out_zero)
        return np.clip(to_int32(rescaled), -128, 127).astype(np.int8)

    return tabulate(entry, x.dtype)


def _elu(x: Array) -> Array:
    return choose(x < 0, libm.expm1(x), x)


@kernel("HARD_SWISH")
def hard_swish(op: Operator) -> Run:
    """x * min(6, max(0, x + 3)) / 6.

    Quantized in 16-bit integers: x, raised by 7 bits, times a "reluish" factor which is x rescaled from [-3, 3] to
    [0, 1] and saturated. Sources: HardSwishPrepare in kernels/activations.cc, internal/reference/hard_swish.h.
    """
    x, out = _input_and_output(op)
    if x.type == TensorType.FLOAT32:
        return _float_hard_swish
    if x.type not in _8_BITS:
        raise op.unsupported()
    (x_scale, x_zero), (out_scale, out_zero) = x.params, out.params
    raised_scale = np.float32(1 / 128) * x_scale
    multiplier, exponent = _multiplier16(raised_scale / out_scale)
    reluish_multiplier, reluish_exponent = _multiplier16(raised_scale / np.float32(3 / 32768))
    if exponent > 0:
        raise op.invalid(f"the output's scale {out_scale} is too small for an input scale of {x_scale}")
    limits = np.iinfo(out.dtype)

    def function(q: Array) -> Array:
        raised = noted("less its zero point, shifted left by 7", _int16((q.astype(np.int32) - np.int32(x_zero)) << 7))
        reluish = raised
        if reluish_exponent > 0:
            reluish = _saturate(reluish << (reluish_exponent - 1))
        reluish = _high_multiply16(reluish, reluish_multiplier)
        if reluish_exponent > 0:
            reluish = _saturate(reluish << 1)
        if reluish_exponent < 0:
            reluish = _divide16(reluish, -reluish_exponent)
        factor = noted("min(6, max(0, x + 3)) / 6, in 2**-15", (reluish + 2**15) >> 1)
        scaled = noted("input times multiplier of 16 bits", _high_multiply16(raised, multiplier))
        product = noted("product of the two", np.trunc(factor * scaled / 2**15).astype(np.int64))
        shifted = noted(ZERO_POINT_ADDED, _int16(noted(ROUNDED, _divide16(product, -exponent)) + out_zero))
        return clamp(shifted, limits.min, limits.max, out.dtype)

    return tabulate(function, x.dtype)


def _float_hard_swish(x: Array) -> Array:
    three, six = np.float32(3), np.float32(6)
    raised = noted("input + 3", x + three)
    positive = np.where(np.float32(0) < raised, raised, np.float32(0))  # as C++ compares, so of a NaN comes 0
    product = noted("input * min(6, max(0, input + 3))", x * np.where(positive < six, positive, six))
    return noted("over 6", product / six)


@kernel("HARD_SWISH", profile="optimized")
def optimized_hard_swish(op: Operator) -> Run:
    """As HARD_SWISH; float32: a product with the float32 next to 1 / 6, the first for numbers that come by four.

    What is left at the end of the tensor has it last. Source: HardSwish in internal/optimized/optimized_ops.h.
    """
    run = hard_swish(op)
    return _hard_swish_by_four if op.input(0).type == TensorType.FLOAT32 else run


def _hard_swish_by_four(x: Array) -> Array:
    sixth = np.float32(1) / np.float32(6)
    factor = np.minimum(np.maximum(x + np.float32(3), np.float32(0)), np.float32(6))
    by_four, rest = np.split(np.ravel(x), [x.size - x.size % 4])
    factors, last = np.split(np.ravel(factor), [by_four.size])
    return np.concatenate([by_four * sixth * factors, rest * last * sixth]).reshape(x.shape)


def _multiplier16(real: np.float32) -> tuple[int, int]:
    """A multiplier of 16 bits and its exponent: that of 32 bits, rounded, halves up, and saturated."""
    multiplier, exponent = quantize_multiplier(np.float64(real))
    return min((int(multiplier) + 2**15) >> 16, 32767), int(exponent)


def _saturate(x: Array) -> Array:
    return np.clip(x, -32768, 32767)


def _int16(x: Array) -> Array:
    """The low 16 bits, as numbers of 64 bits."""
    return x.astype(np.int16).astype(np.int64)


def _high_multiply16(a: Array, b: int) -> Array:
    """The upper half of 2 * a * b, halves away from zero (gemmlowp's high multiply of 16 bits)."""
    product = a * b
    nudge = np.where(product >= 0, 2**14, 1 - 2**14)
    return np.trunc((product + nudge) / 2**15).astype(np.int64)


def _divide16(x: Array, exponent: int) -> Array:
    """x / 2**exponent, halves away from zero. From 16 on the mask of the remainder is -1, being of 16 bits."""
    mask = 2**exponent - 1 if exponent < 16 else -1
    threshold = (mask >> 1) + (x < 0)
    return (x >> exponent) + ((x & mask) > threshold)
