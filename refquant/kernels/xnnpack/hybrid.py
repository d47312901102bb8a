"""XNNPACK's products of float32 with constant weights of 8 or 4 bits: inputs are quantized on the fly.

Each row of an input, or each image of a convolution, has a scale and a zero point of its own, of the range of its
numbers and 0::

    scale = 255 / (high - low),  q = zero_point + round(x * scale)
    y = (sum of (q - zero_point) * w) * (1 / scale) * w_scale + bias,   the last product and sum fused

All is float32 without subnormal numbers. NaN among the numbers is refused. Sources: dynamically_quantized in
delegates/xnnpack/xnnpack_delegate.cc; below XNNPACK's src xnnpack/quantization.h, xnn_compute_f32_qdu8_convert in
operator-run.c, and the kernels of qd8-f32-qc8w-gemm and -igemm and of qd8-f32-qc4w-gemm for AVX512-VNNI.
"""

from __future__ import annotations

from math import prod

import numpy as np

from refquant.kernels import batch_matmul, fully_connected
from refquant.kernels.constants import made_once
from refquant.kernels.convolution import Convolution, all_sums
from refquant.kernels.products import exact_type
from refquant.kernels.registry import Array, Operator, Run, TensorInfo
from refquant.kernels.transpose_convolution import geometry_of
from refquant.kernels.xnnpack.float_clamp import float_range
from refquant.kernels.xnnpack.padding import with_flaw_of_padding
from refquant.kernels.xnnpack.requantization import check_quantized
from refquant.numerics import flushed
from refquant.numerics.flushed import flush
from refquant.tflite.schema import TensorType, TransposeConvOptions

_F = np.float32
_LOW, _HIGH, _LARGEST_SHORT = _F(-128), _F(127), _F(32767)
_TYPES = (TensorType.INT8, TensorType.INT4)


def _quantized(op: Operator, rows: Array) -> tuple[Array, Array]:
    """Of rows [rows, numbers] what integers less their zero points are, and 1 / scale [rows]."""
    if np.isnan(rows).any():
        raise op.unsupported("NaN among numbers that are quantized on the fly")
    rows = flush(rows)
    low, high = np.minimum(rows.min(axis=1), _F(0)), np.maximum(rows.max(axis=1), _F(0))
    scale = np.where(low == high, _F(1), _F(255) / flushed.subtract(high, low))
    low, high = flushed.multiply(low, scale), flushed.multiply(high, scale)
    zero = np.where((_LOW + low) + (_HIGH + high) > 0, _LOW - low, _HIGH - high)
    zero = flushed.minimum(_HIGH, flushed.maximum(_LOW, zero))
    zero_points = np.where(np.isnan(zero), _F(0), np.rint(zero))[:, None]
    scaled = rows * scale[:, None]
    q = np.rint(np.where(scaled < _LARGEST_SHORT, scaled, _LARGEST_SHORT))
    return np.clip(q + zero_points, _LOW, _HIGH) - zero_points, _F(1) / scale


def _check_weights(op: Operator, w: TensorInfo, channels: int) -> Array:
    """The scales of the weights, one for each channel."""
    check_quantized(op, w)
    if np.any(w.zero_points) or w.is_sparse or w.blocks is not None or w.value is None or w.type not in _TYPES:
        raise op.unsupported("weights that are blockwise, sparse, computed, of 2 bits or with zero points")
    if w.scales.size not in (1, channels):
        raise op.invalid(f"XNNPACK refuses {w.scales.size} scales for {channels} outputs")
    return np.broadcast_to(w.scales, channels)


def _finished(total: Array, inverse: Array, scales: Array, bias: Array | None) -> Array:
    """Integer sums [..., channels] in float32, without the activation."""
    scaled = flushed.multiply(total.astype(np.int64).astype(np.int32).astype(np.float32), inverse)
    start = np.zeros(scales.shape, np.float32) if bias is None else flush(bias.reshape(-1))
    return flushed.fused(scaled, flush(scales), start)


def _clamped_or_kept(x: Array, activation: int) -> Array:
    """max(low, min(high, x)), x the second operand of both: NaN stays."""
    low, high = (_F(bound) for bound in float_range(activation))
    return flushed.maximum(low, flushed.minimum(high, x))


def _clamped(x: Array, activation: int) -> Array:
    """min(max(x, low), high), the bounds the second operands: NaN becomes `low`."""
    low, high = (_F(bound) for bound in float_range(activation))
    return flushed.minimum(flushed.maximum(x, low), high)


def fully_connected_hybrid(op: Operator) -> Run:
    """FULLY_CONNECTED: each row of the input has a scale."""
    x, w, y = op.input(0), op.input(1), op.output()
    outputs, inputs = w.dims
    scales = _check_weights(op, w, outputs)
    y.shape = fully_connected.output_shape(op, x, w, op.options.keep_num_dims)
    if prod(x.dims) % inputs:
        raise op.invalid(f"XNNPACK refuses an input of shape {x.dims} for rows of {inputs}")
    exact = exact_type(255 * 128 * inputs)
    weights_of = made_once(w, lambda weights: weights.T.astype(exact))
    clamped = _clamped_or_kept if w.type == TensorType.INT8 else _clamped
    shape, activation = y.dims, op.options.fused_activation_function
    if 0 in x.dims:
        raise op.unsupported(f"an input of shape {x.dims}, without numbers,")

    def run(x: Array, weights: Array, bias: Array | None = None) -> Array:
        q, inverse = _quantized(op, x.reshape(-1, inputs))
        sums = q.astype(exact) @ weights_of(weights)
        return clamped(_finished(sums, inverse[:, None], scales, bias), activation).reshape(shape)

    return run


def convolution_hybrid(plan: Convolution) -> Run:
    """CONV_2D: each image has a scale; but where filters see one pixel, and all, it is a fully connected layer: each
    pixel has one."""
    op = plan.op
    is_layer = plan.groups == 1 and all(axis.filter == axis.stride == 1 for axis in plan.window)
    is_layer &= plan.channels + plan.outputs > 2
    clamped = _clamped_or_kept if is_layer else _clamped
    scales = _check_weights(op, plan.filter, plan.outputs)
    sums_with = made_once(plan.filter, lambda filter: plan.sums(plan.arranged(filter), 255, 0))
    if 0 in plan.input.dims or 0 in plan.shape:
        raise op.unsupported(f"images {plan.input.dims} without numbers")
    seen_of = with_flaw_of_padding(plan, lambda x: x, 0)

    def run(x: Array, filter: Array, bias: Array | None = None) -> Array:
        q, inverse = _quantized(op, x.reshape(-1, plan.channels) if is_layer else x.reshape(len(x), -1))
        seen = seen_of(q.reshape(x.shape))
        assert isinstance(seen, np.ndarray)
        total = all_sums(plan, sums_with(filter), seen).reshape(plan.shape)
        per_place = inverse.reshape(*plan.shape[:3], 1) if is_layer else inverse.reshape(-1, 1, 1, 1)
        return clamped(_finished(total, per_place, scales, bias), plan.activation)

    return run


def transpose_conv_hybrid(op: Operator, options: TransposeConvOptions) -> Run:
    """TRANSPOSE_CONV: each image has a scale."""
    w, x = op.input(1), op.input(2)
    scales = _check_weights(op, w, w.dims[0])
    if 0 in x.dims:
        raise op.unsupported(f"images {x.dims} without numbers")
    exact = exact_type(255 * 128 * prod(w.dims[1:]))

    def run(sizes: Array, filters: Array, x: Array, bias: Array | None = None) -> Array:
        geometry = geometry_of(op, options, sizes)
        q, inverse = _quantized(op, x.reshape(len(x), -1))
        images, matrices = q.reshape(x.shape).astype(exact), filters.astype(exact).transpose(1, 2, 3, 0)
        total = np.zeros(geometry.shape, exact)
        for tap, (iy, ix), (oy, ox) in geometry.taps():
            total[:, oy, ox] += images[:, iy, ix] @ matrices[tap]
        y = _finished(total, inverse.reshape(-1, 1, 1, 1), scales, bias)
        return _clamped(y, int(options.fused_activation_function))

    return run


def batch_matmul_hybrid(op: Operator) -> Run:
    """BATCH_MATMUL: each row of the first input has a scale, each column of the second, which is constant."""
    a, b, y = op.input(0), op.input(1), op.output()
    y.shape = batch_matmul.shape_of(op, a.dims, b.dims)
    if 0 in (*a.dims, *b.dims):
        raise op.unsupported(f"matrices of shapes {a.dims} and {b.dims}, without numbers,")
    scales = _check_weights(op, b, y.dims[-1])
    options = op.options
    exact = exact_type(255 * 128 * b.dims[-1 if options.adj_y else -2])

    def run(x: Array, weights: Array) -> Array:
        x, weights = batch_matmul.matrices_of(options, x, weights)
        q, inverse = _quantized(op, x.reshape(-1, x.shape[-1]))
        sums = q.reshape(x.shape).astype(exact) @ weights.astype(exact)
        return _finished(sums, inverse.reshape(*x.shape[:-1], 1), scales, None)

    return run
