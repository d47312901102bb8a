"""More operators on two tensors, element by element: POW, FLOOR_DIV, FLOOR_MOD, SQUARED_DIFFERENCE, ATAN2,
BITWISE_XOR, RIGHT_SHIFT; and ADD_N on any number of them.
"""

from __future__ import annotations

import math
from functools import reduce

import numpy as np

from refquant.kernels.elementwise import broadcast_shape, check_zero_points
from refquant.kernels.fused_activation import clamp, clamp_float
from refquant.kernels.registry import Array, Operator, Run, TensorInfo, kernel
from refquant.kernels.requantization import check_scales
from refquant.numerics import trigonometry
from refquant.numerics.fixed_point import double_rounding, quantize_multiplier
from refquant.numerics.half import from_bfloat16, to_bfloat16
from refquant.numerics.logarithm import pow
from refquant.tflite.schema import ActivationFunctionType, TensorType

_FLOAT32, _FLOAT64 = TensorType.FLOAT32, TensorType.FLOAT64
_FLOAT16, _BFLOAT16 = TensorType.FLOAT16, TensorType.BFLOAT16
_INT8, _INT16, _INT32, _INT64 = TensorType.INT8, TensorType.INT16, TensorType.INT32, TensorType.INT64
_ANY_NUMBER = 2**31
_UP_TO_32_BITS = (_INT8, _INT16, _INT32, TensorType.UINT8, TensorType.UINT16, TensorType.UINT32)


def _two_of(op: Operator, *types: TensorType, most: int = 4, merging: bool = False) -> tuple[TensorInfo, TensorInfo]:
    """Two inputs and an output of one of these types, which broadcast to the shape of the output."""
    x, y, out = op.input(0), op.input(1), op.output()
    if not x.type == y.type == out.type or x.type not in types:
        raise op.unsupported()
    out.shape = broadcast_shape(op, x, y, most, merging)
    return x, y


@kernel("POW")
def pow_(op: Operator) -> Run:
    """x to the power y.

    float32 by the C library; int32 in float64, what does not fit becoming -2**31, and an exponent below zero is an
    error. One exponent for a tensor of another shape, if it is at most 1e-5 away from a whole number of at least 1,
    multiplies instead: square after square, and x once more for each odd half. Source: kernels/pow.cc,
    BroadcastPow4D in internal/optimized/optimized_ops.h.
    """
    _, y = _two_of(op, _FLOAT32, _INT32, most=4 if math.prod(op.input(1).dims) != 1 else _ANY_NUMBER)
    shape = op.output().dims
    one_exponent = op.input(0).dims != y.dims and math.prod(y.dims) == 1

    def run(x: Array, y: Array) -> Array:
        if x.dtype == np.int32 and np.any(y < 0):
            raise op.invalid("an int32 power must not have an exponent below zero")
        if one_exponent:
            exponent = y.ravel()[0]
            whole = float(np.rint(exponent)) if np.isfinite(exponent) else 0.0
            if 1 <= whole < 2**31 and abs(exponent - exponent.dtype.type(whole)) < 1e-5:
                return _multiplied(x, int(whole)).reshape(shape)
            if len(shape) > 4:
                raise op.unsupported(f"the exponent {exponent} in more than 4 dimensions")
        return pow(x, y) if x.dtype == np.float32 else _integer_power(x, y)

    return run


def _integer_power(x: Array, y: Array) -> Array:
    """x to the power y >= 0 of int32 numbers; what does not fit becomes -2**31.

    All that fits is exact in float64, and what does not stays too large.
    """
    factor, result = x.astype(np.float64), np.ones(np.broadcast_shapes(x.shape, y.shape))
    for bit in range(31):
        result = np.where((y >> bit) & 1, result * factor, result)
        factor = factor * factor
    return np.where(np.abs(result) < 2.0**31, result, -(2.0**31)).astype(np.int32)


def _multiplied(x: Array, exponent: int) -> Array:
    """x to a whole power of at least 1, by multiplications in the order of the bits of the exponent."""
    result = x
    for bit in bin(exponent)[3:]:
        result = _without_infinities(result * result)
        if bit == "1":
            result = _without_infinities(x * result)
    return result


def _without_infinities(x: Array) -> Array:
    """float32 infinities become the largest numbers, as in all kernels with a fused activation, even NONE."""
    return clamp_float(x, ActivationFunctionType.NONE) if x.dtype == np.float32 else x


@kernel("FLOOR_DIV")
def floor_div(op: Operator) -> Run:
    """The largest whole number not above x / y, divided in float64; a zero among the divisors is an error.

    The lowest integer by -1 does not fit: it wraps, but for int8 and int16 numbers that the x86-64 build of tensorflow
    2.21.0 takes eight at once, in tensors of the same shape, where it saturates.
    Source: kernels/floor_div.cc, internal/reference/floor_div.h.
    """
    x, y = _two_of(op, _FLOAT32, _INT8, _INT16, _INT32)
    eight_at_once = x.dims == y.dims and x.type in (_INT8, _INT16)

    def run(x: Array, y: Array) -> Array:
        if np.any(y == 0):
            raise op.invalid("division by zero")
        quotient = np.floor(x.astype(np.float64) / y.astype(np.float64))
        if x.dtype == np.float32:
            return quotient.astype(np.float32)
        result = quotient.astype(np.int64).astype(x.dtype).reshape(-1)
        if eight_at_once:
            together = x.size // 8 * 8
            result[:together] = np.minimum(quotient.reshape(-1)[:together], np.iinfo(x.dtype).max)
        return result.reshape(quotient.shape)

    return run


@kernel(
    "FLOOR_MOD",
    flaw="with the lowest int32 or int64 number and -1, tensorflow 2.21.0 dies of an arithmetic exception; "
    "refquant gives 0",
)
def floor_mod(op: Operator) -> Run:
    """What FLOOR_DIV leaves, which has the sign of y; a zero among whole divisors is an error.

    The remainder of the division towards zero, plus y where their signs differ. Source: kernels/floor_mod.cc.
    """
    _two_of(op, _FLOAT32, _INT8, _INT16, _INT32, _INT64)

    def run(x: Array, y: Array) -> Array:
        if y.dtype != np.float32 and np.any(y == 0):
            raise op.invalid("division by zero")
        rest = np.fmod(x, y)
        return np.where((rest != 0) & ((y < 0) != (rest < 0)), rest + y, rest)

    return run


@kernel("SQUARED_DIFFERENCE")
def squared_difference(op: Operator) -> Run:
    """(x - y)**2; int32 wraps.

    int8: both inputs times 2**7 are brought to twice the larger of their scales, their difference is squared, and that
    goes to the output's scale; each step with double rounding. Source: kernels/squared_difference.cc.
    """
    return _squared_difference(op, {_INT8: 7})


@kernel("SQUARED_DIFFERENCE", profile="micro")
def micro_squared_difference(op: Operator) -> Run:
    """As SQUARED_DIFFERENCE; int16 as int8, but as it is, not times 2**7.

    Source: tensorflow/lite/micro/kernels/squared_difference.cc.
    """
    return _squared_difference(op, {_INT8: 7, _INT16: 0})


def _squared_difference(op: Operator, raised: dict[TensorType, int]) -> Run:
    """Of float32 and int32, and of the quantized types that are raised, each by so many bits."""
    is_quantized = op.input(0).type in raised
    x, y = _two_of(op, _FLOAT32, _INT32, *raised, most=6 if is_quantized else 4, merging=is_quantized)
    if not is_quantized:
        return lambda x, y: np.square(x - y)
    out, bits = op.output(), raised[x.type]
    limits = np.iinfo(out.dtype)
    if x.type == _INT16 and any(tensor.params[1] for tensor in (x, y, out)):
        raise op.invalid("the zero points of int16 tensors must be 0")
    check_zero_points(op, x, y, out)
    for tensor in (x, y, out):
        check_scales(op, tensor)
    twice = 2 * np.float64(max(x.scale, y.scale))
    real = twice * twice / np.float64(np.float32(2 ** (2 * bits)) * out.scale)
    if real >= 1:
        raise op.invalid("the output's scale is too small for these inputs; the real kernel aborts")
    to_common = [(np.int32(t.zero_point), *quantize_multiplier(np.float64(t.scale) / twice)) for t in (x, y)]
    to_out = quantize_multiplier(real)

    def run(*inputs: Array) -> Array:
        x, y = (
            double_rounding((q.astype(np.int32) - zero) << bits, multiplier, shift)
            for q, (zero, multiplier, shift) in zip(inputs, to_common)
        )
        result = double_rounding(np.square(x - y), *to_out) + np.int32(out.zero_point)
        return clamp(result, int(limits.min), int(limits.max), out.dtype)

    return run


@kernel("ATAN2")
def atan2(op: Operator) -> Run:
    """The angle of the point (y, x), from -pi to pi: the first input is y. Of one shape; of floats of 16 to 64 bits.

    float64 is the C library's, those of 16 bits are computed in float32. Source: kernels/atan2.cc.
    """
    y, x = _two_of(op, _FLOAT32, _FLOAT64, _FLOAT16, _BFLOAT16)
    if y.dims != x.dims:
        raise op.invalid(f"shapes {y.dims} and {x.dims} differ, and are not broadcast here")
    return {_FLOAT32: trigonometry.atan2, _FLOAT64: _atan2_of_float64, _FLOAT16: _atan2_of_float16}.get(
        y.type, _atan2_of_bfloat16
    )


def _atan2_of_float64(y: Array, x: Array) -> Array:
    """By the C library, to which NumPy prefers functions of its own on some processors."""
    return np.asarray(np.frompyfunc(math.atan2, 2, 1)(y, x), np.float64)


def _atan2_of_float16(y: Array, x: Array) -> Array:
    return trigonometry.atan2(y.astype(np.float32), x.astype(np.float32)).astype(np.float16)


def _atan2_of_bfloat16(y: Array, x: Array) -> Array:
    """A NaN keeps its sign: that of x, or of y where x is none."""
    y, x = from_bfloat16(y), from_bfloat16(x)
    return to_bfloat16(np.where(np.isnan(x), x, np.where(np.isnan(y), y, trigonometry.atan2(y, x))))


@kernel("BITWISE_XOR")
def bitwise_xor(op: Operator) -> Run:
    """x ^ y of integers of up to 32 bits. Source: kernels/bitwise_xor.cc."""
    _two_of(op, *_UP_TO_32_BITS)
    return np.bitwise_xor


@kernel("RIGHT_SHIFT")
def right_shift(op: Operator) -> Run:
    """x >> y of integers of up to 32 bits, the sign coming in from the left; y is limited to 0 … bits - 1.

    Source: kernels/right_shift.cc.
    """
    x, _ = _two_of(op, *_UP_TO_32_BITS)
    most = 8 * x.dtype.itemsize - 1
    return lambda x, y: x >> np.clip(y, 0, most).astype(x.dtype)


@kernel("ADD_N")
def add_n(op: Operator) -> Run:
    """The sum of tensors of one shape, from first to last; int32 wraps, float32 infinities become the largest numbers.

    Source: kernels/add_n.cc.
    """
    _alike(op, _FLOAT32, _INT32)
    return lambda *xs: reduce(lambda x, y: _without_infinities(x + y), xs)


@kernel("ADD_N", profile="micro")
def micro_add_n(op: Operator) -> Run:
    """As ADD_N; float32 infinities stay, int8 tensors must have one scale and zero point.

    int8: each, less its zero point and times 2**20, is halved by double rounding, and so is a first number, which
    should be 0 and is minus the zero point; the sum goes to the output's scale.
    Source: tensorflow/lite/micro/kernels/add_n.cc, internal/reference/add_n.h.
    """
    x, out = _alike(op, _FLOAT32, _INT8)
    if x.type == _FLOAT32:
        return lambda *xs: reduce(np.add, xs)
    for tensor in (*(op.input(i) for i in range(len(op.inputs))), out):
        check_scales(op, tensor)
        if tensor is not out and tensor.params != x.params:
            raise op.invalid("its inputs have different scales or zero points")
    real = 2 * np.float64(x.scale) / (2**20 * np.float64(out.scale))
    if real >= 1:
        raise op.invalid("the output's scale is too small for these inputs; the real kernel aborts")
    zero_point, half, to_out = np.int32(x.zero_point), quantize_multiplier(0.5), quantize_multiplier(real)

    def run(*xs: Array) -> Array:
        halves = [double_rounding((q.astype(np.int32) - zero_point) << 20, *half) for q in xs]
        total = double_rounding(
            reduce(np.add, halves, double_rounding(np.asarray(-zero_point << 20), *half)), *to_out
        ) + np.int32(out.zero_point)
        return clamp(total, -128, 127, np.dtype(np.int8))

    return run


def _alike(op: Operator, *types: TensorType) -> tuple[TensorInfo, TensorInfo]:
    """The first input and the output; all inputs have one shape and one of these types."""
    first, out = op.input(0), op.output()
    if first.type not in types or len(op.inputs) < 2:
        raise op.unsupported()
    for i in range(len(op.inputs)):
        tensor = op.input(i)
        if (tensor.type, tensor.dims) != (first.type, first.dims):
            raise op.invalid(f"input {i} is {tensor.type.name} of shape {tensor.dims}, input 0 of {first.dims}")
    if out.type != first.type:
        raise op.unsupported()
    out.shape = first.dims
    return first, out
