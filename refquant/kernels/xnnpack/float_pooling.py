"""XNNPACK's float32 AVERAGE_POOL_2D, MAX_POOL_2D and RESIZE_BILINEAR.

The pixels that a window sees are taken column by column, nine at a time. Bounds of the activation are the second
operands of the processor's comparisons: NaN becomes a bound, and -0 a bound of 0.

Sources, below src: operators/average-pooling-nhwc.c, indirection.c, f32-avgpool/f32-avgpool-9p-minmax.c.in,
f32-maxpool/9p.c.in, f32-ibilinear/sse.c.in.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from refquant.kernels.pooling import elements, planned_pool
from refquant.kernels.registry import XNNPACK_FLOATS, Array, Operator, Run, kernel
from refquant.kernels.resize import flags_of, planned_resize
from refquant.kernels.windows import INT32_MAX, Axis
from refquant.kernels.xnnpack.float_clamp import clamp, range_of
from refquant.numerics import flushed
from refquant.numerics.flushed import flush
from refquant.numerics.register_reductions import Pair
from refquant.numerics.steps import SUM_OF_FLOATS, noted

_TAPS = 9  # that are taken together


@kernel("AVERAGE_POOL_2D", profile=XNNPACK_FLOATS)
def average_pool_2d(op: Operator) -> Run:
    """The sum of each window times the reciprocal of the number of pixels inside the image. Outside there are zeros."""
    rows, columns = _windows(op)
    bounds = range_of(op)
    if rows.filter == columns.filter == 1:
        return _one_pixel(rows, columns, bounds)
    places = _seen(rows, columns, nearest=False)
    count = np.outer(elements(rows), elements(columns)).reshape(-1, 1).astype(np.float32)
    shape = op.output().dims
    low, high = (np.float32(bound) for bound in bounds)

    def run(x: Array) -> Array:
        pixels = flush(x).reshape(len(x), -1, shape[3])
        pixels = np.concatenate([pixels, np.zeros((len(x), 1, shape[3]), np.float32)], axis=1)
        total = np.zeros((len(x), places.shape[1], shape[3]), np.float32)
        for start in range(0, len(places), _TAPS):
            nine = [pixels[:, place] for place in places[start : start + _TAPS]]
            total = flushed.add(total, _of_nine(flushed.add, nine, [np.zeros_like(total)] * (_TAPS - len(nine))))
        total = noted(SUM_OF_FLOATS, total)
        mean = noted("times 1 / number of elements", flushed.multiply(total, np.float32(1) / count))
        return noted("after the activation", flushed.minimum(flushed.maximum(mean, low), high).reshape(shape))

    return run


@kernel("MAX_POOL_2D", profile=XNNPACK_FLOATS)
def max_pool_2d(op: Operator) -> Run:
    """The largest number of each window. Outside the image the nearest pixels are seen once more."""
    return max_pool_within(op, range_of(op))


def max_pool_within(op: Operator, bounds: tuple[float, float]) -> Run:
    """MAX_POOL_2D with these bounds instead of those of its activation."""
    rows, columns = _windows(op)
    if rows.filter == columns.filter == 1:
        return _one_pixel(rows, columns, bounds)
    places = _seen(rows, columns, nearest=True)
    shape = op.output().dims
    low, high = (np.float32(bound) for bound in bounds)

    def run(x: Array) -> Array:
        pixels = flush(x).reshape(len(x), -1, shape[3])
        best: Array | None = None
        for start in range(0, len(places), _TAPS):
            nine = [pixels[:, place] for place in places[start : start + _TAPS]]
            largest = _of_nine(flushed.maximum, nine, nine[:1] * (_TAPS - len(nine)))
            best = flushed.maximum(largest, low) if best is None else flushed.maximum(best, largest)
            best = flushed.minimum(best, high)
        assert best is not None
        return best.reshape(shape)

    return run


def _windows(op: Operator) -> tuple[Axis, Axis]:
    """The windows of both axes, if there are any: XNNPACK refuses images of no numbers, and reads beyond those that are
    smaller than a window."""
    rows, columns, _ = planned_pool(op)
    if 0 in (*op.input(0).dims[1:], rows.out, columns.out):
        raise op.unsupported(f"images {op.input(0).dims} without a window")
    return rows, columns


def _one_pixel(rows: Axis, columns: Axis, bounds: tuple[float, float]) -> Run:
    """A window of one pixel only clamps; XNNPACK takes it with a stride of 1 alone."""
    return lambda x: clamp(x[:, :: rows.stride, :: columns.stride], bounds)


def _of_nine(function: Pair, given: Sequence[Array], more: Sequence[Array]) -> Array:
    """`function` of what is given, and of as many more as make nine, in the order of the kernels."""
    i = [*given, *more]
    ends = function(function(i[0], i[1]), i[8])
    return function(function(function(i[2], i[3]), function(i[4], i[5])), function(ends, function(i[6], i[7])))


def _seen(rows: Axis, columns: Axis, nearest: bool) -> Array:
    """The pixel that each tap sees, column by column, [tap, place]: outside the image the nearest, or one beyond the
    last."""
    kx, ky, oy, ox = np.indices((columns.filter, rows.filter, rows.out, columns.out))
    listed, shift = _listed(rows) if not nearest else (np.arange(rows.out), np.zeros(rows.out, np.intp))
    y, x = listed[oy] * rows.stride + ky - rows.before, ox * columns.stride + kx - columns.before
    is_inside = (y >= 0) & (y < rows.size) & (x >= 0) & (x < columns.size)
    y = np.clip(y, 0, rows.size - 1) + shift[oy] * rows.stride
    inside = y * columns.size + np.clip(x, 0, columns.size - 1)
    places: Array = np.where(is_inside | nearest, inside, rows.size * columns.size)
    return places.reshape(rows.filter * columns.filter, rows.out * columns.out)


def _listed(rows: Axis) -> tuple[Array, Array]:
    """For each row of places the row of places whose list of pixels the kernel of averages reads, and by how many rows
    of places it then moves on.

    Lists are kept of the rows of places at the top and at the bottom, whose windows leave the image, and of one in
    between, which serves the others. Where a window is so high that top and bottom overlap, it reads a wrong list.
    """
    top, bottom = (-(-n // rows.stride) for n in (rows.before, rows.after))
    lists, first_of_bottom = [*range(min(top + 1, rows.out))], INT32_MAX  # none where it would be below 0
    if bottom <= rows.out:
        first_of_bottom = rows.out - bottom
        lists += range(first_of_bottom, rows.out)
    places = np.arange(rows.out)
    read = np.minimum(places, top) + np.maximum(0, places + 1 - first_of_bottom)
    shift = np.where(places < first_of_bottom, places - read, 0)
    return np.array(lists)[read], shift


@kernel("RESIZE_BILINEAR", profile=XNNPACK_FLOATS)
def resize_bilinear(op: Operator) -> Run:
    """Between four pixels: first along x, left + (right - left) * weight, then alike along y."""
    align_corners, half_pixel_centers = flags_of(op)

    def make(dims: tuple[int, ...], size: tuple[int, int]) -> Run:
        centers = half_pixel_centers and not align_corners
        (top, bottom, dy), (left, right, dx) = (positions(dims[i], size[i - 1], align_corners, centers) for i in (1, 2))
        dx, dy = dx[:, None], dy[:, None, None]

        def run(x: Array) -> Array:
            x = flush(x)
            along_x = _between(x[:, :, left], x[:, :, right], dx)
            return _between(along_x[:, top], along_x[:, bottom], dy)

        return run

    return planned_resize(op, make)


def _between(a: Array, b: Array, weight: Array) -> Array:
    return flushed.add(a, flushed.multiply(flushed.subtract(b, a), weight))


def positions(size: int, out: int, align_corners: bool, half_pixel_centers: bool) -> tuple[Array, Array, Array]:
    """Along an axis of `size` pixels, for each of `out` places the pixel before it, that after it, and how far it lies
    beyond the first."""
    f = np.float32
    adjustment = 1 if align_corners and out != 1 else 0
    scale = f(size - adjustment) / f(out - adjustment)
    places = np.arange(out, dtype=f) * scale
    if half_pixel_centers:
        places = np.clip(places + (f(0.5) * scale - f(0.5)), f(0), f(size - 1))
    first = places.astype(np.intp)
    return first, np.minimum(first + 1, size - 1), flush(places - first.astype(f))
