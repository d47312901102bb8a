"""Rows brought to a common size: L2_NORMALIZATION, LOCAL_RESPONSE_NORMALIZATION, LOG_SOFTMAX."""

from __future__ import annotations

import numpy as np

from refquant.kernels.activation import exps_below_largest
from refquant.kernels.fused_activation import clamp
from refquant.kernels.registry import Array, Operator, Run, TensorInfo, kernel
from refquant.numerics import eigen, libm
from refquant.numerics.eigen_power import power
from refquant.numerics.fixed_point import (
    divide_by_power_of_two,
    double_rounding,
    high_multiply,
    quantize_multiplier,
    to_int32,
)
from refquant.numerics.integer_functions import exp_on_negative_values, log_of_at_least_one, one_over_square_root
from refquant.numerics.logarithm import log
from refquant.numerics.processor import current
from refquant.numerics.reciprocal_estimate import reciprocal
from refquant.tflite.schema import (
    ActivationFunctionType,
    L2NormOptions,
    LocalResponseNormalizationOptions,
    TensorType,
)

_8_BITS = (TensorType.INT8, TensorType.UINT8)
_EPSILON = np.float32(1e-6)


def _same_type(op: Operator) -> tuple[TensorInfo, TensorInfo]:
    x, out = op.input(0), op.output()
    if x.type != out.type:
        raise op.unsupported("input and output are of different types")
    out.shape = x.dims
    return x, out


@kernel("L2_NORMALIZATION", flaw="of a scalar tensorflow 2.21.0 crashes; refquant refuses it")
def l2_normalization(op: Operator) -> Run:
    """Each row over the root of the sum of its squares, which counts as at least 1e-6.

    float32: added from left to right. int8 and uint8: the fixed-point inverse root of the sum of (x - zero_point)**2,
    times the difference, as multiples of 1/128. Source: kernels/l2norm.cc, internal/reference/l2normalization.h,
    integer_ops/l2normalization.h.
    """
    x, out = _same_type(op)
    if not 1 <= len(x.dims) <= 4:
        raise op.invalid(f"an input of {len(x.dims)} dimensions: expected 1 to 4")
    if (op.options or L2NormOptions()).fused_activation_function != ActivationFunctionType.NONE:
        raise op.invalid("a fused activation is not allowed here")
    if x.type == TensorType.FLOAT32:
        return _divided_by_norm
    if x.type not in _8_BITS:
        raise op.unsupported()
    middle = 0 if x.type == TensorType.INT8 else 128
    if out.params != (np.float32(1 / 128), middle):
        raise op.invalid(f"the output must have scale 1/128 and zero point {middle}")
    limits = np.iinfo(x.dtype)
    _, zero_point = x.params

    def run(q: Array) -> Array:
        difference = q.astype(np.int32) - np.int32(zero_point)
        multiplier, shift = one_over_square_root(np.square(difference).sum(-1, np.int32, keepdims=True))
        if x.type == TensorType.INT8:
            scaled = double_rounding(difference, multiplier, shift + 7)
        else:
            scaled = double_rounding(128 * difference, multiplier, shift)
        return np.clip(scaled + middle, limits.min, limits.max).astype(x.dtype)

    return run


def _sum_in_order(x: Array) -> Array:
    """The sum along the last axis, from left to right in float32, starting from zero."""
    total = np.zeros(x.shape[:-1], np.float32)
    for c in range(x.shape[-1]):
        total = total + x[..., c]
    return total


def _divided_by_norm(x: Array) -> Array:
    with np.errstate(over="ignore"):
        norm = np.sqrt(_sum_in_order(x * x))
    norm = np.where(norm < _EPSILON, _EPSILON, norm)
    result: Array = x / norm[..., None]
    return result


@kernel("LOCAL_RESPONSE_NORMALIZATION")
def local_response_normalization(op: Operator) -> Run:
    """x * (bias + alpha * sum)**-beta, with the sum of the squares of the `radius` channels before and after.

    Only radius - 1 channels after count. The sum is float32, from left to right; the power is float64, rounded once.
    Source: kernels/local_response_norm.cc, LocalResponseNormalization in internal/reference/reference_ops.h.
    """
    x, _ = _same_type(op)
    if x.type != TensorType.FLOAT32:
        raise op.unsupported()
    if len(x.dims) != 4:
        raise op.invalid(f"an input of shape {x.dims}: expected 4 dimensions")
    options = op.options or LocalResponseNormalizationOptions()
    radius = options.radius
    bias, alpha, beta = (np.float64(np.float32(n)) for n in (options.bias, options.alpha, options.beta))
    depth = x.dims[-1]

    def run(x: Array) -> Array:
        with np.errstate(all="ignore"):
            squares = x * x
            total = np.zeros(x.shape, np.float32)
            for offset in range(-radius, radius):
                c = np.arange(max(0, -offset), min(depth, depth - offset))
                total[..., c] = total[..., c] + squares[..., c + offset]
            return x * np.power(bias + alpha * total, -beta).astype(np.float32)

    return run


@kernel("LOCAL_RESPONSE_NORMALIZATION", profile="optimized")
def optimized_local_response_normalization(op: Operator) -> Run:
    """As LOCAL_RESPONSE_NORMALIZATION in float32 alone: the sum of alpha times the squares moves along the channels,
    one square in, one out; one more channel counts after. The power is Eigen's; to -1 and -1/2 it is a reciprocal,
    which hangs on the processor. Source: LocalResponseNormalization in internal/optimized/optimized_ops.h.
    """
    local_response_normalization(op)
    options = op.options or LocalResponseNormalizationOptions()
    radius = options.radius
    if radius < 0:
        raise op.unsupported(f"a radius of {radius}")
    bias, alpha, beta = (np.float32(n) for n in (options.bias, options.alpha, options.beta))
    estimates = current().estimates

    def run(x: Array) -> Array:
        depth = x.shape[-1]
        with np.errstate(all="ignore"):
            squares = np.zeros((*x.shape[:-1], depth + 2 * radius), np.float32)
            squares[..., radius : radius + depth] = x * x * alpha
            total = _sum_in_order(squares[..., : 2 * radius])
            scale = np.empty(x.shape, np.float32)
            for c in range(depth):
                total = total + squares[..., c + 2 * radius]
                scale[..., c] = bias + total
                total = total - squares[..., c]
            if beta == 1:
                return x * reciprocal(scale, estimates)
            if beta == np.float32(0.5):
                return x * reciprocal(np.sqrt(scale), estimates)
            return x * power(scale, -beta)

    return run


@kernel(
    "LOG_SOFTMAX",
    flaw="tensorflow 2.21.0 aborts on 8-bit inputs with a scale of less than 2**-26, lets a sum overflow that is 4096 "
    "times the largest number, and reads beyond a scalar; refquant refuses them",
)
def log_softmax(op: Operator) -> Run:
    """x - max - log(sum(exp(x - max))) along the last axis.

    float32 with the C library's exp and log, added from left to right. int8 and uint8 in integers only: the exps as in
    SOFTMAX, their sum through the logarithm of `refquant.numerics.integer_functions`, as multiples of 1/16 below the
    largest number of the type. Source: LogSoftmaxPrepare in kernels/activations.cc, internal/reference/log_softmax.h.
    """
    x, out = _same_type(op)
    if not x.dims:
        raise op.invalid("the input must have a dimension to sum over")
    if x.type == TensorType.FLOAT32:
        return _float_log_softmax
    if x.type not in _8_BITS:
        raise op.unsupported()
    return _log_softmax_of_8_bits(op, x, out)


def _float_log_softmax(x: Array) -> Array:
    lowest = np.finfo(np.float32).min
    with np.errstate(all="ignore"):
        shifted = x - np.fmax.reduce(x, axis=-1, keepdims=True, initial=lowest)  # a NaN is never the larger
        largest = np.fmax.reduce(x, axis=-1, keepdims=True, initial=lowest)
        result: Array = x - largest - log(_sum_in_order(libm.exp(shifted)))[..., None]
    return result


@kernel("LOG_SOFTMAX", profile="optimized")
def optimized_log_softmax(op: Operator) -> Run:
    """As LOG_SOFTMAX; float32 with Eigen's exp for each eight numbers of a row and the C library's for what is left.

    Source: LogSoftmax in internal/optimized/optimized_ops.h.
    """
    x, out = op.input(0), op.output()
    if x.dims and x.type == out.type and x.type in (TensorType.INT8, TensorType.UINT8):
        out.shape = x.dims
        return _log_softmax_by_table(op, x, out)
    run = log_softmax(op)
    return _log_softmax_of_eigen if x.type == TensorType.FLOAT32 else run


def _log_softmax_by_table(op: Operator, x: TensorInfo, out: TensorInfo) -> Run:
    """In float32, with a table of exp; halves to even.

    Source: LogSoftmax of quantized tensors in internal/optimized/optimized_ops.h.
    """
    limits = np.iinfo(out.dtype)
    _check_log_softmax(op, out)
    (scale, _), (out_scale, zero_point) = x.params, out.params
    table, ratio = exps_below_largest(scale), scale / out_scale

    def run(q: Array) -> Array:
        if not q.size:
            return np.empty(q.shape, q.dtype)
        largest = q.max(-1, keepdims=True)
        total = _sum_in_order(table[q.astype(np.int64) - largest + 255])[..., None]
        subtrahend = (scale * largest.astype(np.float32) + log(total)) / out_scale
        y = np.rint(ratio * q.astype(np.float32) - subtrahend) + np.float32(zero_point)
        return clamp(to_int32(y), int(limits.min), int(limits.max), q.dtype)

    return run


def _check_log_softmax(op: Operator, out: TensorInfo) -> None:
    largest = int(np.iinfo(out.dtype).max)
    if out.params != (np.float32(1 / 16), largest):
        raise op.invalid(f"the output must have scale 1/16 and zero point {largest}")


def _log_softmax_of_eigen(x: Array) -> Array:
    if not x.size:
        return x.copy()
    largest = x.max(axis=-1, keepdims=True)
    shifted = (x - largest).reshape(-1, x.shape[-1])
    whole = x.shape[-1] - x.shape[-1] % eigen.WIDTH
    exps = np.concatenate([eigen.exp(shifted[:, :whole]), libm.exp(shifted[:, whole:])], axis=1)
    result: Array = x - largest - log(eigen.row_sums(exps)).reshape(largest.shape)
    return result


def _log_softmax_of_8_bits(op: Operator, x: TensorInfo, out: TensorInfo) -> Run:
    """Differences from the largest and the logarithm of the sum are Q5.26, the sum itself is Q12.19."""
    limits = np.iinfo(out.dtype)
    _check_log_softmax(op, out)
    scale, _ = x.params
    real = min(np.float64(scale) * 2.0**26, 2.0**31 - 1)
    if not real > 0.5:
        raise op.invalid(f"the input's scale {scale} is too small; the real kernel aborts")
    multiplier, shift = quantize_multiplier(real)
    left = int(shift)
    diff_min = -int(np.floor(31.0 * 2**26 / 2.0**left))
    reverse = quantize_multiplier(2.0 ** (31 - left) / np.float64(multiplier))
    differences = np.arange(-255, 1)
    scaled = high_multiply((differences << left).astype(np.int32), multiplier)
    counted = differences >= diff_min
    exps = np.where(counted, (exp_on_negative_values(scaled, 5) + (1 << 11)) >> 12, 0)  # Q12.19

    def run(q: Array) -> Array:
        wide = q.astype(np.int64)
        if not wide.size:
            return np.empty(q.shape, q.dtype)
        index = wide - wide.max(-1, keepdims=True) + 255
        total = exps[index].sum(-1, keepdims=True)
        if total.max() >= 2**31:
            raise op.invalid("a sum of more than 4095 does not fit the integers of this operator")
        log_of_sum = log_of_at_least_one(total)
        lowest = (log_of_sum - 2**31).astype(np.int32)
        bound = np.maximum(diff_min - 1, double_rounding(lowest, *reverse))
        value = divide_by_power_of_two((scaled[index] - log_of_sum).astype(np.int32), 22) + int(limits.max)
        result = np.where(index - 255 > bound, np.clip(value, limits.min, limits.max), limits.min)
        return result.astype(q.dtype)

    return run
