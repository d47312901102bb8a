"""Sums of integer products in profile "optimized", where more differs from profile "reference" than a rounding of
`refquant.kernels.profiles`: they are products of matrices there, of which ruy (github:google/ruy) takes care.

What ruy does not take is left to the reference kernels: groups of filters, and int16 activations with biases of 64 bits
or zero points. On processors without AVX the matrices would go to gemmlowp, which rounds otherwise. Sources, below
kernels: conv.cc, depthwise_conv.cc, fully_connected.cc, cpu_backend_gemm.h, internal/optimized/optimized_ops.h,
internal/optimized/integer_ops/conv.h, …/depthwise_conv_hybrid.h and …/fully_connected.h.
"""

from __future__ import annotations

import numpy as np

from refquant.kernels import four_bits
from refquant.kernels import fully_connected as dense
from refquant.kernels.convolution import (
    Convolution,
    check_hybrid,
    hybrid,
    hybrid_with_one_scale,
    hybrid_with_scales,
    quantized,
)
from refquant.kernels.fused_activation import clamp_float, clamp_float_or_low, quantized_range
from refquant.kernels.hybrid import row_sums
from refquant.kernels.registry import Array, Operator, Run
from refquant.numerics.fixed_point import double_rounding, float64_rounding
from refquant.tflite.schema import TensorType

_INT16, _UINT8 = TensorType.INT16, TensorType.UINT8


def conv_2d(plan: Convolution, bits: int) -> Run:
    """CONV_2D of integers; groups of filters are left to the reference kernel."""
    if plan.groups > 1 and bits == 32:
        return quantized(plan, bits, double_rounding)
    return quantized(plan, bits, None, _as(np.uint8, plan.filter.zero_point) if plan.input.type == _UINT8 else None)


def hybrid_conv_2d(plan: Convolution) -> Run:
    """CONV_2D of float32 with integer filters. Where each has a scale of its own the two scales are multiplied first,
    and the zero point of an image is paid for with the sums of the filters, which are those of the first run."""
    if plan.groups > 1:
        return hybrid(plan)
    if not check_hybrid(plan):
        return hybrid_with_one_scale(plan)
    kept: Array | None = None

    def errors(filter: Array) -> Array:
        nonlocal kept
        rows = np.moveaxis(plan.all_taps(filter), -1, 0).reshape(plan.outputs, -1)
        if kept is None:
            kept = row_sums(rows)
        return kept - rows.sum(axis=1, dtype=np.int64)

    def scaled(sums: Array, scales: Array, image_scale: Array) -> Array:
        return sums * (scales * image_scale)

    return hybrid_with_scales(plan, scaled, lambda y: clamp_float(y, plan.activation), errors)


def hybrid_depthwise_conv_2d(plan: Convolution) -> Run:
    """DEPTHWISE_CONV_2D of float32 with integer filters: sums meet the scale of the filter first in groups of four
    channels, that of the image first in what is left, and these two clamp NaN and -0.0 differently."""
    check_hybrid(plan)
    fours = plan.outputs // 4 * 4

    def scaled(sums: Array, scales: Array, image_scale: Array) -> Array:
        y = sums * scales * image_scale
        y[..., fours:] = sums[..., fours:] * image_scale * scales[fours:]
        return y

    def activate(y: Array) -> Array:
        activated = clamp_float(y, plan.activation)
        activated[..., :fours] = clamp_float_or_low(y[..., :fours], plan.activation)
        return activated

    return hybrid_with_scales(plan, scaled, activate)


def hybrid_dense(op: Operator, activation: int) -> Run:
    """FULLY_CONNECTED of float32 with integer weights; wide ones of int4 have a kernel of their own."""
    return (four_bits.fully_connected if four_bits.takes(op) else dense.hybrid)(op, activation)


def shuffled_dense(op: Operator, activation: int) -> Run:
    """FULLY_CONNECTED with shuffled weights: two products are added in 16 bits, and there is no activation."""
    quantized_range(op, activation, op.output())  # which must be one, all the same
    return dense.planned_shuffled(op, (-(2**15), 2**15 - 1), wraps=True)


def requantizing(op: Operator, bits: int, scales: Array, filter_zero: int) -> dense.Requantization:
    """FULLY_CONNECTED of integers: one scale of the weights is multiplied by that of the input in float32, and zero
    points are numbers of the type that they stand for. Sparse weights have the same kernel as in profile "reference".
    Without a bias, accumulators have 32 bits whatever the options say.
    """
    x, w, y = op.input(0), op.input(1), op.output()
    in_reference = dense.in_float64(op, bits, scales, filter_zero)
    if w.is_sparse:
        return in_reference
    if x.type == y.type == _INT16 and (filter_zero or (bits == 64 and op.optional_input(2) is not None)):
        return dense.Requantization(bits, in_reference.real, float64_rounding, x.zero_point, filter_zero, y.zero_point)
    products = np.float64(x.scale) * scales
    if w.scales.size == 1:
        products = np.full(1, np.float64(x.scale * w.scale))
    x_dtype, w_dtype = dense.read_as(op, x, w, y)
    output_zero = 0 if y.type == _INT16 else _as(y.dtype, y.zero_point)
    return dense.Requantization(
        32,
        products / np.float64(y.scale),
        None,
        _as(x_dtype, x.zero_point),
        _as(w_dtype, filter_zero),
        output_zero,
    )


def _as(dtype: type[np.generic] | np.dtype[np.generic], number: int) -> int:
    return int(np.array(number).astype(dtype))
