"""Functions of one tensor, element by element, and softmax: RELU and its kin, LOGISTIC, TANH, SOFTMAX."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import numpy as np

from refquant.kernels import profiles
from refquant.kernels.fused_activation import clamp
from refquant.kernels.registry import Array, Operator, Run, TensorInfo, kernel
from refquant.kernels.unary import HALVES, float_table
from refquant.numerics import eigen, integer_functions, libm
from refquant.numerics.blocks import in_blocks
from refquant.numerics.error_function import erfc
from refquant.numerics.fixed_point import (
    divide_by_power_of_two,
    double_rounding,
    high_multiply,
    quantize_multiplier,
    to_int32,
)
from refquant.numerics.half import rounded, through_float32
from refquant.numerics.integer_functions import exp_on_negative_values, one_over_one_plus_x
from refquant.numerics.logarithm import log
from refquant.numerics.lookup import Int16Table, int8_table, round_half_away, tabulate
from refquant.numerics.processor import current
from refquant.numerics.selection import limited
from refquant.numerics.steps import ROUNDED, ZERO_POINT_ADDED, is_heard, noted
from refquant.tflite.schema import GeluOptions, SoftmaxOptions, TensorType

_8_BITS = (TensorType.INT8, TensorType.UINT8)


def _one_input(op: Operator) -> tuple[TensorInfo, TensorInfo]:
    """The input and the output, of one type and now of one shape."""
    x, out = op.input(0), op.output()
    if x.type != out.type:
        raise op.unsupported("input and output are of different types")
    out.shape = x.dims
    return x, out


@kernel("RELU")
def relu(op: Operator) -> Run:
    """max(x, 0)."""
    return _relu(op, 0.0, np.inf)


@kernel("RELU", profile="micro")
def micro_relu(op: Operator) -> Run:
    """As RELU, but the quotient of the scales is taken in float64.

    Source: tensorflow/lite/micro/kernels/activations_common.cc.
    """
    return _relu(op, 0.0, np.inf, np.float64)


@kernel("RELU6")
def relu6(op: Operator) -> Run:
    """min(max(x, 0), 6)."""
    return _relu(op, 0.0, 6.0)


@kernel("RELU_N1_TO_1")
def relu_n1_to_1(op: Operator) -> Run:
    """min(max(x, -1), 1)."""
    return _relu(op, -1.0, 1.0)


@kernel("RELU_0_TO_1")
def relu_0_to_1(op: Operator) -> Run:
    """min(max(x, 0), 1)."""
    return _relu(op, 0.0, 1.0)


def _relu(op: Operator, low: float, high: float, precision: type[np.float32] | type[np.float64] = np.float32) -> Run:
    """Clamps to low..high. Quantized: requantizes with double rounding, clamps to the integers of low and high.

    Source: ReluEval and its kin in kernels/activations.cc, ReluX in internal/reference/reference_ops.h. The floats
    are compared as C++ writes it, so a NaN goes through. RELU and RELU6 alone have int16 kernels.
    """
    x, out = _one_input(op)
    if x.type == TensorType.FLOAT32:
        return lambda x: limited(x, low, high)
    with_int16 = (low, high) in ((0, np.inf), (0, 6))
    if x.type not in (*_8_BITS, TensorType.INT16) or (x.type == TensorType.INT16 and not with_int16):
        raise op.unsupported()
    (x_scale, x_zero), (out_scale, out_zero) = x.params, out.params
    if x.type == TensorType.INT16 and (x_zero or out_zero):
        raise op.invalid("the zero points of int16 tensors must be 0")
    multiplier, shift = quantize_multiplier(precision(x_scale) / out_scale)
    limits = np.iinfo(out.dtype)
    low_quantized, high_quantized = (
        to_int32(round_half_away(np.float32(bound) / out_scale)) + np.int32(out_zero) for bound in (low, high)
    )
    lowest = np.maximum(limits.min, low_quantized)
    highest = np.minimum(limits.max, high_quantized) if np.isfinite(high) else limits.max

    def function(q: Array) -> Array:
        difference = noted("accumulator", q.astype(np.int32) - np.int32(x_zero))
        noted("multiplier", multiplier), noted("shift", shift)
        rescaled = noted(ROUNDED, double_rounding(difference, multiplier, shift))
        return clamp(noted(ZERO_POINT_ADDED, rescaled + np.int32(out_zero)), lowest, highest, out.dtype)

    return tabulate(function, x.dtype)


@kernel("LOGISTIC")
def logistic(op: Operator) -> Run:
    """1 / (1 + exp(-x)).

    Floats with the C library's float32 exp, and exp(x) alone below -9, 1 above 16.6; int8 and uint8 through a table of
    the float32 function without these two bounds; int16 through 256 values and straight lines between them.
    Sources: SigmoidPrepare and SigmoidEval in kernels/activations.cc, internal/reference/logistic.h and
    integer_ops/logistic.h.
    """
    x, out = _one_input(op)
    if x.type == TensorType.FLOAT32:
        return float_logistic
    if x.type in HALVES:
        return through_float32(float_logistic, x.dtype)
    if x.type in _8_BITS:
        if out.params[0] != np.float32(1 / 256):
            raise op.invalid(f"the output's scale must be 1/256, it is {out.params[0]}")
        return int8_table(libm.logistic, x.dtype, *x.params, *out.params)
    if x.type == TensorType.INT16:
        if out.params[0] != np.float32(1 / 32768):
            raise op.invalid(f"the output's scale must be 1/32768, it is {out.params[0]}")
        return _table_of_sigmoid(op, x, out, sigmoid_of_int16)
    raise op.unsupported()


@kernel("LOGISTIC", profile="optimized")
def optimized_logistic(op: Operator) -> Run:
    """As LOGISTIC; float32 with Eigen's logistic, float16 and bfloat16 as e / (1 + e), each step rounded to the type.
    The real kernel drops the sign of a NaN of bfloat16 where it fills a register, this one keeps it; so does TANH.
    int16 numbers whose scale is nearly 2**-12 go through gemmlowp's function of fixed-point numbers.

    Source: Logistic in internal/optimized/optimized_ops.h.
    """
    run = logistic(op)
    x = op.input(0)
    if x.type == TensorType.INT16 and _multiplier_of_int16(x.params[0], tanh=False)[0] <= 0:
        return tabulate(lambda q: integer_functions.logistic(q, _Q3, bits=16).astype(np.int16), np.int16)
    if x.type not in HALVES:
        return eigen.logistic if x.type == TensorType.FLOAT32 else run

    def of_halves(wide: Array) -> Array:
        e = rounded(eigen.exp(wide), x.dtype)
        return np.where(np.isinf(e), np.float32(1), e / rounded(np.float32(1) + e, x.dtype))

    return through_float32(of_halves, x.dtype)


def float_logistic(x: Array) -> Array:
    """1 / (1 + exp(-x)) of float32, see LOGISTIC."""
    low, high = np.float32(-9), np.float32(16.619047164916992)
    if is_heard():
        noted("exp(-x)", libm.exp(-x))
    result = np.where(x > high, np.float32(1), np.where(x < low, libm.exp(x), libm.logistic(x)))
    return noted("1 / (1 + exp(-x))", result)


@kernel("LOGISTIC", profile="micro")
def micro_logistic(op: Operator) -> Run:
    """As LOGISTIC; int8 in fixed point, the output's zero point -128 and its scale 1/256 whatever the file says.

    Source: tensorflow/lite/micro/kernels/logistic_common.cc, internal/reference/integer_ops/logistic.h.
    """
    x, out = _one_input(op)
    if x.type != TensorType.INT8:
        return logistic(op)
    if out.params[1] != -128:
        raise op.invalid(f"the output's zero point must be -128, it is {out.params[1]}")

    def function(q: Array) -> Array:
        return divide_by_power_of_two(integer_functions.logistic(q, _Q4).astype(np.int32), 23) - 128

    return _saturating_table(op, x, function)


@kernel("TANH", profile="micro")
def micro_tanh(op: Operator) -> Run:
    """As TANH; int8 in fixed point, the output's zero point 0 and its scale 1/128 whatever the file says.

    Source: tensorflow/lite/micro/kernels/tanh.cc, internal/reference/integer_ops/tanh.h.
    """
    x, _ = _one_input(op)
    if x.type != TensorType.INT8:
        return tanh(op)
    return _saturating_table(
        op, x, lambda q: divide_by_power_of_two(integer_functions.tanh(q, _Q4).astype(np.int32), 24)
    )


_Q3 = 3  # integer bits of int16 numbers that enter the functions of optimized kernels
_Q4 = 4  # integer bits of what enters the int8 functions of TFLite Micro


def _saturating_table(op: Operator, x: TensorInfo, function: Callable[[Array], Array]) -> Run:
    """`function` of int8 numbers less the zero point, brought to Q4.27; beyond that the lowest and highest int8."""
    scale, zero_point = x.params
    fraction, shift = np.frexp(np.float64(scale) * 2.0 ** (31 - _Q4))
    if not np.isfinite(scale) or not 0 <= shift <= 30:
        raise op.unsupported(f"an input scale of {scale}, for which the real kernel shifts too far")
    multiplier = np.asarray(round_half_away(fraction * 2.0**31), np.int32)
    radius = int(np.floor((2**_Q4 - 1) * 2.0 ** (31 - _Q4) / 2.0 ** int(shift)))

    def entry(q: Array) -> Array:
        x = q.astype(np.int32) - np.int32(zero_point)
        inside = np.clip(function(double_rounding(x, multiplier, shift)), -128, 127)
        return np.where(x <= -radius, -128, np.where(x >= radius, 127, inside)).astype(np.int8)

    return tabulate(entry, np.int8)


@kernel("RELU6", profile="micro")
def micro_relu6(op: Operator) -> Run:
    """As RELU6; integers are limited to those of 0 and 6 at the input's scale, and keep their value.

    Source: tensorflow/lite/micro/kernels/activations_common.cc.
    """
    x, out = _one_input(op)
    if x.type == TensorType.FLOAT32:
        return lambda x: limited(x, 0.0, 6.0)
    scale, zero_point = x.params
    limits = np.iinfo(out.dtype)
    six = np.clip(to_int32(round_half_away(np.float64(np.float32(6) / scale)) + zero_point), limits.min, limits.max)
    low, high = out.dtype.type(zero_point), out.dtype.type(six)
    return lambda q: np.where(q > high, high, np.where(q < low, low, q))


@kernel("GELU")
def gelu(op: Operator) -> Run:
    """x times the normal distribution function of x: x / 2 * erfc(-x / sqrt(2)).

    `approximate` takes x / 2 * (1 + tanh(sqrt(2 / pi) * (x + 0.044715 * x**3))) instead. float32 with the erfc and
    tanh of Eigen, whose erfc depends on the processor's estimate of a reciprocal; integers through tables of a float32
    function with those of the C library. Source: internal/reference/gelu.h.
    """
    x, out = _one_input(op)
    options = op.options or GeluOptions()
    if x.type == TensorType.FLOAT32:
        return _approximate_gelu if options.approximate else in_blocks(partial(_gelu, current().estimates))
    if x.type in (*_8_BITS, TensorType.INT16):
        function = _approximate_gelu_of_tables if options.approximate else _gelu_of_tables
        return float_table(x.type, function, (*x.params, *out.params))
    raise op.unsupported()


_HALF, _ONE = np.float32(0.5), np.float32(1)
_ROOT_OF_HALF, _ROOT_OF_2_OVER_PI = np.float32(np.sqrt(0.5)), np.float32(np.sqrt(2 / np.pi))
_CUBIC = np.float32(0.044715)


@np.errstate(all="ignore")
def _gelu(estimates: Array, x: Array) -> Array:
    return (x * _HALF) * eigen.erfc(x * -_ROOT_OF_HALF, estimates)


@np.errstate(all="ignore")
def _approximate_gelu(x: Array) -> Array:
    return _HALF * x * (_ONE + eigen.tanh(_ROOT_OF_2_OVER_PI * (x + _CUBIC * (x * x * x))))


def _gelu_of_tables(x: Array) -> Array:
    return _HALF * x * erfc(x * -_ROOT_OF_HALF)


@np.errstate(all="ignore")
def _approximate_gelu_of_tables(x: Array) -> Array:
    return _HALF * x * (_ONE + libm.tanh(_ROOT_OF_2_OVER_PI * (x + _CUBIC * x * x * x)))


@kernel("TANH")
def tanh(op: Operator) -> Run:
    """The hyperbolic tangent, in everything else as LOGISTIC: tanh(x) = 2 * logistic(2 x) - 1 for int16.

    Sources: TanhPrepare and TanhEval in kernels/activations.cc, internal/reference/integer_ops/tanh.h.
    """
    x, out = _one_input(op)
    if x.type == TensorType.FLOAT32:
        return libm.tanh
    if x.type in HALVES:
        return through_float32(libm.tanh, x.dtype)
    if x.type in _8_BITS:
        return int8_table(libm.tanh, x.dtype, *x.params, *out.params)
    if x.type == TensorType.INT16:
        return _table_of_sigmoid(op, x, out, tanh_of_int16)
    raise op.unsupported()


@kernel("TANH", profile="optimized")
def optimized_tanh(op: Operator) -> Run:
    """As TANH, floats with Eigen's tanh; int16 numbers whose scale is nearly 2**-12 or 2**-11 through gemmlowp's
    function of fixed-point numbers. Source: Tanh in internal/optimized/optimized_ops.h.
    """
    run = tanh(op)
    x = op.input(0)
    if x.type == TensorType.INT16:
        multiplier, shift = _multiplier_of_int16(x.params[0], tanh=True)
        return run if multiplier > 0 else tabulate(lambda q: _fixed_tanh(q, doubled=shift != 0), np.int16)
    if x.type in HALVES:
        return through_float32(eigen.tanh, x.dtype)
    return eigen.tanh if x.type == TensorType.FLOAT32 else run


def _table_of_sigmoid(
    op: Operator, x: TensorInfo, out: TensorInfo, function: Callable[[Array, int, int], Array]
) -> Run:
    """The int16 kernels: zero points 0, output in 1/32768; the input is brought to 1/(3 * 4096) by a multiplier
    of 15 bits and a shift, both found by doubling; where its scale is nearly 1/4096 (for TANH also 1/2048), by 3 or 6.
    """
    (x_scale, x_zero), (out_scale, out_zero) = x.params, out.params
    if x_zero != 0 or out_zero != 0:
        raise op.invalid("the zero points of int16 tensors must be 0")
    if _power_of_two(out_scale) != -15:
        raise op.invalid(f"the output's scale must be 1/32768, it is {out_scale}")
    multiplier, shift = _multiplier_of_int16(x_scale, function is tanh_of_int16)
    if multiplier == 0:
        multiplier, shift = int(np.int64(3 << shift).astype(np.int32)), 0
    return tabulate(lambda q: function(q, multiplier, shift), np.int16)


def _multiplier_of_int16(scale: np.float32, tanh: bool) -> tuple[int, int]:
    """A multiplier of 15 bits and a shift; 0 and the power of two by which the scale is 2**-12, for a scale that nearly
    is (or for `tanh` 2**-11)."""
    power = _power_of_two(scale)
    if power == -12 or (power == -11 and tanh):
        return 0, power + 12
    real, shift = np.float64(scale) * 4096.0 * 3.0, 0
    while real <= 32767.0 / 2 and shift <= 30:
        real, shift = real * 2, shift + 1
    return int(to_int32(real)), shift


def _fixed_tanh(q: Array, doubled: bool) -> Array:
    """gemmlowp's tanh of int16 with three integer bits, which are `doubled` first, within 16 bits."""
    x = np.clip(2 * q.astype(np.int64), -(2**15), 2**15 - 1) if doubled else q
    return integer_functions.tanh(x, _Q3, bits=16).astype(np.int16)


def nearest_power_of_two(scale: np.float32) -> int:
    """The whole number nearest to log2 of a scale that is finite and above zero; in float32."""
    return int(round_half_away(_log2(scale)))


def _power_of_two(scale: np.float32) -> int | None:
    """The n of a scale that is 2**n but for less than a thousandth of n, else None; in float32 (`CheckedLog2`)."""
    log2 = _log2(scale)
    nearest = round_half_away(log2)
    return int(nearest) if abs(log2 - nearest) < np.float32(1e-3) else None


def _log2(scale: np.float32) -> Array:
    return log(scale) * (np.float32(1) / log(np.float32(2)))


def _sigmoid_table() -> Array:
    """The 256 entries between which the int16 kernels draw straight lines: 65536 * logistic(i / 24).

    A line between two points of the curve lies below it, so each entry is raised by half of what the line to the next
    one lacks in the middle; the last entry is the largest of 16 bits.
    """
    curve = 65536 / (1 + np.exp(-np.arange(0, 256.5, 0.5) / 24))
    entries, middles, following = curve[:-1:2], curve[1::2], curve[2::2]
    table = round_half_away(entries + (middles - (entries + following) / 2) / 2).astype(np.int64)
    table[-1] = 65535
    return table


_SIGMOID_TABLE = _sigmoid_table()
_LINE = "on the line between the two"


def _rescaled(q: Array, multiplier: int, shift: int) -> Array:
    """q * multiplier / 2**shift, halves up; the product wraps at 32 bits."""
    half = 1 << (shift - 1) if shift > 0 else 0
    noted("multiplier of 15 bits", multiplier), noted("shift to the right", shift)
    product = (q.astype(np.int64) * multiplier + half).astype(np.int32).astype(np.int64)
    return noted("input in 1 / (3 * 4096)", product >> shift)


def sigmoid_of_int16(q: Array, multiplier: int, shift: int) -> Array:
    """1 / (1 + exp(-x)) in Q0.15, where q * multiplier / 2**shift is 3 * 4096 * x."""
    x = _rescaled(q, multiplier, shift)
    magnitude = np.abs(x)
    index = np.minimum(magnitude >> 9, 254)
    a, b = _SIGMOID_TABLE[index], _SIGMOID_TABLE[index + 1]
    noted("entry of the table", a), noted("next entry", b), noted("512ths of the way there", magnitude & 0x1FF)
    value = noted(_LINE, np.where(magnitude >> 9 >= 255, 0x7FFF << 10, (a << 9) + (magnitude & 0x1FF) * (b - a)))
    result = np.where(x >= 0, value + (1 << 9), (1 << 25) - value + (1 << 9) - 1) >> 10
    return noted(ROUNDED, result.astype(np.int16))


def tanh_of_int16(q: Array, multiplier: int, shift: int) -> Array:
    """tanh(x) in Q0.15, where q * multiplier / 2**shift is 3 * 4096 * x."""
    x = _rescaled(q, multiplier, shift)
    magnitude = np.abs(x)
    index = np.minimum(magnitude >> 8, 254)
    a, b = _SIGMOID_TABLE[index], _SIGMOID_TABLE[index + 1]
    noted("entry of the table", a), noted("next entry", b), noted("256ths of the way there", magnitude & 0xFF)
    value = noted(_LINE, np.where(magnitude >> 8 >= 255, 0xFFFF << 8, (a << 8) + (magnitude & 0xFF) * (b - a)))
    positive = value - (1 << (14 + 9)) + (1 << (9 - 2))
    negative = -value + (1 << (14 + 9)) + (1 << (9 - 2)) - 1
    return noted(ROUNDED, (np.where(x >= 0, positive, negative) >> (9 - 1)).astype(np.int16))


@kernel(
    "SOFTMAX",
    flaw="with 8-bit input, tensorflow 2.21.0 aborts when a row holds its largest number 512 times and the output has "
    "8 bits, or when a row is empty and the output is int16; refquant computes both",
)
def softmax(op: Operator) -> Run:
    """exp(beta * x) / sum of exp(beta * x) along the last dimension.

    Sources: SoftmaxPrepare in kernels/activations.cc, internal/reference/softmax.h.
    """
    return _softmax(op, np.float32, _tables_in_float64)


@kernel("SOFTMAX", profile="micro")
def micro_softmax(op: Operator) -> Run:
    """As SOFTMAX, but for int16 the input's scale is multiplied with beta in float64, and the tables are of float32.

    Source: tensorflow/lite/micro/kernels/softmax_common.cc.
    """
    return _softmax(op, np.float64, _tables_in_float32)


def _softmax(
    op: Operator,
    precision: type[np.float32] | type[np.float64],
    tables: Callable[[], tuple[Int16Table, Int16Table]],
) -> Run:
    """SOFTMAX; the scale of an int16 input is multiplied with beta in that precision, `tables` makes its tables."""
    x, out = op.input(0), op.output()
    if not x.dims:
        raise op.invalid("the input must have a dimension to sum over")
    out.shape = x.dims
    beta = np.float32((op.options or SoftmaxOptions()).beta)
    if x.type == out.type == TensorType.FLOAT32:
        return _float_softmax(beta)
    if x.type in _8_BITS and out.type in (x.type, TensorType.INT16):
        return _softmax_of_8_bits(op, x, out, beta)
    if x.type == out.type == TensorType.INT16:
        return _softmax_of_16_bits(op, x, out, beta, precision, tables)
    raise op.unsupported()


def _check_output(op: Operator, out: TensorInfo, scale: float, zero_point: int) -> None:
    """Raises InvalidModelError unless the output's scale is this one, but for a thousandth, and its zero point is."""
    tolerance = np.float32(0.001) * np.float32(scale)
    if not abs(out.params[0] - np.float32(scale)) <= tolerance or out.params[1] != zero_point:
        raise op.invalid(
            f"the output must have scale {scale} and zero point {zero_point}, "
            f"it has {out.params[0]} and {out.params[1]}"
        )


def _float_softmax(beta: np.float32) -> Run:
    """exp((x - max) * beta), each divided by their sum, which is taken from left to right in float32."""

    def run(x: Array) -> Array:
        lowest = np.finfo(np.float32).min
        largest = np.fmax.reduce(x, axis=-1, keepdims=True, initial=lowest)  # a NaN is never the larger
        noted("largest of the row", largest)
        exps = noted("exp", libm.exp(noted("(input - largest) * beta", (x - largest) * beta)))
        result: Array = noted("over the sum", exps / noted("sum of the row's exps", _sum_in_order(exps)))
        return result

    return run


@kernel("SOFTMAX", profile="optimized")
def optimized_softmax(op: Operator) -> Run:
    """As SOFTMAX; float32: exp((x - max) * beta) with Eigen's exp, times the reciprocal of their sum. For 8 bits see
    `_softmax_by_table`.

    Eigen adds up a row in registers of eight that begin at an address that 32 divides; the output begins at one, so
    that the order hangs on the place of the row. Source: SoftmaxImpl in internal/optimized/optimized_ops.h.
    """
    x, out = op.input(0), op.output()
    beta = np.float32((op.options or SoftmaxOptions()).beta)
    if x.dims and x.type in _8_BITS and out.type in (x.type, TensorType.INT16):
        out.shape = x.dims
        return _softmax_by_table(op, x, out, beta)
    run = softmax(op)
    if x.type != TensorType.FLOAT32:
        return run

    def run_float(x: Array) -> Array:
        if not x.size:
            return x.copy()
        largest = noted("largest of the row", x.max(axis=-1, keepdims=True))
        exps = noted("exp", eigen.exp(noted("(input - largest) * beta", (x - largest) * beta)))
        rows = exps.reshape(-1, x.shape[-1])
        sums = noted("sum of the row's exps", eigen.aligned_sums(rows)[:, None])
        result: Array = rows * noted("1 / sum", np.float32(1) / sums)
        return noted("times 1 / sum", result.reshape(x.shape))

    return run_float


def exps_below_largest(scale: np.float32) -> Array:
    """exp(scale * d) in float32 for differences d of 8-bit numbers from the largest, -255 … 0, at index d + 255.

    Source: PopulateSoftmaxLookupTable in internal/optimized/optimized_ops.h.
    """
    return libm.exp(-scale * np.arange(255, -1, -1).astype(np.float32))


def _sum_in_order(x: Array) -> Array:
    """The sums of float32 rows, from left to right, each with a dimension of 1 instead of the last."""
    total = np.zeros((*x.shape[:-1], 1), np.float32)
    for c in range(x.shape[-1]):
        total = total + x[..., c : c + 1]
    return total


def _softmax_by_table(op: Operator, x: TensorInfo, out: TensorInfo, beta: np.float32) -> Run:
    """exp(x - max) from a table of float32, times 1 / (sum * scale of the output), rounded with halves away from zero.

    To uint8 it is cut off after a half is added, and no zero point joins it. Source: Softmax of quantized tensors in
    internal/optimized/optimized_ops.h.
    """
    if x.type == out.type == TensorType.INT8:
        _check_output(op, out, 1 / 256, -128)
    (scale, _), (out_scale, zero_point) = x.params, out.params
    table, limits, lowest = exps_below_largest(scale * beta), np.iinfo(out.dtype), int(np.iinfo(x.dtype).min)

    def run(q: Array) -> Array:
        wide = q.astype(np.int64)
        largest = noted("largest of the row", wide.max(axis=-1, keepdims=True, initial=lowest))
        exps = noted("exp, from a table", table[wide - largest + 255])
        inverse = np.float32(1) / (noted("sum of the row's exps", _sum_in_order(exps)) * out_scale)
        y = noted("over the sum and the scale of the output", exps * inverse)
        if out.type == TensorType.UINT8:
            rounded = noted(ROUNDED, to_int32(y + np.float32(0.5)))
        else:
            rounded = noted(ROUNDED, to_int32(round_half_away(y))) + np.int32(zero_point)
        return clamp(rounded, int(limits.min), int(limits.max), out.dtype)

    return run


def _softmax_of_8_bits(op: Operator, x: TensorInfo, out: TensorInfo, beta: np.float32) -> Run:
    """In integers only. x - max, scaled to Q5.26, goes through exp; the sum is Q12.19, its reciprocal Newton's.

    A difference so low that Q5.26 cannot hold it (below `diff_min`) counts as zero.
    """
    if x.type == out.type == TensorType.INT8:
        _check_output(op, out, 1 / 256, -128)
    scale, _ = x.params
    real = min(np.float64(beta) * np.float64(scale) * 2.0**26, 2.0**31 - 1)
    multiplier, shift = quantize_multiplier(real)
    if not real > 0.5:
        raise op.invalid(f"beta {beta} times the input's scale {scale} is too small; the real kernel aborts")
    diff_min = -int(np.floor(31.0 * 2**26 / 2.0 ** int(shift)))
    differences = np.arange(-255, 1)
    scaled = high_multiply((differences.astype(np.int64) << int(shift)).astype(np.int32), multiplier)
    exps = np.where(differences >= diff_min, exp_on_negative_values(scaled, 5), 0)  # Q0.31
    exps_in_sum = (exps + (1 << 11)) >> 12  # Q12.19
    counted = differences >= diff_min
    bits = 8 * out.dtype.itemsize
    lowest, low, high = int(np.iinfo(x.dtype).min), int(np.iinfo(out.dtype).min), int(np.iinfo(out.dtype).max)

    def run(x: Array) -> Array:
        wide = x.astype(np.int64)
        largest = noted("largest of the row", wide.max(axis=-1, keepdims=True, initial=lowest))
        index = wide - largest + 255
        total = exps_in_sum[index].sum(axis=-1, keepdims=True) & 0xFFFFFFFF  # the sum wraps
        if not index.size:
            return np.empty(x.shape, out.dtype)
        if is_heard():
            noted("input - largest", index - 255), noted("times beta * scale * 2**26", scaled[index])
            noted("exp, in 2**-31", exps[index]), noted("sum of the row's exps, in 2**-19", total)
        headroom = noted("leading zeros of the sum", 32 - np.frexp(total.astype(np.float64))[1])  # of 32 bits
        reciprocal = noted("1 / sum, mantissa", one_over_one_plus_x((total << headroom) - 2**31))
        exponent = 12 - headroom + 31 - bits
        product = noted("exp * 1 / sum, high multiply", high_multiply(reciprocal, exps[index])).astype(np.int64)
        half = (np.int64(1) << exponent) >> 1
        divided = noted(ROUNDED, (product + half - ((product < 0) & (half > 0))) >> exponent)
        result = np.minimum(np.maximum(noted(ZERO_POINT_ADDED, divided + low), low), high)
        return noted(
            "limited; the lowest where the difference is too large", np.where(counted[index], result, low)
        ).astype(out.dtype)

    return run


def _tables_in_float64() -> tuple[Int16Table, Int16Table]:
    """exp from -10 to 0, and 1 / (1 + x) from 0 to 1."""
    interval = 65535.0
    exps_of = Int16Table(
        np.exp,
        10.0 / interval * (-32768 - 32767),
        10.0 / interval * (32767 - 32767),
        2.0 / interval * -32768,
        2.0 / interval * 32767,
    )
    reciprocal_of = Int16Table(
        lambda v: 1.0 / (1.0 + v),
        1.0 / interval * (-32768 + 32768),
        1.0 / interval * (32767 + 32768),
        2.0 / interval * -32768,
        2.0 / interval * 32767,
    )
    return exps_of, reciprocal_of


def _tables_in_float32() -> tuple[Int16Table, Int16Table]:
    """The same of float32 functions."""
    steps = np.float32(65535)
    to = np.float32(2) / steps, 0
    exps_of = Int16Table.of_scales(libm.exp, np.float32(10) / steps, 32767, *to)
    return exps_of, Int16Table.of_scales(lambda v: _ONE / (_ONE + v), _ONE / steps, -32768, *to)


def _softmax_of_16_bits(
    op: Operator,
    x: TensorInfo,
    out: TensorInfo,
    beta: np.float32,
    precision: type[np.float32] | type[np.float64],
    tables: Callable[[], tuple[Int16Table, Int16Table]],
) -> Run:
    """exp and 1 / (1 + x) from tables of 513 entries; the sum of exps is normalized to [1, 2) for the second."""
    if not 1 <= len(x.dims) <= 4:
        raise op.invalid(f"an int16 input of {len(x.dims)} dimensions: expected 1 to 4")
    scale, zero_point = x.params
    if zero_point != 0:
        raise op.invalid("the zero points of int16 tensors must be 0")
    _check_output(op, out, 1 / 32768, 0)
    exps_of, reciprocal_of = tables()
    rule = profiles.rounding(op)
    real = np.float64(precision(scale) * precision(beta)) / (10.0 / 65535.0)
    multiplier, shift = quantize_multiplier(real)

    def run(x: Array) -> Array:
        wide = x.astype(np.int32)
        differences = noted("input - largest", wide - wide.max(axis=-1, keepdims=True, initial=-32768))
        noted("multiplier", multiplier), noted("shift", shift)
        scaled = noted("place in the table", rule(differences, multiplier, shift).astype(np.int64) + 32767)
        exps = noted("exp from the table", exps_of(np.clip(scaled, -32768, 32767)))
        total = noted("sum of the row's exps", exps.sum(axis=-1, keepdims=True))
        headroom = 32 - np.frexp(np.maximum(total, 1).astype(np.float64))[1]
        shifted = ((total << (headroom - 1)) + (1 << 13)) >> 14
        reciprocal = noted("1 / sum", reciprocal_of(np.clip(shifted - ((1 << 15) + (1 << 16)), -32768, 32767)))
        right = 31 - headroom
        rounded = noted(ROUNDED, (noted("exp * 1 / sum", exps * reciprocal) + (np.int64(1) << (right - 1))) >> right)
        return clamp(rounded, 0, 32767, np.dtype(np.int16))

    return run
