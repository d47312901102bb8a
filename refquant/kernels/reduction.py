"""One number from many: ARG_MAX, ARG_MIN, MEAN, SUM, REDUCE_MAX, REDUCE_MIN."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np

from refquant.kernels import profiles
from refquant.kernels.fused_activation import clamp
from refquant.kernels.registry import Array, Operator, Run, TensorInfo, kernel
from refquant.kernels.requantization import check_scales
from refquant.numerics.fixed_point import quantize_multiplier
from refquant.tflite.schema import TensorType

_ZERO = np.float32(0)


@kernel("ARG_MAX")
def arg_max(op: Operator) -> Run:
    """Where the largest number stands along an axis; the first of equals.

    Nothing is larger than a NaN that comes first, and no NaN is larger than anything; the real kernel then gives a
    place at random, even one that does not exist. Source: internal/reference/arg_min_max.h.
    """
    return _position(op, largest=True)


@kernel("ARG_MIN")
def arg_min(op: Operator) -> Run:
    """Where the smallest number stands along an axis; the first of equals. Source: as ARG_MAX."""
    return _position(op, largest=False)


def _position(op: Operator, largest: bool) -> Run:
    x, axis_tensor, out = op.input(0), op.input(1), op.output()
    if out.type not in (TensorType.INT32, TensorType.INT64) or x.dtype.kind not in "fiub":
        raise op.unsupported()
    if axis_tensor.value is None or axis_tensor.value.size != 1:
        raise op.unsupported("the axis is not one constant number")
    axis = int(axis_tensor.value.ravel()[0])
    axis += len(x.dims) if axis < 0 else 0
    if not 0 <= axis < len(x.dims) or x.dims[axis] == 0:
        raise op.invalid(f"there is no axis {axis} to search in shape {x.dims}")
    out.shape = (*x.dims[:axis], *x.dims[axis + 1 :])

    def run(x: Array, _: Array) -> Array:
        if x.dtype.kind != "f":
            return (np.argmax if largest else np.argmin)(x, axis=axis).astype(out.dtype)
        # A NaN is never better than what stands before it, and nothing is better than a NaN that came first.
        best = np.take(x, 0, axis)
        place = np.zeros(best.shape, out.dtype)
        for i in range(1, x.shape[axis]):
            candidate = np.take(x, i, axis)
            wins = candidate > best if largest else candidate < best
            best, place = np.where(wins, candidate, best), np.where(wins, i, place).astype(out.dtype)
        return place

    return run


@kernel("MEAN")
def mean(op: Operator) -> Run:
    """The sum over some axes, divided by the number of elements.

    float32: added in storage order, then divided. int32, int64: the quotient towards zero. Quantized: the sum of the
    differences from the zero point, times scale_in / scale_out / count; the division by the count is put into the
    multiplier, which loses up to a bit of it. Source: kernels/reduce.cc, QuantizedMeanOrSum in
    internal/reference/reduce.h.
    """
    x, out, axes, count = _reduction(op)
    if x.type == TensorType.FLOAT32:
        return lambda x, _: (_sum_in_order(x, axes) / np.float32(count)).reshape(out.dims)
    if x.type in (TensorType.INT32, TensorType.INT64):
        return lambda x, _: _quotient(x.sum(axes, np.int64), count).astype(x.dtype).reshape(out.dims)
    if x.type not in (TensorType.INT8, TensorType.UINT8, TensorType.INT16):
        raise op.unsupported()
    check_scales(op, x)
    check_scales(op, out)
    if x.type == TensorType.INT16 and (x.zero_point, out.zero_point) != (0, 0):
        raise op.invalid("the zero points of int16 tensors must be 0")
    rule = profiles.rounding(op)
    multiplier, shift = (int(n) for n in quantize_multiplier(np.float64(x.scale) / np.float64(out.scale)))
    room = min(count.bit_length() - 1, 32, 31 + shift)
    divided, right = np.asarray((multiplier << room) // count, np.int32), np.asarray(shift - room, np.int32)
    limits = np.iinfo(out.dtype)

    def run(x: Array, _: Array) -> Array:
        total = (x.sum(axes, np.int64) - op.input(0).zero_point * count).astype(np.int32)
        if op.observer is not None:
            op.observe(accumulator=total, multiplier=divided, shift=right, rounding=rule.__name__)
        mean = rule(total, divided, right) + np.int32(out.zero_point)
        return clamp(mean, int(limits.min), int(limits.max), out.dtype).reshape(out.dims)

    return run


@kernel("SUM")
def sum_of(op: Operator) -> Run:
    """The sum over some axes: float32 in storage order, int32 and int64 wrapping. Source: kernels/reduce.cc.

    Over all axes a sum begins with the first number, else with zero; only a sum of nothing but -0.0 shows it.
    Quantized sums are not covered: the reference kernel of TensorFlow 2.21.0 reads all of them as uint8.
    """
    x, out, axes, _ = _reduction(op)
    if x.type == TensorType.FLOAT32:
        start = np.float32(-0.0 if len(axes) == len(x.dims) else 0.0)
        return lambda x, _: _sum_in_order(x, axes, start).reshape(out.dims)
    if x.type in (TensorType.INT32, TensorType.INT64):
        return lambda x, _: x.sum(axes, x.dtype).reshape(out.dims)
    raise op.unsupported()


@kernel("REDUCE_MAX")
def reduce_max(op: Operator) -> Run:
    """The largest number over some axes; NaN is never larger.

    Over all axes the search begins with the first number, and a NaN there stays; else with the lowest of the type.
    Source: kernels/reduce.cc.
    """
    return _extreme(op, lambda x, best: np.where(x > best, x, best), largest=True)


@kernel("REDUCE_MIN")
def reduce_min(op: Operator) -> Run:
    """The smallest number over some axes, in everything else as REDUCE_MAX."""
    return _extreme(op, lambda x, best: np.where(x < best, x, best), largest=False)


def _extreme(op: Operator, better: Callable[[Array, Array], Array], largest: bool) -> Run:
    x, out, axes, _ = _reduction(op)
    if x.dtype.kind not in "fiu":
        raise op.unsupported()
    if x.type in (TensorType.INT8, TensorType.UINT8) and (
        not np.array_equal(x.scales, out.scales) or not np.array_equal(x.zero_points, out.zero_points)
    ):
        raise op.invalid("input and output must have the same scale and zero point")
    limits = np.finfo(x.dtype) if x.dtype.kind == "f" else np.iinfo(x.dtype)
    first = limits.min if largest else limits.max
    everything = len(set(axes)) == len(x.dims)

    def run(x: Array, _: Array) -> Array:
        rows = _rows(x, axes)
        best = rows[0] if everything and len(rows) else np.full(rows.shape[1:], first, x.dtype)
        for row in rows:
            best = better(row, best)
        return best.reshape(out.dims)

    return run


def _reduction(op: Operator) -> tuple[TensorInfo, TensorInfo, tuple[int, ...], int]:
    """Input, output (whose shape is set), the axes without their signs and in order, the elements in one result."""
    x, axis, out = op.input(0), op.input(1), op.output()
    if x.type != out.type:
        raise op.invalid(f"input is {x.type.name}, output {out.type.name}")
    if axis.type != TensorType.INT32 or axis.value is None:
        raise op.unsupported("the axes are not int32 constants")
    rank = len(x.dims)
    axes = tuple(sorted({int(n) + (rank if n < 0 else 0) for n in axis.value.ravel()}))
    if any(not 0 <= n < rank for n in axes):
        raise op.invalid(f"axes {axis.value.ravel().tolist()} of a tensor of {rank} dimensions")
    if math.prod(x.dims) == 0:
        raise op.unsupported("an empty input")
    keep = op.options.keep_dims
    out.shape = tuple(1 if i in axes else n for i, n in enumerate(x.dims) if keep or i not in axes)
    return x, out, axes, math.prod(x.dims[i] for i in axes)


def _rows(x: Array, axes: tuple[int, ...]) -> Array:
    """The elements to reduce along the first dimension, in storage order; what is left in the others."""
    moved = np.moveaxis(x, axes, range(len(axes)))
    return moved.reshape(-1, *moved.shape[len(axes) :])


def _sum_in_order(x: Array, axes: tuple[int, ...], start: np.float32 = _ZERO) -> Array:
    """start + x0 + x1 + …, rounded to float32 after each addition; `start` is a zero, its sign the only question."""
    total: Array = np.cumsum(_rows(x, axes), 0, np.float32)[-1] + start
    return total


def _quotient(a: Array, b: int) -> Array:
    """a / b towards zero, as C divides."""
    return a // b + ((a < 0) & (a % b != 0))
