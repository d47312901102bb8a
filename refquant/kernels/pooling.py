"""AVERAGE_POOL_2D, MAX_POOL_2D and L2_POOL_2D.

Each output looks at a window of one channel; what falls outside the image does not count, neither in the sum nor in
the number of elements. Nothing is requantized: input and output share their scale. Sources, below kernels:
pooling.cc, internal/reference/pooling.h, internal/reference/integer_ops/pooling.h.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from refquant.kernels.fused_activation import clamp, clamp_float, quantized_range
from refquant.kernels.registry import Array, Operator, Run, kernel
from refquant.kernels.windows import Axis, axis, taps
from refquant.numerics.processor import current
from refquant.numerics.reciprocal_estimate import reciprocal
from refquant.numerics.selection import choose
from refquant.numerics.steps import ROUNDED, SUM_OF_FLOATS, noted
from refquant.tflite.schema import Pool2DOptions, TensorType

_MINUS_ZERO = np.int32(-(2**31))  # its bits
_INTEGERS = (TensorType.INT8, TensorType.UINT8, TensorType.INT16)


@kernel("AVERAGE_POOL_2D")
def average_pool_2d(op: Operator) -> Run:
    """Mean of each window: integers rounded with halves away from zero, floats added row by row, then divided."""
    rows, columns, finish = planned_pool(op)
    shape = op.output().dims
    count = np.outer(elements(rows), elements(columns))[..., None]
    if op.input(0).type == TensorType.FLOAT32:
        by = count.astype(np.float32)

        def divided(total: Array) -> Array:
            noted(SUM_OF_FLOATS, total.copy()), noted("number of elements inside the image", by)
            return finish(noted("quotient", total / by))

        def run_float(x: Array) -> Array:
            total = np.zeros(shape, np.float32)
            for _, (oy, ox), (iy, ix) in taps(rows, columns):
                total[:, oy, ox] += x[:, iy, ix]
            return divided(total)

        def run_one_window(x: Array) -> Array:
            seen = _only_window(x, rows, columns)
            pixels = seen.reshape(len(seen), count.item(), x.shape[3])
            total = np.add.accumulate(pixels, axis=1)[:, -1] + np.float32(0)
            return divided(total.reshape(shape))

        return run_one_window if rows.out == columns.out == 1 and count.item() else run_float

    half = count // 2
    count = count[0, 0, 0] if count.size and np.all(count == count[0, 0, 0]) else count  # quicker to divide by
    is_signed = op.input(0).type != TensorType.UINT8

    def run(x: Array) -> Array:
        total = noted("sum of the window", _window_sums(x, rows, columns))
        noted("number of elements inside the image", count)
        if not is_signed:
            return finish(noted(ROUNDED, (total + half) // count))
        return finish(noted(ROUNDED, np.sign(total) * ((np.abs(total) + half) // count)))

    return run


def _only_window(x: Array, rows: Axis, columns: Axis) -> Array:
    """The pixels of images that the only window sees."""
    along_y, along_x = (slice(max(0, -axis.before), max(0, axis.filter - axis.before)) for axis in (rows, columns))
    return x[:, along_y, along_x]


def _window_sums(x: Array, rows: Axis, columns: Axis) -> Array:
    """The int32 sums of integers in each window, first along y, then along x."""
    if rows.out == columns.out == 1:
        return _only_window(x, rows, columns).sum(axis=(1, 2), dtype=np.int32, keepdims=True)
    lines = np.zeros((len(x), rows.out, *x.shape[2:]), np.int32)
    for _, (oy,), (iy,) in taps(rows):
        lines[:, oy] += x[:, iy]
    total = np.zeros((len(x), rows.out, columns.out, x.shape[3]), np.int32)
    for _, (ox,), (ix,) in taps(columns):
        total[:, :, ox] += lines[:, :, ix]
    return total


@kernel("MAX_POOL_2D")
def max_pool_2d(op: Operator) -> Run:
    """Largest element of each window, never below the lowest finite number of the type; a NaN is passed over."""
    rows, columns, finish = planned_pool(op)
    dtype = op.input(0).dtype
    is_float = dtype == np.float32
    lowest = np.finfo(dtype).min if is_float else np.iinfo(dtype).min
    larger = np.fmax if is_float else np.maximum
    along_y, along_x = list(taps(rows)), list(taps(columns))

    def run(x: Array) -> Array:
        if is_float and (x.view(np.int32) == _MINUS_ZERO).any():  # of two zeros the first one stays, fmax takes either
            best = np.full((len(x), rows.out, columns.out, x.shape[3]), lowest, dtype)
            for _, (oy, ox), (iy, ix) in taps(rows, columns):
                seen, pixels = best[:, oy, ox], x[:, iy, ix]
                best[:, oy, ox] = choose(seen < pixels, pixels, seen)
            return finish(best)
        lines = np.full((len(x), rows.out, columns.size, x.shape[3]), lowest, dtype)
        for _, (oy,), (iy,) in along_y:
            larger(lines[:, oy], x[:, iy], out=lines[:, oy])
        best = np.full((len(x), rows.out, columns.out, x.shape[3]), lowest, dtype)
        for _, (ox,), (ix,) in along_x:
            larger(best[:, :, ox], lines[:, :, ix], out=best[:, :, ox])
        return finish(best)

    return run


@kernel("L2_POOL_2D")
def l2_pool_2d(op: Operator) -> Run:
    """Root of the mean square of each window, in float32: squares added row by row, divided by their number."""
    if op.input(0).type != TensorType.FLOAT32:
        raise op.unsupported()
    rows, columns, finish = planned_pool(op)
    shape = op.output().dims
    count = np.outer(elements(rows), elements(columns))[..., None].astype(np.float32)

    def run(x: Array) -> Array:
        total = np.zeros(shape, np.float32)
        for _, (oy, ox), (iy, ix) in taps(rows, columns):
            total[:, oy, ox] += x[:, iy, ix] * x[:, iy, ix]
        return finish(np.sqrt(total / count))

    return run


@kernel("L2_POOL_2D", profile="optimized")
def optimized_l2_pool_2d(op: Operator) -> Run:
    """As L2_POOL_2D, but each sum times Eigen's reciprocal of the number of its elements, which hangs on the processor.

    Source: L2Pool in internal/optimized/optimized_ops.h.
    """
    if op.input(0).type != TensorType.FLOAT32:
        raise op.unsupported()
    rows, columns, finish = planned_pool(op)
    shape = op.output().dims
    count = np.outer(elements(rows), elements(columns)).astype(np.float32)
    inverse = reciprocal(count, current().estimates)[..., None]

    def run(x: Array) -> Array:
        total = np.zeros(shape, np.float32)
        squares = x * x
        for _, (oy, ox), (iy, ix) in taps(rows, columns):
            total[:, oy, ox] += squares[:, iy, ix]
        return finish(np.sqrt(total * inverse))

    return run


def planned_pool(op: Operator) -> tuple[Axis, Axis, Callable[[Array], Array]]:
    """The windows of both axes, and what is left to do when each window has its number: the fused activation."""
    options = op.options
    if not isinstance(options, Pool2DOptions):
        raise op.invalid("has no Pool2DOptions")
    x, y = op.input(0), op.output()
    if len(x.dims) != 4:
        raise op.invalid(f"input {x.dims} must have four dimensions")
    if x.type != y.type:
        raise op.invalid(f"input of type {x.type.name}, but output of type {y.type.name}")
    if options.filter_height <= 0 or options.filter_width <= 0:
        raise op.invalid(f"a filter of {options.filter_height} x {options.filter_width}, expected at least 1 x 1")
    rows = axis(op, "y", x.dims[1], options.filter_height, options.stride_h, 1, options.padding)
    columns = axis(op, "x", x.dims[2], options.filter_width, options.stride_w, 1, options.padding)
    y.shape = (x.dims[0], rows.out, columns.out, x.dims[3])
    activation = int(options.fused_activation_function)
    if x.type == TensorType.FLOAT32:
        return rows, columns, lambda result: noted("after the activation", clamp_float(result, activation))
    if x.type not in _INTEGERS:
        raise op.unsupported()
    low, high = quantized_range(op, activation, y)
    return rows, columns, lambda result: clamp(result, low, high, y.dtype)


def elements(axis: Axis) -> Array:
    """How many taps of each window lie inside the image, along one axis."""
    count = np.zeros(axis.out, np.int32)
    for tap in axis.taps():
        count[axis.overlap(tap)[0]] += 1
    return count
