"""Operators on two tensors, element by element, with broadcasting: ADD, SUB, MUL, DIV, MINIMUM, MAXIMUM."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from itertools import groupby
from math import prod
from typing import Any

import numpy as np

from refquant.kernels import profiles
from refquant.kernels.fused_activation import clamp, clamp_float, clamp_integer, quantized_range
from refquant.kernels.registry import Array, Operator, Run, Shape, TensorInfo, kernel
from refquant.kernels.requantization import check_scales, output_stage
from refquant.numerics.fixed_point import (
    divide_by_power_of_two,
    double_rounding_to_the_right,
    high_multiply,
    multiplier_for,
    quantize_multiplier,
)
from refquant.numerics.half import from_bfloat16
from refquant.numerics.integer_functions import reciprocal
from refquant.numerics.lookup import tabulate, tabulate_pairs
from refquant.numerics.selection import choose
from refquant.numerics.steps import ROUNDED, ZERO_POINT_ADDED, headed, is_heard, noted
from refquant.tflite import schema
from refquant.tflite.schema import ActivationFunctionType, TensorType

Function = Callable[[Array, Array], Array]

_FLOAT32, _FLOAT16, _BFLOAT16 = TensorType.FLOAT32, TensorType.FLOAT16, TensorType.BFLOAT16
_INT8, _UINT8, _INT16 = TensorType.INT8, TensorType.UINT8, TensorType.INT16
_INT32, _INT64, _UINT32, _COMPLEX64 = TensorType.INT32, TensorType.INT64, TensorType.UINT32, TensorType.COMPLEX64
_QUANTIZED = (_INT8, _UINT8, _INT16)

_PLAIN, _ACTIVATED = "result before the activation", "after the activation"
_WORTH_A_TABLE = 1 << 11  # numbers in an output, so that some runs save what a table of 65,536 entries costs


@dataclass(frozen=True, slots=True)
class Grouped:
    """What a kernel does otherwise in whole registers: `where` of its results, of the output's shape.

    There an input is brought to the common scale by `bring`, a function of its integers less the zero point, the count
    of the left shift, multiplier and shift. If `in_16_bits`, the zero point of the output is added in 16 bits, which
    wrap as what is cut to them does.
    """

    where: Array
    bring: Callable[[Array, int, Array, Array], Array]
    in_16_bits: bool


@kernel(
    "ADD",
    flaw="with int16 tensors whose scales are powers of two and whose shapes differ, tensorflow 2.21.0 aborts; "
    "refquant broadcasts",
)
def add(op: Operator) -> Run:
    """x + y.

    Plain numbers: IEEE or wrapping addition, then the fused activation. Source: kernels/add.cc.
    Quantized: see `_sum_of_quantized`.
    """
    return planned_add(op, None)


def planned_add(op: Operator, grouped: Grouped | None) -> Run:
    """ADD; of quantized tensors with what is `grouped`."""
    x, y, out = two_inputs(op, 6, merging=True)
    if x.type in _QUANTIZED and (x.type != _INT16 or x.is_quantized or out.is_quantized):
        return _sum_of_quantized(op, x, y, out, 1, grouped)
    return _plain(op, np.add, _FLOAT32, _INT32, _INT64, _INT16)


@kernel("ADD", profile="micro")
def micro_add(op: Operator) -> Run:
    """As ADD; int32 without the fused activation, int16 whose scales are powers of two like any.

    Source: tensorflow/lite/micro/kernels/add.cc.
    """
    x, y, out = two_inputs(op, 6, merging=True)
    if x.type in _QUANTIZED:
        return _sum_of_quantized(op, x, y, out, 1, powers_of_two=False)
    if x.type == _INT32:
        _same_types(op, x, y, out)
        return np.add
    return _plain(op, np.add, _FLOAT32)


@kernel("SUB", profile="micro")
def micro_sub(op: Operator) -> Run:
    """As SUB; int16 whose scales are powers of two like any. Source: tensorflow/lite/micro/kernels/sub_common.cc."""
    x, y, out = two_inputs(op, 6, merging=True)
    if x.type in _QUANTIZED:
        return _sum_of_quantized(op, x, y, out, -1, powers_of_two=False)
    return _plain(op, np.subtract, _FLOAT32, _INT32)


@kernel("MUL", profile="micro")
def micro_mul(op: Operator) -> Run:
    """As MUL of tensors of one type, but the scales are multiplied in float64.

    Source: tensorflow/lite/micro/kernels/mul_common.cc.
    """
    x, y, out = two_inputs(op, 6)
    if x.type not in _QUANTIZED:
        return _plain(op, np.multiply, _FLOAT32, _INT32)
    _same_types(op, x, y, out)
    _check_int16(op, x, y, out)
    if not have_scales(op, x, y, out):
        return _zeros(op, out)
    return _product(op, x, y, out, np.float64(x.scale) * np.float64(y.scale) / np.float64(out.scale))


@kernel("SUB")
def sub(op: Operator) -> Run:
    """x - y, in everything else like ADD. Source: kernels/sub.cc."""
    x, y, out = two_inputs(op, 6, merging=True)
    if x.type in _QUANTIZED:
        check_zero_points(op, x, y, out)
        return _sum_of_quantized(op, x, y, out, -1)
    return _plain(op, np.subtract, _FLOAT32, _INT32, _INT64)


@kernel("MUL")
def mul(op: Operator) -> Run:
    """x * y.

    Plain numbers: IEEE or wrapping multiplication, then the fused activation, of which complex numbers have none.
    Quantized: the product of the differences from the zero points, brought to the output's scale by
    scale_x * scale_y / scale_out, which is computed in float32, and is 0 where a tensor has no single scale. Of int16
    numbers to 8 bits see `_product_of_fractions`.
    Source: kernels/mul.cc, MulElementwise in internal/reference/integer_ops/mul.h.
    """
    return planned_mul(op, product_of_quantized)


def planned_mul(op: Operator, quantized: Callable[[Operator, TensorInfo, TensorInfo, TensorInfo], Run]) -> Run:
    """MUL; of tensors quantized per tensor to their own type as `quantized` has it."""
    x, y, out = two_inputs(op, 6)
    if x.type == _INT16 and out.type in (_INT8, _UINT8):
        return _product_of_fractions(op, x, y, out)
    if x.type == _COMPLEX64 and options_of(op).fused_activation_function == ActivationFunctionType.NONE:
        _same_types(op, x, y, out)
        return _complex_product
    if x.type not in _QUANTIZED or (x.type == _INT16 and not out.is_quantized):
        return _plain(op, np.multiply, _FLOAT32, _INT32, _INT64, _INT16, _UINT32)
    _same_types(op, x, y, out)
    _check_int16(op, x, y, out)
    if not have_scales(op, x, y, out):
        return _zeros(op, out)
    return quantized(op, x, y, out)


def product_of_quantized(op: Operator, x: TensorInfo, y: TensorInfo, out: TensorInfo) -> Run:
    """Products of differences from the zero points, brought to the scale of the output."""
    return _product(op, x, y, out, np.float64(x.scale * y.scale / out.scale))


def _product(op: Operator, x: TensorInfo, y: TensorInfo, out: TensorInfo, real: np.float64) -> Run:
    """Products of differences from the zero points, times a real number."""
    finish = output_stage(op, real, out, options_of(op).fused_activation_function)
    x_zero, y_zero = np.int32(x.zero_point), np.int32(y.zero_point)

    def run(x: Array, y: Array) -> Array:
        a = noted("first input less its zero point", x.astype(np.int32) - x_zero)
        b = noted("second input less its zero point", y.astype(np.int32) - y_zero)
        return finish(a * b)

    return _in_pairs(op, run)


@kernel(
    "DIV",
    flaw="with int32 -2**31 divided by -1, tensorflow 2.21.0 dies of an arithmetic exception; refquant wraps to -2**31",
)
def div(op: Operator) -> Run:
    """x / y: IEEE division of floats, division towards zero of int32, see `_quotient_of_quantized` for the rest.

    A divisor of zero is an error, but for floats; quantized ones are looked at without their zero points.
    Source: kernels/div.cc.
    """
    x, y, out = two_inputs(op, 5)
    if x.type == _FLOAT32:
        return _plain(op, np.divide, _FLOAT32)
    divide = _quotient_of_quantized(op, x, y, out) if x.type in _QUANTIZED else _plain(op, _towards_zero, _INT32)

    def run(x: Array, y: Array) -> Array:
        if np.any(y == 0):
            raise op.invalid("division by zero")
        return divide(x, y)

    return run


@kernel("MINIMUM")
def minimum(op: Operator) -> Run:
    """The smaller of x and y; y where they cannot be compared. Source: kernels/maximum_minimum.cc."""
    return _choice(op, np.less)


@kernel("MAXIMUM")
def maximum(op: Operator) -> Run:
    """The larger of x and y; y where they cannot be compared. Source: kernels/maximum_minimum.cc."""
    return _choice(op, np.greater)


def broadcast_shape(op: Operator, x: TensorInfo, y: TensorInfo, most: int = 4, merging: bool = False) -> Shape:
    """The shape of two tensors together, which has at most so many dimensions unless their shapes are the same.

    Kernels that are `merging` count neighbours in which the same tensor is repeated, or none, as one dimension.
    Raises InvalidModelError where they do not fit, UnsupportedOperatorError where the real kernel aborts, or copies
    what it should not.
    """
    try:
        shape = np.broadcast_shapes(x.dims, y.dims)
    except ValueError:
        raise op.invalid(f"shapes {x.dims} and {y.dims} cannot be broadcast together") from None
    dimensions = _merged_dimensions(x.dims, y.dims) if merging else len(shape)
    if dimensions > most and x.dims != y.dims:
        raise op.unsupported(f"broadcasting in more than {most} dimensions")
    return shape


def _merged_dimensions(x: Shape, y: Shape) -> int:
    """How many nested loops go over both shapes: one for each run of dimensions that repeat the same tensor."""
    pairs = [pair for pair in zip(reversed(x), reversed(y)) if pair != (1, 1)]
    runs = [repeated for repeated, _ in groupby((a == 1, b == 1) for a, b in pairs)]
    absent = (len(x) < len(y), len(y) < len(x))
    return len(runs) + (any(absent) and runs[-1:] != [absent])


#: the options of an operator that has none, or another operator's
_DEFAULTS: dict[str, Any] = {
    "ADD": schema.AddOptions(pot_scale_int16=False),
    "SUB": schema.SubOptions(pot_scale_int16=False),
    "MUL": schema.MulOptions(),
    "DIV": schema.DivOptions(),
}


def options_of(op: Operator) -> Any:
    """Its options, or their defaults where it has none, or another operator's."""
    default = _DEFAULTS[op.name]
    return op.options if isinstance(op.options, type(default)) else default


def check_zero_points(op: Operator, *tensors: TensorInfo) -> None:
    """Raises InvalidModelError for a zero point that the tensor could not hold."""
    for tensor in tensors:
        limits = np.iinfo(tensor.dtype)
        if np.any((tensor.zero_points < limits.min) | (tensor.zero_points > limits.max)):
            raise op.invalid(f"{tensor.place} of type {tensor.type.name} has the zero point {tensor.zero_points[0]}")


def two_inputs(op: Operator, most: int, merging: bool = False) -> tuple[TensorInfo, TensorInfo, TensorInfo]:
    """Both inputs and the output, whose shape is set."""
    x, y, out = op.input(0), op.input(1), op.output()
    if x.type != y.type:
        raise op.invalid(f"inputs of two types, {x.type.name} and {y.type.name}")
    out.shape = broadcast_shape(op, x, y, most, merging)
    return x, y, out


def _same_types(op: Operator, x: TensorInfo, y: TensorInfo, out: TensorInfo) -> None:
    if not x.type == y.type == out.type:
        raise op.unsupported("inputs and output are of different types")


def _plain(op: Operator, function: Function, *types: TensorType) -> Function:
    """A function of float32 or of integers that stand for themselves, and the fused activation."""
    x, y, out = op.input(0), op.input(1), op.output()
    _same_types(op, x, y, out)
    if x.type not in types:
        raise op.unsupported()
    activation = options_of(op).fused_activation_function
    if x.type != _FLOAT32:
        return lambda x, y: noted(_ACTIVATED, clamp_integer(noted(_PLAIN, function(x, y)), activation))

    def run(x: Array, y: Array) -> Array:
        result = np.asarray(function(x, y))
        if is_heard():
            noted(_PLAIN, result.copy())
        return noted(_ACTIVATED, clamp_float(result, activation, result))

    return run


def _towards_zero(x: Array, y: Array) -> Array:
    """The quotient of int32 numbers without its fraction; the only one that does not fit wraps."""
    wide = x.astype(np.int64)
    quotient = np.abs(wide) // np.abs(y.astype(np.int64))
    return np.where((wide < 0) != (y < 0), -quotient, quotient).astype(np.int32)


def _complex_product(x: Array, y: Array) -> Array:
    """(a + bi) * (c + di) = ac - bd + (ad + bc)i in float32, as C has it: infinity times anything but zero is infinite.

    Where both parts come out NaN although a factor is infinite, or a partial product overflowed, infinities count as 1,
    other numbers of that factor as 0, and the product of these is multiplied by infinity: annex G of the C standard.
    """
    a, b, c, d = x.real, x.imag, y.real, y.imag
    real, imaginary = a * c - b * d, a * d + b * c
    lost = np.isnan(real) & np.isnan(imaginary)
    first, second = np.isinf(a) | np.isinf(b), np.isinf(c) | np.isinf(d)
    products = np.isinf(a * c) | np.isinf(b * d) | np.isinf(a * d) | np.isinf(b * c)

    def reduced(part: Array, infinite: Array, other_infinite: Array) -> Array:
        boxed = np.where(infinite, np.copysign(np.isinf(part).astype(np.float32), part), part)
        without_nan = np.where(np.isnan(boxed), np.copysign(np.float32(0), boxed), boxed)
        return np.where(other_infinite | (products & ~first & ~second), without_nan, boxed)

    a, b = reduced(a, first, second), reduced(b, first, second)
    c, d = reduced(c, second, first), reduced(d, second, first)
    recovered = lost & (first | second | products)
    infinity = np.float32(np.inf)
    result = np.empty(real.shape, np.complex64)
    result.real = np.where(recovered, infinity * (a * c - b * d), real)
    result.imag = np.where(recovered, infinity * (a * d + b * c), imaginary)
    return result


def _product_of_fractions(op: Operator, x: TensorInfo, y: TensorInfo, out: TensorInfo) -> Run:
    """int16 numbers as fractions of 2**15, whose product is a fraction of 2**7: no scale is looked at.

    It is rounded twice, to 15 bits and to 7, and limited before the zero point of the output is added. To uint8 it is
    limited from above only, and wraps. Source: Mul with output of 8 bits in internal/reference/integer_ops/mul.h.
    """
    if x.dims != y.dims:
        raise op.unsupported("broadcasting of int16 to 8 bits")
    zero_point = out.zero_point if out.is_quantized else 0
    low, high = quantized_range(op, options_of(op).fused_activation_function, out)

    def run(x: Array, y: Array) -> Array:
        product = np.minimum((x.astype(np.int32) * y + (1 << 14)) >> 15, 32767)
        rounded = divide_by_power_of_two(product, 8)
        return (np.clip(rounded, low - zero_point, high - zero_point) + zero_point).astype(out.dtype)

    return run


def _in_pairs(op: Operator, function: Function) -> Function:
    """A function of two quantized tensors; of large 8-bit ones as a table, unless its inner numbers are observed."""
    if op.input(0).dtype.itemsize > 1 or prod(op.output().dims) < _WORTH_A_TABLE:
        return function
    table = tabulate_pairs(function, op.input(0).dtype)
    return lambda x, y: table(x, y) if op.observer is None else function(x, y)


def _check_int16(op: Operator, *tensors: TensorInfo) -> None:
    if tensors[0].type == _INT16 and any(_zero_point(tensor) for tensor in tensors):
        raise op.invalid("the zero points of int16 tensors must be 0")


def have_scales(op: Operator, *tensors: TensorInfo) -> bool:
    """Whether each tensor is quantized per tensor; those that are must have usable scales."""
    per_tensor = [tensor for tensor in tensors if tensor.scales.size == tensor.zero_points.size == 1]
    for tensor in per_tensor:
        check_scales(op, tensor)
    return len(per_tensor) == len(tensors)


def _zero_point(tensor: TensorInfo) -> int:
    return int(tensor.zero_points[0]) if tensor.zero_points.size == 1 else 0


def _zeros(op: Operator, out: TensorInfo) -> Function:
    """What a multiplier of 0 leaves: the zero point of the output everywhere, within its activation."""
    low, high = quantized_range(op, options_of(op).fused_activation_function, out)
    value = np.array(min(max(_zero_point(out), low), high), out.dtype)
    return lambda x, y: np.full(np.broadcast_shapes(x.shape, y.shape), value)


def _quotient_of_quantized(op: Operator, x: TensorInfo, y: TensorInfo, out: TensorInfo) -> Function:
    """(x - zero_x) * (1 / (y - zero_y)) * scale_x / (scale_y * scale_out).

    The reciprocal is a fixed-point number, and x is shifted left as far as it goes before it is multiplied, then by the
    multiplier of the scales, which is 0 where a tensor has no single scale.
    Source: DivElementwise in internal/reference/div.h.
    """
    _same_types(op, x, y, out)
    real = np.float64(x.scale / (y.scale * out.scale)) if have_scales(op, x, y, out) else 0
    multiplier, shift = quantize_multiplier(real)
    low, high = quantized_range(op, options_of(op).fused_activation_function, out)
    x_zero, y_zero, zero_point = (np.int32(_zero_point(tensor)) for tensor in (x, y, out))

    def run(x: Array, y: Array) -> Array:
        dividend, divisor = x.astype(np.int32) - x_zero, y.astype(np.int32) - y_zero
        dividend = np.where(divisor < 0, -dividend, dividend)
        inverse, inverse_shift = reciprocal(np.abs(divisor))
        magnitude = np.where(dividend < 0, ~dividend, dividend)
        headroom = 31 - np.frexp(magnitude.astype(np.float64))[1]  # the bits that are copies of the sign
        quotient = high_multiply(dividend.astype(np.int64) << headroom, inverse)
        total = double_rounding_to_the_right(quotient, multiplier, shift - inverse_shift - headroom)
        return clamp(total + zero_point, low, high, out.dtype)

    return run


def _sum_of_quantized(
    op: Operator,
    x: TensorInfo,
    y: TensorInfo,
    out: TensorInfo,
    sign: int,
    grouped: Grouped | None = None,
    *,
    powers_of_two: bool = True,
) -> Run:
    """x ± y of quantized tensors: both brought to twice the larger scale, added, brought to the output's scale.

    The integers are shifted left first (20 bits, 15 for int16) so that the three roundings, all double, lose little.
    Each scaled input depends on an integer of 8 or 16 bits alone and is a table. With `powers_of_two`
    int16 scales of that kind have a sum of their own.
    Source: kernels/add.cc and sub.cc, AddElementwise in internal/reference/add.h.
    """
    _same_types(op, x, y, out)
    for tensor in (x, y, out):
        check_scales(op, tensor)
    shift_left = 20
    if x.type == _INT16:
        shift_left = 15
        if (x.zero_point, y.zero_point, out.zero_point) != (0, 0, 0):
            raise op.invalid("the zero points of int16 tensors must be 0")
        if powers_of_two and options_of(op).pot_scale_int16 and all(_is_power_of_two(t.scale) for t in (x, y, out)):
            return _sum_of_powers_of_two(op, x, y, out, sign)
    rule = profiles.rounding(op)
    twice = np.float64(np.float32(2) * max(x.scale, y.scale))
    real_out = twice / np.float64(np.float32(2**shift_left) * out.scale)
    finish = rule
    if real_out >= 1:
        if sign > 0 or real_out == 1 or not powers_of_two:
            raise op.invalid(f"the output's scale {out.scale} is too small for these inputs; the real kernel aborts")
        finish = double_rounding_to_the_right

    def scaled(tensor: TensorInfo) -> Callable[[Array], Array]:
        multiplier, shift = multiplier_for(rule, np.float64(tensor.scale) / twice)
        zero_point = np.int64(tensor.zero_point)

        def rescaled(q: Array) -> Array:
            raised = noted(f"less its zero point, shifted left by {shift_left}", (q - zero_point) << shift_left)
            noted("multiplier", multiplier), noted("shift", shift)
            return noted("at the common scale", rule(raised, multiplier, shift))

        singly = tabulate(rescaled, tensor.dtype)
        if grouped is None:
            return singly
        where, bring = grouped.where, grouped.bring
        mantissa, power = quantize_multiplier(np.float64(tensor.scale) / twice)
        together = tabulate(lambda q: bring(q - zero_point, shift_left, mantissa, power), tensor.dtype)
        return lambda q: noted("at the common scale, in whole registers", np.where(where, together(q), singly(q)))

    scaled_x, scaled_y = scaled(x), scaled(y)
    multiplier, shift = multiplier_for(rule, real_out)
    low, high = quantized_range(op, options_of(op).fused_activation_function, out)
    zero_point = np.int32(out.zero_point)

    def run(x: Array, y: Array) -> Array:
        headed("first input")
        a = scaled_x(x)
        headed("second input")
        b = scaled_y(y)
        headed("sum" if sign > 0 else "difference")
        total = a + b if sign > 0 else a - b
        if op.observer is not None:
            op.observe(scaled=(a, b), accumulator=total, multiplier=multiplier, shift=shift, rounding=finish.__name__)
        rounded = noted(ROUNDED, finish(total, multiplier, shift))
        moved = rounded + zero_point
        if grouped is not None and grouped.in_16_bits:
            moved = np.where(grouped.where, rounded.astype(np.int16) + np.int16(zero_point), moved)
        return clamp(noted(ZERO_POINT_ADDED, moved), low, high, out.dtype)

    return _in_pairs(op, run) if grouped is None else run


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
    low, high = quantized_range(op, options_of(op).fused_activation_function, out)

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


def _choice(op: Operator, first: Function) -> Run:
    """x where `first` holds of x and y, else y."""
    x, y, out = two_inputs(op, 5)
    _same_types(op, x, y, out)
    if x.type == _BFLOAT16:
        return lambda x, y: np.where(first(from_bfloat16(x), from_bfloat16(y)), x, y)
    if x.type == _FLOAT32:
        return lambda x, y: choose(first(x, y), x, y)
    if x.type not in (_FLOAT16, _INT8, _UINT8, _INT16, _INT32, _INT64):
        raise op.unsupported()
    if x.type == _FLOAT16:
        return lambda x, y: np.where(first(x, y), x, y)
    return np.minimum if first is np.less else np.maximum
