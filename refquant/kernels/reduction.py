"""One number from many: ARG_MAX, ARG_MIN, MEAN, SUM, REDUCE_PROD, REDUCE_MAX, REDUCE_MIN, REDUCE_ANY, REDUCE_ALL."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from refquant.kernels import profiles
from refquant.kernels.fused_activation import clamp
from refquant.kernels.registry import Array, Operator, Run, Shape, kernel
from refquant.kernels.requantization import check_scales
from refquant.numerics import eigen
from refquant.numerics.fixed_point import double_rounding_by_sixteen_channels, quantize_multiplier, to_int32, wide
from refquant.numerics.steps import ROUNDED, SUM_OF_FLOATS, ZERO_POINT_ADDED, noted
from refquant.tflite.schema import TensorType

_ZERO, _MINUS_ZERO, _NAN = np.float32(0), np.float32(-0.0), np.float32(np.nan)
_QUANTIZED = (TensorType.INT8, TensorType.UINT8, TensorType.INT16)
_INDICES = (TensorType.INT32, TensorType.INT64)
_LANES = 4
_NAN_FLAW = (
    "along the last axis a NaN can win in tensorflow 2.21.0, whose place is then 2147483647; refquant does the same"
)
Axes = tuple[int, ...]


@kernel("ARG_MAX", flaw=_NAN_FLAW)
def arg_max(op: Operator) -> Run:
    """Where the largest number stands along an axis; the first of equals.

    A NaN is never larger than what stands before it, and nothing is larger than a NaN that comes first. Source:
    kernels/arg_min_max.cc, internal/reference/arg_min_max.h.
    """
    return _position(op, np.greater)


@kernel("ARG_MIN", flaw=_NAN_FLAW)
def arg_min(op: Operator) -> Run:
    """Where the smallest number stands along an axis; the first of equals. Otherwise as ARG_MAX."""
    return _position(op, np.less)


def _position(op: Operator, better: np.ufunc) -> Run:
    x, axis_tensor, out = op.input(0), op.input(1), op.output()
    if x.type not in (TensorType.FLOAT32, TensorType.INT8, TensorType.UINT8, TensorType.INT32, TensorType.BOOL):
        raise op.unsupported()
    if axis_tensor.type not in _INDICES or op.options.output_type not in _INDICES:
        raise op.unsupported()
    out.take_type(op.options.output_type)
    if math.prod(axis_tensor.dims) != 1:
        raise op.invalid(f"takes one axis, got {axis_tensor.dims}")
    if axis_tensor.value is not None:
        axis = _searched(op, x.dims, axis_tensor.value)
        out.shape = (*x.dims[:axis], *x.dims[axis + 1 :])
    else:
        out.shape = None

    def run(x: Array, axis_array: Array) -> Array:
        axis = _searched(op, x.shape, axis_array)
        contiguous = math.prod(x.shape[axis + 1 :]) == 1
        rows = np.moveaxis(x, axis, 0)
        if x.dtype != np.float32:
            return (np.argmax if better is np.greater else np.argmin)(rows, axis=0).astype(out.dtype)
        find = _in_lanes if contiguous and len(rows) >= _LANES else _first
        return find(rows, better).astype(out.dtype)

    return run


def _searched(op: Operator, shape: Shape, number: Array) -> int:
    axis = int(number.item())
    if not -len(shape) <= axis < len(shape) or shape[axis] == 0:
        raise op.invalid(f"there is no axis {axis} to search in shape {shape}")
    return axis % len(shape)


def _first(
    rows: Array, better: np.ufunc, best: Array | None = None, place: Array | None = None, start: int = 0
) -> Array:
    """Where the best of the rows stands, of those from `start` on if the best before them is known."""
    if best is None or place is None:
        best, place, start = rows[0], np.zeros(rows.shape[1:], np.int64), 1
    for i in range(start, len(rows)):
        wins = better(rows[i], best)
        best, place = np.where(wins, rows[i], best), np.where(wins, i, place)
    return place


def _in_lanes(rows: Array, better: np.ufunc) -> Array:
    """The same in four lanes, which are brought together at the end: what vectors of four floats make of NaN.

    A lane that holds a NaN takes the next number, but keeps its place; a NaN that wins at the end has no place.
    """
    whole = len(rows) // _LANES * _LANES
    best, place = rows[:_LANES], np.broadcast_to(_row(np.arange(_LANES), rows.ndim), rows[:_LANES].shape)
    for i in range(_LANES, whole, _LANES):
        numbers = rows[i : i + _LANES]
        place = np.where(better(numbers, best), _row(np.arange(i, i + _LANES), rows.ndim), place)
        best = np.where(better(best, numbers), best, numbers)
    pairs = np.where(better(best[1::2], best[::2]), best[1::2], best[::2])
    winner = np.where(better(pairs[1], pairs[0]), pairs[1], pairs[0])
    first = np.where(best == winner, place, np.iinfo(np.int32).max).min(axis=0)
    return _first(rows, better, winner, first, whole)


def _row(numbers: Array, rank: int) -> Array:
    return numbers.reshape(-1, *[1] * (rank - 1))


@kernel("MEAN")
def mean(op: Operator) -> Run:
    """The sum over some axes, divided by the number of elements.

    float32: added in storage order, then divided. int32, int64: the quotient towards zero. Quantized: the sum of the
    differences from the zero point, times scale_in / scale_out / count; the division by the count is put into the
    multiplier, which loses up to a bit of it. Of nothing: NaN, or zero for integers. Source: kernels/reduce.cc,
    QuantizedMeanOrSum in internal/reference/reduce.h.
    """
    x = op.input(0)
    if x.type == TensorType.FLOAT32:

        def mean_of_float(axes: Axes, count: int) -> Callable[[Array], Array]:
            with np.errstate(invalid="ignore"):
                return lambda x: _over(_sum_in_order(x, axes), np.float32(count) if count else _NAN)

        return planned_reduction(op, mean_of_float)
    if x.type in (TensorType.INT32, TensorType.INT64):
        return planned_reduction(
            op, lambda axes, count: lambda x: _quotient(x.sum(axes, np.int64), max(count, 1)).astype(x.dtype)
        )
    if x.type not in _QUANTIZED:
        raise op.unsupported()
    return _quantized_sum(op, x.dtype, divided=True)


@kernel("MEAN", profile="optimized")
def optimized_mean(op: Operator) -> Run:
    """As MEAN, but the mean of float32 over the last axes, where it is not over all, is of sums of Eigen.

    Other sums begin with the first number: of nothing but -0.0 they are -0.0. For those of images of 8 bits see
    `_mean_of_images`. Source: Mean and MeanGeneral in internal/optimized/reduce.h.
    """
    x = op.input(0)
    if x.type in (TensorType.INT8, TensorType.UINT8) and len(x.dims) == 4 and op.options.keep_dims:
        return _quantized_sum(op, x.dtype, divided=True, images=_mean_of_images(op))
    if x.type != TensorType.FLOAT32:
        return mean(op)

    def mean_of_float(axes: Axes, count: int) -> Callable[[Array], Array]:
        by = np.float32(count) if count else _NAN

        def run(x: Array) -> Array:
            if x.size and _are_last(axes, x.shape):
                return _over(eigen.aligned_sums(x.reshape(-1, count)), by)
            return _over(_sum_in_order(x, axes, _MINUS_ZERO), by)

        return run

    return planned_reduction(op, mean_of_float)


def _over(total: Array, count: np.float32) -> Array:
    """A sum of so many numbers as their mean."""
    return noted("quotient", noted(SUM_OF_FLOATS, total) / noted("number of elements", count))


def _mean_of_images(op: Operator) -> Callable[[Array], Array]:
    """The mean of each channel of an image: the sum of the integers themselves, scaled by a real number of float32.

    The zero point of the input, scaled and rounded, is taken off that of the output. Groups of sixteen channels round
    otherwise than those left over, which are those of the real kernel on one thread: with more, the share of each has
    its own. Source: Mean for uint8 in the same file, for int8 in internal/optimized/integer_ops/mean.h.
    """
    x, out = op.input(0), op.output()
    low, high = np.iinfo(out.dtype).min, np.iinfo(out.dtype).max

    def run(q: Array) -> Array:
        count = np.float32(q.shape[1] * q.shape[2])
        moved = np.float32(x.zero_point) * x.scale / out.scale
        zero_point = np.int32(out.zero_point) - to_int32(moved + np.copysign(np.float32(0.5), moved))
        multiplier, shift = quantize_multiplier(np.float64(x.scale / (count * out.scale)))
        total = q.sum((1, 2), np.int32)
        rule = double_rounding_by_sixteen_channels
        if op.observer is not None:
            op.observe(accumulator=total, multiplier=multiplier, shift=shift, rounding=rule.__name__)
        rounded = noted(ROUNDED, rule(total, multiplier, shift))
        return clamp(noted(ZERO_POINT_ADDED, rounded + zero_point), low, high, out.dtype)

    return run


def _are_last(axes: Axes, shape: Shape) -> bool:
    """Whether these are the last axes, but not all; axes of size 1 do not count."""
    sizable = [i for i, n in enumerate(shape) if n != 1]
    kept = [i for i in sizable if i not in axes]
    return 0 < len(kept) < len(sizable) and sizable[: len(kept)] == kept


@kernel(
    "SUM",
    flaw="quantized sums of tensorflow 2.21.0's reference kernel read and write every byte as uint8; refquant gives "
    "the same bits for int8, but for int16, where half of the output is left as it was in memory, those of the "
    "optimized kernel",
)
def sum_of(op: Operator) -> Run:
    """The sum over some axes: float32 in storage order, int32 and int64 wrapping. Source: kernels/reduce.cc.

    A sum of bool tells whether one is true. Over all axes a sum begins with the first number, else with zero; only a
    sum of nothing but -0.0 shows it. Quantized: as MEAN without the division, on the bytes as uint8 even for int8,
    and in float32 for int16.
    """
    x = op.input(0)
    if x.type == TensorType.FLOAT32:

        def sum_of_float(axes: Axes, count: int) -> Callable[[Array], Array]:
            start = np.float32(-0.0 if len(axes) == len(x.dims) and count else 0.0)
            return lambda x: _sum_in_order(x, axes, start)

        return planned_reduction(op, sum_of_float)
    if x.type in (TensorType.INT32, TensorType.INT64):
        return planned_reduction(op, lambda axes, _: lambda x: x.sum(axes, x.dtype))
    if x.type == TensorType.BOOL:
        return _logical(op, np.any)
    if x.type == TensorType.INT16:
        return _sum_in_float32(op)
    if x.type not in _QUANTIZED:
        raise op.unsupported()
    return _quantized_sum(op, np.dtype(np.uint8), divided=False)


@kernel("SUM", profile="micro")
def micro_sum(op: Operator) -> Run:
    """As SUM, integers in 32 bits and by double rounding. Source: tensorflow/lite/micro/kernels/reduce_common.cc."""
    x = op.input(0)
    return sum_of(op) if x.type == TensorType.FLOAT32 else _quantized_sum(op, x.dtype, divided=False)


@kernel("SUM", profile="optimized")
def optimized_sum(op: Operator) -> Run:
    """As SUM, but every sum of float32 begins with the first number, and quantized ones are scaled in float32. There
    is none of bool.

    Source: ReduceGeneric and QuantizedMeanOrSum in internal/optimized/reduce.h.
    """
    x = op.input(0)
    if x.type in _QUANTIZED:
        return _sum_in_float32(op, of_nothing=False)
    if x.type != TensorType.FLOAT32:
        return _no_bool(op) if x.type == TensorType.BOOL else sum_of(op)
    return planned_reduction(op, lambda axes, count: lambda x: _sum_in_order(x, axes, _MINUS_ZERO if count else _ZERO))


def _no_bool(op: Operator) -> Run:
    """The reduction of bool that profile "optimized" lacks, but over axes of size 1, where nothing is to be done."""

    def copied(axes: Axes, _: int) -> Callable[[Array], Array]:
        if any(op.input(0).dims[axis] != 1 for axis in axes):
            raise op.unsupported()
        return lambda x: x

    return planned_reduction(op, copied)


def _quantized_sum(
    op: Operator, read_as: np.dtype[Any], divided: bool, images: Callable[[Array], Array] | None = None
) -> Run:
    """The sum, or the mean where it is `divided`, of quantized numbers whose bytes are taken for `read_as`.

    That over axes written 1 and 2, of tensors that are not empty, is given by `images`, if there is such a function.
    """
    x, out = op.input(0), op.output()
    check_scales(op, x)
    check_scales(op, out)
    rule = profiles.rounding(op)
    whole, shift = (int(n) for n in quantize_multiplier(np.float64(x.scale) / np.float64(out.scale)))
    limits = np.iinfo(read_as)

    def sum_of_quantized(axes: Axes, count: int) -> Callable[[Array], Array]:
        if not count:
            return lambda x: x.sum(axes, out.dtype)
        room = min(count.bit_length() - 1, 32, 31 + shift) if divided else 0
        by = count if divided else 1
        multiplier, right = np.asarray((whole << room) // by, np.int32), np.asarray(shift - room, np.int32)

        def run(q: Array) -> Array:
            total = (q.view(read_as).sum(axes, np.int64) - x.zero_point * count).astype(np.int32)
            if op.observer is not None:
                op.observe(accumulator=total, multiplier=multiplier, shift=right, rounding=rule.__name__)
            result = noted(ROUNDED, rule(total, multiplier, right)) + np.int32(out.zero_point)
            limited = clamp(noted(ZERO_POINT_ADDED, result), int(limits.min), int(limits.max), read_as)
            return limited if read_as == out.dtype else noted(f"its bits as {out.dtype}", limited.view(out.dtype))

        return run

    def instead(shape: Shape, numbers: Axes) -> Callable[[Array], Array] | None:
        return images if sorted(numbers) == [1, 2] and 0 not in shape else None

    return planned_reduction(op, sum_of_quantized, instead)


def _sum_in_float32(op: Operator, of_nothing: bool = True) -> Run:
    """round(sum * scale_in / scale_out) in float32, halves away from zero, what is beyond int32 the lowest number.

    What the zero point adds to the sum is scaled by itself and joins it in float32. The sum `of_nothing` may be left as
    it was in memory. Source: QuantizedMeanOrSum in internal/optimized/reduce.h.
    """
    x, out = op.input(0), op.output()
    check_scales(op, x)
    check_scales(op, out)
    scale = x.scale / out.scale
    limits = np.iinfo(out.dtype)

    def sum_of_quantized(axes: Axes, count: int) -> Callable[[Array], Array]:
        if not count and not of_nothing:
            raise op.unsupported("a quantized sum of nothing")
        bias = np.float32(-x.zero_point) * scale * np.float32(count)

        def run(q: Array) -> Array:
            total = noted("accumulator", q.sum(axes, np.int64).astype(np.int32))
            product = noted("times input scale / output scale, in float32", total.astype(np.float32) * scale)
            moved = noted("less the zero points", product + bias)
            rounded = noted(ROUNDED, to_int32(np.trunc(moved + np.copysign(np.float64(0.5), moved))))
            result = noted(ZERO_POINT_ADDED, rounded + np.int32(out.zero_point))
            return clamp(result, int(limits.min), int(limits.max), out.dtype)

        return run

    return planned_reduction(op, sum_of_quantized)


@kernel(
    "REDUCE_PROD",
    flaw="the quantized product of nothing, and that of a constant over axes of size 1, is whatever stands in memory "
    "in tensorflow 2.21.0; refquant refuses both",
)
def reduce_prod(op: Operator) -> Run:
    """The product over some axes: float32 in storage order, integers without a scale wrapping; 1 of nothing.

    int8, int16 with a scale: differences from the zero point are multiplied one after the other, each product brought
    down by scale_in / scale_out**(1/count) with a multiplier of 15 bits. Source: kernels/reduce.cc,
    QuantizedReduceProd in internal/reference/reduce.h.
    """
    x = op.input(0)
    if x.is_quantized:
        if x.type not in (TensorType.INT8, TensorType.INT16):
            raise op.unsupported("a quantized product")
        return _quantized_product(op)
    if x.type == TensorType.FLOAT32:
        return planned_reduction(op, lambda axes, _: lambda x: _in_order(np.multiply, x, axes, np.float32(1)))
    if x.type == TensorType.BOOL:
        if x.value is not None and op.input(1).value is not None:
            raise op.unsupported("a product of constants")
        return _logical(op, np.all)
    if x.type not in (TensorType.INT32, TensorType.INT64, *_QUANTIZED):
        raise op.unsupported()
    _check_same_quantization(op)
    return planned_reduction(op, lambda axes, _: lambda x: x.prod(axes, x.dtype))


@kernel("REDUCE_PROD", profile="optimized")
def optimized_reduce_prod(op: Operator) -> Run:
    """As REDUCE_PROD, but for bool.

    Of quantized numbers over no axis that is longer than 1 tensorflow 2.21.0 dies, or gives what stands in memory;
    refquant refuses.
    """
    x = op.input(0)
    if x.type == TensorType.BOOL:
        return _no_bool(op)
    if x.is_quantized and x.type in (TensorType.INT8, TensorType.INT16):
        return _quantized_product(op, of_one=False)
    return reduce_prod(op)


def _quantized_product(op: Operator, of_one: bool = True) -> Run:
    """Products of quantized numbers; not every kernel has those `of_one` number each."""
    x, out = op.input(0), op.output()
    check_scales(op, x)
    check_scales(op, out)
    limits = np.iinfo(out.dtype)

    def prod_of_quantized(axes: Axes, count: int) -> Callable[[Array], Array]:
        holds_results = all(n for i, n in enumerate(x.dims) if i not in axes)
        if 0 in x.dims and (holds_results or op.input(1).value is None):
            raise op.unsupported("a quantized product of nothing")
        if count == 1 and not of_one:
            raise op.unsupported("a quantized product of one number each")
        if x.value is not None and op.input(1).value is not None and count == 1:
            raise op.unsupported("a quantized product of constants, one at a time")
        multiplier, shift = quantize_multiplier(np.float64(x.scale) / np.float64(out.scale) ** (1.0 / max(count, 1)))

        def run(q: Array) -> Array:
            product, *others = _rows(q, axes).astype(np.int64) - x.zero_point
            for factor in others:
                product = wide(product * factor, multiplier, shift).astype(np.int64)
            result = wide(product, multiplier, shift) + np.int32(out.zero_point)
            return clamp(result, int(limits.min), int(limits.max), out.dtype)

        return run if count else lambda q: np.empty(_rows(q, axes).shape[1:], out.dtype)

    return planned_reduction(op, prod_of_quantized)


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


@kernel("REDUCE_MAX", profile="optimized")
def optimized_reduce_max(op: Operator) -> Run:
    """As REDUCE_MAX, but the search always begins with the first number, and what is not less takes its place.

    So a NaN stays only where it comes last. There is none of bool. Source: MaxOp in internal/optimized/reduce.h.
    """
    return _extreme_from_first(op, np.maximum)


@kernel("REDUCE_MIN", profile="optimized")
def optimized_reduce_min(op: Operator) -> Run:
    """The smallest number over some axes, in everything else as REDUCE_MAX of this profile."""
    return _extreme_from_first(op, np.minimum)


def _extreme_from_first(op: Operator, better: np.ufunc) -> Run:
    x = op.input(0)
    if x.type == TensorType.BOOL:
        return _no_bool(op)
    run = reduce_max(op) if better is np.maximum else reduce_min(op)
    if x.type != TensorType.FLOAT32:
        return run

    def extreme_of(axes: Axes, _: int) -> Callable[[Array], Array]:
        return lambda x: _last_of_best(_rows(x, axes), better)

    return planned_reduction(op, extreme_of)


def _last_of_best(rows: Array, better: np.ufunc) -> Array:
    """The best of the rows, of two zeros the last. A NaN takes the place of all before it, what follows that of it."""
    worst = np.float32(-np.inf if better is np.maximum else np.inf)
    if not len(rows):
        return np.full(rows.shape[1:], np.nan_to_num(worst), np.float32)
    nan = np.isnan(rows)
    if nan.any():
        passed = np.logical_or.accumulate(nan[::-1])[::-1]
        rows = np.where(passed & ~nan[-1], worst, rows)
    best: Array = np.asarray(better.reduce(rows))
    zero = best == 0
    if zero.any():
        last = len(rows) - 1 - np.argmax(rows[::-1] == 0, axis=0)
        best = np.where(zero, np.take_along_axis(rows, np.asarray(last)[None], 0)[0], best)
    return best


def _extreme(op: Operator, better: Callable[[Array, Array], Array], largest: bool) -> Run:
    x = op.input(0)
    if x.type == TensorType.BOOL:
        return _logical(op, np.any if largest else np.all)
    if x.type not in (TensorType.FLOAT32, TensorType.INT32, TensorType.INT64, *_QUANTIZED):
        raise op.unsupported()
    _check_same_quantization(op)
    limits = np.finfo(x.dtype) if x.dtype.kind == "f" else np.iinfo(x.dtype)
    first = limits.min if largest else limits.max

    def extreme_of(axes: Axes, _: int) -> Callable[[Array], Array]:
        def run(x: Array) -> Array:
            rows = _rows(x, axes)
            from_first = len(axes) == x.ndim and len(rows)
            best = rows[0] if from_first else np.full(rows.shape[1:], first, x.dtype)
            for row in rows:
                best = better(row, best)
            return best

        return run

    return planned_reduction(op, extreme_of)


def _check_same_quantization(op: Operator) -> None:
    """Raises InvalidModelError for quantized types whose output has not the scale and zero point of the input."""
    x, out = op.input(0), op.output()
    same = np.array_equal(x.scales, out.scales) and np.array_equal(x.zero_points, out.zero_points)
    if x.type in _QUANTIZED and not same:
        raise op.invalid("input and output must have the same scale and zero point")


@kernel("REDUCE_ANY")
def reduce_any(op: Operator) -> Run:
    """Whether one is true, over some axes; false of nothing. Source: kernels/reduce.cc."""
    return _logical(op, np.any)


@kernel("REDUCE_ALL")
def reduce_all(op: Operator) -> Run:
    """Whether all are true, over some axes; true of nothing. Source: kernels/reduce.cc."""
    return _logical(op, np.all)


def _logical(op: Operator, function: Callable[..., Array]) -> Run:
    if op.input(0).type != TensorType.BOOL:
        raise op.unsupported()
    return planned_reduction(op, lambda axes, _: lambda x: function(x, axis=axes))


def planned_reduction(
    op: Operator,
    planned: Callable[[Axes, int], Callable[[Array], Array]],
    instead: Callable[[Shape, Axes], Callable[[Array], Array] | None] = lambda shape, numbers: None,
) -> Run:
    """The kernel that reduces the axes which the second input names, constant or not.

    `planned` makes the function of an array from the axes, sorted and counted from the front, and the number of
    elements that go into one result; unless `instead` has one for this shape and the axes as they are written.
    """
    x, axis, out = op.input(0), op.input(1), op.output()
    if x.type != out.type:
        raise op.invalid(f"input is {x.type.name}, output {out.type.name}")
    if axis.type != TensorType.INT32:
        raise op.unsupported("the axes are not int32")
    if x.type == TensorType.INT16 and (np.any(x.zero_points) or np.any(out.zero_points)):
        raise op.invalid("the zero points of int16 tensors must be 0")
    keep, rank = op.options.keep_dims, len(x.dims)

    def resolved(numbers: Array) -> Axes:
        if rank == 0:
            return ()  # the real kernel does not look at the axes of a single number
        axes = tuple(sorted({int(n) + (rank if n < 0 else 0) for n in numbers.ravel()}))
        if any(not 0 <= n < rank for n in axes):
            raise op.invalid(f"axes {numbers.ravel().tolist()} of a tensor of {rank} dimensions")
        return axes

    def reduced(shape: Shape, axes: Axes) -> Shape:
        return tuple(1 if i in axes else n for i, n in enumerate(shape) if keep or i not in axes)

    def function_of(shape: Shape, axes: Axes, numbers: Array) -> Callable[[Array], Array]:
        other = instead(shape, tuple(int(n) for n in numbers.ravel()))
        return planned(axes, math.prod(shape[i] for i in axes)) if other is None else other

    if axis.value is None:
        out.shape = None

        def run(x: Array, axis: Array) -> Array:
            axes = resolved(axis)
            return function_of(x.shape, axes, axis)(x).reshape(reduced(x.shape, axes))

        return run
    axes = resolved(axis.value)
    shape, function = reduced(x.dims, axes), function_of(x.dims, axes, axis.value)
    out.shape = shape
    return lambda x, _: function(x).reshape(shape)


def _rows(x: Array, axes: Axes) -> Array:
    """The elements to reduce along the first dimension, in storage order; what is left in the others."""
    moved = np.moveaxis(x, axes, range(len(axes)))
    left = moved.shape[len(axes) :]
    return moved.reshape(math.prod(moved.shape[: len(axes)]), *left)


def _sum_in_order(x: Array, axes: Axes, start: np.float32 = _ZERO) -> Array:
    """start + x0 + x1 + …, rounded to float32 after each addition; `start` is a zero, its sign the only question."""
    return _in_order(np.add, x, axes, start)


def _in_order(function: np.ufunc, x: Array, axes: Axes, start: np.float32) -> Array:
    """`function` of x0, x1, … and `start`, rounded to float32 after each step; `start` alone of nothing.

    `start` comes last, because it only makes a difference where it could stand at any place.
    """
    rows = _rows(x, axes)
    if not len(rows):
        return np.full(rows.shape[1:], start, np.float32)
    with np.errstate(all="ignore"):
        result: Array = function(function.accumulate(rows, 0, np.float32)[-1], start)
    return result


def _quotient(a: Array, b: int) -> Array:
    """a / b towards zero, as C divides."""
    return a // b + ((a < 0) & (a % b != 0))
