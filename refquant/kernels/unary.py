"""Plain functions of one tensor, element by element: ABS, NEG, SIGN, SQUARE, SQRT, RSQRT, FLOOR, CEIL, ROUND, EXP, LOG,
SIN, COS.

IEEE 754 defines every bit of the float32 ones up to ROUND, the C library those of the others. Those of float16 and
bfloat16 are computed in float32. Quantized ones are tables of the float32 function, but for ABS and for RSQRT of int8,
which are integer arithmetic. Sources: kernels/elementwise.cc, neg.cc, sign.cc, floor.cc, ceil.cc, round.cc, exp.cc.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from refquant.kernels.fused_activation import clamp
from refquant.kernels.registry import Array, Operator, Run, kernel
from refquant.numerics import libm, trigonometry
from refquant.numerics.fixed_point import double_rounding, quantize_multiplier, to_int32
from refquant.numerics.half import through_float32
from refquant.numerics.integer_functions import one_over_square_root
from refquant.numerics.logarithm import log
from refquant.numerics.lookup import Int16Table, int8_table, tabulate
from refquant.numerics.steps import ROUNDED, ZERO_POINT_ADDED, headed, noted
from refquant.tflite.schema import TensorType
from refquant.tflite.tensor_types import numpy_dtype

HALVES = (TensorType.FLOAT16, TensorType.BFLOAT16)


def _function(op: Operator, function: Callable[[Array], Array], *more: TensorType, sets_type: bool = False) -> Run:
    """`function` of each element of a tensor of float32, or of a type among `more`.

    With `sets_type` the output has the type of the input whatever the file says, otherwise the file must say so.
    """
    x, out = op.input(0), op.output()
    if sets_type:
        out.take_type(x.type)
    if x.type != out.type or x.type not in (TensorType.FLOAT32, *more):
        raise op.unsupported()
    out.shape = x.dims
    return through_float32(function, x.dtype) if x.type in HALVES else function


Scales = tuple[np.float32, int, np.float32, int]
Precision = type[np.float32] | type[np.float64]


def _scales(op: Operator) -> Scales | None:
    """The (first) scales and zero points of input and output of int8 or quantized int16; None for other types."""
    x, out = op.input(0), op.output()
    if x.type != TensorType.INT8 and not (x.type == TensorType.INT16 and x.is_quantized):
        return None
    if out.type != x.type:
        raise op.unsupported("input and output are of different types")
    for tensor in (x, out):
        if not tensor.is_quantized:
            raise op.invalid(f"{tensor.place} of type {tensor.type.name} has no scale")
        if x.type == TensorType.INT16 and tensor.zero_points[0] != 0:
            raise op.invalid("the zero points of int16 tensors must be 0")
    out.shape = x.dims
    zero_points = [int(tensor.zero_points[0].astype(np.int32)) for tensor in (x, out)]
    return np.float32(x.scales[0]), zero_points[0], np.float32(out.scales[0]), zero_points[1]


def float_table(type: TensorType, function: Callable[[Array], Array], scales: Scales) -> Run:
    """A float32 function of 8-bit or 16-bit numbers as the runtime tabulates it, with float32 in between."""
    if type != TensorType.INT16:
        return int8_table(function, numpy_dtype(type), *scales)
    table = Int16Table.of_scales(function, *scales)  # what it interpolates may leave 16 bits, and then wraps
    return tabulate(lambda x: table(x.astype(np.int64)).astype(np.int16), np.int16)


@kernel("ABS")
def abs_(op: Operator) -> Run:
    """|x|; of plain int16 and int32 the smallest number stays as it is.

    Quantized: |x - zero_point|, brought to the scale of the output with double rounding where the scales differ.
    """
    return _abs(op, np.float32)


@kernel("ABS", profile="micro")
def micro_abs(op: Operator) -> Run:
    """As ABS, but the quotient of the scales is taken in float64.

    Source: tensorflow/lite/micro/kernels/elementwise.cc.
    """
    return _abs(op, np.float64)


def _abs(op: Operator, precision: Precision) -> Run:
    scales = _scales(op)
    if scales is None:
        return _function(op, np.abs, TensorType.INT16, TensorType.INT32)
    x_scale, x_zero, out_scale, out_zero = scales
    multiplier, shift = quantize_multiplier(precision(x_scale) / out_scale)
    dtype = op.input(0).dtype
    limits = np.iinfo(dtype)

    def run(q: Array) -> Array:
        value = noted("absolute difference from the zero point", np.abs(q.astype(np.int32) - np.int32(x_zero)))
        if x_scale != out_scale:
            noted("multiplier", multiplier), noted("shift", shift)
            value = noted(ROUNDED, double_rounding(value, multiplier, shift))
        return clamp(noted(ZERO_POINT_ADDED, value + np.int32(out_zero)), limits.min, limits.max, dtype)

    return tabulate(run, dtype)


@kernel("NEG")
def neg(op: Operator) -> Run:
    """-x; also of integers, where the smallest number stays as it is. Scales and zero points are not looked at."""
    integers = (TensorType.INT8, TensorType.INT16, TensorType.INT32, TensorType.INT64)
    run = _function(op, np.negative, *integers, *HALVES, sets_type=True)
    if op.input(0).type in HALVES:
        return lambda x: (x.view(np.uint16) ^ np.uint16(0x8000)).view(x.dtype)
    return run


@kernel("SIGN")
def sign(op: Operator) -> Run:
    """-1, 0 or 1: also of float64 and int32. 0 of NaN."""
    return _function(
        op, lambda x: (x > 0).astype(x.dtype) - (x < 0).astype(x.dtype), TensorType.FLOAT64, TensorType.INT32
    )


@kernel("SQUARE")
def square(op: Operator) -> Run:
    """x * x."""
    return _function(op, np.square)


@kernel("SQRT", flaw="of int16 without a scale tensorflow 2.21.0 crashes; refquant refuses it")
def sqrt(op: Operator) -> Run:
    """The square root. Quantized: that of scale * (x - zero_point), over the output's scale, cut off towards zero.

    Negative numbers are an error.
    """
    scales = _scales(op)
    if scales is None:
        return _function(op, np.sqrt)
    x_scale, x_zero, out_scale, out_zero = scales
    dtype = op.input(0).dtype
    limits = np.iinfo(dtype)

    def real(q: Array) -> Array:
        return x_scale * (q.astype(np.int32) - np.int32(x_zero)).astype(np.float32)

    def run(q: Array) -> Array:
        root = noted("square root in float32", np.sqrt(noted("input, dequantized", real(q))))
        whole = noted("over the output's scale, cut off", to_int32(root / out_scale))
        return clamp(noted(ZERO_POINT_ADDED, whole + np.int32(out_zero)), limits.min, limits.max, dtype)

    return _where_allowed(op, tabulate(run, dtype), tabulate(lambda q: real(q) >= 0, dtype))


@kernel(
    "RSQRT",
    flaw="with int8 and a product of square root of input scale and output scale above 2**11, tensorflow 2.21.0 shifts "
    "by more than 31 bits, which C++ leaves undefined, refquant gives the zero point; of int16 without a scale "
    "tensorflow crashes, refquant refuses it",
)
def rsqrt(op: Operator) -> Run:
    """1 / sqrt(x), both steps rounded.

    int8: the fixed-point inverse root of x - zero_point, times 1 / (sqrt(scale) * output's scale); 127 of zero.
    int16: a table of the float32 function. Numbers below the zero point are an error.
    """
    scales = _scales(op)
    if scales is None:
        return _function(op, _one_over_square_root)
    type, (_, x_zero, out_scale, _) = op.input(0).type, scales
    if type == TensorType.INT8:
        return _fixed_point_rsqrt(op, scales, np.float32)

    def in_float32(x: Array) -> Array:
        return np.where(x <= 0, np.float32(32767) * out_scale, _one_over_square_root(x))

    return _where_allowed(op, float_table(type, in_float32, scales), lambda q: q >= x_zero)


def _fixed_point_rsqrt(op: Operator, scales: Scales, precision: Precision) -> Run:
    x_scale, x_zero, out_scale, out_zero = scales
    dtype = op.input(0).dtype
    limits = np.iinfo(dtype)

    def in_int32(q: Array) -> Array:
        value = noted("input less its zero point", q.astype(np.int32) - np.int32(x_zero))
        root, root_shift = one_over_square_root(np.maximum(value, 1))
        headed("1 / square root, raised by 20 bits")
        noted("multiplier", root), noted("shift", root_shift + 20)
        raised = double_rounding(np.ones_like(value), root, root_shift + 20)  # 20 bits keep it an integer
        headed("times 1 / (square root of the input's scale * output's scale)")
        noted("multiplier", multiplier), noted("shift", shift - 20)
        result = noted(ROUNDED, double_rounding(raised, multiplier, shift - 20))
        limited = np.clip(noted(ZERO_POINT_ADDED, result + np.int32(out_zero)), limits.min, limits.max)
        named = f"limited to {limits.min} … {limits.max}; {limits.max} of zero"
        return noted(named, np.where(value == 0, limits.max, limited)).astype(dtype)

    multiplier, shift = quantize_multiplier(1.0 / np.float64(np.sqrt(precision(x_scale)) * out_scale))
    return _where_allowed(op, tabulate(in_int32, dtype), lambda q: q >= x_zero)


@kernel("RSQRT", profile="micro")
def micro_rsqrt(op: Operator) -> Run:
    """As RSQRT, int16 in the arithmetic of int8; root and product of the scales are taken in float64.

    Source: tensorflow/lite/micro/kernels/elementwise.cc.
    """
    scales = _scales(op)
    if scales is None:
        return _function(op, _one_over_square_root)
    return _fixed_point_rsqrt(op, scales, np.float64)


def _one_over_square_root(x: Array) -> Array:
    return noted("1 / square root", np.float32(1) / noted("square root", np.sqrt(x)))


def _where_allowed(op: Operator, function: Run, allowed: Callable[[Array], Array]) -> Run:
    """`function`, and an error where a number is not allowed."""

    def run(q: Array) -> Array:
        if not np.all(allowed(q)):
            raise op.invalid("an input is negative, which has no square root")
        return function(q)  # type: ignore[return-value]

    return run


@kernel("FLOOR")
def floor(op: Operator) -> Run:
    """The largest whole number that is not larger."""
    return _function(op, np.floor, *HALVES, sets_type=True)


@kernel("CEIL")
def ceil(op: Operator) -> Run:
    """The smallest whole number that is not smaller."""
    return _function(op, np.ceil, sets_type=True)


@kernel("ROUND")
def round_(op: Operator) -> Run:
    """The nearest whole number, halves to the even one; what lies between -1/2 and 0 becomes 0, not -0."""
    return _function(op, _round, *HALVES, sets_type=True)


def _round(x: Array) -> Array:
    low = np.floor(x)
    rest = x - low
    down = (rest < 0.5) | ((rest == 0.5) & (np.fmod(low, 2) == 0))
    result: Array = np.where(down, low, low + np.float32(1))
    return result


@kernel("EXP")
def exp(op: Operator) -> Run:
    """exp(x)."""
    x, out = op.input(0), op.output()
    if x.type not in (TensorType.INT8, TensorType.INT16):
        return _function(op, libm.exp, sets_type=True)
    out.take_type(x.type)
    out.shape = x.dims
    scales = (*x.params, *out.params)
    if x.type == TensorType.INT16 and (scales[1] or scales[3]):
        raise op.invalid("the zero points of int16 tensors must be 0")
    return float_table(x.type, libm.exp, scales)


@kernel("LOG", flaw="of int16 without a scale tensorflow 2.21.0 crashes; refquant refuses it")
def log_(op: Operator) -> Run:
    """The natural logarithm. Quantized: that of what is not positive is the lowest number that the output can hold."""
    scales = _scales(op)
    if scales is None:
        return _function(op, log)
    type = op.input(0).type
    lowest = (np.int32(np.iinfo(numpy_dtype(type)).min) - np.int32(scales[3])).astype(np.float32) * scales[2]
    return float_table(type, lambda x: np.where(x <= 0, lowest, log(x)), scales)


@kernel("SIN")
def sin(op: Operator) -> Run:
    """The sine of an angle in radians."""
    return _function(op, trigonometry.sin)


@kernel("COS")
def cos(op: Operator) -> Run:
    """The cosine of an angle in radians."""
    return _function(op, trigonometry.cos)
