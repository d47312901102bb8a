"""Plain functions of one tensor, element by element: ABS, NEG, SIGN, SQUARE, SQRT, RSQRT, FLOOR, CEIL, ROUND, EXP, LOG,
SIN, COS.

IEEE 754 defines every bit of the float32 ones up to ROUND, the C library those of the others. Those of float16 and
bfloat16 are computed in float32. Quantized ones are tables of the float32 function, but for ABS and for RSQRT of int8,
which are integer arithmetic. Sources: kernels/elementwise.cc, neg.cc, sign.cc, floor.cc, ceil.cc, round.cc, exp.cc.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from refquant.kernels.registry import Array, Operator, Run, TensorInfo, kernel
from refquant.kernels.requantization import check_scales
from refquant.numerics import libm, trigonometry
from refquant.numerics.fixed_point import double_rounding, quantize_multiplier
from refquant.numerics.half import through_float32
from refquant.numerics.integer_functions import one_over_square_root
from refquant.numerics.logarithm import log
from refquant.numerics.lookup import Int16Table, int8_table, tabulate
from refquant.tflite.schema import TensorType

HALVES = (TensorType.FLOAT16, TensorType.BFLOAT16)


def _function(op: Operator, function: Callable[[Array], Array], *more: TensorType) -> Run:
    """`function` of each element of a tensor of float32, or of a type among `more`."""
    x, out = op.input(0), op.output()
    if x.type != out.type or x.type not in (TensorType.FLOAT32, *more):
        raise op.unsupported()
    out.shape = x.dims
    return through_float32(function, x.dtype) if x.type in HALVES else function


def _is_quantized(op: Operator) -> bool:
    """True for int8 and quantized int16, whose shapes and scales are then checked and set."""
    x, out = op.input(0), op.output()
    if x.type != TensorType.INT8 and not (x.type == TensorType.INT16 and x.is_quantized):
        return False
    if out.type != x.type:
        raise op.unsupported("input and output are of different types")
    for tensor in (x, out):
        check_scales(op, tensor)
        if x.type == TensorType.INT16 and tensor.zero_point != 0:
            raise op.invalid("the zero points of int16 tensors must be 0")
    out.shape = x.dims
    return True


def float_table(x: TensorInfo, out: TensorInfo, function: Callable[[Array], Array]) -> Run:
    """A float32 function of 8-bit or 16-bit numbers as the runtime tabulates it, with float32 in between."""
    scales = (x.scale, x.zero_point, out.scale, out.zero_point)
    if x.type != TensorType.INT16:
        return int8_table(function, x.dtype, *scales)
    table = Int16Table.of_scales(function, *scales)  # what it interpolates may leave 16 bits, and then wraps
    return tabulate(lambda x: table(x.astype(np.int64)).astype(np.int16), np.int16)


@kernel("ABS")
def abs_(op: Operator) -> Run:
    """|x|; of plain int16 and int32 the smallest number stays as it is.

    Quantized: |x - zero_point|, brought to the scale of the output with double rounding where the scales differ.
    """
    if not _is_quantized(op):
        return _function(op, np.abs, TensorType.INT16, TensorType.INT32)
    x, out = op.input(0), op.output()
    multiplier, shift = quantize_multiplier(x.scale / out.scale)
    limits = np.iinfo(out.dtype)

    def run(q: Array) -> Array:
        value = np.abs(q.astype(np.int32) - np.int32(x.zero_point))
        if x.scale != out.scale:
            value = double_rounding(value, multiplier, shift)
        return np.clip(value + np.int32(out.zero_point), limits.min, limits.max).astype(out.dtype)

    return tabulate(run, x.dtype)


@kernel("NEG")
def neg(op: Operator) -> Run:
    """-x; also of integers, where the smallest number stays as it is. Scales and zero points are not looked at."""
    x, out = op.input(0), op.output()
    if x.type in HALVES and out.type == x.type:
        out.shape = x.dims
        return lambda x: (x.view(np.uint16) ^ np.uint16(0x8000)).view(x.dtype)
    return _function(op, np.negative, TensorType.INT8, TensorType.INT16, TensorType.INT32, TensorType.INT64)


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


@kernel("SQRT")
def sqrt(op: Operator) -> Run:
    """The square root. Quantized: that of scale * (x - zero_point), over the output's scale, cut off towards zero."""
    if not _is_quantized(op):
        return _function(op, np.sqrt)
    x, out = op.input(0), op.output()
    limits = np.iinfo(out.dtype)

    def run(q: Array) -> Array:
        value = q.astype(np.int32) - x.zero_point
        with np.errstate(over="ignore"):
            root = np.sqrt(x.scale * np.maximum(value, 0).astype(np.float32)) / out.scale
        whole = np.where(root < 2.0**31, root, np.float32(-(2.0**31))).astype(np.int64)
        return np.clip((whole + out.zero_point).astype(np.int32), limits.min, limits.max).astype(out.dtype)

    return _of_non_negative(op, tabulate(run, x.dtype))


@kernel(
    "RSQRT",
    flaw="with int8 and a product of square root of input scale and output scale above 2**11, tensorflow 2.21.0 shifts "
    "by more than 31 bits, which C++ leaves undefined; refquant gives the zero point",
)
def rsqrt(op: Operator) -> Run:
    """1 / sqrt(x), both steps rounded.

    int8: the fixed-point inverse root of x - zero_point, times 1 / (sqrt(scale) * output's scale); 127 of zero.
    int16: a table of the float32 function. Negative numbers are an error.
    """
    if not _is_quantized(op):
        return _function(op, lambda x: np.float32(1) / np.sqrt(x))
    x, out = op.input(0), op.output()
    if x.type == TensorType.INT16:
        largest = np.float32(32767) * out.scale
        table = float_table(x, out, lambda v: np.where(v <= 0, largest, np.float32(1) / np.sqrt(np.maximum(v, 0))))
        return _of_non_negative(op, table)
    real = 1.0 / np.float64(np.sqrt(x.scale) * out.scale)
    if not np.isfinite(real):
        raise op.invalid(f"scales {x.scale} and {out.scale} are too small")
    multiplier, shift = quantize_multiplier(real)

    def run(q: Array) -> Array:
        value = q.astype(np.int32) - x.zero_point
        root, root_shift = one_over_square_root(np.maximum(value, 1))
        raised = double_rounding(np.ones_like(value), root, root_shift + 20)  # 20 bits keep it an integer
        result = double_rounding(raised, multiplier, shift - 20) + np.int32(out.zero_point)
        return np.where(value == 0, 127, np.clip(result, -128, 127)).astype(np.int8)

    return _of_non_negative(op, tabulate(run, x.dtype))


def _of_non_negative(op: Operator, function: Run) -> Run:
    """`function`, and an error where a number lies below the zero point."""
    zero_point = op.input(0).zero_point

    def run(q: Array) -> Array:
        if q.size and q.min() < zero_point:
            raise op.invalid("an input is negative, which has no square root")
        return function(q)  # type: ignore[return-value]

    return run


@kernel("FLOOR")
def floor(op: Operator) -> Run:
    """The largest whole number that is not larger."""
    return _function(op, np.floor, *HALVES)


@kernel("CEIL")
def ceil(op: Operator) -> Run:
    """The smallest whole number that is not smaller."""
    return _function(op, np.ceil)


@kernel("ROUND")
def round_(op: Operator) -> Run:
    """The nearest whole number, halves to the even one; what lies between -1/2 and 0 becomes 0, not -0."""
    return _function(op, _round, *HALVES)


def _round(x: Array) -> Array:
    low = np.floor(x)
    rest = x - low
    down = (rest < 0.5) | ((rest == 0.5) & (np.fmod(low, 2) == 0))
    result: Array = np.where(down, low, low + np.float32(1))
    return result


@kernel("EXP")
def exp(op: Operator) -> Run:
    """exp(x)."""
    if not _is_quantized(op):
        return _function(op, libm.exp)
    return float_table(op.input(0), op.output(), libm.exp)


@kernel("LOG")
def log_(op: Operator) -> Run:
    """The natural logarithm. Quantized: that of what is not positive is the lowest number that the output can hold."""
    if not _is_quantized(op):
        return _function(op, log)
    x, out = op.input(0), op.output()
    lowest = np.float32(np.iinfo(out.dtype).min - out.zero_point) * out.scale
    return float_table(x, out, lambda v: np.where(v <= 0, lowest, log(v)))


@kernel("SIN")
def sin(op: Operator) -> Run:
    """The sine of an angle in radians."""
    return _function(op, trigonometry.sin)


@kernel("COS")
def cos(op: Operator) -> Run:
    """The cosine of an angle in radians."""
    return _function(op, trigonometry.cos)
