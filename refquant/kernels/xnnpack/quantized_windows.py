"""XNNPACK's MAX_POOL_2D and RESIZE_BILINEAR of 8-bit numbers, and its reductions: SUM, MEAN, REDUCE_MAX, REDUCE_MIN.

Sources, below XNNPACK's src: operators/max-pooling-nhwc.c, indirection.c, s8-ibilinear, u8-ibilinear,
operators/reduce-nd.c, reference/unary-elementwise.cc.
"""

from __future__ import annotations

import copy
from collections.abc import Callable
from dataclasses import replace

import numpy as np

from refquant.kernels import pooling
from refquant.kernels.fused_activation import clamp
from refquant.kernels.reduction import Axes
from refquant.kernels.registry import Array, Operator, Run, Shape, kernel
from refquant.kernels.resize import flags_of, planned_resize
from refquant.kernels.xnnpack.float_pooling import positions
from refquant.kernels.xnnpack.float_reduction import reduction
from refquant.kernels.xnnpack.moving import check_alike
from refquant.kernels.xnnpack.requantization import activation_range, check_quantized
from refquant.numerics.lookup import round_half_away
from refquant.numerics.steps import ROUNDED, noted
from refquant.tflite.schema import ActivationFunctionType

_WEIGHT_BITS = 11


@kernel("MAX_POOL_2D", profile="xnnpack")
def max_pool_2d(op: Operator) -> Run:
    """The largest number of each window; then the activation."""
    check_alike(op, op.input(0), op.output())
    low, high = activation_range(op.options.fused_activation_function, op.output())
    options = copy.copy(op.options)
    options.fused_activation_function = ActivationFunctionType.NONE
    largest = pooling.max_pool_2d(replace(op, options=options))
    y = op.output()
    if 0 in (*op.input(0).dims, *y.dims):
        raise op.unsupported(f"images {op.input(0).dims} without a window")

    def run(x: Array) -> Array:
        result = largest(x)
        assert isinstance(result, np.ndarray)
        return clamp(result, low, high, y.dtype)

    return run


@kernel("RESIZE_BILINEAR", profile="xnnpack")
def resize_bilinear(op: Operator) -> Run:
    """Between four pixels, first along x, then along y, with weights of 11 bits; halves up."""
    check_alike(op, op.input(0), op.output())
    align_corners, half_pixel_centers = flags_of(op)

    def make(dims: Shape, size: tuple[int, int]) -> Run:
        centers = half_pixel_centers and not align_corners
        (top, bottom, dy), (left, right, dx) = (positions(dims[i], size[i - 1], align_corners, centers) for i in (1, 2))
        along_x, along_y = (np.rint(np.ldexp(d, _WEIGHT_BITS)).astype(np.int64) for d in (dx, dy))

        def run(q: Array) -> Array:
            wide = q.astype(np.int64)
            x = _between(wide[:, :, left], wide[:, :, right], along_x[:, None])
            y = _between(x[:, top], x[:, bottom], along_y[:, None, None])
            half = 1 << (2 * _WEIGHT_BITS - 1)
            return ((y + half) >> (2 * _WEIGHT_BITS)).astype(q.dtype)

        return run

    return planned_resize(op, make)


def _between(a: Array, b: Array, weight: Array) -> Array:
    between: Array = (a << _WEIGHT_BITS) + (b - a) * weight
    return between


@kernel("SUM", profile="xnnpack")
def sum_of(op: Operator) -> Run:
    """The sum over some axes, see `_total`."""
    return _total(op, lambda count: np.float32(1))


@kernel("MEAN", profile="xnnpack")
def mean(op: Operator) -> Run:
    """The mean over some axes, see `_total`."""
    return _total(op, lambda count: np.float32(1) / np.float32(count))


def _total(op: Operator, part: Callable[[int], np.float32]) -> Run:
    """sum * scale + (y_zero - count * x_zero * scale) in float32, each step rounded, halves away from zero.

    The sum is that of the integers as they are; scale is x_scale / y_scale, times 1 / count for the mean.
    """
    x, y = op.input(0), op.output()
    check_quantized(op, x, y)
    limits = np.iinfo(y.dtype)

    def planned(axes: Axes, count: int) -> Callable[[Array], Array]:
        scale = x.scale / y.scale * part(count)
        offset = np.float32(y.zero_point) - np.float32(count) * np.float32(x.zero_point) * scale

        def run(q: Array) -> Array:
            total = noted("sum", q.sum(axis=axes, dtype=np.int64).astype(np.int32))
            real = noted("scaled", total.astype(np.float32) * scale + offset)
            return clamp(noted(ROUNDED, round_half_away(real)), limits.min, limits.max, y.dtype)

        return run

    return reduction(op, planned)


@kernel("REDUCE_MAX", profile="xnnpack")
def reduce_max(op: Operator) -> Run:
    """The largest number over some axes."""
    check_alike(op, op.input(0), op.output())
    return reduction(op, lambda axes, _: lambda q: q.max(axis=axes))


@kernel("REDUCE_MIN", profile="xnnpack")
def reduce_min(op: Operator) -> Run:
    """The smallest number over some axes."""
    check_alike(op, op.input(0), op.output())
    return reduction(op, lambda axes, _: lambda q: q.min(axis=axes))
